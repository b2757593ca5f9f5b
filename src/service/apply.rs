//! Makes the catalog what a file says, all or nothing.

use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::id::PersonId;
use crate::domain::refusal::Refusal;
use crate::evidence::canonical;
use crate::store::catalog::{self, Catalog};
use crate::store::catalog_write::{Versioned, Write, write};
use crate::store::db::Tx;
use crate::store::policy_change::{self, ChangedVersion, NewChange};
use crate::store::{event, person, timetable};

use super::catalog_file::model::CatalogFile;
use super::catalog_file::read::read;
use super::catalog_file::resolve::{Found, Resolved};
use super::commit::commit;
use super::ctx::Ctx;
use super::error::ServiceError;
use super::learn;
use super::plan::{Plan, ask, plan};

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What was to change, and what was wrong.
    pub plan: Plan,
    /// The event that tells of it; none when there was nothing to change, or something was wrong and nothing was changed.
    pub event: Option<i64>,
    /// The change as it is kept, where there is an event.
    pub change: Option<Uuid>,
}

/// Applies `text`, called `source` in the log, in one transaction with its event `catalog.applied` and its row of
/// `policy_changes.csv`. With a fault, or without a change, nothing is written. Only one file is applied at a time.
///
/// # Errors
/// [`Refusal::SecondPersonRequired`] where changes are only proposed; [`ServiceError::Unavailable`] when the directory or the
/// database does not answer. A faulty file is no error: see [`Plan::faults`].
pub async fn run(ctx: &Ctx, text: (&str, &str), who: (Actor, Channel)) -> Result<Applied, ServiceError> {
    run_if(ctx, text, who, |_| true).await
}

/// As [`run`], if `wanted` says so of what has to change, asked while the catalog is locked; else nothing is written.
///
/// # Errors
/// As [`run`].
pub(super) async fn run_if(
    ctx: &Ctx,
    (text, source): (&str, &str),
    (actor, channel): (Actor, Channel),
    wanted: impl Fn(&Plan) -> bool + Send,
) -> Result<Applied, ServiceError> {
    if ctx.changing.require_second_person {
        return Err(Refusal::SecondPersonRequired.into());
    }
    let file = read(text);
    let mut resolved = ask(&ctx.db, &ctx.directories, &file).await?;
    let mut tx = ctx.db.begin().await?;
    let now = ctx.clock.now();
    let (plan, current) = planned(&mut tx, &file, &mut resolved, now).await?;
    if !plan.is_good() || is_nothing(&plan) || !wanted(&plan) {
        return Ok(Applied { plan, event: None, change: None });
    }
    let (id, digest, changes) = (new_id(), canonical::digest(text), plan.lines());
    write(&mut tx, &plan.writes, actor.person(), now).await?;
    let author = actor.person().map(|id| id.0);
    policy_change::insert(&mut tx, &NewChange { id, author, source, body: text, digest: &digest, changes: &changes, status: "applied", at: now }).await?;
    policy_change::insert_versions(&mut tx, id, &versions(&plan, &current)).await?;
    let fact = Fact::CatalogApplied { source: source.to_owned(), digest, changes, change: Some(id) };
    let ids = event::append(&mut tx, &[Event { actor, channel, subject: Subject::default(), fact }]).await?;
    commit(tx).await?;
    look_again(ctx, now).await?;
    compare_groups(ctx, &plan, now).await?;
    Ok(Applied { plan, event: ids.first().copied(), change: Some(id) })
}

/// What has to change, with the catalog locked until the transaction ends; newcomers that the file names are kept in it.
pub(super) async fn planned(
    tx: &mut Tx,
    file: &CatalogFile,
    resolved: &mut Resolved,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(Plan, Catalog), ServiceError> {
    let current = catalog::whole(tx).await?;
    for (id, facts) in &resolved.newcomers {
        let kept = PersonId(person::upsert(tx, *id, &learn::seen(&resolved.directory, facts), now).await?.id);
        // Somebody else may have met them since we looked; then theirs is the id that stays.
        for found in resolved.people.values_mut() {
            if let Found::One(person) = found
                && person.id == *id
            {
                person.id = kept;
            }
        }
    }
    let plan = plan(file, &current, resolved, &mut new_id);
    Ok((plan, current))
}

/// Whether there is nothing to do.
pub(super) fn is_nothing(plan: &Plan) -> bool {
    plan.writes.is_empty() && plan.changes.is_empty()
}

/// Other rules have other dead ends, and keep other roles apart.
pub(super) async fn look_again(ctx: &Ctx, now: chrono::DateTime<chrono::Utc>) -> Result<(), ServiceError> {
    for look in ["health", "separation"] {
        timetable::run_now(&ctx.db, look, now).await?;
    }
    Ok(())
}

/// Who is in the group of a role that is new is declared as soon as may be, before anybody is added to it by hand.
pub(super) async fn compare_groups(ctx: &Ctx, plan: &Plan, now: chrono::DateTime<chrono::Utc>) -> Result<(), ServiceError> {
    if plan.writes.iter().any(|write| matches!(write, Write::Role(_))) {
        for directory in ctx.directories.keys() {
            timetable::run_now(&ctx.db, &format!("sweep:{directory}"), now).await?;
        }
        ctx.wake.notify_one();
    }
    Ok(())
}

/// The versions of policies that come and go with `plan`.
pub(super) fn versions(plan: &Plan, current: &Catalog) -> Vec<ChangedVersion> {
    let latest = |id: Uuid| current.policies.iter().find(|(now, _)| now.id == id).map(|(now, _)| now);
    let mut found: Vec<ChangedVersion> = Vec::new();
    for write in &plan.writes {
        let version = match write {
            Write::Policy { id, body, .. } => ChangedVersion {
                policy_key: body.key.clone(),
                version_from: latest(*id).filter(|now| !now.retired).map(|now| now.body.version),
                version_to: Some(body.version),
            },
            Write::Retire(Versioned::Policy, id) => match latest(*id) {
                Some(now) => ChangedVersion { policy_key: now.body.key.clone(), version_from: Some(now.body.version), version_to: None },
                None => continue,
            },
            Write::Restore(Versioned::Policy, id) => match latest(*id) {
                Some(now) => ChangedVersion { policy_key: now.body.key.clone(), version_from: None, version_to: Some(now.body.version) },
                None => continue,
            },
            _ => continue,
        };
        if found.iter().all(|other| other.policy_key != version.policy_key) {
            found.push(version);
        }
    }
    found
}
