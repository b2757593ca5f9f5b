//! Makes the directory into what the leases want.
//!
//! Per membership: claim it, look at what is wanted and what is there, make one change, read back, write down what the directory
//! said. The call is made with no transaction open; what is wanted is computed right before it and again after it. Only "what should
//! be, what is" heals: there are no jobs to lose.

use std::time::Duration as StdDuration;

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::clock::new_id;
use crate::directory::facts::WriteResult;
use crate::domain::decide::{Ask, Outcome, Rules, Standing, decide};
use crate::domain::event::{Event, Fact, Subject};
use crate::domain::grant::{EndReason, GrantStatus, wanted};
use crate::domain::id::{PersonId, TargetId};
use crate::domain::plan::{Change, backoff, plan};
use crate::domain::span::Seconds;
use crate::store::attempt::{self, Attempt};
use crate::store::grant::{self, GrantRow};
use crate::store::target::{self, TargetRow, Visit};
use crate::store::{catalog, db::Tx, event, person};

use super::commit::{self, about_grant, by_system};
use super::ctx::Ctx;
use super::drift::adopt;
use super::error::ServiceError;
use super::{fetch, pause};

/// How many memberships are worked on at once.
pub const AT_ONCE: i64 = 16;
/// How long a claim holds before another worker may take it over.
const CLAIM: Duration = Duration::seconds(60);

/// Claims what is due and works it off, once. Returns how many memberships were visited.
///
/// # Errors
/// When the database fails; a directory that fails is written down on the membership, and the next one is visited.
pub async fn deliver(ctx: &Ctx) -> Result<usize, ServiceError> {
    let token = new_id();
    let now = ctx.clock.now();
    let claimed = target::claim(&ctx.db, &ctx.paused_at(now), AT_ONCE, token, now, now + CLAIM).await?;
    let paused: Vec<String> = if claimed.is_empty() { vec![] } else { pause::now(ctx).await?.into_iter().map(|held| held.directory).collect() };
    let visits = claimed.iter().map(|row| visit(ctx, row, token, paused.contains(&row.directory)));
    let outcomes = futures_util::future::join_all(visits).await;
    let mut first_error = None;
    let mut unfinished = Vec::new();
    for (row, outcome) in claimed.iter().zip(outcomes) {
        if let Err(error) = outcome {
            tracing::error!(target_id = %row.id, %error, "a membership could not be worked on; it is tried again");
            first_error.get_or_insert(error);
            unfinished.push(row.id);
        }
    }
    if !unfinished.is_empty() {
        target::release(&ctx.db, &unfinished, token).await?;
    }
    match first_error {
        Some(error) if claimed.len() == 1 => Err(error),
        _ => Ok(claimed.len()),
    }
}

/// What the call came to.
#[derive(Debug, Default)]
struct Call {
    change: Option<Change>,
    /// What the directory says now; none: it did not say.
    member: Option<bool>,
    /// It was there before our first lease.
    pre_existing: bool,
    /// What the directory answered to the change.
    result: Option<String>,
    error: Option<String>,
    /// The directory asks to be left alone for so long.
    pause: Option<StdDuration>,
    /// Trying again cannot help: the person or the group is not there.
    hopeless: bool,
    /// When the directory was told, and when it had answered and was read back.
    told: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// A word for what it answered.
    word: &'static str,
}

async fn visit(ctx: &Ctx, row: &TargetRow, token: Uuid, is_paused: bool) -> Result<(), ServiceError> {
    let id = TargetId(row.id);
    // What should be: leases, and whether those that have not begun may still begin.
    let mut tx = ctx.db.begin().await?;
    let now = ctx.clock.now();
    let leases = grant::lock_of_target(&mut tx, id).await?;
    let wants = wanted(&leases.iter().map(GrantRow::lease).collect::<Vec<_>>(), now);
    if wants && is_paused {
        drop(tx);
        return hold(ctx, id, token, row).await;
    }
    let fresh: Vec<GrantRow> =
        leases.iter().filter(|g| matches!(g.status.as_str(), "provisioning" | "verifying") && g.verified_at.is_none()).cloned().collect();
    for lease in fresh.iter().filter(|g| g.provisioning_started_at.is_none()) {
        grant::delivering(&mut tx, lease.id.into(), GrantStatus::Provisioning, false, None, now).await?;
        event::append(
            &mut tx,
            &[by_system(about_grant(lease), Fact::ProvisioningStarted { target: format!("{}: group {}", row.directory, row.group_reference) })],
        )
        .await?;
    }
    // What was adopted is a lease like any other: it is taken away when its time is up.
    let adopted = adopt::is_adopted(&mut tx, &leases.iter().map(|lease| lease.request_id).collect::<Vec<_>>()).await?;
    commit::commit(tx).await?;

    if wants && !fresh.is_empty() {
        match stop_what_lost_its_reason(ctx, row, &fresh).await {
            Ok(0) => {}
            Ok(_) => return requeue(ctx, id, token, row, None).await, // Looked at again at once, with what is wanted now.
            Err(ServiceError::Unavailable(error)) => return requeue(ctx, id, token, row, Some(error)).await,
            Err(other) => return Err(other),
        }
    }
    let mut call = call(ctx, row, wants).await;
    call.pre_existing &= !adopted;
    if let Some(pause) = call.pause {
        ctx.pause(&row.directory, ctx.clock.now() + Duration::from_std(pause).unwrap_or(Duration::minutes(1)));
    }
    write_down(ctx, id, token, row.r#gen, wants, &call).await
}

/// Asks the directory about a person to whom a lease would newly give access, and ends the leases that may not begin: a person
/// disabled or no longer eligible meanwhile gets nothing. Returns how many were ended.
async fn stop_what_lost_its_reason(ctx: &Ctx, row: &TargetRow, fresh: &[GrantRow]) -> Result<usize, ServiceError> {
    let holder = person::by_id(&ctx.db, PersonId(row.person_id)).await?.ok_or(ServiceError::Missing)?;
    let mut snapshot = fetch::person(ctx, &holder).await?;
    let mut stopped = Vec::new();
    for lease in fresh {
        if !snapshot.active {
            stopped.push((lease, EndReason::Offboarded, Fact::GrantOffboarded { status: "not active in the directory".into() }));
            continue;
        }
        let policy = ctx.policies.version(&ctx.db, lease.policy_version_id.into()).await?;
        let Some(role) = catalog::role(&ctx.db, lease.role_id.into()).await? else { continue };
        if policy.looks_up() && snapshot.line.is_empty() {
            snapshot.line = fetch::line(ctx, &snapshot).await?;
        }
        let ask = Ask {
            requester: snapshot.person,
            beneficiary: snapshot.person,
            role: role.id,
            risk: role.risk,
            duration: lease.duration_s.map(Seconds),
            starts_at: None,
            extension: lease.extension_of.is_some(),
            emergency: false,
            review_owed: false,
            standing: Standing::default(),
            held: vec![],
        };
        let again = decide(Rules { policies: &[&policy], separation: &[] }, &snapshot, &ask, ctx.clock.now());
        if again.outcome == Outcome::Refused {
            stopped.push((lease, EndReason::EligibilityLost, Fact::GrantEligibilityLost { rule: again.deciding_rule }));
        }
    }
    if stopped.is_empty() {
        return Ok(0);
    }
    let mut tx = ctx.db.begin().await?;
    let now = ctx.clock.now();
    let mut ended = 0;
    for (lease, reason, fact) in stopped {
        let Some(locked) = grant::lock(&mut tx, lease.id.into()).await?.filter(|g| g.lease().status.is_live()) else { continue };
        grant::end(&mut tx, locked.id.into(), reason, None, None, now).await?;
        event::append(&mut tx, &[by_system(about_grant(&locked), fact)]).await?;
        ended += 1;
    }
    target::raise(&mut tx, &[row.id], now).await?;
    commit::commit(tx).await?;
    Ok(ended)
}

/// Looks, changes at most once, and reads back. No transaction is open.
async fn call(ctx: &Ctx, row: &TargetRow, wants: bool) -> Call {
    let mut call = Call { pre_existing: row.pre_existing, ..Call::default() };
    let Ok(directory) = fetch::directory(ctx, &row.directory) else {
        call.error = Some(format!("the directory {} is not configured any more", row.directory));
        return call;
    };
    let (group, reference) = (row.group_reference.as_str(), row.person_reference.as_str());
    let before = match directory.is_member(group, reference).await {
        Ok(member) => member,
        Err(error) => {
            if let crate::directory::facts::ReadError::RateLimited { retry_after } = error {
                call.pause = Some(retry_after);
            }
            call.error = Some(error.to_string());
            return call;
        }
    };
    if row.member.is_none() && before && wants {
        call.pre_existing = true;
    }
    call.member = Some(before);
    let change = plan(wants, before, call.pre_existing);
    call.change = Some(change);
    let started = ctx.clock.now();
    let result = match change {
        Change::Nothing => return call,
        Change::Add => directory.add(group, reference).await,
        Change::Remove => directory.remove(group, reference).await,
    };
    call.result = Some(result.to_string());
    call.word = word(&result);
    call.told = Some((started, ctx.clock.now()));
    match &result {
        WriteResult::Changed | WriteResult::AlreadyInState | WriteResult::Pending => {}
        WriteResult::RateLimited { retry_after } => {
            call.pause = Some(*retry_after);
            call.error = Some(result.to_string());
            return call;
        }
        WriteResult::NotFoundUser | WriteResult::NotFoundGroup => {
            call.hopeless = true;
            call.error = Some(result.to_string());
        }
        WriteResult::GroupNotWritable(_) | WriteResult::Auth(_) | WriteResult::Transient(_) | WriteResult::Ambiguous(_) | WriteResult::Unknown(_) => {
            call.error = Some(result.to_string())
        }
    }
    // Whatever was answered, only what the directory says itself counts.
    match directory.is_member(group, reference).await {
        Ok(member) => {
            call.member = Some(member);
            // Said to be gone, and shown all the same: it is there.
            call.hopeless &= !member;
            if member == wants {
                call.error = None;
            } else if call.error.is_none() {
                call.error = Some("The directory accepted the change but does not show it yet.".into());
            }
        }
        Err(error) => {
            call.member = None;
            // Without a look at it nothing is over.
            call.hopeless = false;
            call.error = Some(error.to_string());
        }
    }
    call.told = Some((started, ctx.clock.now()));
    call
}

/// The word of an answer, in `provisioning.csv`.
fn word(result: &WriteResult) -> &'static str {
    match result {
        WriteResult::Changed => "changed",
        WriteResult::AlreadyInState => "already_so",
        WriteResult::NotFoundUser => "person_gone",
        WriteResult::NotFoundGroup => "group_gone",
        WriteResult::GroupNotWritable(_) => "not_writable",
        WriteResult::Pending => "pending_there",
        WriteResult::RateLimited { .. } => "rate_limited",
        WriteResult::Auth(_) => "unauthorized",
        WriteResult::Transient(_) => "not_applied",
        WriteResult::Ambiguous(_) => "ambiguous",
        WriteResult::Unknown(_) => "unknown",
    }
}

/// Keeps a try with its events. Tries are counted by what the directory was told: one that could not even be begun is none.
async fn keep_attempt(tx: &mut Tx, row: &TargetRow, r#gen: i64, leases: &[GrantRow], call: &Call, events: &[i64]) -> Result<(), ServiceError> {
    let (Some(change), Some((started_at, finished_at))) = (call.change, call.told) else { return Ok(()) };
    let (action, statuses, there): (_, &[&str], _) = match change {
        Change::Add => ("add", &["provisioning", "verifying", "active"], true),
        Change::Remove => ("remove", &["revoking"], false),
        Change::Nothing => return Ok(()),
    };
    let lease = leases.iter().rev().find(|lease| statuses.contains(&lease.status.as_str()));
    attempt::insert(
        tx,
        &Attempt {
            id: new_id(),
            target: TargetId(row.id),
            grant: lease.map(|lease| lease.id),
            action,
            r#gen,
            started_at,
            finished_at: finished_at.max(started_at),
            result: call.word,
            detail: call.error.as_deref().or(call.result.as_deref()).unwrap_or_default(),
            verified_at: (call.member == Some(there)).then_some(finished_at.max(started_at)),
            events: events.first().copied().zip(events.last().copied()),
        },
    )
    .await?;
    Ok(())
}

/// Writes what the directory said, with its events, and when to come again.
async fn write_down(ctx: &Ctx, id: TargetId, token: Uuid, seen_gen: i64, wanted_before: bool, call: &Call) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    // Leases before their membership, as whoever ends a lease locks them: the other way round the two could wait for each other. A
    // lease that is made in between has raised `gen`, so that somebody comes again.
    let leases = grant::lock_of_target(&mut tx, id).await?;
    let Some(row) = target::lock_claimed(&mut tx, id, token).await? else {
        return Ok(()); // Another worker took over; what it finds counts.
    };
    let now = ctx.clock.now();
    let wants = wanted(&leases.iter().map(GrantRow::lease).collect::<Vec<_>>(), now);
    let as_it_should_be = call.member.is_some_and(|member| plan(wants, member, call.pre_existing) == Change::Nothing);
    let person_gone = call.hopeless && !wants;
    let done = (as_it_should_be || person_gone) && wants == wanted_before;

    let mut events = Vec::new();
    for lease in &leases {
        settle(&mut tx, ctx, lease, wants, call, row.fails, now, &mut events).await?;
    }
    let ids = event::append(&mut tx, &events).await?;
    keep_attempt(&mut tx, &row, seen_gen, &leases, call, &ids).await?;
    if !done && row.fails == 5 && !wants {
        tracing::error!(target_id = %id, error = call.error.as_deref().unwrap_or("?"), "a membership that has ended could not be removed five times in a row; it is tried on");
    }
    let fails = if done { 0 } else { row.fails };
    // Whatever ended is looked at once more: a call that was given up on may still come through.
    let verify_at = (done && !wants && (row.done_gen < seen_gen || call.result.is_some())).then_some(now + ctx.provisioning.verify_again);
    let retry = (!done).then(|| match call.pause {
        Some(pause) => now + Duration::from_std(pause).unwrap_or(Duration::minutes(1)),
        None if wants != wanted_before => now,
        None => now + backoff(fails.max(1) as u32, !wants, rand::random()),
    });
    let visit = Visit {
        done_gen: done.then_some(seen_gen),
        wanted: wants,
        member: call.member,
        pre_existing: call.pre_existing,
        fails,
        error: if done { None } else { call.error.as_deref() },
        next_at: retry.or(verify_at),
        verify_at,
        now,
    };
    target::visited(&mut tx, id, &visit).await?;
    commit::commit(tx).await
}

/// Moves one lease on by what the directory said.
#[allow(clippy::too_many_arguments, reason = "one lease, one answer, one moment")]
async fn settle(
    tx: &mut Tx,
    ctx: &Ctx,
    lease: &GrantRow,
    wants: bool,
    call: &Call,
    fails: i32,
    now: DateTime<Utc>,
    events: &mut Vec<Event>,
) -> Result<(), ServiceError> {
    let about: Subject = about_grant(lease);
    let mut push = |fact| events.push(by_system(about, fact));
    let id = lease.id.into();
    match lease.lease().status {
        GrantStatus::Provisioning | GrantStatus::Verifying if lease.starts_at <= now => {
            if call.member == Some(true) && wants {
                let (starts_at, ends_at) = if call.change == Some(Change::Nothing) && lease.extension_of.is_some() {
                    (lease.starts_at, lease.ends_at) // It goes on where the old lease ended, without a gap.
                } else {
                    lease.lease().begun(now)
                };
                if let Some(result) = &call.result {
                    push(Fact::Provisioned { result: result.clone(), attempt: lease.attempts + 1 });
                }
                grant::activate(tx, id, starts_at, ends_at, call.result.is_some(), now).await?;
                push(Fact::GrantActivated { starts_at, ends_at });
            } else if now - lease.approved_at >= ctx.provisioning.give_up && lease.verified_at.is_none() {
                let error = call.error.clone().unwrap_or_else(|| "the directory never confirmed it".into());
                grant::failed(tx, id, &error).await?;
                push(Fact::GrantFailed { error });
            } else if let Some(error) = &call.error {
                // One line for each new error, then at ever longer distances: an outage must not fill the log.
                if lease.last_error.as_ref() != Some(error) || (fails.max(1) as u32).is_power_of_two() {
                    let told = call.result.is_some() && call.member.is_none();
                    let status = if told { GrantStatus::Verifying } else { GrantStatus::Provisioning };
                    grant::delivering(tx, id, status, true, Some(error), now).await?;
                    push(Fact::AttemptFailed { action: "add".into(), error: error.clone(), attempt: lease.attempts + 1 });
                }
            }
        }
        GrantStatus::Revoking => {
            let ended_at = lease.ended_at.unwrap_or(now);
            let membership = if wants {
                Some("kept_by_other_lease")
            } else {
                match call.member {
                    Some(false) if call.change == Some(Change::Remove) => Some("removed"),
                    Some(false) if lease.verified_at.is_none() => Some("never_added"),
                    Some(false) => Some("removed"),
                    Some(true) if call.pre_existing => Some("pre_existing"),
                    _ if call.hopeless => Some("person_gone"),
                    _ => None,
                }
            };
            match membership {
                Some(membership) => {
                    grant::ended(tx, id, now).await?;
                    push(Fact::GrantEnded {
                        end_reason: lease.end_reason.clone().unwrap_or_default(),
                        membership: membership.into(),
                        revoke_latency_ms: (now - ended_at).num_milliseconds(),
                    });
                }
                None => {
                    let error = call.error.clone().unwrap_or_else(|| "the membership is still there".into());
                    if lease.last_error.as_ref() != Some(&error) || (fails.max(1) as u32).is_power_of_two() {
                        grant::revoking_failed(tx, id, &error).await?;
                        push(Fact::AttemptFailed { action: "remove".into(), error, attempt: lease.attempts + 1 });
                    }
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Gives the claim back: the directory is paused, and nothing new is given there. It is owed as before.
async fn hold(ctx: &Ctx, id: TargetId, token: Uuid, row: &TargetRow) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    if let Some(locked) = target::lock_claimed(&mut tx, id, token).await? {
        let now = ctx.clock.now();
        let visit = Visit {
            done_gen: None,
            // Said so that it is not claimed again before the directory goes on; but not over a removal that came meanwhile.
            wanted: locked.r#gen == row.r#gen || locked.wanted,
            member: None,
            pre_existing: row.pre_existing,
            fails: row.fails.saturating_sub(1),
            error: row.last_error.as_deref(),
            next_at: Some(now),
            verify_at: row.verify_at,
            now,
        };
        target::visited(&mut tx, id, &visit).await?;
    }
    commit::commit(tx).await
}

/// Gives the claim back, to come again at once, or after `error` with backoff.
async fn requeue(ctx: &Ctx, id: TargetId, token: Uuid, row: &TargetRow, error: Option<String>) -> Result<(), ServiceError> {
    match error {
        None => {
            let mut tx = ctx.db.begin().await?;
            if let Some(locked) = target::lock_claimed(&mut tx, id, token).await? {
                let now = ctx.clock.now();
                let visit = Visit {
                    done_gen: None,
                    wanted: locked.wanted,
                    member: None,
                    pre_existing: row.pre_existing,
                    fails: 0,
                    error: None,
                    next_at: Some(now),
                    verify_at: row.verify_at,
                    now,
                };
                target::visited(&mut tx, id, &visit).await?;
            }
            commit::commit(tx).await
        }
        Some(error) => write_down(ctx, id, token, row.r#gen, true, &Call { error: Some(error), pre_existing: row.pre_existing, ..Call::default() }).await,
    }
}
