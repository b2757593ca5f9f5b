//! Reads approval procedures of a catalog file.

use super::model::{EscalationEntry, ProcedureEntry, SlotEntry, SourceEntry, StepEntry, WhenEntry};
use super::places::{Fields, Placed};
use super::read::{conditions, risks};

/// One procedure; what cannot be read is reported and left out.
pub(super) fn procedure(fields: Fields<'_, '_>) -> ProcedureEntry {
    let entry = ProcedureEntry {
        key: fields.key("key"),
        name: fields.needed("name").value,
        distinct_people: fields.flag("distinct_people", true),
        reassign: fields.flag("reassign", false),
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
    let time_limit = fields.duration("time_limit");
    let remind_every = fields.duration("remind_every");
    let escalation = fields.table("escalate", "An escalation").and_then(|inner| {
        if time_limit.is_none() && !fields.is_broken() {
            inner.reader.fault(inner.at, "An escalation needs the step's “time_limit”: after it the others are asked too.");
        }
        escalation(inner)
    });
    if let (Some(every), Some(limit), None) = (&remind_every, &time_limit, &escalation)
        && every.value >= limit.value
    {
        let sentence = format!("A reminder every {} never comes: the step ends after {}.", every.value, limit.value);
        fields.reader.fault(every.at, sentence);
    }
    let entry = StepEntry {
        name: fields.needed("name").value,
        when: fields.table("when", "A “when”").map(when).unwrap_or_default(),
        time_limit: time_limit.map(|limit| limit.value),
        remind_every: remind_every.map(|every| every.value),
        escalation,
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

fn when(fields: Fields<'_, '_>) -> WhenEntry {
    let entry = WhenEntry {
        conditions: conditions(&fields, "conditions"),
        risks: risks(&fields),
        longer_than: fields.duration("longer_than").map(|least| least.value),
    };
    let nothing = entry.conditions.is_empty() && entry.risks.is_empty() && entry.longer_than.is_none();
    if nothing && !fields.is_broken() && fields.list("conditions").is_none_or(<[_]>::is_empty) {
        fields.reader.fault(fields.at, "A “when” without conditions, risk or longer_than always holds; leave it out.");
    }
    fields.end();
    entry
}

fn escalation(fields: Fields<'_, '_>) -> Option<EscalationEntry> {
    if !fields.has("to") {
        fields.reader.fault(fields.at, "An escalation needs “to”, like escalate = { to = \"managers_manager\" }.");
    }
    let sources = sources(&fields, "to");
    let time_limit = fields.duration("time_limit").map(|limit| limit.value);
    fields.end();
    (!sources.is_empty()).then_some(EscalationEntry { sources, time_limit })
}

fn slot(fields: Fields<'_, '_>) -> Option<SlotEntry> {
    let approvals = fields.number("approvals", 1, 20).map_or(1, |number| number.value as u32);
    if !fields.has("from") {
        fields.reader.fault(fields.at, "A slot needs “from”.");
    }
    let mut all = sources(&fields, "from");
    // A slot whose first sources cannot be read is not the slot that was meant.
    let whole = !all.is_empty();
    for fallback in sources(&fields, "fallback") {
        if all.iter().any(|other| other.value == fallback.value) {
            fields.reader.fault(fallback.at, "The fallback is asked already; name somebody else, or leave it out.");
        } else {
            all.push(fallback);
        }
    }
    if all.len() > 10 {
        fields.reader.fault(fields.at, "A slot may have 10 sources.");
    }
    fields.end();
    whole.then_some(SlotEntry { approvals, sources: all })
}

/// The sources that `key` lists, or the one that it is.
fn sources(fields: &Fields<'_, '_>, key: &'static str) -> Vec<Placed<SourceEntry>> {
    let mut all: Vec<Placed<SourceEntry>> = Vec::new();
    for text in fields.texts(key) {
        let Some(value) = source(fields, &text) else { continue };
        if all.iter().any(|other| other.value == value) {
            fields.reader.fault(text.at, format!("“{}” is listed twice.", text.value));
        } else {
            all.push(Placed { value, at: text.at });
        }
    }
    all
}

fn source(fields: &Fields<'_, '_>, text: &Placed<String>) -> Option<SourceEntry> {
    Some(match text.value.split_once(':') {
        Some(("person", who)) if !who.trim().is_empty() => SourceEntry::Person(who.trim().into()),
        Some(("group", which)) if !which.trim().is_empty() => SourceEntry::Group(which.trim().into()),
        _ => match text.value.as_str() {
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
    })
}
