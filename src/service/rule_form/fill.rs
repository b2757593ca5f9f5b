//! Fills a form with what an entry says.

use crate::domain::catalog::Risk;
use crate::domain::condition::Condition;
use crate::domain::policy::{CustomField, Durations, Effect, FieldKind, TextRule, Verdict};
use crate::domain::span::Seconds;
use crate::service::catalog_file::model::{
    ApplicationEntry, AutoEntry, BindingEntry, CatalogFile, PolicyEntry, ProcedureEntry, ProfileEntry, RoleEntry, SeparationEntry, SourceEntry, StepEntry,
};
use crate::service::catalog_file::places::Placed;
use crate::service::catalog_file::write::prefix_of;

use super::set::is_role;
use super::shape::Kind;
use super::sheet::{Form, Pairs, joined};

/// The form of an entry of `file`; none when there is no such entry. A role's key is `application.role`.
pub fn of(file: &CatalogFile, kind: Kind, key: &str) -> Option<Form> {
    let mut fill = Fill::default();
    match kind {
        Kind::Application => fill.application(file.applications.iter().find(|entry| entry.key.value == key)?),
        Kind::Role => fill.role(file.roles.iter().find(|entry| is_role(entry, key))?),
        Kind::Profile => fill.profile(file.profiles.iter().find(|entry| entry.key.value == key)?),
        Kind::Procedure => fill.procedure(file.procedures.iter().find(|entry| entry.key.value == key)?),
        Kind::Policy => fill.policy(file.policies.iter().find(|entry| entry.key.value == key)?),
        Kind::Separation => fill.separation(file.separation.iter().find(|entry| entry.key.value == key)?),
    }
    Some(Form::of(kind, &fill.0))
}

/// A form for something new, with what most want ticked.
pub fn fresh(kind: Kind) -> Form {
    let mut fill = Fill::default();
    match kind {
        Kind::Procedure => fill.flag("distinct_people", true),
        Kind::Policy => {
            fill.flag("comment_to_deny", true);
            fill.put("eligibility_lost", "revoke");
            fill.put("eligibility_grace", "7d");
            fill.flag("justification.required", true);
            fill.put("future_start", "30d");
        }
        _ => {}
    }
    let mut form = Form::of(kind, &fill.0);
    match kind {
        Kind::Procedure => drop(form.act("add.step")),
        Kind::Profile => drop(form.act("add.rules") && form.act("add.rules.0.all")),
        _ => {}
    }
    form
}

#[derive(Default)]
struct Fill(Pairs);

fn short(duration: Option<Seconds>) -> String {
    duration.map_or_else(String::new, said)
}

/// A duration as people write it: `30d`, not `4w2d`.
fn said(duration: Seconds) -> String {
    let (days, rest) = (duration.0 / 86_400, duration.0 % 86_400);
    if days == 0 || duration.0 % 604_800 == 0 {
        return duration.short();
    }
    format!("{days}d{}", if rest > 0 { Seconds(rest).short() } else { String::new() })
}

fn number(number: Option<impl ToString>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

fn key_of(placed: Option<&Placed<String>>) -> &str {
    placed.map_or("", |placed| &placed.value)
}

impl Fill {
    fn put(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    fn flag(&mut self, name: impl Into<String>, flag: bool) {
        if flag {
            self.put(name, "yes");
        }
    }

    fn risks(&mut self, name: &str, risks: &[Risk]) {
        risks.iter().for_each(|risk| self.put(name, risk.word()));
    }

    fn conditions(&mut self, name: &str, all: &[Placed<Condition>]) {
        for (Placed { value: Condition { attribute, operator, values, .. }, .. }, row) in all.iter().zip(0..) {
            self.put(format!("{name}.{row}.attribute"), attribute);
            self.put(format!("{name}.{row}.operator"), operator.word());
            // A value that stands alone needs no quotes, unless it begins with one.
            let alone = operator.arity().1 == 1 && values.first().is_some_and(|value| !value.starts_with('"'));
            self.put(format!("{name}.{row}.values"), if alone { values.concat() } else { joined(values) });
        }
    }

    fn sources(&mut self, name: &str, all: &[Placed<SourceEntry>]) {
        for (source, row) in all.iter().zip(0..) {
            let (word, called) = match &source.value {
                SourceEntry::Person(login) => ("person", login.as_str()),
                SourceEntry::Group(group) => ("group", group.as_str()),
                SourceEntry::Manager => ("manager", ""),
                SourceEntry::ManagersManager => ("managers_manager", ""),
                SourceEntry::ApplicationOwner => ("application_owner", ""),
                SourceEntry::RoleOwner => ("role_owner", ""),
            };
            self.put(format!("{name}.{row}.source"), word);
            self.put(format!("{name}.{row}.called"), called);
        }
    }

    fn bindings(&mut self, all: &[BindingEntry]) {
        let by_place = all.iter().zip(1..).all(|(bound, place)| bound.priority == place * 10);
        for (bound, row) in all.iter().zip(0..) {
            self.put(format!("policies.{row}.policy"), &bound.policy.value);
            self.put(format!("policies.{row}.priority"), number((!by_place).then_some(bound.priority)));
        }
    }

    fn application(&mut self, entry: &ApplicationEntry) {
        self.put("key", &entry.key.value);
        self.put("name", &entry.name);
        self.put("description", &entry.description);
        self.put("owner", &entry.owner.value);
        self.bindings(&entry.policies);
    }

    fn role(&mut self, entry: &RoleEntry) {
        self.put("application", &entry.application.value);
        self.put("key", &entry.key.value);
        self.put("name", &entry.name);
        self.put("description", &entry.description);
        self.put("owner", key_of(entry.owner.as_ref()));
        self.put("risk", entry.risk.word());
        self.put("group", &entry.group.value);
        self.put("directory", key_of(entry.directory.as_ref()));
        self.put("drift", entry.drift.word());
        self.bindings(&entry.policies);
    }

    fn profile(&mut self, entry: &ProfileEntry) {
        self.put("key", &entry.key.value);
        self.put("name", &entry.name);
        for (rule, row) in entry.rules.iter().zip(0..) {
            self.put(format!("rules.{row}.effect"), if rule.effect == Effect::Allow { "allow" } else { "deny" });
            self.conditions(&format!("rules.{row}.all"), &rule.conditions);
        }
    }

    fn procedure(&mut self, entry: &ProcedureEntry) {
        self.put("key", &entry.key.value);
        self.put("name", &entry.name);
        self.flag("distinct_people", entry.distinct_people);
        self.flag("reassign", entry.reassign);
        for (step, row) in entry.steps.iter().zip(0..) {
            self.step(step, &format!("step.{row}"));
        }
    }

    fn step(&mut self, step: &StepEntry, at: &str) {
        self.put(format!("{at}.name"), &step.name);
        self.conditions(&format!("{at}.when.conditions"), &step.when.conditions);
        self.risks(&format!("{at}.when.risk"), &step.when.risks);
        self.put(format!("{at}.when.longer_than"), short(step.when.longer_than));
        self.put(format!("{at}.time_limit"), short(step.time_limit));
        self.put(format!("{at}.remind_every"), short(step.remind_every));
        if let Some(to) = &step.escalation {
            self.sources(&format!("{at}.escalate.to"), &to.sources);
            self.put(format!("{at}.escalate.time_limit"), short(to.time_limit));
        }
        for (slot, row) in step.slots.iter().zip(0..) {
            self.put(format!("{at}.slots.{row}.approvals"), slot.approvals.to_string());
            self.sources(&format!("{at}.slots.{row}.from"), &slot.sources);
        }
    }

    fn text_rule(&mut self, name: &str, rule: &TextRule) {
        self.flag(format!("{name}.required"), rule.required);
        self.put(format!("{name}.minimum"), number(Some(rule.minimum).filter(|least| *least > 0)));
        let prefix = prefix_of(rule).filter(|_| name == "ticket");
        let pattern = rule.pattern.as_ref().filter(|_| prefix.is_none());
        self.put(format!("{name}.prefix"), prefix.unwrap_or_default());
        self.put(format!("{name}.pattern"), pattern.map_or("", |pattern| &pattern.expression));
        self.put(format!("{name}.says"), pattern.map_or("", |pattern| &pattern.says));
    }

    fn durations(&mut self, limits: &Durations) {
        self.put("durations.recommended", short(limits.recommended));
        self.put("durations.minimum", said(limits.minimum));
        self.put("durations.maximum", said(limits.maximum));
        self.put("durations.choices", limits.choices.iter().map(|choice| said(*choice)).collect::<Vec<_>>().join(", "));
        self.flag("durations.indefinite", limits.indefinite);
    }

    fn policy(&mut self, entry: &PolicyEntry) {
        self.put("key", &entry.key.value);
        self.put("name", &entry.name);
        self.conditions("for", &entry.applies_to);
        self.put("profile", &entry.profile.value);
        self.put("procedure", key_of(entry.procedure.as_ref()));
        self.flag("auto_approve", entry.procedure.is_none());
        self.flag("comment_to_deny", entry.comment_to_deny);
        self.put("eligibility_lost", if entry.eligibility_lost.grace().is_some() { "revoke" } else { "keep" });
        self.put("eligibility_grace", short(entry.eligibility_lost.grace()));
        for (rule, row) in entry.auto_rules.iter().zip(0..) {
            self.auto(rule, &format!("auto.{row}"));
        }
        if let Some(limits) = &entry.durations {
            self.durations(limits);
        }
        self.put("future_start", short(entry.future_start));
        self.text_rule("justification", &entry.justification);
        self.text_rule("ticket", &entry.ticket);
        for (field, row) in entry.fields.iter().zip(0..) {
            self.field(field, &format!("field.{row}"));
        }
        if let Some(rules) = &entry.extension {
            self.flag("extension.on", true);
            self.put("extension.maximum", short(rules.maximum));
            self.put("extension.last_percent", rules.last_percent.to_string());
            self.put("extension.most", number(rules.most));
            self.put("extension.procedure", key_of(rules.procedure.as_ref()));
        }
        self.flag("on_behalf.manager", entry.on_behalf.manager);
        self.flag("on_behalf.owner", entry.on_behalf.owner);
        self.flag("on_behalf.confirm", entry.on_behalf.confirm);
        if let Some(path) = &entry.emergency {
            self.put("emergency.maximum", said(path.maximum));
            self.put("emergency.review_within", said(path.review_within));
        }
    }

    fn auto(&mut self, rule: &AutoEntry, at: &str) {
        self.put(format!("{at}.name"), &rule.name);
        self.put(format!("{at}.then"), if rule.verdict == Verdict::Approve { "approve" } else { "deny" });
        self.conditions(&format!("{at}.all"), &rule.conditions);
        self.risks(&format!("{at}.risk"), &rule.risks);
        self.put(format!("{at}.at_most"), short(rule.at_most));
        self.put(format!("{at}.longer_than"), short(rule.longer_than));
    }

    fn field(&mut self, field: &CustomField, at: &str) {
        self.put(format!("{at}.key"), &field.key);
        self.put(format!("{at}.label"), &field.label);
        self.put(format!("{at}.help"), field.help.as_deref().unwrap_or_default());
        self.put(format!("{at}.type"), field.kind.word());
        self.flag(format!("{at}.required"), field.required);
        match &field.kind {
            FieldKind::Text { maximum } => self.put(format!("{at}.maximum"), maximum.to_string()),
            FieldKind::Choice { choices } => self.put(format!("{at}.choices"), choices.join("\n")),
            FieldKind::Number { minimum, maximum } => {
                self.put(format!("{at}.minimum"), number(*minimum));
                self.put(format!("{at}.maximum"), number(*maximum));
            }
            FieldKind::Date | FieldKind::YesNo => {}
        }
    }

    fn separation(&mut self, entry: &SeparationEntry) {
        self.put("key", &entry.key.value);
        self.put("name", &entry.name);
        for (name, side) in [("a", &entry.a), ("b", &entry.b)] {
            self.put(name, side.iter().map(|role| role.value.as_str()).collect::<Vec<_>>().join("\n"));
        }
        self.put("procedure", key_of(entry.procedure.as_ref()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{list, set, text};
    use super::*;
    use crate::service::catalog_file::read::read;

    /// Everything that a file can say, once.
    const FULL: &str = r#"
default_policies = ["p-full"]

[[application]]
key = "a"
name = "A \"quoted\""
description = "One\nTwo"
owner = "ann"
policies = [{ policy = "p-contract", priority = 5 }, { policy = "p-full", priority = 7 }]

[[role]]
application = "a"
key = "r"
name = "R"
owner = "bob"
risk = "elevated"
group = "g"
directory = "main"
policies = ["p-contract", "p-full"]

[[role]]
application = "a"
key = "s"
name = "S"
risk = "low"
group = "h"

[[profile]]
key = "pr"
name = "Profile"
[[profile.allow]]
all = ["department in Data, IT", { attribute = "title", operator = "contains", values = ["Research, Applied", "say \"x\""] }]
[[profile.deny]]
all = ["groups include g", "reports to ann"]
[[profile.allow]]
all = []

[[procedure]]
key = "pc"
name = "Procedure"
distinct_people = false
reassign = true
[[procedure.step]]
name = "One"
slots = [{ approvals = 2, from = ["group:g", "person:ann"] }, { approvals = 1, from = "manager" }]
when = { conditions = ["cost_center exists"], risk = ["low", "critical"], longer_than = "1d12h" }
time_limit = "2d"
remind_every = "8h"
escalate = { to = ["managers_manager", "application_owner"], time_limit = "1d" }
[[procedure.step]]
name = "Two"
slots = [{ from = "role_owner" }]

[[policy]]
key = "p-contract"
name = "Contract"
for = ["employment_type is contractor, external"]
profile = "pr"
auto_approve = true
durations = { maximum = "8h" }
future_start = false
eligibility_lost = "keep"

[[policy]]
key = "p-full"
name = "Full"
profile = "pr"
procedure = "pc"
durations = { recommended = "4h", minimum = "1h", maximum = "30d", choices = ["4h", "8h"], indefinite = true }
future_start = "30d"
justification = { required = true, minimum = 20, pattern = "[A-Z].*", says = "Begin with a capital." }
ticket = { required = false, prefix = "OPS-" }
extension = { maximum = "7d", last_percent = 25, most = 3, procedure = "pc" }
on_behalf = { manager = true, owner = true, confirm = true }
emergency = { maximum = "1h", review_within = "1d" }
comment_to_deny = false
eligibility_lost = "revoke"
eligibility_grace = "3d"
[[policy.auto]]
name = "on call"
then = "approve"
all = ["groups include g"]
risk = ["low"]
at_most = "2h"
[[policy.auto]]
name = "too long"
then = "deny"
longer_than = "20d"
[[policy.field]]
key = "why_now"
label = "Why now?"
help = "In a word."
required = true
type = "text"
maximum = 50
[[policy.field]]
key = "site"
label = "Site"
type = "choice"
choices = ["Leeds, UK", "Bern"]
[[policy.field]]
key = "day"
label = "Day"
type = "date"
[[policy.field]]
key = "count"
label = "Count"
type = "number"
minimum = -3
maximum = 9
[[policy.field]]
key = "sure"
label = "Sure?"
type = "yes_no"

[[separation]]
key = "sep"
name = "Apart"
a = ["a/r"]
b = ["a/s"]
procedure = "pc"
"#;

    #[test]
    fn an_entry_comes_out_of_its_form_as_it_went_in() {
        let file = read(FULL);
        assert_eq!(file.faults, []);
        let mut count = 0;
        for (kind, ..) in Kind::ALL {
            for row in list::rows(&file, kind) {
                let form = of(&file, kind, &row.key).unwrap();
                let (text, first) = set::with(FULL, kind, Some(&row.key), &text::entry(&form));
                let again = read(&text);
                assert_eq!(again.faults, [], "{} {}\n{text}", kind.word(), row.key);
                assert_eq!(text.lines().nth(first - 1), Some(format!("[[{}]]", kind.word()).as_str()));
                // Every entry, also those that were not touched.
                for (kind, ..) in Kind::ALL {
                    for row in list::rows(&file, kind) {
                        let (before, now) = (of(&file, kind, &row.key).unwrap(), of(&again, kind, &row.key).unwrap());
                        assert_eq!(text::entry(&before), text::entry(&now));
                    }
                    assert_eq!(list::rows(&file, kind).len(), list::rows(&again, kind).len());
                }
                assert_eq!(again.defaults.len(), 1);
                count += 1;
            }
        }
        assert_eq!(count, 8);
    }

    #[test]
    fn what_is_read_of_a_form_is_what_the_file_said() {
        let file = read(FULL);
        let strip = |file: &CatalogFile| {
            let policy = file.policies.iter().find(|policy| policy.key.value == "p-full").unwrap().clone();
            (
                policy.durations,
                policy.future_start,
                policy.justification,
                policy.ticket,
                policy.fields,
                policy.on_behalf,
                policy.emergency,
                policy.comment_to_deny,
                policy.eligibility_lost,
            )
        };
        let form = of(&file, Kind::Policy, "p-full").unwrap();
        let (text, _) = set::with(FULL, Kind::Policy, Some("p-full"), &text::entry(&form));
        assert_eq!(strip(&file), strip(&read(&text)));
        let conditions = |file: &CatalogFile| file.conditions().map(|condition| condition.value.clone()).collect::<Vec<_>>();
        assert_eq!(conditions(&file).len(), 7);
        let mut text = FULL.to_owned();
        for (kind, ..) in Kind::ALL {
            for row in list::rows(&file, kind) {
                text = set::with(&text, kind, Some(&row.key), &text::entry(&of(&file, kind, &row.key).unwrap())).0;
            }
        }
        assert_eq!(conditions(&file), conditions(&read(&text)));
    }
}
