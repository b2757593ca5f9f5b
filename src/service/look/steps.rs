//! Steps that have not begun, in words.

use crate::domain::policy::{AccessPolicy, ApprovalProcedure, ApproverSource};
use crate::service::resolve::ResolvedStep;
use crate::store::look_role::UsualRow;

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
                .map(|slot| PlannedSlot {
                    needed: slot.approvals as i32,
                    source: match &slot.fallback {
                        Some(fallback) => format!("{}, or else {}", capital(&counted(&slot.source, slot.approvals)), fallback.label()),
                        None => capital(&counted(&slot.source, slot.approvals)),
                    },
                    people: vec![],
                    more: 0,
                })
                .collect(),
            limit_s: step.time_limit.map(|limit| limit.0),
            after_limit: step.time_limit.map(|_| "the request times out".into()),
            usual_s: None,
        })
        .collect()
}

/// The steps with the people who would be asked.
pub fn of_resolved(steps: &[ResolvedStep], usual: &[UsualRow]) -> Vec<PlannedStep> {
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
                    people: slot.asked.iter().take(NAMED).map(|p| PlannedApprover { name: p.display_name.clone(), note: p.title.clone() }).collect(),
                    more: slot.asked.len().saturating_sub(NAMED) as i64,
                })
                .collect(),
            limit_s: step.time_limit_s,
            after_limit: step.time_limit_s.map(|_| "the request times out".into()),
            usual_s: usual.iter().find(|row| row.step_no == no).map(|row| row.median_s),
        })
        .collect()
}

/// Who decides under `policy`, in a few words to the person who asks: `your manager, then a member of dba`; none when nobody is asked.
pub fn decided_by(policy: &AccessPolicy) -> Option<String> {
    let procedure = policy.procedure.as_ref()?;
    let steps = procedure.steps.iter().map(|step| {
        let slots: Vec<String> = step.slots.iter().map(|slot| yours(&slot.source, slot.approvals)).collect();
        slots.join(" and ")
    });
    Some(steps.collect::<Vec<_>>().join(", then "))
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
