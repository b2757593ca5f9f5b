//! Recomputes stored decisions and says which come out otherwise.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, pin_mut};
use uuid::Uuid;

use crate::domain::decide::Decision;
use crate::domain::id::RequestId;
use crate::evidence::canonical::{canonical, digest};
use crate::evidence::csv::{self, Mode};
use crate::store::stored::{self, StoredDecision};

use super::again::{self, Case, Had, Period, Progress};
use super::ask::{Cited, Inputs};
use super::ctx::Ctx;
use super::error::ServiceError;

/// One stored decision, made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The request.
    pub request: RequestId,
    /// Outcome and policy version as stored (`refused`, `auto_approved by standard v2`).
    pub stored: String,
    /// As it comes out now; what is wrong when it cannot be made.
    pub recomputed: String,
    /// What differs, each in some words; empty when it is equal.
    pub differences: Vec<String>,
    /// Something of what it was made from was erased: whether it would still come out the same cannot be told where it does not.
    pub erased: bool,
}

/// A stored decision that does not come out the same.
pub type Difference = Replayed;

/// How many were made again, and how many of them came out otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests of the period.
    pub replayed: u64,
    /// Those of which something was erased, so that it cannot be told.
    pub erased: u64,
    /// Those that differ.
    pub different: u64,
}

impl Replayed {
    /// Whether it comes out the same.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

impl std::fmt::Display for Replayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: stored {}, recomputed {}: {}", self.request, self.stored, self.recomputed, self.differences.join("; "))
    }
}

/// Makes every decision of `period` again, in order of time and in constant memory, and hands each page of them to `take`.
///
/// # Errors
/// When the database fails, or `take` does.
pub async fn replay<E: From<ServiceError>>(
    ctx: &Ctx,
    period: Period,
    progress: &Progress,
    mut take: impl AsyncFnMut(Vec<Replayed>) -> Result<(), E>,
) -> Result<Summary, E> {
    progress.of(stored::count(&ctx.db, period).await.map_err(ServiceError::from)?.unsigned_abs());
    let pages = again::each(ctx, period, |cases: Vec<Case<StoredDecision>>| cases.iter().map(judge).collect::<Vec<_>>());
    pin_mut!(pages);
    let mut summary = Summary::default();
    while let Some(page) = pages.next().await {
        let page = page?;
        progress.done(page.len());
        summary.replayed += page.len() as u64;
        summary.erased += page.iter().filter(|replayed| replayed.erased).count() as u64;
        summary.different += page.iter().filter(|replayed| !replayed.is_equal()).count() as u64;
        take(page).await?;
    }
    Ok(summary)
}

/// Every decision ever stored that does not come out the same. For tests and `doctor`: keeps all of them in memory.
///
/// # Errors
/// When the database fails.
pub async fn all(ctx: &Ctx) -> Result<Vec<Difference>, ServiceError> {
    let mut different = Vec::new();
    let ever = (DateTime::<Utc>::UNIX_EPOCH, ctx.clock.now() + chrono::Duration::days(36_500));
    replay(ctx, ever, &Progress::default(), async |page| {
        different.extend(page.into_iter().filter(|replayed| !replayed.is_equal()));
        Ok::<_, ServiceError>(())
    })
    .await?;
    Ok(different)
}

/// The header of the CSV (RFC 4180).
pub fn header() -> Vec<u8> {
    let mut out = Vec::new();
    csv::record(["request_id", "stored", "recomputed", "equal"].map(Some), Mode::Raw, &mut out);
    out
}

/// One record of the CSV for each of `page`.
pub fn records(page: &[Replayed]) -> Vec<u8> {
    let mut out = Vec::with_capacity(page.len() * 96);
    for row in page {
        let id = row.request.to_string();
        let equal = match (row.erased, row.is_equal()) {
            (true, _) => "erased",
            (false, true) => "true",
            (false, false) => "false",
        };
        csv::record([Some(id.as_str()), Some(&row.stored), Some(&row.recomputed), Some(equal)], Mode::Raw, &mut out);
    }
    out
}

fn judge(case: &Case<StoredDecision>) -> Replayed {
    let row = &case.row;
    let request = RequestId(row.ask.id);
    let (recomputed, mut differences, named) = match &case.made {
        Ok((inputs, had)) => {
            let decision = had.decide(inputs);
            (said(decision.outcome.word(), decision.policy.map(|id| id.0), had), compare(row, inputs, had, &decision), Some(had))
        }
        Err(why) => ("nothing".to_owned(), vec![why.clone()], None),
    };
    if row.erased_at.is_none() && digest(&row.ask.inputs) != row.inputs_digest {
        differences.push("the inputs are not those that were digested".into());
    }
    let stored = match named {
        Some(had) => said(&row.decision, row.policy_version_id, had),
        None => row.decision.clone(),
    };
    // What is left may still say the same. Where it does not, that is no difference: what would show it is gone.
    let erased = row.erased_at.is_some() && !differences.is_empty();
    if erased {
        differences.clear();
    }
    Replayed { request, stored, recomputed: if erased { "erased".into() } else { recomputed }, differences, erased }
}

/// "needs_approval by standard v2".
fn said(outcome: &str, policy: Option<Uuid>, had: &Had) -> String {
    let named = |id: Uuid| match had.policies.iter().find(|policy| policy.id.0 == id) {
        Some(policy) => format!("{outcome} by {} v{}", policy.key, policy.version),
        None => format!("{outcome} by {id}"),
    };
    policy.map_or_else(|| outcome.to_owned(), named)
}

fn compare(row: &StoredDecision, inputs: &Inputs, had: &Had, decision: &Decision) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differs = |what: &str, stored: &str, recomputed: &str| {
        if stored != recomputed {
            differences.push(format!("{what} “{stored}” becomes “{recomputed}”"));
        }
    };
    let id = |id: Option<Uuid>| id.map_or_else(|| "none".into(), |id| id.to_string());
    differs("the outcome", &row.decision, decision.outcome.word());
    differs("the policy version", &id(row.policy_version_id), &id(decision.policy.map(|id| id.0)));
    differs("the deciding rule", &row.deciding_rule, &decision.deciding_rule);
    differs("the separation rules", &row.conflicts.join(", "), &decision.conflicts.join(", "));
    differs("the role", &row.ask.role_id.to_string(), &inputs.ask.role.to_string());
    differs("the beneficiary", &row.ask.beneficiary_id.to_string(), &inputs.ask.beneficiary.to_string());
    let steps = if decision.outcome == crate::domain::decide::Outcome::NeedsApproval { decision.steps.len() } else { 0 };
    differs("the number of steps", &row.steps.to_string(), &steps.to_string());
    let bodies = had.policies.iter().map(|policy| (policy.id.0, &policy.digest)).chain(had.separation.iter().map(|rule| (rule.id, &rule.digest)));
    for (cited, (body, digest)) in inputs.policies.iter().chain(&inputs.separation).zip(bodies) {
        let Cited { id: cited_id, key, version, digest: was } = cited;
        differs(&format!("the digest of {key} v{version}"), was, if *cited_id == body { digest } else { "another version" });
    }
    match canonical(&decision.trace) {
        Ok(trace) if trace == row.trace => {}
        Ok(_) => differences.push("the trace is another".into()),
        Err(error) => differences.push(format!("the trace cannot be written: {error}")),
    }
    differences
}
