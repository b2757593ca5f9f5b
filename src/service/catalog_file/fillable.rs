//! Steps that nobody could approve, found before they are applied.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::domain::approval::{SlotState, unfillable};
use crate::domain::id::PersonId;

use super::draft::{Draft, RoleDraft};
use super::model::{CatalogFile, ProcedureEntry, SlotEntry, SourceEntry};
use super::places::{Fault, Place};
use super::resolve::{Found, Resolved};

/// Faults of slots that can never get their count: for anybody at all, and then for each role that a procedure is used for, because
/// owners differ from role to role. Sources that have a fault of their own are taken to have people enough.
pub fn faults(file: &CatalogFile, draft: &Draft, resolved: &Resolved) -> Vec<Fault> {
    let mut faults = Vec::new();
    for entry in &file.procedures {
        for (step, slot) in entry.steps.iter().flat_map(|step| step.slots.iter().map(move |slot| (step, slot))) {
            if let Some((place, group, members)) = short_fallback(slot, resolved) {
                let why = format!("its fallback, group “{group}”, has {members} of the {} active members it needs", slot.approvals);
                faults.push(Fault::at(place, format!("Nobody could complete step “{}” where the fallback stands in: {why}.", step.name)));
            }
        }
        if let Some((step, slot)) = first_unfilled(entry, resolved, None) {
            faults.push(fault(entry, step, slot, resolved, None));
            continue;
        }
        let policies: BTreeSet<&str> = file
            .policies
            .iter()
            .filter(|policy| policy.procedure.as_ref().is_some_and(|procedure| procedure.value == entry.key.value))
            .map(|policy| policy.key.value.as_str())
            .collect();
        for role in draft.roles.iter().filter(|role| governing(draft, role).iter().any(|(policy, _)| policies.contains(policy.as_str()))) {
            if let Some((step, slot)) = first_unfilled(entry, resolved, Some((draft, role))) {
                faults.push(fault(entry, step, slot, resolved, Some(role)));
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

/// Step and slot, counted from 1, that cannot get their count.
fn first_unfilled(entry: &ProcedureEntry, resolved: &Resolved, role: Option<(&Draft, &RoleDraft)>) -> Option<(usize, usize)> {
    let mut seats = Seats { resolved, role, ids: BTreeMap::new() };
    let steps: Vec<Vec<SlotState>> = entry
        .steps
        .iter()
        .map(|step| {
            step.slots
                .iter()
                .map(|slot| {
                    let mut asked = seats.people(&slot.from.value, slot.approvals);
                    if asked.is_empty()
                        && let Some(fallback) = &slot.fallback
                    {
                        asked = seats.people(&fallback.value, slot.approvals);
                    }
                    SlotState { approvals: slot.approvals, asked, approved_by: Vec::new() }
                })
                .collect()
        })
        .collect();
    // Whoever asks is somebody else here: only what can never work is a fault of the file.
    let (requester, beneficiary) = (seats.id("a requester"), seats.id("a beneficiary"));
    unfillable(&steps, requester, beneficiary, entry.distinct_people)
}

/// A fallback group with too few active members, with their number.
fn short_fallback<'s>(slot: &'s SlotEntry, resolved: &Resolved) -> Option<(Place, &'s str, usize)> {
    let fallback = slot.fallback.as_ref()?;
    let SourceEntry::Group(name) = &fallback.value else { return None };
    match resolved.groups.get(name) {
        Some(Found::One(group)) if group.approvers.len() < slot.approvals as usize => Some((fallback.at, name, group.approvers.len())),
        _ => None,
    }
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

fn fault(entry: &ProcedureEntry, step: usize, slot: usize, resolved: &Resolved, role: Option<&RoleDraft>) -> Fault {
    let name = &entry.steps[step - 1].name;
    let slot = &entry.steps[step - 1].slots[slot - 1];
    let why = match role {
        None => why(slot, resolved),
        Some(role) => format!(
            "for role {}/{} the people it asks are needed for other approvals of the same request, and one person counts once",
            role.application, role.key
        ),
    };
    Fault::at(slot.from.at, format!("Nobody could complete step “{name}”: {why}."))
}

fn why(slot: &SlotEntry, resolved: &Resolved) -> String {
    let wanted = format!("{} approval{}", slot.approvals, if slot.approvals == 1 { "" } else { "s" });
    let members = |name: &str| match resolved.groups.get(name) {
        Some(Found::One(group)) => group.approvers.len(),
        _ => usize::MAX,
    };
    let source = match (&slot.from.value, &slot.fallback) {
        (SourceEntry::Group(name), Some(fallback)) if members(name) == 0 => &fallback.value,
        (source, _) => source,
    };
    match source {
        SourceEntry::Group(name) => match members(name) {
            0 => format!("group “{name}” has no active member"),
            n if n < slot.approvals as usize => {
                format!("group “{name}” has {n} active member{}, and {wanted} are wanted", if n == 1 { "" } else { "s" })
            }
            _ => format!("the members of group “{name}” are needed for other approvals of the same request, and one person counts once"),
        },
        _ if slot.approvals > 1 => format!("{wanted} are wanted from one person"),
        _ => "whom it asks is needed for another approval of the same request, and one person counts once".to_owned(),
    }
}
