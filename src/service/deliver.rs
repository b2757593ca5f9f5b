//! Makes the directory into what the leases want.
//!
//! Per membership: claim it, look at what is wanted and what is there, make one change, read back, write down what the directory
//! said. The call is made with no transaction open; what is wanted is computed right before it and again after it. Only "what should
//! be, what is" heals: there are no jobs to lose.
//!
//! Each directory has a line of its own, so that none waits for another. In it some memberships are worked on at once, what is to be
//! taken away before what is to be given, and as soon as there is room the next are claimed. Replicas share the work by claims.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration as StdDuration;

use chrono::{DateTime, Duration, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use crate::clock::new_id;
use crate::directory::facts::{ReadError, WriteResult};
use crate::directory::pace::patiently;
use crate::domain::decide::{Ask, Outcome, Rules, Standing, decide};
use crate::domain::event::{Event, Fact, Subject};
use crate::domain::grant::{EndReason, GrantStatus, wanted};
use crate::domain::id::{PersonId, TargetId};
use crate::domain::plan::{Change, backoff, plan};
use crate::domain::span::Seconds;
use crate::store::attempt::{self, Attempt};
use crate::store::grant::{self, GrantRow};
use crate::store::target::{self, TargetRow, Visit};
use crate::store::{catalog, db::Tx, directory_wait, event, person};

use super::commit::{self, about_grant, by_system};
use super::ctx::Ctx;
use super::drift::adopt;
use super::error::ServiceError;
use super::{alone, fetch, pause};

/// How many memberships of a directory are given at once; for those to be taken away there is a third more room.
const AT_ONCE: usize = 12;
/// How long a claim holds before another worker may take it over; it is held for longer while somebody works on it.
const CLAIM: Duration = Duration::seconds(60);
/// How often claims are held.
const HOLD: StdDuration = StdDuration::from_secs(15);
/// How often it is looked for what has become due, when nothing else says so.
const TICK: StdDuration = StdDuration::from_millis(500);

/// Works off what `directory` is owed until nothing more is due. Returns how many memberships were visited.
///
/// # Errors
/// The first failure of the database, after everything else was tried. A directory that fails is written down on the membership, and
/// the next one is visited.
pub async fn deliver(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    Line::new(ctx, directory).work(None).await
}

/// What tells a line that something may be due, and that it is to stop.
#[derive(Clone, Debug)]
pub struct Bell {
    /// Changes whenever something may have become due.
    pub rung: watch::Receiver<u64>,
    /// Turns true when nothing more is to be begun.
    pub stop: watch::Receiver<bool>,
}

impl Bell {
    /// Waits until it rings or it is time to stop.
    pub async fn rings(&mut self) {
        tokio::select! {
            Ok(()) = self.rung.changed() => {}
            Ok(()) = self.stop.changed() => {}
            else => std::future::pending().await,
        }
    }
}

/// Works off what `directory` is owed, and what it is owed from then on, until it is to stop; then finishes what is at hand.
///
/// # Errors
/// When the database fails, after finishing what is at hand.
pub async fn go_on(ctx: &Ctx, directory: &str, bell: &mut Bell) -> Result<(), ServiceError> {
    Line::new(ctx, directory).work(Some(bell)).await.map(|_| ())
}

/// Does what can be done about memberships in directories that are not configured any more: their leases say so, and end in time.
/// Returns how many were visited.
///
/// # Errors
/// As [`deliver`].
pub async fn strays(ctx: &Ctx) -> Result<usize, ServiceError> {
    let known: Vec<&str> = ctx.directories.keys().map(String::as_str).collect();
    let mut done = 0;
    for directory in target::strays(&ctx.db, &known, ctx.clock.now()).await? {
        done += deliver(ctx, &directory).await?;
    }
    Ok(done)
}

/// The memberships of one directory, in the order in which they are worked on.
struct Line<'a> {
    ctx: &'a Ctx,
    directory: &'a str,
    token: Uuid,
    /// The directory asked to be left alone until then.
    alone: Mutex<Option<DateTime<Utc>>>,
}

/// What came to an end in a line.
enum Done {
    Claimed(Result<Vec<TargetRow>, ServiceError>),
    Visited(Uuid, Result<(), ServiceError>),
    Held,
}

impl<'a> Line<'a> {
    fn new(ctx: &'a Ctx, directory: &'a str) -> Self {
        Self { ctx, directory, token: new_id(), alone: Mutex::default() }
    }

    fn leave_alone(&self, until: DateTime<Utc>) {
        let mut alone = self.alone.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *alone = (*alone).max(Some(until));
    }

    /// Until when the directory is left alone, if it is.
    fn alone_until(&self) -> Option<DateTime<Utc>> {
        let alone = self.alone.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        alone.filter(|until| *until > self.ctx.clock.now())
    }

    async fn work(&self, mut bell: Option<&mut Bell>) -> Result<usize, ServiceError> {
        // Whatever takes a connection is in here: nothing is left standing in a transaction while something else waits for one.
        let mut at_work: FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send + '_>>> = FuturesUnordered::new();
        // Whether each is to be given.
        let mut claimed: HashMap<Uuid, bool> = HashMap::new();
        let (mut look, mut claims, mut done, mut first, mut held) = (true, false, 0, None, Instant::now());
        let mut tick = tokio::time::interval_at(held + TICK, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stops = first.is_some() || bell.as_ref().is_some_and(|bell| *bell.stop.borrow());
            if look && !claims && !stops {
                (look, claims) = (false, true);
                let (all, given) = (claimed.len(), claimed.values().filter(|give| **give).count());
                at_work.push(Box::pin(async move { Done::Claimed(self.claim(all, given).await) }));
            }
            if at_work.is_empty() && (stops || bell.is_none()) {
                return first.map_or(Ok(done), Err);
            }
            tokio::select! {
                Some(what) = at_work.next(), if !at_work.is_empty() => match what {
                    Done::Claimed(rows) => {
                        claims = false;
                        match rows {
                            Ok(rows) => for row in rows {
                                claimed.insert(row.id, row.wanted);
                                at_work.push(Box::pin(self.visit(row)));
                            },
                            Err(error) => drop(first.get_or_insert(error)),
                        }
                    }
                    Done::Visited(id, outcome) => {
                        claimed.remove(&id);
                        done += 1;
                        // One claim for several: it costs about as much as for one.
                        look |= claimed.len() * 2 <= self.room();
                        if let Err(error) = outcome
                            && bell.is_none()
                        {
                            first.get_or_insert(error);
                        }
                    }
                    Done::Held => {}
                },
                () = ring(bell.as_deref_mut()), if !stops => look = true,
                _ = tick.tick() => {
                    look = true;
                    if held.elapsed() >= HOLD && !claimed.is_empty() {
                        held = Instant::now();
                        at_work.push(Box::pin(self.hold(claimed.keys().copied().collect())));
                    }
                }
            }
        }
    }

    /// How many are given at once.
    fn room(&self) -> usize {
        self.ctx.directories.get(self.directory).map_or(AT_ONCE, |directory| directory.at_once(AT_ONCE))
    }

    /// Claims what is due as far as there is room beside `all` that are worked on, of which `given` are to be given.
    async fn claim(&self, all: usize, given: usize) -> Result<Vec<TargetRow>, ServiceError> {
        let (ctx, now, room) = (self.ctx, self.ctx.clock.now(), self.room());
        let of = async |wanted: bool, limit: usize| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            target::claim(&ctx.db, self.directory, wanted, limit, self.token, now, now + CLAIM).await
        };
        // However many wait to be given access, there is room for taking some away.
        let free = (room + (room / 3).max(1)).saturating_sub(all);
        let mut rows = if free > 0 { of(false, free).await? } else { vec![] };
        let free = room.saturating_sub(given + rows.len()).min(free - rows.len());
        // What a service has left may be for removals only.
        if free > 0 && ctx.directories.get(self.directory).and_then(|directory| directory.holds()).is_none() {
            rows.extend(of(true, free).await?);
        }
        if rows.is_empty()
            && all > 0
            && let Some(until) = alone::until(ctx, self.directory).await?
        {
            self.leave_alone(until); // So said another replica.
        }
        Ok(rows)
    }

    /// Holds claims, so that no other worker takes over what takes long.
    async fn hold(&self, ids: Vec<Uuid>) -> Done {
        if let Err(error) = target::hold(&self.ctx.db, &ids, self.token, self.ctx.clock.now() + CLAIM).await {
            tracing::warn!(%error, "claims could not be held; another worker may take them over");
        }
        Done::Held
    }

    async fn visit(&self, row: TargetRow) -> Done {
        // Whoever loses access does not wait for those who get some.
        let outcome = if row.wanted { patiently(visit(self, &row)).await } else { visit(self, &row).await };
        if let Err(error) = &outcome {
            tracing::error!(target_id = %row.id, %error, "a membership could not be worked on; it is tried again");
            let wait = backoff(u32::try_from(row.fails).unwrap_or(1).max(1), !row.wanted, rand::random());
            if let Err(error) = target::release(&self.ctx.db, TargetId(row.id), self.token, self.ctx.clock.now() + wait).await {
                tracing::warn!(%error, "a claim could not be given back; it lapses in a minute");
            }
        }
        Done::Visited(row.id, outcome)
    }
}

async fn ring(bell: Option<&mut Bell>) {
    match bell {
        Some(bell) => bell.rings().await,
        None => std::future::pending().await,
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

async fn visit(line: &Line<'_>, row: &TargetRow) -> Result<(), ServiceError> {
    let (ctx, token, id) = (line.ctx, line.token, TargetId(row.id));
    if let Some(until) = line.alone_until() {
        return put_back(ctx, id, token, row, Why::Alone(until)).await;
    }
    // What is to be given is not even claimed where a directory is paused; whether this is to be given is known only below.
    let is_paused = !row.wanted && pause::of(ctx, &row.directory).await?.is_some();
    // What should be: leases, and whether those that have not begun may still begin.
    let mut tx = ctx.db.begin().await?;
    let now = ctx.clock.now();
    let leases = grant::lock_of_target(&mut tx, id).await?;
    let wants = wanted(&leases.iter().map(GrantRow::lease).collect::<Vec<_>>(), now);
    if wants && is_paused {
        drop(tx);
        return put_back(ctx, id, token, row, Why::Paused).await;
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
    let mut call = match call(line, row, wants).await {
        Ok(call) => call,
        Err(NotTold::Alone(until)) => return put_back(ctx, id, token, row, Why::Alone(until)).await,
        Err(NotTold::Lost) => return Ok(()),
        Err(NotTold::Failed(error)) => return Err(error),
    };
    call.pre_existing &= !adopted;
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

/// Why a directory was not told to change anything.
enum NotTold {
    /// It has meanwhile asked to be left alone until then.
    Alone(DateTime<Utc>),
    /// Another worker took over.
    Lost,
    /// The database fails.
    Failed(ServiceError),
}

/// Looks, changes at most once, and reads back. No transaction is open.
///
/// # Errors
/// When nothing was changed, and what is owed stays owed as it was.
async fn call(line: &Line<'_>, row: &TargetRow, wants: bool) -> Result<Call, NotTold> {
    let ctx = line.ctx;
    let mut call = Call { pre_existing: row.pre_existing, ..Call::default() };
    let Ok(directory) = fetch::directory(ctx, &row.directory) else {
        call.error = Some(format!("the directory {} is not configured any more", row.directory));
        return Ok(call);
    };
    let left_alone = || line.alone_until().map_or(Ok(()), |until| Err(NotTold::Alone(until)));
    let busy = |call: &mut Call, wait: StdDuration| {
        line.leave_alone(alone::after(wait, ctx.clock.now()));
        call.pause = Some(wait);
    };
    left_alone()?;
    let (group, reference) = (row.group_reference.as_str(), row.person_reference.as_str());
    let before = match directory.is_member(group, reference).await {
        Ok(member) => member,
        Err(error) => {
            if let ReadError::RateLimited { retry_after } = error {
                busy(&mut call, retry_after);
            }
            call.error = Some(error.to_string());
            return Ok(call);
        }
    };
    if row.member.is_none() && before && wants {
        call.pre_existing = true;
    }
    call.member = Some(before);
    let change = plan(wants, before, call.pre_existing);
    call.change = Some(change);
    if change != Change::Nothing {
        left_alone()?;
    }
    if change == Change::Add && row.member.is_none() {
        // Before it is told to: whoever goes on after us, dead or unanswered, would take our membership for one that was there before.
        let noted = target::not_there(&ctx.db, TargetId(row.id), line.token, ctx.clock.now()).await;
        if !noted.map_err(|error| NotTold::Failed(error.into()))? {
            return Err(NotTold::Lost);
        }
    }
    let started = ctx.clock.now();
    let result = match change {
        Change::Nothing => return Ok(call),
        Change::Add => directory.add(group, reference).await,
        Change::Remove => directory.remove(group, reference).await,
    };
    call.result = Some(result.to_string());
    call.word = word(&result);
    call.told = Some((started, ctx.clock.now()));
    match &result {
        WriteResult::Changed | WriteResult::AlreadyInState | WriteResult::Pending => {}
        WriteResult::RateLimited { retry_after } => {
            busy(&mut call, *retry_after);
            call.error = Some(result.to_string());
            return Ok(call);
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
            if let ReadError::RateLimited { retry_after } = error {
                busy(&mut call, retry_after);
            }
            call.member = None;
            // Without a look at it nothing is over.
            call.hopeless = false;
            call.error = Some(error.to_string());
        }
    }
    call.told = Some((started, ctx.clock.now()));
    Ok(call)
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
        Some(pause) => alone::after(pause, now),
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
    if let Some(pause) = call.pause {
        directory_wait::leave_alone(&mut tx, &row.directory, alone::after(pause, now)).await?;
    }
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

/// Why nothing was done about a membership.
#[derive(Clone, Copy)]
enum Why {
    /// The directory is paused, and nothing new is given there.
    Paused,
    /// The directory is left alone until then.
    Alone(DateTime<Utc>),
}

/// Gives the claim back. It is owed as before.
async fn put_back(ctx: &Ctx, id: TargetId, token: Uuid, row: &TargetRow, why: Why) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    if let Some(locked) = target::lock_claimed(&mut tx, id, token).await? {
        let now = ctx.clock.now();
        let visit = Visit {
            done_gen: None,
            // Of a paused directory said so that it is not claimed again before it goes on; but not over a removal that came meanwhile.
            wanted: locked.wanted || matches!(why, Why::Paused) && locked.r#gen == row.r#gen,
            member: None,
            pre_existing: row.pre_existing,
            fails: row.fails.saturating_sub(1),
            error: row.last_error.as_deref(),
            next_at: Some(match why {
                Why::Paused => now,
                Why::Alone(until) => until,
            }),
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
