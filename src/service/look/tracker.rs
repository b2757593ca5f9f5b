//! The steps of a request as they went.

use chrono::{DateTime, Utc};

use crate::domain::approval::{ActingAs, Seat, SlotState};
use crate::domain::id::PersonId;
use crate::store::look_request::{self, Asked, WholeRow};
use crate::store::step;

use super::request::{AskedRow, SlotRow, StepRow, how_asked};

/// The slots of every step as the rules of deciding take them.
pub(super) fn step_states(asked: &[Asked]) -> Vec<step::StepRow> {
    let mut steps: Vec<step::StepRow> = Vec::new();
    for slot in slots(asked) {
        let Some(first) = slot.first() else { continue };
        if steps.len() < first.step_no as usize {
            let (name, time_limit_s) = (first.step.clone(), first.time_limit_s);
            steps.push(step::StepRow { name, time_limit_s, remind_every_s: None, reassign: first.reassign, slots: vec![] });
        }
        if let Some(step) = steps.last_mut() {
            step.slots.push(SlotState {
                approvals: first.approvals.max(1) as u32,
                asked: slot.iter().filter_map(seat).collect(),
                approved_by: slot.iter().filter(|a| a.verdict.as_deref() == Some("approve")).filter_map(|a| a.person_id).map(PersonId).collect(),
            });
        }
    }
    steps
}

fn seat(line: &Asked) -> Option<Seat> {
    let acting_as = line.acting_as.as_deref().and_then(ActingAs::parse).unwrap_or_default();
    Some(Seat { person: PersonId(line.person_id?), acting_as, acting_for: line.acting_for.map(PersonId), ended: line.ended_at.is_some() })
}

/// The lines of each slot, in order.
fn slots(asked: &[Asked]) -> impl Iterator<Item = &[Asked]> {
    asked.chunk_by(|a, b| (a.step_no, a.slot_no) == (b.step_no, b.slot_no))
}

/// The steps as they went.
pub(super) fn steps(row: &WholeRow) -> Vec<StepRow> {
    let mut steps: Vec<StepRow> = Vec::new();
    for slot in slots(&row.asked) {
        let Some(first) = slot.first() else { continue };
        if steps.last().is_none_or(|step| step.no != first.step_no) {
            let is_current = row.step_no == Some(first.step_no);
            let of_step = || row.asked.iter().filter(|a| a.step_no == first.step_no);
            let state = match (is_current, first.opened_at.is_some(), row.status.as_str()) {
                (true, ..) => "current",
                (false, false, "pending" | "needs_info") => "waiting",
                (false, false, _) => "skipped",
                _ if of_step().any(|a| a.verdict.as_deref() == Some("deny")) => "denied",
                _ if of_step().any(|a| a.open.is_some()) && unfinished(row, first.step_no) => {
                    if row.status == "timed_out" {
                        "timed_out"
                    } else {
                        "skipped"
                    }
                }
                _ => "done",
            };
            steps.push(StepRow {
                no: first.step_no,
                name: first.step.clone(),
                state: state.into(),
                since: first.opened_at,
                due: row.step_due_at.filter(|_| is_current),
                done_at: first.done_at,
                paused_s: (is_current && row.status == "needs_info").then_some(row.step_left_s),
                escalated_at: of_step().filter(|a| a.acting_as.as_deref() == Some("escalation")).filter_map(|a| a.assigned_at).min(),
                reminded_at: reminded(row, first.step_no),
                remind_at: row.remind_at.filter(|_| is_current && row.status != "needs_info"),
                slots: vec![],
            });
        }
        if let Some(step) = steps.last_mut() {
            step.slots.push(SlotRow {
                source: super::steps::capital(&first.source_label),
                needed: first.approvals,
                got: slot.iter().filter(|a| a.verdict.as_deref() == Some("approve")).count() as i32,
                asked: slot.iter().filter_map(asked).collect(),
            });
        }
    }
    steps
}

/// When who had not answered the step was reminded last.
fn reminded(row: &WholeRow, step_no: i32) -> Option<DateTime<Utc>> {
    let of_step = |event: &&look_request::Told| event.kind == "request.reminded" && event.data["step_no"].as_i64() == Some(step_no.into());
    row.events.iter().rev().find(of_step).map(|event| event.at)
}

/// Whether some slot of the step lacks approvals.
fn unfinished(row: &WholeRow, step_no: i32) -> bool {
    slots(&row.asked).filter(|slot| slot.first().is_some_and(|a| a.step_no == step_no)).any(|slot| {
        let got = slot.iter().filter(|a| a.verdict.as_deref() == Some("approve")).count();
        slot.first().is_some_and(|a| got < a.approvals.max(0) as usize)
    })
}

fn asked(line: &Asked) -> Option<AskedRow> {
    Some(AskedRow {
        name: line.person.clone()?,
        how: how_asked(line.acting_as.as_deref().unwrap_or_default(), line.acting_for_name.as_deref()),
        ended: line.ended_at.is_some() && line.verdict.is_none(),
        viewed_at: line.first_viewed_at,
        decision: line.verdict.clone(),
        decided_at: line.decided_at,
        comment: line.comment.clone(),
        approved_s: line.granted_s,
    })
}
