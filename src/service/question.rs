//! An approver asks, the requester answers; meanwhile the step waits.

use crate::clock::new_id;
use crate::domain::act::{may_answer_question, may_ask_question};
use crate::domain::event::{Event, Fact};
use crate::domain::id::{PersonId, RequestId};
use crate::domain::refusal::Refusal;
use crate::store::{event, notice, question, step_clock};

use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::open_request::{self, OpenRequest, needed};

/// How much of a text goes into a notice, in characters.
const SHOWN: usize = 200;

/// Asks requester and beneficiary something. The step waits, with what is left of its time, until one of them answers, or the question
/// has waited as long as the step may. `seen_step` is the step that `by` was shown.
///
/// # Errors
/// A fault of `question`; a refusal of [`may_ask_question`]; [`Refusal::MovedOn`]; otherwise as [`open_request::take`].
pub async fn ask(ctx: &Ctx, by: &By, id: RequestId, text: &str, seen_step: Option<usize>) -> Result<(), ServiceError> {
    let text = needed(text, "question", "Write what you want to know: who asked for this reads it.")?;
    let OpenRequest { mut tx, row, deciding, now, .. } = open_request::take(ctx, by, id, true).await?;
    may_ask_question(&deciding, by.person)?;
    if seen_step.is_some_and(|seen| seen != deciding.step_no) {
        return Err(Refusal::MovedOn.into());
    }
    let left = step_clock::of(&mut tx, id).await?.and_then(|clock| clock.left(now)).map(|left| left.0);
    let step_no = row.step_no.unwrap_or_default();
    question::ask(&mut tx, new_id(), id, step_no, by.person, &text, left, now).await?;
    // Read back with the question in it, which has an end of its own.
    if let Some(at) = step_clock::of(&mut tx, id).await?.and_then(|clock| clock.looks_again()) {
        step_clock::look_at(&mut tx, id, at).await?;
    }
    let fact = Fact::QuestionAsked { step_no: deciding.step_no, question: text.clone() };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact }]).await?;
    let called = step_clock::called(&mut tx, id).await?;
    let told = format!("{} asks about the request for {}, which waits for your answer: {}", by.name, called.role, cut(&text));
    notice::tell(&mut tx, &parties(row.requester_id.into(), row.beneficiary_id.into()), "question", Some(id), &told, now).await?;
    commit::commit(tx).await
}

/// Answers the open question: the step goes on with the time that was left.
///
/// # Errors
/// A fault of `answer`; a refusal of [`may_answer_question`]; otherwise as [`open_request::take`].
pub async fn answer(ctx: &Ctx, by: &By, id: RequestId, text: &str) -> Result<(), ServiceError> {
    let text = needed(text, "answer", "Write an answer: the approvers read it, and the request goes on.")?;
    let OpenRequest { mut tx, row, deciding, now, .. } = open_request::take(ctx, by, id, false).await?;
    may_answer_question(&deciding, by.person)?;
    let asked_by = question::answer(&mut tx, id, by.person, &text, now).await?.ok_or(Refusal::NoQuestion)?;
    let clock = step_clock::of(&mut tx, id).await?;
    let (due, remind) = clock.map(|clock| (clock.limit().map(|due| due.at), clock.reminder())).unwrap_or_default();
    question::go_on(&mut tx, id, due, remind).await?;
    let fact = Fact::QuestionAnswered { step_no: deciding.step_no, answer: text.clone() };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact }]).await?;
    let called = step_clock::called(&mut tx, id).await?;
    let told = format!("{} answered about {} for {}: {}", by.name, called.role, called.beneficiary, cut(&text));
    notice::tell(&mut tx, &[PersonId(asked_by)], "answer", Some(id), &told, now).await?;
    commit::commit(tx).await
}

/// Requester and beneficiary, each once.
pub fn parties(requester: PersonId, beneficiary: PersonId) -> Vec<PersonId> {
    let mut both = vec![requester, beneficiary];
    both.dedup();
    both
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
