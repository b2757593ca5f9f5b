//! Reads a catalog file into its model.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::Risk;
use crate::domain::condition::Condition;
use crate::domain::drift::DriftRule;
use crate::domain::policy::Effect;

use super::condition::condition;
use super::model::{ApplicationEntry, BindingEntry, CatalogFile, ProfileEntry, RoleEntry, RuleEntry, SeparationEntry};
use super::places::{Fields, Place, Placed, Reader};
use super::read_policy::policy;
use super::read_procedure::procedure;

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
        file.separation = top.tables("separation", "A separation").into_iter().map(separation).collect();
        top.end();
        if file.applications.is_empty() && reader.is_content() {
            reader.fault(Place { line: 1, column: 1 }, "The file describes no application; an empty catalog is not applied.");
        }
        distinct(&reader, "application", file.applications.iter().map(|entry| (&entry.key, String::new())));
        distinct(&reader, "role", file.roles.iter().map(|entry| (&entry.key, format!("{}/", entry.application.value))));
        distinct(&reader, "profile", file.profiles.iter().map(|entry| (&entry.key, String::new())));
        distinct(&reader, "procedure", file.procedures.iter().map(|entry| (&entry.key, String::new())));
        distinct(&reader, "separation", file.separation.iter().map(|entry| (&entry.key, String::new())));
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
    let parsed = known_risk(fields.reader, &risk);
    let drift = fields.text("drift").filter(|word| !word.value.is_empty()).map_or_else(DriftRule::default, |word| {
        DriftRule::parse(&word.value).unwrap_or_else(|| {
            fields.reader.fault(word.at, format!("“{}” is not something to do about drift; say \"alert\", \"remove\" or \"adopt\".", word.value));
            DriftRule::default()
        })
    });
    let entry = RoleEntry {
        drift,
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

/// The risk of a word; a fault when it is none.
fn known_risk(reader: &Reader<'_>, word: &Placed<String>) -> Option<Risk> {
    let parsed = Risk::parse(&word.value);
    if parsed.is_none() && !word.value.is_empty() {
        reader.fault(word.at, format!("“{}” is no risk; say \"low\", \"elevated\" or \"critical\".", word.value));
    }
    parsed
}

/// The risks that `risk` lists, least first; none when left out.
pub(super) fn risks(fields: &Fields<'_, '_>) -> Vec<Risk> {
    let mut risks: Vec<Risk> = fields.texts("risk").iter().filter_map(|word| known_risk(fields.reader, word)).collect();
    risks.sort_unstable_by_key(|risk| *risk as u8);
    risks.dedup();
    risks
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

/// The conditions of a list.
pub(super) fn conditions(fields: &Fields<'_, '_>, key: &'static str) -> Vec<Placed<Condition>> {
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

fn separation(fields: Fields<'_, '_>) -> SeparationEntry {
    let entry = SeparationEntry {
        key: fields.key("key"),
        name: fields.needed("name").value,
        a: fields.texts("a"),
        b: fields.texts("b"),
        procedure: fields.text("procedure").filter(|procedure| !procedure.value.is_empty()),
    };
    let names = |side: &[Placed<String>]| side.iter().map(|role| role.value.clone()).collect::<BTreeSet<_>>();
    for (word, side) in [("a", &entry.a), ("b", &entry.b)] {
        if !fields.has(word) {
            fields.reader.fault(entry.key.at, format!("A separation needs “{word}”, a list of roles like [\"application/role\"]."));
        }
        if side.len() > 200 {
            fields.reader.fault(entry.key.at, "A side of a separation may have 200 roles.");
        }
        for (i, role) in side.iter().enumerate() {
            if side[..i].iter().all(|other| other.value != role.value) {
                continue;
            }
            fields.reader.fault(role.at, format!("“{}” is listed twice.", role.value));
        }
    }
    let together: BTreeSet<String> = names(&entry.a).union(&names(&entry.b)).cloned().collect();
    if together.len() == 1 && !entry.a.is_empty() && !entry.b.is_empty() {
        fields.reader.fault(entry.key.at, "A separation of one role from itself keeps nothing apart; name two.");
    }
    fields.end();
    entry
}

#[cfg(test)]
mod tests;
