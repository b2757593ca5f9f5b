//! An approver answers many alike requests, each on its own.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::domain::approval::Answer;
use crate::domain::id::RequestId;
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::store::look_queue::{self, PickedRow};

use super::answer::{AnswerDone, answer};
use super::ask::tidy;
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// The most requests that one call answers.
pub const MOST: usize = 200;

/// A request to be answered, as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Which.
    pub request: RequestId,
    /// The step that was open, counted from 1; none: whichever is.
    pub step: Option<usize>,
    /// What an approval would have authorised; none: it was not shown.
    pub digest: Option<String>,
}

/// What all of them get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// For as long as each asks.
    Approve,
    /// With the comment as the reason.
    Deny,
}

/// What came of one request.
#[derive(Debug)]
pub struct Outcome {
    /// Which.
    pub request: RequestId,
    /// For whom, when the caller may know.
    pub beneficiary: Option<String>,
    /// The step that was shown, counted from 1.
    pub step: Option<usize>,
    /// Where it stands now, or why it was not answered.
    pub came: Result<AnswerDone, ServiceError>,
}

/// Requests of one role and one policy version, which may be answered together. Made by [`check`] only.
#[derive(Clone, Debug)]
pub struct Batch {
    picks: Vec<Pick>,
    verdict: Verdict,
    comment: Option<String>,
    known: HashMap<Uuid, PickedRow>,
}

impl Batch {
    /// How many there are; one that was named twice counts once.
    pub fn len(&self) -> usize {
        self.picks.len()
    }

    /// Never so: [`check`] refuses it.
    pub fn is_empty(&self) -> bool {
        self.picks.is_empty()
    }

    /// The role that they ask for, as application and name; none when there is none that the caller may know.
    pub fn role(&self) -> Option<(&str, &str)> {
        self.known.values().next().map(|row| (row.application.as_str(), row.role.as_str()))
    }

    /// The verdict that all of them get.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }
}

/// Holds what is to be answered together against its rules, before anything is answered: at least one and at most [`MOST`], all of
/// one role and one policy version, and with a reason where that policy wants one. Requests that `by` was never asked about, and
/// that are none of theirs, say nothing about the others; each gets its answer in [`take`].
///
/// # Errors
/// Faults of the fields `requests` and `comment`; [`Refusal::ReasonRequired`]; when the database fails. Nothing is done then.
pub async fn check(ctx: &Ctx, by: &By, mut picks: Vec<Pick>, verdict: Verdict, comment: Option<&str>) -> Result<Batch, ServiceError> {
    let comment = tidy(comment, "comment")?;
    let mut seen = HashSet::new();
    picks.retain(|pick| seen.insert(pick.request));
    if picks.is_empty() {
        return Err(fault("Choose at least one request."));
    }
    if picks.len() > MOST {
        return Err(fault(&format!("At most {MOST} requests can be answered at once; these are {}.", picks.len())));
    }
    let ids: Vec<Uuid> = picks.iter().map(|pick| pick.request.0).collect();
    let rows = look_queue::picked(&ctx.db, by.person.0, &ids).await?;
    if let Some((one, other)) = rows.first().and_then(|one| Some((one, rows.iter().find(|row| !alike(one, row))?))) {
        let sentence = format!(
            "Only requests for one role under one policy version can be answered together, and among these are {} and {}. Choose those of one of them.",
            called(one),
            called(other)
        );
        return Err(fault(&sentence));
    }
    if verdict == Verdict::Deny
        && comment.is_none()
        && let Some(version) = rows.first().and_then(|row| row.policy_version_id)
        && ctx.policies.version(&ctx.db, version.into()).await?.comment_to_deny
    {
        return Err(Refusal::ReasonRequired.into());
    }
    Ok(Batch { picks, verdict, comment, known: rows.into_iter().map(|row| (row.id, row)).collect() })
}

/// Answers each request of the batch as if it were the only one, in the order they were named: each is a decision, an approval and an
/// event of its own, and one that is not taken keeps no other from being. What came of each goes to `tell` as soon as it is known.
/// When the directory or the database stops answering, those that are left are not tried.
pub async fn take(ctx: &Ctx, by: &By, batch: Batch, mut tell: impl FnMut(Outcome)) {
    // One that somebody else changed at the same moment also says that it is not available; two in a row are the directory or the database.
    let (mut silent, mut in_a_row): (Option<String>, usize) = (None, 0);
    for pick in batch.picks {
        let known = batch.known.get(&pick.request.0);
        let moved = known.zip(pick.digest.as_deref()).is_some_and(|(row, digest)| row.ask_digest != digest);
        let came = match (&silent, known) {
            (Some(why), _) => Err(ServiceError::Unavailable(format!("Not tried any more: {why}"))),
            (None, None) => Err(ServiceError::Missing),
            (None, Some(_)) if moved => Err(Refusal::MovedOn.into()),
            (None, Some(_)) => {
                let given = match batch.verdict {
                    Verdict::Approve => Answer::Approve { granted: None },
                    Verdict::Deny => Answer::Deny,
                };
                answer(ctx, by, pick.request, given, batch.comment.as_deref(), pick.step).await
            }
        };
        match &came {
            Err(ServiceError::Unavailable(why)) => {
                in_a_row += 1;
                if in_a_row == 2 {
                    silent = Some(why.clone());
                }
            }
            _ => in_a_row = 0,
        }
        tell(Outcome { request: pick.request, beneficiary: known.map(|row| row.beneficiary.clone()), step: pick.step, came });
    }
}

fn alike(one: &PickedRow, other: &PickedRow) -> bool {
    (one.role_id, one.policy_version_id) == (other.role_id, other.policy_version_id)
}

fn called(row: &PickedRow) -> String {
    let policy = row.policy.as_deref().unwrap_or("no policy");
    let version = row.policy_version.map(|version| format!(" version {version}")).unwrap_or_default();
    format!("{} {} under {policy}{version}", row.application, row.role)
}

fn fault(sentence: &str) -> ServiceError {
    Refusal::Faults(vec![FieldFault { field: "requests".into(), sentence: sentence.into() }]).into()
}
