//! Compares the groups with the leases, whole.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::clock::new_id;
use crate::domain::event::{Event, Fact, Subject};
use crate::domain::id::PersonId;
use crate::store::target::TargetRow;
use crate::store::{drift, event, person, target};

use super::commit::{self, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::fetch;

/// How long a call of ours may take to come through after we gave up waiting for it.
const LATE: Duration = Duration::minutes(10);

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Groups read.
    pub groups: usize,
    /// Members that no lease explains.
    pub unexpected: usize,
    /// Members that a lease wants and the directory lacks.
    pub missing: usize,
    /// Members that stayed although their lease has ended.
    pub lingering: usize,
}

/// Reads every managed group of `directory` and compares it with the memberships: what is missing or lingers is owed again, what no
/// lease explains is reported and left alone. A group that cannot be read changes nothing.
///
/// # Errors
/// When the directory or the database fails; groups compared before stay compared.
pub async fn sweep(ctx: &Ctx, directory: &str) -> Result<Swept, ServiceError> {
    let mut swept = Swept::default();
    for group in target::managed_groups(&ctx.db, directory).await? {
        let members = fetch::directory(ctx, directory)?.members(&group).await.map_err(|error| ServiceError::Unavailable(error.to_string()))?;
        compare(ctx, directory, &group, members, &mut swept).await?;
    }
    if swept.missing + swept.lingering > 0 {
        ctx.wake.notify_one();
    }
    Ok(swept)
}

async fn compare(ctx: &Ctx, directory: &str, group: &str, members: Option<Vec<String>>, swept: &mut Swept) -> Result<(), ServiceError> {
    let now = ctx.clock.now();
    let rows = target::of_group(&ctx.db, directory, group).await?;
    let by_reference: BTreeMap<&str, &TargetRow> = rows.iter().map(|row| (row.person_reference.as_str(), row)).collect();
    let found = members.clone().unwrap_or_default();
    let is_member = |reference: &str| found.iter().any(|m| m == reference);
    let mut drifts: Vec<(&'static str, String)> = Vec::new();
    if members.is_none() {
        drifts.push(("unknown_target", String::new()));
    } else {
        swept.groups += 1;
    }
    let mut owed = Vec::new();
    // A membership that is being worked on is in neither state yet.
    for row in rows.iter().filter(|row| row.done_gen >= row.r#gen && members.is_some()) {
        let there = is_member(&row.person_reference);
        if row.wanted && !there {
            swept.missing += 1;
            drifts.push(("missing_member", row.person_reference.clone()));
            owed.push(row.id);
        } else if !row.wanted && there && !row.pre_existing {
            // Soon after our own removal it can be a late call of ours that came through: take it away again. Later it was
            // somebody else, and what Countersign did not add it does not remove.
            if row.member_seen_at.is_some_and(|seen| now - seen < LATE) {
                swept.lingering += 1;
                owed.push(row.id);
            } else {
                swept.unexpected += 1;
            }
            drifts.push(("unexpected_member", row.person_reference.clone()));
        }
    }
    for reference in &found {
        if !by_reference.contains_key(reference.as_str()) {
            swept.unexpected += 1;
            drifts.push(("unexpected_member", reference.clone()));
        }
    }
    report(ctx, directory, group, &drifts, &owed, now).await
}

/// Writes new drifts and ends those that are gone, each with its event.
async fn report(
    ctx: &Ctx,
    directory: &str,
    group: &str,
    drifts: &[(&'static str, String)],
    owed: &[uuid::Uuid],
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    let references: Vec<String> = drifts.iter().map(|(_, reference)| reference.clone()).filter(|r| !r.is_empty()).collect();
    let people = person::by_references(&ctx.db, directory, &references).await?;
    let mut tx = ctx.db.begin().await?;
    let open = drift::lock_open(&mut tx, directory, group).await?;
    let mut events: Vec<Event> = Vec::new();
    for (kind, reference) in drifts {
        if open.iter().any(|d| d.kind == *kind && d.person_reference == *reference) {
            continue;
        }
        let person = people.iter().find(|p| p.reference == *reference).map(|p| PersonId(p.id));
        if !drift::open(&mut tx, new_id(), directory, group, reference, person, kind, now).await? {
            continue;
        }
        let fact = Fact::DriftFound { drift: (*kind).into(), directory: directory.into(), group: group.into(), person: reference.clone() };
        events.push(by_system(Subject { person, ..Subject::default() }, fact));
    }
    for old in &open {
        if drifts.iter().any(|(kind, reference)| old.kind == *kind && old.person_reference == *reference) {
            continue;
        }
        drift::resolve(&mut tx, old.id, "no longer seen", now).await?;
        let fact = Fact::DriftResolved {
            drift: old.kind.clone(),
            directory: directory.into(),
            group: group.into(),
            person: old.person_reference.clone(),
            resolution: "no longer seen".into(),
        };
        events.push(by_system(Subject { person: old.person_id.map(PersonId), ..Subject::default() }, fact));
    }
    event::append(&mut tx, &events).await?;
    target::raise(&mut tx, owed, now).await?;
    commit::commit(tx).await
}
