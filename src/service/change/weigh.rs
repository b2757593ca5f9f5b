//! What a proposed change would have done.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::new_id;
use crate::service::again::Progress;
use crate::service::commit::commit;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::health::compare::new_findings;
use crate::service::what_if::{WhatIf, what_if};
use crate::service::{heartbeat, rule_book};
use crate::store::policy_change;
use crate::store::policy_change_weigh::{self, NewMoved};

/// How far back stored requests are decided again.
const PERIOD: Duration = Duration::days(90);
/// The most roles whose counts are kept one by one.
const ROLES: usize = 200;

/// What was found, as it is kept with the change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighed {
    /// Requests from this time on.
    pub from: Option<DateTime<Utc>>,
    /// Requests before this time.
    pub to: Option<DateTime<Utc>>,
    /// How many take which turn.
    pub counts: BTreeMap<String, u64>,
    /// The roles that change, most changed first.
    pub roles: Vec<WeighedRole>,
    /// Requests that change and are not kept one by one.
    pub left_out: u64,
    /// Requests whose stored inputs cannot be read.
    pub unreadable: u64,
    /// Dead ends that the change brings.
    pub dead_ends: Vec<DeadEnd>,
    /// Why it could not be found out, if so.
    pub error: Option<String>,
}

/// The counts of one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeighedRole {
    /// The role.
    pub role: Uuid,
    /// `application/role`.
    pub key: String,
    /// How many take which turn.
    pub counts: BTreeMap<String, u64>,
}

/// A dead end that the change brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadEnd {
    /// Where the file says so.
    pub line: usize,
    /// In a sentence.
    pub sentence: String,
    /// The roles it is so for.
    pub roles: Vec<String>,
    /// Whether requests could never be approved; else a warning.
    pub is_dead: bool,
}

/// Weighs every proposed change that was not weighed yet; one worker at a time. Returns how many were.
///
/// # Errors
/// The first failure, after the others were tried.
pub async fn due(ctx: &Ctx) -> Result<usize, ServiceError> {
    let waiting = policy_change::unweighed(&ctx.db).await?;
    if waiting.is_empty() {
        return Ok(0);
    }
    let token = new_id();
    if !heartbeat::claim(ctx, "what-if", token, Duration::minutes(10)).await? {
        return Ok(0);
    }
    let mut first = None;
    let mut done = 0;
    for id in waiting {
        match weigh(ctx, id).await {
            Ok(kept) => done += usize::from(kept),
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    let said = format!("{done} proposed changes");
    heartbeat::done(ctx, "what-if", token, Duration::zero(), first.as_ref().map_or(Ok(said.as_str()), |error| Err(error.to_string()))).await?;
    first.map_or(Ok(done), Err)
}

/// How far the what-if of a change is: done, and of how many; none when none is under way in this process.
pub fn progress(ctx: &Ctx, id: Uuid) -> Option<(u64, u64)> {
    let runs = ctx.changing.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    runs.get(&id).map(Progress::seen)
}

/// Weighs one change and keeps what was found, unless it was before. Returns whether it was kept.
///
/// # Errors
/// When the directory or the database does not answer.
pub async fn weigh(ctx: &Ctx, id: Uuid) -> Result<bool, ServiceError> {
    let Some(change) = policy_change::by_id(&ctx.db, id).await? else { return Err(ServiceError::Missing) };
    if change.whatif.is_some() {
        return Ok(false);
    }
    let progress = Progress::default();
    lock(ctx).insert(id, progress.clone());
    let found = find(ctx, &change.body, &progress).await;
    lock(ctx).remove(&id);
    let (weighed, moved) = found?;
    let summary = serde_json::to_string(&weighed).map_err(|error| ServiceError::Unavailable(format!("What was found cannot be written: {error}.")))?;
    let rows: Vec<NewMoved<'_>> = moved
        .iter()
        .flat_map(|found| &found.moved)
        .map(|one| NewMoved { request: one.request.0, role: one.role.0, turn: one.turn.word(), was: &one.then, becomes: &one.now })
        .collect();
    let mut tx = ctx.db.begin().await?;
    let kept = policy_change_weigh::keep(&mut tx, id, &summary, &rows).await?;
    commit(tx).await?;
    Ok(kept)
}

fn lock(ctx: &Ctx) -> std::sync::MutexGuard<'_, BTreeMap<Uuid, Progress>> {
    ctx.changing.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn find(ctx: &Ctx, body: &str, progress: &Progress) -> Result<(Weighed, Option<WhatIf>), ServiceError> {
    let proposed = rule_book::proposed(ctx, body).await?;
    if let Some(fault) = proposed.plan.faults.first() {
        let error = Some(format!("It has faults by now, so it cannot be tried: {fault}"));
        return Ok((Weighed { error, ..Weighed::default() }, None));
    }
    let now = ctx.clock.now();
    let found = what_if(ctx, Arc::new(proposed.then.clone()), (now - PERIOD, now), progress).await?;
    let dead_ends = new_findings(ctx, &proposed).await?;
    let words = |counts: &crate::service::what_if::Counts| counts.0.iter().map(|(turn, count)| (turn.word().to_owned(), *count)).collect();
    let weighed = Weighed {
        from: Some(found.from),
        to: Some(found.to),
        counts: words(&found.counts),
        roles: found
            .roles
            .iter()
            .filter(|role| role.changed() > 0)
            .take(ROLES)
            .map(|role| WeighedRole { role: role.role.0, key: role.key.clone(), counts: words(&role.counts) })
            .collect(),
        left_out: found.left_out,
        unreadable: found.unreadable,
        dead_ends: dead_ends
            .into_iter()
            .map(|one| DeadEnd { line: one.fault.line, sentence: one.fault.sentence, roles: one.roles, is_dead: one.is_dead })
            .collect(),
        error: None,
    };
    Ok((weighed, Some(found)))
}
