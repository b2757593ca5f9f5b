//! Steps that nobody could approve, found before they are applied.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::domain::approval::{SlotState, unfillable};
use crate::domain::id::PersonId;

use super::draft::{Draft, RoleDraft, SeparationDraft};
use super::model::{CatalogFile, PolicyEntry, SlotEntry, SourceEntry, StepEntry};
use super::places::{Fault, Placed};
use super::resolve::{Found, Resolved};

/// Faults of slots that can never get their count: for anybody at all, and then for each role that a procedure is used for, because
/// owners differ from role to role; and for each role of a separation rule with its exception's steps after those of its policies.
/// Sources that have a fault of their own are taken to have people enough.
pub fn faults(file: &CatalogFile, draft: &Draft, resolved: &Resolved) -> Vec<Fault> {
    let mut faults = Vec::new();
    for entry in &file.procedures {
        for step in &entry.steps {
            faults.extend(step.slots.iter().flat_map(|slot| short_fallbacks(step, slot, resolved)));
            faults.extend(deaf_escalation(step, resolved));
        }
        let steps: Vec<&StepEntry> = entry.steps.iter().collect();
        if let Some(unfilled) = first_unfilled(&steps, entry.distinct_people, resolved, None) {
            faults.push(fault(&unfilled, resolved, None));
            continue;
        }
        let is_it = |key: &Option<Placed<String>>| key.as_ref().is_some_and(|key| key.value == entry.key.value);
        let used = |policy: &PolicyEntry| is_it(&policy.procedure) || policy.extension.as_ref().is_some_and(|rules| is_it(&rules.procedure));
        let policies: BTreeSet<&str> = file.policies.iter().filter(|policy| used(policy)).map(|policy| policy.key.value.as_str()).collect();
        let exceptions = || draft.separation.iter().filter(|rule| rule.procedure.as_ref().is_some_and(|procedure| procedure.key == entry.key.value));
        let excepted = |role: &RoleDraft| exceptions().any(|rule| names(rule, role));
        for role in &draft.roles {
            if (governing(draft, role).iter().any(|(policy, _)| policies.contains(policy.as_str())) || excepted(role))
                && let Some(unfilled) = first_unfilled(&steps, entry.distinct_people, resolved, Some((draft, role)))
            {
                faults.push(fault(&unfilled, resolved, Some(role)));
            }
        }
    }
    if faults.is_empty() {
        faults.extend(exceptions(file, draft, resolved));
    }
    faults
}

/// Whether `rule` is about `role`.
fn names(rule: &SeparationDraft, role: &RoleDraft) -> bool {
    let key = format!("{}/{}", role.application, role.key);
    rule.a.iter().chain(&rule.b).any(|named| *named == key)
}

/// Exceptions to separation rules whose steps cannot be taken after those of a policy; each alone can.
fn exceptions(file: &CatalogFile, draft: &Draft, resolved: &Resolved) -> Vec<Fault> {
    let procedure = |key: &str| file.procedures.iter().find(|procedure| procedure.key.value == key);
    let mut faults = Vec::new();
    for rule in &file.separation {
        let Some((key, exception)) = rule.procedure.as_ref().and_then(|key| Some((key, procedure(&key.value)?))) else { continue };
        let Some(named) = draft.separation.iter().find(|named| named.key == rule.key.value) else { continue };
        for role in draft.roles.iter().filter(|role| names(named, role)) {
            let policies = governing(draft, role).iter().filter_map(|(policy, _)| file.policies.iter().find(|entry| entry.key.value == *policy));
            for usual in policies.filter_map(|policy| procedure(&policy.procedure.as_ref()?.value)).filter(|usual| usual.key != exception.key) {
                let steps: Vec<&StepEntry> = usual.steps.iter().chain(&exception.steps).collect();
                let once = usual.distinct_people || exception.distinct_people;
                if let Some(unfilled) = first_unfilled(&steps, once, resolved, Some((draft, role))) {
                    let sentence = format!(
                        "Nobody could complete step “{}” of an exception for role {}/{}: the people it asks are needed for other steps of procedure “{}” and of “{}”, and one person counts once.",
                        unfilled.step.name, role.application, role.key, usual.key.value, exception.key.value
                    );
                    faults.push(Fault::at(key.at, sentence));
                }
            }
        }
    }
    faults
}

/// What governs `role`: its own policies, else its application's, else the default ones.
pub fn governing<'d>(draft: &'d Draft, role: &'d RoleDraft) -> &'d [(String, i32)] {
    let application = || draft.applications.iter().find(|application| application.key == role.application);
    if !role.policies.is_empty() {
        &role.policies
    } else if let Some(application) = application().filter(|application| !application.policies.is_empty()) {
        &application.policies
    } else {
        &draft.defaults
    }
}

/// A slot that cannot get its count.
struct Unfilled<'f> {
    step: &'f StepEntry,
    slot: &'f SlotEntry,
}

/// Whether a step is part of what is asked for: of any role, or of this one.
fn part_of(step: &StepEntry, role: Option<&RoleDraft>) -> Part {
    let when = &step.when;
    let depends = !when.conditions.is_empty() || when.longer_than.is_some();
    match role {
        Some(role) if !when.risks.is_empty() && !when.risks.contains(&role.risk) => Part::Never,
        None if !when.risks.is_empty() => Part::Sometimes,
        _ if depends => Part::Sometimes,
        _ => Part::Always,
    }
}

#[derive(PartialEq)]
enum Part {
    Always,
    Sometimes,
    Never,
}

/// The first slot that cannot get its count: of the steps that are always part, and of each other one together with these. Steps
/// that are part only sometimes are not held against each other, because they may exclude each other.
fn first_unfilled<'f>(steps: &[&'f StepEntry], once: bool, resolved: &Resolved, role: Option<(&Draft, &RoleDraft)>) -> Option<Unfilled<'f>> {
    let part = |step: &StepEntry| part_of(step, role.map(|(_, role)| role));
    let sometimes = (0..steps.len()).filter(|n| part(steps[*n]) == Part::Sometimes);
    std::iter::once(None).chain(sometimes.map(Some)).find_map(|with| {
        let chosen: Vec<&'f StepEntry> =
            steps.iter().enumerate().filter(|(n, step)| part(step) == Part::Always || with == Some(*n)).map(|(_, step)| *step).collect();
        let mut seats = Seats { resolved, role, ids: BTreeMap::new() };
        let states: Vec<Vec<SlotState>> = chosen.iter().map(|step| step.slots.iter().map(|slot| seats.slot(slot)).collect()).collect();
        // Whoever asks is somebody else here: only what can never work is a fault of the file.
        let (requester, beneficiary) = (seats.id("a requester"), seats.id("a beneficiary"));
        let (step, slot) = unfillable(&states, requester, beneficiary, once)?;
        let step = chosen.get(step - 1)?;
        Some(Unfilled { step, slot: step.slots.get(slot - 1)? })
    })
}

/// Active members of a group that was found.
fn members(name: &str, resolved: &Resolved) -> Option<usize> {
    match resolved.groups.get(name) {
        Some(Found::One(group)) => Some(group.approvers.len()),
        _ => None,
    }
}

/// Groups that stand in and have too few active members. An empty one is passed over, unless it is the last.
fn short_fallbacks(step: &StepEntry, slot: &SlotEntry, resolved: &Resolved) -> Vec<Fault> {
    let last = slot.sources.len() - 1;
    let mut faults = Vec::new();
    for (n, fallback) in slot.sources.iter().enumerate().skip(1) {
        let SourceEntry::Group(group) = &fallback.value else { continue };
        if let Some(there) = members(group, resolved).filter(|there| *there < slot.approvals as usize && (*there > 0 || n == last)) {
            let why = format!("its fallback, group “{group}”, has {there} of the {} active members it needs", slot.approvals);
            faults.push(Fault::at(fallback.at, format!("Nobody could complete step “{}” where the fallback stands in: {why}.", step.name)));
        }
    }
    faults
}

/// An escalation to groups without any active member.
fn deaf_escalation(step: &StepEntry, resolved: &Resolved) -> Option<Fault> {
    let to = step.escalation.as_ref()?;
    let empty = |source: &Placed<SourceEntry>| matches!(&source.value, SourceEntry::Group(name) if members(name, resolved) == Some(0));
    let first = to.sources.first().filter(|_| to.sources.iter().all(empty))?;
    Some(Fault::at(first.at, format!("Step “{}” escalates to nobody: no group that it names has an active member.", step.name)))
}

/// Turns sources into people, the same person into the same id.
struct Seats<'a> {
    resolved: &'a Resolved,
    role: Option<(&'a Draft, &'a RoleDraft)>,
    ids: BTreeMap<String, PersonId>,
}

impl Seats<'_> {
    fn id(&mut self, who: &str) -> PersonId {
        let next = self.ids.len() as u128 + 1;
        *self.ids.entry(who.to_owned()).or_insert_with(|| PersonId(Uuid::from_u128(next)))
    }

    fn somebody(&mut self, count: u32, slot: &str) -> Vec<PersonId> {
        (0..count).map(|n| self.id(&format!("{slot} {n}"))).collect()
    }

    fn login(&mut self, login: &str, approvals: u32) -> Vec<PersonId> {
        match self.resolved.people.get(login) {
            Some(Found::One(person)) if person.active => vec![self.id(&format!("reference {}", person.reference))],
            _ => self.somebody(approvals, login),
        }
    }

    /// Whom a slot asks: the first source that has somebody.
    fn slot(&mut self, slot: &SlotEntry) -> SlotState {
        let asked = slot.sources.iter().map(|source| self.people(&source.value, slot.approvals)).find(|people| !people.is_empty()).unwrap_or_default();
        SlotState::asking(slot.approvals, asked)
    }

    fn people(&mut self, source: &SourceEntry, approvals: u32) -> Vec<PersonId> {
        match source {
            SourceEntry::Person(login) => self.login(login, approvals),
            SourceEntry::Group(name) => match self.resolved.groups.get(name) {
                Some(Found::One(group)) => group.approvers.iter().map(|reference| self.id(&format!("reference {reference}"))).collect(),
                _ => self.somebody(approvals, name),
            },
            SourceEntry::Manager => vec![self.id("the manager")],
            SourceEntry::ManagersManager => vec![self.id("the manager's manager")],
            SourceEntry::ApplicationOwner => match self.role {
                Some((draft, role)) => {
                    let owner = draft.applications.iter().find(|application| application.key == role.application).map(|a| a.owner.login.clone());
                    self.login(&owner.unwrap_or_default(), approvals)
                }
                None => vec![self.id("the application's owner")],
            },
            SourceEntry::RoleOwner => match self.role {
                Some((_, role)) => self.login(&role.owner.login, approvals),
                None => vec![self.id("the role's owner")],
            },
        }
    }
}

fn fault(unfilled: &Unfilled<'_>, resolved: &Resolved, role: Option<&RoleDraft>) -> Fault {
    let why = match role {
        None => why(unfilled.slot, resolved),
        Some(role) => format!(
            "for role {}/{} the people it asks are needed for other approvals of the same request, and one person counts once",
            role.application, role.key
        ),
    };
    let at = unfilled.slot.sources.first().map(|source| source.at).unwrap_or_default();
    Fault::at(at, format!("Nobody could complete step “{}”: {why}.", unfilled.step.name))
}

fn why(slot: &SlotEntry, resolved: &Resolved) -> String {
    let wanted = format!("{} approval{}", slot.approvals, if slot.approvals == 1 { "" } else { "s" });
    let empty = |source: &SourceEntry| matches!(source, SourceEntry::Group(name) if members(name, resolved) == Some(0));
    let asked = slot.sources.iter().map(|source| &source.value).find(|source| !empty(source)).or_else(|| slot.sources.first().map(|source| &source.value));
    match asked {
        Some(SourceEntry::Group(name)) => match members(name, resolved) {
            Some(0) => format!("group “{name}” has no active member"),
            Some(n) if n < slot.approvals as usize => {
                format!("group “{name}” has {n} active member{}, and {wanted} are wanted", if n == 1 { "" } else { "s" })
            }
            _ => format!("the members of group “{name}” are needed for other approvals of the same request, and one person counts once"),
        },
        _ if slot.approvals > 1 => format!("{wanted} are wanted from one person"),
        _ => "whom it asks is needed for another approval of the same request, and one person counts once".to_owned(),
    }
}
