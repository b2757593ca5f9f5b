//! Steps that have not begun, in words.

use crate::domain::decide::step_of;
use crate::domain::policy::{AccessPolicy, ApprovalProcedure, ApproverSource, Slot, Step};
use crate::domain::separation::SeparationRule;
use crate::domain::span::Seconds;
use crate::service::resolve::ResolvedStep;
use crate::store::delegation::DelegationRow;
use crate::store::look_role::UsualRow;
use crate::store::person::PersonRow;

use super::shared::{PlannedApprover, PlannedSlot, PlannedStep};

/// How many people of a slot are named.
const NAMED: usize = 5;

/// The steps of a procedure, with the sources only.
pub fn of_procedure(procedure: &ApprovalProcedure) -> Vec<PlannedStep> {
    let steps = procedure.steps.iter().zip(1..);
    steps
        .map(|(step, no)| PlannedStep {
            no,
            name: step.name.clone(),
            slots: step
                .slots
                .iter()
                .map(|slot| PlannedSlot { needed: slot.approvals as i32, source: capital(&counted_slot(slot)), people: vec![], more: 0 })
                .collect(),
            limit_s: step.time_limit.map(|limit| limit.0),
            after_limit: step.time_limit.map(|_| after_limit(step.escalation.as_ref().map_or(&[], |e| &e.sources))),
            usual_s: None,
            details: details(step),
        })
        .collect()
}

/// What a step says besides whom it asks and for how long.
fn details(step: &Step) -> Vec<String> {
    let mut said = Vec::new();
    if !step.when.is_always() {
        said.push(format!("Only {}.", step.when.sentence()));
    }
    said.extend(step.remind_every.map(|every| format!("Who has not answered is reminded every {every}.")));
    if let Some(escalation) = &step.escalation {
        said.push(match escalation.time_limit {
            Some(limit) => format!("When nobody answers {limit} after that, the request times out."),
            None => "After that it waits.".into(),
        });
    }
    said
}

/// The steps with the people who would be asked; `whose` is whom it is for, when somebody else asks.
/// `away` are the delegations in force of those who would be asked.
pub fn of_resolved(steps: &[ResolvedStep], usual: &[UsualRow], whose: Option<&str>, away: &[DelegationRow]) -> Vec<PlannedStep> {
    let note = |person: &PersonRow| match away.iter().find(|row| row.person_id == person.id) {
        Some(row) => Some(format!("away until {}, {} stands in", row.ends_at.format("%-d %b"), row.delegate)),
        None => person.title.clone(),
    };
    let yours = |source: &ApproverSource, approvals: u32| match (whose, source) {
        (Some(name), ApproverSource::Manager) => format!("{name}'s manager"),
        (Some(name), ApproverSource::ManagersManager) => format!("the manager of {name}'s manager"),
        (_, source) => yours(source, approvals),
    };
    let steps = steps.iter().zip(1..);
    steps
        .map(|(step, no)| PlannedStep {
            no,
            name: step.name.clone(),
            slots: step
                .slots
                .iter()
                .map(|slot| PlannedSlot {
                    needed: slot.approvals as i32,
                    source: match slot.is_fallback {
                        true => format!("{} (stands in: there is nobody else to ask)", capital(&yours(&slot.source, slot.approvals))),
                        false => capital(&yours(&slot.source, slot.approvals)),
                    },
                    people: slot.asked.iter().take(NAMED).map(|p| PlannedApprover { name: p.display_name.clone(), note: note(p) }).collect(),
                    more: slot.asked.len().saturating_sub(NAMED) as i64,
                })
                .collect(),
            limit_s: step.time_limit_s,
            after_limit: step.time_limit_s.map(|_| after_limit(&step.escalates_to)),
            usual_s: usual.iter().find(|row| row.step_no == no).map(|row| row.median_s),
            details: vec![],
        })
        .collect()
}

/// The same for an ask whose length is not chosen yet: steps that only a longer one than `most` takes are left out, and those that only
/// a long one takes say so. None: it may be without end. In an emergency nobody is waited for.
pub fn at_most(
    shown: Vec<PlannedStep>,
    resolved: &[ResolvedStep],
    policy: &AccessPolicy,
    separation: &[&SeparationRule],
    most: Option<Seconds>,
    emergency: bool,
) -> Vec<PlannedStep> {
    let longer_than = |step: &ResolvedStep| step_of(policy, separation, &step.planned).and_then(|(_, step)| step.when.longer_than);
    let limited = shown.into_iter().zip(resolved.iter().map(longer_than));
    let reached = limited.filter(|(_, least)| least.zip(most).is_none_or(|(least, most)| least < most));
    reached
        .zip(1..)
        .map(|((mut step, least), no)| {
            step.no = no;
            step.details.extend(least.map(|least| format!("Only for longer than {least}.")));
            if emergency {
                (step.limit_s, step.after_limit) = (None, None);
            }
            step
        })
        .collect()
}

/// Who decides under `policy`, in a few words to the person who asks: `your manager, then a member of dba`; none when nobody is asked.
pub fn decided_by(policy: &AccessPolicy) -> Option<String> {
    let procedure = policy.procedure.as_ref()?;
    let steps = procedure.steps.iter().map(|step| {
        let slots: Vec<String> =
            step.slots.iter().map(|slot| slot.sources.first().map_or_else(|| "nobody".into(), |source| yours(source, slot.approvals))).collect();
        slots.join(" and ")
    });
    Some(steps.collect::<Vec<_>>().join(", then "))
}

/// What happens when the limit of a step passes.
fn after_limit(escalates_to: &[ApproverSource]) -> String {
    match escalates_to {
        [] => "the request times out".into(),
        sources => format!("{} is asked too", sources.iter().map(|source| yours(source, 1)).collect::<Vec<_>>().join(", or else ")),
    }
}

/// A source to the person whose request it would answer, `needed` times.
fn yours(source: &ApproverSource, needed: u32) -> String {
    match source {
        ApproverSource::Manager => "your manager".into(),
        ApproverSource::ManagersManager => "your manager's manager".into(),
        other => counted(other, needed),
    }
}

/// A source of which `needed` people have to approve: `a member of dba`, `2 members of dba`.
pub fn counted(source: &ApproverSource, needed: u32) -> String {
    match source {
        ApproverSource::Group { name, .. } if needed > 1 => format!("{needed} members of {name}"),
        other => other.label(),
    }
}

/// With a capital letter, as a heading begins.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The sources of a slot in words, the first so many times: "2 members of dba, or else the manager".
pub fn counted_slot(slot: &Slot) -> String {
    let words = slot.sources.iter().enumerate().map(|(at, source)| if at == 0 { counted(source, slot.approvals) } else { source.label() });
    words.collect::<Vec<_>>().join(", or else ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::PlannedStep as Planned;
    use crate::domain::policy::When;
    use crate::domain::samples::{policy, procedure, step};

    #[test]
    fn a_step_that_only_long_asks_take_says_so_and_is_left_out_where_none_is_that_long() {
        let long = When { longer_than: Some(Seconds(86_400)), ..When::default() };
        let two = procedure("two", vec![step("Manager", When::default(), ApproverSource::Manager), step("Owner", long, ApproverSource::RoleOwner)]);
        let policy = AccessPolicy { procedure: Some(two.clone()), ..policy("standard", vec![], vec![]) };
        let resolved: Vec<ResolvedStep> = (1..=2)
            .map(|position| ResolvedStep {
                planned: Planned { procedure: two.key.clone(), version: two.version, position },
                name: two.steps[position - 1].name.clone(),
                time_limit_s: Some(3_600),
                remind_every_s: None,
                escalates_to: vec![],
                slots: vec![],
            })
            .collect();
        let shown = |most: Option<i64>, emergency: bool| at_most(of_resolved(&resolved, &[], None, &[]), &resolved, &policy, &[], most.map(Seconds), emergency);
        let names = |most| shown(most, false).into_iter().map(|step| (step.no, step.name, step.details)).collect::<Vec<_>>();
        let manager = (1, "Manager".to_owned(), vec![]);
        assert_eq!(names(Some(86_400)), std::slice::from_ref(&manager));
        let both = [manager, (2, "Owner".to_owned(), vec!["Only for longer than 1 day.".to_owned()])];
        assert_eq!(names(Some(86_401)), both);
        assert_eq!(names(None), both, "without end is longer than anything");
        assert!(shown(None, false).iter().all(|step| step.limit_s == Some(3_600)) && shown(None, true).iter().all(|step| step.limit_s.is_none()));
    }
}
