//! Asks a directory about single people again.
//!
//! What says that somebody left or changed is a hint, wherever it comes from: a listing, a list of changes, a call of the directory. Each
//! names a reference; here the directory is asked about that person, and what it answers then is what counts.

use chrono::Duration;
use uuid::Uuid;

use crate::clock::new_id;
use crate::directory::facts::ReadError;
use crate::domain::event::{Fact, Subject};
use crate::domain::plan::backoff;
use crate::store::person::PersonRow;
use crate::store::recheck::{self, RecheckRow};
use crate::store::{directory_sync, event, leaver, person};

use super::commit::{self, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::learn::{self, Source};
use super::{alone, fetch, movers};

/// How many are asked about at once.
const AT_ONCE: i64 = 8;
/// How long a claim holds before another worker may take it over.
const CLAIM: Duration = Duration::minutes(2);
/// How many rounds one look makes, and one between other work, so that everything else has its turn.
const ROUNDS: (usize, usize) = (500, 3);
/// Over how long people who left are counted together.
const TOGETHER: Duration = Duration::hours(1);
/// When to ask again about somebody who is not believed to have left.
const DOUBTED: Duration = Duration::minutes(10);

/// How many people of a directory may be found gone or switched off together: a twentieth of those known, but at least 20 and at most 200.
pub fn believable(known: i64) -> i64 {
    (known / 20).clamp(20, 200)
}

/// Asks `directory` about everybody who is due. Returns about how many. A directory that does not answer is asked again later.
///
/// # Errors
/// The first failure of the database, after everybody else was asked about.
pub async fn due(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    rounds(ctx, directory, ROUNDS.0).await
}

/// Asks `directory` about a few of those who are due: for whoever has other work that cannot wait.
///
/// # Errors
/// As [`due`].
pub async fn some(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    rounds(ctx, directory, ROUNDS.1).await
}

async fn rounds(ctx: &Ctx, directory: &str, most: usize) -> Result<usize, ServiceError> {
    let (mut done, mut first) = (0, None);
    for _ in 0..most {
        let (token, now) = (new_id(), ctx.clock.now());
        let claimed = recheck::claim(&ctx.db, directory, AT_ONCE, token, now, now + CLAIM).await?;
        if claimed.is_empty() {
            break;
        }
        done += claimed.len();
        for outcome in futures_util::future::join_all(claimed.iter().map(|row| one(ctx, row, token))).await {
            if let Err(error) = outcome {
                first.get_or_insert(error);
            }
        }
    }
    first.map_or(Ok(done), Err)
}

async fn one(ctx: &Ctx, row: &RecheckRow, token: Uuid) -> Result<(), ServiceError> {
    let outcome = look(ctx, row).await;
    let now = ctx.clock.now();
    match outcome {
        Ok(None) => Ok(recheck::done(&ctx.db, row, token, now).await?),
        Ok(Some(doubt)) => Ok(recheck::later(&ctx.db, row, token, &doubt, now + DOUBTED).await?),
        Err(ServiceError::Unavailable(why)) => {
            let wait = backoff(u32::try_from(row.fails).unwrap_or(1), true, rand::random());
            Ok(recheck::later(&ctx.db, row, token, &why, now + wait).await?)
        }
        Err(error) => {
            recheck::later(&ctx.db, row, token, &error.to_string(), now + Duration::minutes(1)).await?;
            Err(error)
        }
    }
}

/// Asks about one and keeps the answer. Comes back with a sentence when it is not believed.
async fn look(ctx: &Ctx, row: &RecheckRow) -> Result<Option<String>, ServiceError> {
    let directory = row.directory.as_str();
    let facts = match fetch::directory(ctx, directory)?.person(&row.reference).await {
        Ok(facts) => facts,
        // A hint may hold anything; what cannot be asked names nobody.
        Err(ReadError::Refused(_)) => return Ok(None),
        Err(error) => return Err(alone::heed(ctx, directory, &error).await),
    };
    let now = ctx.clock.now();
    let known = person::by_references(&ctx.db, directory, std::slice::from_ref(&row.reference)).await?.pop();
    if known.as_ref().is_some_and(PersonRow::is_active)
        && facts.as_ref().is_none_or(|facts| !facts.active)
        && let Some(doubt) = doubt(ctx, directory).await?
    {
        return Ok(Some(doubt));
    }
    if let Some(facts) = facts {
        let mut tx = ctx.db.begin().await?;
        let id = learn::one(&mut tx, ctx, directory, &facts, Source::Recheck, now).await?;
        commit::commit(tx).await?;
        if facts.active && movers::holds_anything(ctx, id).await? {
            movers::evaluate(ctx, &fetch::snapshot(id, directory, facts, now)).await?;
        }
        return Ok(None);
    }
    let Some(known) = known.filter(|known| known.status != "gone") else { return Ok(None) };
    let mut tx = ctx.db.begin().await?;
    learn::gone(&mut tx, ctx, known.id.into(), now).await?;
    commit::commit(tx).await?;
    Ok(None)
}

/// Why it is not believed of one more person that they left; that many are at once when we are shown the wrong directory, or a part of it.
async fn doubt(ctx: &Ctx, directory: &str) -> Result<Option<String>, ServiceError> {
    let now = ctx.clock.now();
    let left = leaver::left_since(&ctx.db, directory, now - TOGETHER).await?;
    let sync = directory_sync::of(&ctx.db, directory).await?;
    let believed = sync.as_ref().is_some_and(|sync| sync.believe || sync.believed_at.is_some_and(|at| now - at < TOGETHER));
    if believed || left < believable(person::count(&ctx.db, directory).await? + left) {
        return Ok(None);
    }
    let sentence = format!(
        "the directory calls {left} people and more gone or switched off within an hour; that many did not leave at once, so nobody else is counted as such"
    );
    let mut tx = ctx.db.begin().await?;
    if directory_sync::doubted(&mut tx, directory, &sentence).await? {
        let fact = Fact::DirectoryFailed { directory: directory.into(), error: sentence.clone() };
        event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
        tracing::error!(directory, left, "too many people left at once; the others are not counted as such until an administrator says so");
    }
    commit::commit(tx).await?;
    Ok(Some(sentence))
}
