//! Reads everybody, and every group, from the directory.
//!
//! A listing is read page by page, each kept in one transaction; nothing of it stays in memory. It never ends anything by itself: whom
//! it calls switched off, and whom it misses, is written down as somebody to ask about, and asked about one by one ([`super::recheck`])
//! once the listing is complete and can be believed.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::directory::port::Directory;
use crate::domain::event::{Event, Fact, Subject};
use crate::store::directory_sync::{self, Counts, GroupSeen};
use crate::store::{event, person, recheck as queue};

use super::commit::{self, by_system};
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::learn::{self, Source};
use super::recheck::believable;
use super::{alone, fetch, heartbeat, leave, recheck};

/// What a sync found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// People read.
    pub people: usize,
    /// Groups read.
    pub groups: usize,
    /// Of the people new or changed.
    pub changed: usize,
    /// People who were missed, or called switched off; each was asked about.
    pub left: usize,
}

/// How long one page may take before another worker may begin anew.
pub const HOLD: Duration = Duration::minutes(5);

/// Reads every person and group of `directory`, page by page, and keeps what is new; then asks about everybody who seems to have left
/// and ends what was theirs. A listing that fails midway, or in which a large share is missing or switched off, says nothing about who left.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the listing failed or is not believed; what was kept before stays kept.
pub async fn sync(ctx: &Ctx, directory: &str) -> Result<Synced, ServiceError> {
    under(ctx, directory, None).await
}

/// [`sync`] as the entry `hold.0` of the timetable, claimed under `hold.1`: stops when another worker has taken it over.
///
/// # Errors
/// As [`sync`].
pub async fn under(ctx: &Ctx, directory: &str, hold: Option<(&str, Uuid)>) -> Result<Synced, ServiceError> {
    let started = ctx.clock.now();
    let known = person::count(&ctx.db, directory).await?;
    let port = fetch::directory(ctx, directory)?;
    directory_sync::began(&ctx.db, directory, started).await?;
    // Counting changes begins before the listing, so that none falls between the two.
    let token = match port.changes(None).await {
        Ok(changes) => changes.map(|changes| changes.next),
        Err(error) => {
            tracing::warn!(directory, why = %error, "the directory does not say where counting its changes begins; it is read whole each time");
            None
        }
    };
    let mut counts = Counts::default();
    let read = match people(ctx, port, directory, hold, &mut counts).await {
        Ok(()) => groups(ctx, port, directory, started, hold, &mut counts).await,
        Err(error) => Err(error),
    };
    let concluded = conclude(ctx, directory, (started, known), read, &mut counts, token.as_deref()).await;
    // Whom it named is asked about now, whatever became of the listing otherwise.
    recheck::due(ctx, directory).await?;
    leave::due(ctx).await?;
    leave::leftovers(ctx).await?;
    concluded?;
    let whole = |number: i64| usize::try_from(number).unwrap_or_default();
    Ok(Synced { people: whole(counts.people), groups: whole(counts.groups), changed: whole(counts.changed), left: whole(counts.leaving) })
}

async fn still_ours(ctx: &Ctx, hold: Option<(&str, Uuid)>) -> Result<(), ServiceError> {
    match hold {
        Some((name, token)) if !heartbeat::hold(ctx, name, token, HOLD).await? => {
            Err(ServiceError::Unavailable("Another worker has begun to read the directory anew.".into()))
        }
        _ => Ok(()),
    }
}

async fn people(ctx: &Ctx, port: &Directory, directory: &str, hold: Option<(&str, Uuid)>, counts: &mut Counts) -> Result<(), ServiceError> {
    let mut cursor = None;
    loop {
        let page = match port.people(cursor).await {
            Ok(page) => page,
            Err(error) => return Err(alone::heed(ctx, directory, &error).await),
        };
        still_ours(ctx, hold).await?;
        let mut tx = ctx.db.begin().await?;
        let learned = learn::learn(&mut tx, ctx, directory, &page.items, Source::Listing, ctx.clock.now()).await?;
        commit::commit(tx).await?;
        counts.people += count(page.items.len());
        counts.changed += count(learned.changed);
        counts.leaving += count(learned.leaving);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Reads every group of `directory` and nothing else, for choosing from. Returns how many there are.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer; what was listed before stays.
pub async fn groups_only(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    let mut counts = Counts::default();
    groups(ctx, fetch::directory(ctx, directory)?, directory, ctx.clock.now(), None, &mut counts).await?;
    Ok(usize::try_from(counts.groups).unwrap_or_default())
}

async fn groups(
    ctx: &Ctx,
    port: &Directory,
    directory: &str,
    started: DateTime<Utc>,
    hold: Option<(&str, Uuid)>,
    counts: &mut Counts,
) -> Result<(), ServiceError> {
    let mut cursor = None;
    loop {
        let page = match port.groups(cursor).await {
            Ok(page) => page,
            Err(error) => return Err(alone::heed(ctx, directory, &error).await),
        };
        still_ours(ctx, hold).await?;
        let seen: Vec<GroupSeen> = page
            .items
            .into_iter()
            .map(|group| GroupSeen {
                reference: group.reference,
                name: group.name,
                description: group.description,
                read_only: group.read_only,
                warnings: group.warnings,
            })
            .collect();
        let mut tx = ctx.db.begin().await?;
        directory_sync::groups(&mut tx, directory, &seen, ctx.clock.now()).await?;
        commit::commit(tx).await?;
        counts.groups += count(seen.len());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut tx = ctx.db.begin().await?;
    let (unseen, known) = directory_sync::unseen_groups(&mut tx, directory, started).await?;
    if unseen > 0 && unseen <= (known / 20).max(20) {
        directory_sync::groups_gone(&mut tx, directory, started, ctx.clock.now()).await?;
    }
    commit::commit(tx).await
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Decides what the listing says about who left, and writes down how it went.
async fn conclude(
    ctx: &Ctx,
    directory: &str,
    (started, known): (DateTime<Utc>, i64),
    read: Result<(), ServiceError>,
    counts: &mut Counts,
    token: Option<&str>,
) -> Result<(), ServiceError> {
    let believe = directory_sync::of(&ctx.db, directory).await?.is_some_and(|sync| sync.believe);
    let mut tx = ctx.db.begin().await?;
    let now = ctx.clock.now();
    let switched_off = queue::held(&mut tx, directory).await?;
    let missing = if read.is_ok() { queue::ask_unseen(&mut tx, directory, started, now).await? } else { 0 };
    counts.leaving = switched_off + missing;
    let most = believable(known);
    let too_many = |number: i64| number > most && !believe;
    if too_many(missing) {
        queue::forget_held(&mut tx, directory, "missing").await?;
    }
    if too_many(switched_off) {
        queue::forget_held(&mut tx, directory, "listing").await?;
    }
    queue::release(&mut tx, directory, now).await?;
    let doubt = match (too_many(missing), too_many(switched_off)) {
        (true, _) => {
            Some(format!("{missing} of {known} people are missing from the directory’s list; that many did not leave at once, so nobody was counted as gone"))
        }
        (_, true) => Some(format!(
            "{switched_off} of {known} people are switched off in the directory’s list; that many did not leave at once, so nothing of theirs ended"
        )),
        _ => None,
    };
    let (outcome, detail) = match (&read, &doubt) {
        (Err(error), _) => ("failed", Some(error.to_string())),
        (Ok(()), Some(doubt)) => ("shrunk", Some(doubt.clone())),
        (Ok(()), None) => ("complete", None),
    };
    directory_sync::ended(&mut tx, directory, outcome, detail.as_deref(), *counts, token, now).await?;
    // Who was found away before is no news.
    if outcome == "complete" && counts.changed > 0 {
        let whole = |number: i64| usize::try_from(number).unwrap_or_default();
        let fact = Fact::DirectorySynced { directory: directory.into(), people: whole(counts.people), changed: whole(counts.changed) };
        event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
    }
    commit::commit(tx).await?;
    read?;
    doubt.map_or(Ok(()), |doubt| Err(ServiceError::Unavailable(doubt)))
}

/// An administrator says that so many people really left: the next full reading is believed, and due at once.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, for a directory that there is not, and when its last reading was not doubted.
pub async fn believe(ctx: &Ctx, by: &By, directory: &str) -> Result<(), ServiceError> {
    if !by.is_administrator || !ctx.directories.contains_key(directory) {
        return Err(ServiceError::Missing);
    }
    let mut tx = ctx.db.begin().await?;
    if !directory_sync::believe(&mut tx, directory).await? {
        return Err(ServiceError::Missing);
    }
    let fact = Fact::DirectoryBelieved { directory: directory.into() };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: Subject::default(), fact }]).await?;
    commit::commit(tx).await?;
    heartbeat::run_now(ctx, &format!("sync:{directory}")).await
}
