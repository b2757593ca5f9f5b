//! Writes a catalog as a file that reads back.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use uuid::Uuid;

use crate::domain::catalog::Risk;
use crate::domain::condition::{Condition, Operator, directory_and_reference};
use crate::domain::drift::DriftRule;
use crate::domain::id::PersonId;
use crate::domain::policy::{
    AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, CustomField, Effect, EligibilityLost, FieldKind, Rule, Step, TextRule, Verdict, When,
};
use crate::domain::separation::SeparationRule;
use crate::domain::span::Seconds;
use crate::store::catalog::{Catalog, RoleNow};

use super::condition;
use super::read_policy::prefixed;

/// How the people and groups of a catalog are called in the file.
#[derive(Clone, Debug, Default)]
pub struct Called {
    /// Key of the directory that a file means when it names none.
    pub directory: String,
    /// Logins.
    pub people: BTreeMap<PersonId, String>,
    /// Logins of those whom conditions name, by what stands for them there.
    pub above: BTreeMap<String, String>,
    /// By directory, of each that is connected, names of groups by reference, where the name still means that group; others are called by their reference.
    pub groups: BTreeMap<String, BTreeMap<String, String>>,
}

/// The whole of `catalog`, but for what is retired, in the order of keys. Whoever is not in `called` is written by id.
pub fn toml(catalog: &Catalog, called: &Called) -> String {
    let mut writer = Writer { catalog, called, out: String::new() };
    writer.out.push_str("# The whole catalog, as Countersign keeps it. `countersign plan` of this file changes nothing.\n");
    writer.bindings("default_policies", None, None);
    writer.offers();
    for body in sorted(catalog.profiles.iter().filter(|now| !now.retired).map(|now| &now.body), |body| &body.key) {
        writer.profile(body);
    }
    for body in sorted(catalog.procedures.iter().filter(|now| !now.retired).map(|now| &now.body), |body| &body.key) {
        writer.procedure(body);
    }
    for body in sorted(catalog.policies.iter().filter(|(now, _)| !now.retired).map(|(now, _)| &now.body), |body| &body.key) {
        writer.policy(body);
    }
    for body in sorted(catalog.separation.iter().filter(|(now, _)| !now.retired).map(|(now, _)| &now.body), |body| &body.key) {
        writer.separation(body);
    }
    writer.out
}

/// `text` as a TOML basic string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => drop(write!(out, "\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn sorted<'c, T, K: Ord + ?Sized + 'c>(all: impl Iterator<Item = &'c T>, key: impl Fn(&'c T) -> &'c K) -> Vec<&'c T> {
    let mut all: Vec<&T> = all.collect();
    all.sort_by(|one, other| key(one).cmp(key(other)));
    all
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn duration(duration: Seconds) -> String {
    quoted(&duration.short())
}

fn durations(all: &[Seconds]) -> String {
    list(all.iter().map(|one| duration(*one)))
}

fn risks(all: &[Risk]) -> String {
    list(all.iter().map(|risk| quoted(risk.word())))
}

/// `{ key = value, key = value }` of the pairs that have a value.
fn table(pairs: impl IntoIterator<Item = (&'static str, Option<String>)>) -> String {
    let pairs: Vec<String> = pairs.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

struct Writer<'c> {
    catalog: &'c Catalog,
    called: &'c Called,
    out: String,
}

impl Writer<'_> {
    fn head(&mut self, table: &str) {
        let _ = write!(self.out, "\n[[{table}]]\n");
    }

    fn pair(&mut self, key: &str, value: impl AsRef<str>) {
        let _ = writeln!(self.out, "{key} = {}", value.as_ref());
    }

    fn text(&mut self, key: &str, text: &str) {
        self.pair(key, quoted(text));
    }

    /// With groups and people as they are called now.
    fn conditions(&self, all: &[Condition]) -> String {
        list(all.iter().map(|condition| {
            let called = |(value, then): (&String, &String)| match (condition.operator, directory_and_reference(value)) {
                (Operator::MemberOf | Operator::NotMemberOf, Some((directory, reference))) => self.group_of(directory, reference),
                // A login names somebody; a reference does not.
                (Operator::ReportsTo, _) => self.called.above.get(value).unwrap_or(then).clone(),
                _ => value.clone(),
            };
            let values = condition.values.iter().zip(condition.shown()).map(called).collect();
            condition::written(&Condition { values, called: Vec::new(), ..condition.clone() })
        }))
    }

    fn person(&self, id: PersonId) -> String {
        self.called.people.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn group(&self, reference: &str) -> String {
        self.group_in(&self.called.directory, reference)
    }

    /// A group as a condition names it.
    fn group_of(&self, directory: &str, reference: &str) -> String {
        let name = self.group_in(directory, reference);
        if directory != self.called.directory && !self.called.directory.is_empty() {
            return format!("{directory}:{name}");
        }
        // What looks like the group of another directory would be taken for one.
        match name.split_once(':') {
            Some((key, _)) if self.called.groups.contains_key(key) => reference.to_owned(),
            _ => name,
        }
    }

    fn group_in(&self, directory: &str, reference: &str) -> String {
        self.called.groups.get(directory).and_then(|names| names.get(reference)).cloned().unwrap_or_else(|| reference.to_owned())
    }

    /// Priorities are left out where the place in the list says them.
    fn bindings(&mut self, key: &str, role: Option<Uuid>, application: Option<Uuid>) {
        let mut bound: Vec<_> = self.catalog.bindings.iter().filter(|bound| bound.role_id == role && bound.application_id == application).collect();
        bound.sort_by_key(|bound| bound.priority);
        if bound.is_empty() {
            return;
        }
        let by_place = bound.iter().zip(1..).all(|(bound, place)| bound.priority == place * 10);
        let items = bound.iter().map(|bound| match by_place {
            true => quoted(&bound.policy),
            false => table([("policy", Some(quoted(&bound.policy))), ("priority", Some(bound.priority.to_string()))]),
        });
        let items = list(items);
        self.pair(key, items);
    }

    fn offers(&mut self) {
        let catalog = self.catalog;
        let offered = sorted(catalog.applications.iter().filter(|application| !application.retired), |application| &application.key);
        for application in &offered {
            self.head("application");
            self.text("key", &application.key);
            self.text("name", &application.name);
            self.description(&application.description);
            let owner = self.person(PersonId(application.owner_id));
            self.text("owner", &owner);
            self.bindings("policies", None, Some(application.id));
        }
        for application in offered {
            let roles = catalog.roles.iter().filter(|role| role.application_id == application.id && !role.retired);
            for role in sorted(roles, |role| &role.key) {
                self.role(&application.key, role, role.owner_id != application.owner_id);
            }
        }
    }

    fn description(&mut self, text: &str) {
        if !text.is_empty() {
            self.text("description", text);
        }
    }

    fn role(&mut self, application: &str, role: &RoleNow, own_owner: bool) {
        self.head("role");
        self.text("application", application);
        self.text("key", &role.key);
        self.text("name", &role.name);
        self.description(&role.description);
        if own_owner {
            let owner = self.person(PersonId(role.owner_id));
            self.text("owner", &owner);
        }
        self.text("risk", &role.risk);
        if let Some(directory) = role.directory.as_ref().filter(|directory| **directory != self.called.directory) {
            self.text("directory", directory);
        }
        let directory = role.directory.as_deref().unwrap_or(&self.called.directory);
        let group = self.group_in(directory, role.group_reference.as_deref().unwrap_or_default());
        self.text("group", &group);
        if role.drift != DriftRule::Alert.word() {
            self.text("drift", &role.drift);
        }
        self.bindings("policies", Some(role.id), None);
    }

    fn profile(&mut self, body: &AccessProfile) {
        self.head("profile");
        self.text("key", &body.key);
        self.text("name", &body.name);
        for Rule { effect, conditions: all } in &body.rules {
            let _ = writeln!(self.out, "[[profile.{}]]", if *effect == Effect::Allow { "allow" } else { "deny" });
            let all = self.conditions(all);
            self.pair("all", all);
        }
    }

    /// A source that stands alone is no list.
    fn sources(&self, sources: &[ApproverSource]) -> String {
        let one = |source: &ApproverSource| {
            quoted(&match source {
                ApproverSource::Person { id, .. } => format!("person:{}", self.person(*id)),
                ApproverSource::Group { reference, .. } => format!("group:{}", self.group(reference)),
                other => other.word().to_owned(),
            })
        };
        match sources {
            [only] => one(only),
            several => list(several.iter().map(one)),
        }
    }

    fn procedure(&mut self, body: &ApprovalProcedure) {
        self.head("procedure");
        self.text("key", &body.key);
        self.text("name", &body.name);
        self.pair("distinct_people", body.distinct_people.to_string());
        self.pair("reassign", body.reassign.to_string());
        for step in &body.steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        self.out.push_str("[[procedure.step]]\n");
        self.text("name", &step.name);
        if !step.when.is_always() {
            let When { conditions: all, risks: of, longer_than } = &step.when;
            let all = (!all.is_empty()).then(|| self.conditions(all));
            self.pair("when", table([("conditions", all), ("risk", (!of.is_empty()).then(|| risks(of))), ("longer_than", longer_than.map(duration))]));
        }
        for (key, limit) in [("time_limit", step.time_limit), ("remind_every", step.remind_every)] {
            if let Some(limit) = limit {
                self.pair(key, duration(limit));
            }
        }
        if let Some(to) = &step.escalation {
            let to = table([("to", Some(self.sources(&to.sources))), ("time_limit", to.time_limit.map(duration))]);
            self.pair("escalate", to);
        }
        let slots = list(step.slots.iter().map(|slot| table([("approvals", Some(slot.approvals.to_string())), ("from", Some(self.sources(&slot.sources)))])));
        self.pair("slots", slots);
    }

    fn policy(&mut self, body: &AccessPolicy) {
        self.head("policy");
        self.text("key", &body.key);
        self.text("name", &body.name);
        if !body.applies_to.is_empty() {
            let all = self.conditions(&body.applies_to);
            self.pair("for", all);
        }
        self.text("profile", &body.profile.key);
        match &body.procedure {
            Some(procedure) => self.text("procedure", &procedure.key),
            None => self.pair("auto_approve", "true"),
        }
        let limits = &body.durations;
        let limits = table([
            ("recommended", limits.recommended.map(duration)),
            ("minimum", Some(duration(limits.minimum))),
            ("maximum", Some(duration(limits.maximum))),
            ("choices", Some(durations(&limits.choices))),
            ("indefinite", Some(limits.indefinite.to_string())),
        ]);
        self.pair("durations", limits);
        self.pair("future_start", body.future_start.map_or_else(|| "false".to_owned(), duration));
        self.pair("justification", text_rule(&body.justification, false));
        self.pair("ticket", text_rule(&body.ticket, true));
        if let Some(rules) = &body.extension {
            let rules = table([
                ("maximum", rules.maximum.map(duration)),
                ("last_percent", Some(rules.last_percent.to_string())),
                ("most", rules.most.map(|most| most.to_string())),
                ("procedure", rules.procedure.as_ref().map(|procedure| quoted(&procedure.key))),
            ]);
            self.pair("extension", rules);
        }
        let behalf = &body.on_behalf;
        if behalf.manager || behalf.owner {
            let flag = |flag: bool| Some(flag.to_string());
            self.pair("on_behalf", table([("manager", flag(behalf.manager)), ("owner", flag(behalf.owner)), ("confirm", flag(behalf.confirm))]));
        }
        if let Some(path) = &body.emergency {
            self.pair("emergency", table([("maximum", Some(duration(path.maximum))), ("review_within", Some(duration(path.review_within)))]));
        }
        self.pair("comment_to_deny", body.comment_to_deny.to_string());
        self.text("eligibility_lost", if body.eligibility_lost == EligibilityLost::Keep { "keep" } else { "revoke" });
        if let EligibilityLost::Revoke(grace) = body.eligibility_lost {
            self.pair("eligibility_grace", duration(grace));
        }
        for rule in &body.auto_rules {
            self.out.push_str("[[policy.auto]]\n");
            self.text("name", &rule.name);
            self.text("then", if rule.verdict == Verdict::Approve { "approve" } else { "deny" });
            if !rule.conditions.is_empty() {
                let all = self.conditions(&rule.conditions);
                self.pair("all", all);
            }
            if !rule.risks.is_empty() {
                self.pair("risk", risks(&rule.risks));
            }
            for (key, limit) in [("at_most", rule.at_most), ("longer_than", rule.longer_than)] {
                if let Some(limit) = limit {
                    self.pair(key, duration(limit));
                }
            }
        }
        for field in &body.fields {
            self.field(field);
        }
    }

    fn field(&mut self, field: &CustomField) {
        self.out.push_str("[[policy.field]]\n");
        self.text("key", &field.key);
        self.text("label", &field.label);
        if let Some(help) = &field.help {
            self.text("help", help);
        }
        self.pair("required", field.required.to_string());
        self.text("type", field.kind.word());
        match &field.kind {
            FieldKind::Text { maximum } => self.pair("maximum", maximum.to_string()),
            FieldKind::Choice { choices } => self.pair("choices", list(choices.iter().map(|choice| quoted(choice)))),
            FieldKind::Number { minimum, maximum } => {
                for (key, limit) in [("minimum", minimum), ("maximum", maximum)] {
                    if let Some(limit) = limit {
                        self.pair(key, limit.to_string());
                    }
                }
            }
            FieldKind::Date | FieldKind::YesNo => {}
        }
    }

    fn separation(&mut self, body: &SeparationRule) {
        self.head("separation");
        self.text("key", &body.key);
        self.text("name", &body.name);
        for (key, side) in [("a", &body.a), ("b", &body.b)] {
            let mut roles: Vec<String> = side.iter().map(|role| self.catalog.role_key(*role).unwrap_or_else(|| role.to_string())).collect();
            roles.sort_unstable();
            self.pair(key, list(roles.iter().map(|role| quoted(role))));
        }
        if let Some(procedure) = &body.procedure {
            self.text("procedure", &procedure.key);
        }
    }
}

/// The prefix that the pattern of `rule` stands for, if it stands for one.
pub fn prefix_of(rule: &TextRule) -> Option<String> {
    let plain = |expression: &str| expression.strip_suffix(".*").map(|prefix| prefix.replace('\\', ""));
    rule.pattern.as_ref().and_then(|pattern| plain(&pattern.expression).filter(|plain| prefixed(plain) == *pattern))
}

fn text_rule(rule: &TextRule, is_ticket: bool) -> String {
    // What a prefix stands for is written as the prefix.
    let prefix = prefix_of(rule).filter(|_| is_ticket);
    let pattern = rule.pattern.as_ref().filter(|_| prefix.is_none());
    table([
        ("required", Some(rule.required.to_string())),
        ("minimum", (rule.minimum > 0).then(|| rule.minimum.to_string())),
        ("prefix", prefix.as_deref().map(quoted)),
        ("pattern", pattern.map(|pattern| quoted(&pattern.expression))),
        ("says", pattern.map(|pattern| quoted(&pattern.says))),
    ])
}

#[cfg(test)]
mod tests;
