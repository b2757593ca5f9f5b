//! Reads a catalog file into its model.

use std::collections::BTreeMap;

use crate::domain::catalog::Risk;
use crate::domain::condition::Condition;
use crate::domain::policy::{Durations, Effect, LONGEST_TEXT};
use crate::domain::span::Seconds;

use super::condition::condition;
use super::model::{
    ApplicationEntry, BindingEntry, CatalogFile, PolicyEntry, ProcedureEntry, ProfileEntry, RoleEntry, RuleEntry, SlotEntry, SourceEntry, StepEntry,
};
use super::places::{Fields, Place, Placed, Reader};

/// Reads `text`. Faults are in the result, all of them and in the order of the text; what they are about is left out or empty.
pub fn read(text: &str) -> CatalogFile {
    let reader = Reader::new(text);
    let mut file = CatalogFile::default();
    if let Some(root) = reader.parse() {
        let top = Fields::new(&reader, root.get_ref(), Place { line: 1, column: 1 }, "The file");
        file.applications = top.tables("application", "An application").into_iter().map(application).collect();
        file.roles = top.tables("role", "A role").into_iter().map(role).collect();
        file.profiles = top.tables("profile", "A profile").into_iter().map(profile).collect();
        file.procedures = top.tables("procedure", "A procedure").into_iter().map(procedure).collect();
        file.policies = top.tables("policy", "A policy").into_iter().map(policy).collect();
        file.defaults = bindings(&top, "default_policies");
        top.end();
        if file.applications.is_empty() && reader.is_content() {
            reader.fault(Place { line: 1, column: 1 }, "The file describes no application; an empty catalog is not applied.");
        }
        distinct(&reader, "application", file.applications.iter().map(|entry| (&entry.key, String::new())));
        distinct(&reader, "role", file.roles.iter().map(|entry| (&entry.key, format!("{}/", entry.application.value))));
        distinct(&reader, "profile", file.profiles.iter().map(|entry| (&entry.key, String::new())));
        distinct(&reader, "procedure", file.procedures.iter().map(|entry| (&entry.key, String::new())));
        distinct(&reader, "policy", file.policies.iter().map(|entry| (&entry.key, String::new())));
    }
    file.faults = reader.into_faults();
    file
}

/// Reports every key that was used before within its prefix.
fn distinct<'a>(reader: &Reader<'_>, what: &str, keys: impl Iterator<Item = (&'a Placed<String>, String)>) {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (key, prefix) in keys.filter(|(key, _)| !key.value.is_empty()) {
        let name = format!("{prefix}{}", key.value);
        match first.get(&name) {
            Some(line) => reader.fault(key.at, format!("The {what} “{name}” is already described in line {line}; keys are used once.")),
            None => drop(first.insert(name, key.at.line)),
        }
    }
}

fn application(fields: Fields<'_, '_>) -> ApplicationEntry {
    let entry = ApplicationEntry {
        key: fields.key("key"),
        name: fields.needed("name").value,
        description: fields.paragraph("description"),
        owner: fields.needed("owner"),
        policies: bindings(&fields, "policies"),
    };
    fields.end();
    entry
}

fn role(fields: Fields<'_, '_>) -> RoleEntry {
    if let Some(method) = fields.text("method").filter(|method| method.value != "idp_group") {
        fields.reader.fault(method.at, format!("The method “{}” is not supported yet; leave it out, or say \"idp_group\".", method.value));
    }
    let risk = fields.needed("risk");
    let parsed = Risk::parse(&risk.value);
    if parsed.is_none() && !risk.value.is_empty() {
        fields.reader.fault(risk.at, format!("“{}” is no risk; say \"low\", \"elevated\" or \"critical\".", risk.value));
    }
    let entry = RoleEntry {
        application: fields.needed("application"),
        key: fields.key("key"),
        name: fields.needed("name").value,
        description: fields.paragraph("description"),
        owner: fields.text("owner").filter(|owner| !owner.value.is_empty()),
        risk: parsed.unwrap_or(Risk::Critical),
        directory: fields.text("directory"),
        group: fields.needed("group"),
        policies: bindings(&fields, "policies"),
    };
    fields.end();
    entry
}

/// Policies in the order in which they are tried: `"key"`, `["key", "key"]`, or `[{ policy = "key", priority = 10 }]`.
fn bindings(fields: &Fields<'_, '_>, list: &'static str) -> Vec<BindingEntry> {
    let single = if list == "policies" { fields.text("policy") } else { None };
    let items = fields.list(list);
    if let (Some(single), Some(_)) = (&single, items) {
        fields.reader.fault(single.at, "Say either “policy” or “policies”, not both.");
    }
    let mut bound: Vec<BindingEntry> = single.into_iter().map(|policy| BindingEntry { policy, priority: 10 }).collect();
    for (i, item) in items.unwrap_or_default().iter().enumerate() {
        let by_place = (i as i32 + 1).saturating_mul(10);
        let entry = if item.get_ref().is_str() {
            fields.reader.text(item, list, 200).map(|policy| BindingEntry { policy, priority: by_place })
        } else {
            fields.reader.fields(item, "A policy of a list").map(|inner| {
                let policy = inner.needed("policy");
                let priority = inner.number("priority", 0, 1_000_000).map_or(by_place, |number| number.value as i32);
                inner.end();
                BindingEntry { policy, priority }
            })
        };
        let Some(entry) = entry else { continue };
        if let Some(same) = bound.iter().find(|other| other.priority == entry.priority) {
            let said = format!("“{}” and “{}” have the same priority {}; then neither comes first.", same.policy.value, entry.policy.value, entry.priority);
            fields.reader.fault(entry.policy.at, said);
        } else if bound.iter().any(|other| other.policy.value == entry.policy.value) {
            fields.reader.fault(entry.policy.at, format!("“{}” is listed twice.", entry.policy.value));
        } else {
            bound.push(entry);
        }
    }
    bound
}

fn conditions(fields: &Fields<'_, '_>, key: &'static str) -> Vec<Placed<Condition>> {
    fields.list(key).unwrap_or_default().iter().filter_map(|item| condition(fields.reader, item)).collect()
}

fn profile(fields: Fields<'_, '_>) -> ProfileEntry {
    let (key, name) = (fields.key("key"), fields.needed("name").value);
    let mut rules: Vec<(Place, RuleEntry)> = Vec::new();
    for (word, what, effect) in [("allow", "An allow rule", Effect::Allow), ("deny", "A deny rule", Effect::Deny)] {
        for rule in fields.tables(word, what) {
            let at = rule.at;
            if !rule.has("all") {
                rule.reader.fault(at, format!("{what} needs “all”, the list of conditions that must hold; all = [] means everybody."));
            } else if effect == Effect::Deny && rule.list("all").is_some_and(<[_]>::is_empty) {
                rule.reader.fault(at, "A deny rule without conditions keeps everybody out; give it one, or take the role out of the file.");
            }
            rules.push((at, RuleEntry { effect, conditions: conditions(&rule, "all") }));
            rule.end();
        }
    }
    if !rules.iter().any(|(_, rule)| rule.effect == Effect::Allow) {
        fields.reader.fault(key.at, "A profile needs an allow rule, or nobody could ever ask.");
    }
    if rules.len() > 100 {
        fields.reader.fault(key.at, "A profile may have 100 rules.");
    }
    fields.end();
    rules.sort_by_key(|(at, _)| *at);
    ProfileEntry { key, name, rules: rules.into_iter().map(|(_, rule)| rule).collect() }
}

fn procedure(fields: Fields<'_, '_>) -> ProcedureEntry {
    let entry = ProcedureEntry {
        key: fields.key("key"),
        name: fields.needed("name").value,
        distinct_people: fields.flag("distinct_people", true),
        steps: fields.tables("step", "A step").into_iter().map(step).collect(),
    };
    if entry.steps.is_empty() {
        fields.reader.fault(entry.key.at, "A procedure needs a step; for a policy that asks nobody say auto_approve = true there.");
    }
    if entry.steps.len() > 20 {
        fields.reader.fault(entry.key.at, "A procedure may have 20 steps.");
    }
    fields.end();
    entry
}

fn step(fields: Fields<'_, '_>) -> StepEntry {
    let entry = StepEntry {
        name: fields.needed("name").value,
        time_limit: fields.duration("time_limit").map(|limit| limit.value),
        slots: fields.tables("slots", "A slot").into_iter().filter_map(slot).collect(),
    };
    if fields.list("slots").is_none_or(<[_]>::is_empty) && !fields.is_broken() {
        fields.reader.fault(fields.at, "A step needs slots, like slots = [{ approvals = 1, from = \"manager\" }].");
    }
    if entry.slots.len() > 20 {
        fields.reader.fault(fields.at, "A step may have 20 slots.");
    }
    fields.end();
    entry
}

fn slot(fields: Fields<'_, '_>) -> Option<SlotEntry> {
    let approvals = fields.number("approvals", 1, 20).map_or(1, |number| number.value as u32);
    let from = source(&fields, "from");
    let fallback = if fields.has("fallback") { source(&fields, "fallback") } else { None };
    let at = fields.at;
    fields.end();
    Some(SlotEntry { at, approvals, from: from?, fallback })
}

fn source(fields: &Fields<'_, '_>, key: &'static str) -> Option<Placed<SourceEntry>> {
    let text = fields.needed(key);
    let value = match text.value.split_once(':') {
        Some(("person", who)) if !who.trim().is_empty() => SourceEntry::Person(who.trim().into()),
        Some(("group", which)) if !which.trim().is_empty() => SourceEntry::Group(which.trim().into()),
        _ => match text.value.as_str() {
            "" => return None,
            "manager" => SourceEntry::Manager,
            "managers_manager" => SourceEntry::ManagersManager,
            "application_owner" => SourceEntry::ApplicationOwner,
            "role_owner" => SourceEntry::RoleOwner,
            other => {
                let known = "say manager, managers_manager, application_owner, role_owner, group:NAME or person:LOGIN";
                fields.reader.fault(text.at, format!("“{other}” is no approver source; {known}."));
                return None;
            }
        },
    };
    Some(Placed { value, at: text.at })
}

fn policy(fields: Fields<'_, '_>) -> PolicyEntry {
    let key = fields.key("key");
    let procedure = fields.text("procedure").filter(|procedure| !procedure.value.is_empty());
    let auto_approve = fields.flag("auto_approve", false);
    match &procedure {
        Some(procedure) if auto_approve => {
            fields.reader.fault(procedure.at, "Either a procedure approves, or auto_approve = true does; not both.");
        }
        None if !auto_approve && !fields.is_broken() => {
            fields.reader.fault(key.at, "A policy needs a “procedure”, or auto_approve = true when nobody is to be asked.");
        }
        _ => {}
    }
    let (mut justification_required, mut justification_minimum) = (true, 0);
    if let Some(inner) = fields.table("justification", "A justification") {
        justification_required = inner.flag("required", true);
        justification_minimum = inner.number("minimum", 0, LONGEST_TEXT as i64).map_or(0, |number| number.value as u32);
        inner.end();
    }
    let (mut ticket_required, mut ticket_prefix) = (false, None);
    if let Some(inner) = fields.table("ticket", "A ticket") {
        ticket_required = inner.flag("required", true);
        ticket_prefix = inner.text("prefix").map(|prefix| prefix.value).filter(|prefix| !prefix.is_empty());
        if let Some(prefix) = ticket_prefix.as_ref().filter(|prefix| prefix.chars().count() > 50) {
            inner.reader.fault(inner.at, format!("The prefix of a ticket may have 50 characters; this has {}.", prefix.chars().count()));
        }
        inner.end();
    }
    if !fields.has("durations") {
        fields.reader.fault(key.at, "A policy needs durations, like durations = { recommended = \"4h\", maximum = \"8h\" }.");
    }
    let entry = PolicyEntry {
        name: fields.needed("name").value,
        applies_to: conditions(&fields, "for"),
        profile: fields.needed("profile"),
        durations: fields.table("durations", "Durations").and_then(durations),
        extension: fields.flag("extension", false),
        comment_to_deny: fields.flag("comment_to_deny", true),
        key,
        procedure,
        justification_required,
        justification_minimum,
        ticket_required,
        ticket_prefix,
    };
    fields.end();
    entry
}

/// The limits, with what is left out filled in: the minimum is 15 minutes (or the maximum, when that is shorter), the choices are
/// the recommended duration and the maximum.
fn durations(fields: Fields<'_, '_>) -> Option<Durations> {
    let recommended = fields.duration("recommended");
    let minimum = fields.duration("minimum");
    let maximum = fields.duration("maximum");
    let choices: Option<Vec<_>> = fields.list("choices").map(|items| items.iter().filter_map(|item| fields.reader.duration(item, "choices")).collect());
    let indefinite = fields.flag("indefinite", false);
    if !fields.has("maximum") {
        fields.reader.fault(fields.at, "Durations need a “maximum”.");
    }
    if choices.as_ref().is_some_and(|choices| choices.len() > 50) {
        fields.reader.fault(fields.at, "At most 50 choices can be offered.");
    }
    if let Some(most) = maximum.as_ref().map(|maximum| maximum.value) {
        let fault = |of: &Placed<Seconds>, sentence: String| fields.reader.fault(of.at, sentence);
        let least = minimum.as_ref().map(|minimum| minimum.value);
        if let Some(minimum) = minimum.as_ref().filter(|minimum| minimum.value > most) {
            fault(minimum, format!("The minimum, {}, is above the maximum, {most}.", minimum.value));
        }
        for (named, of) in recommended.iter().map(|of| ("recommended duration", of)).chain(choices.iter().flatten().map(|of| ("choice", of))) {
            if of.value > most {
                fault(of, format!("The {named}, {}, is above the maximum, {most}.", of.value));
            } else if let Some(least) = least.filter(|least| of.value < *least) {
                fault(of, format!("The {named}, {}, is below the minimum, {least}.", of.value));
            }
        }
    }
    fields.end();
    let (recommended, maximum) = (recommended.map(|r| r.value), maximum?.value);
    let mut choices: Vec<Seconds> = match choices {
        Some(choices) => choices.into_iter().map(|choice| choice.value).collect(),
        None => recommended.into_iter().chain([maximum]).collect(),
    };
    choices.sort_unstable();
    choices.dedup();
    let shortest = choices.first().copied().into_iter().chain(recommended).fold(Seconds(900).min(maximum), Seconds::min);
    Some(Durations { recommended, minimum: minimum.map_or(shortest, |minimum| minimum.value), maximum, choices, indefinite })
}

#[cfg(test)]
mod tests;
