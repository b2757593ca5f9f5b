//! Compares one group with what is wanted of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::drift::believable;
use crate::domain::event::{Event, Fact, Subject};
use crate::domain::id::PersonId;
use crate::service::commit::{self, by_system};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::sweep::Swept;
use crate::store::db::Tx;
use crate::store::drift::{DriftRow, Found};
use crate::store::managed_group::{self, Declared, Exception, Member};
use crate::store::target::TargetRow;
use crate::store::{drift, event, notice, person, target};

/// How long a call of ours may take to come through after we gave up waiting for it.
const LATE: Duration = Duration::minutes(10);
/// How many events are written at once.
const AT_ONCE: usize = 1_000;

/// The inner group by which somebody is a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// Its reference.
    pub group: String,
    /// Its name.
    pub name: String,
}

/// Who is in a group.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// References of direct members.
    pub direct: Vec<String>,
    /// Those who are in it only by a group inside it.
    pub inherited: BTreeMap<String, Through>,
}

/// A difference that was seen.
struct Difference {
    kind: &'static str,
    reference: String,
    through: Option<Through>,
}

/// What a group comes to when it is held against the leases.
#[derive(Default)]
struct Verdict {
    differences: Vec<Difference>,
    /// Memberships to look at again.
    owed: Vec<Uuid>,
    /// Members to be declared.
    newly_declared: Vec<(String, Option<Through>)>,
    /// Declared members who are gone.
    left: Vec<Uuid>,
    /// Exceptions that are over, with why.
    over: Vec<(Uuid, Uuid, String, &'static str)>,
    /// Memberships that are being worked on: in neither state yet.
    busy: HashSet<String>,
    /// How many members are missing, leases and declared ones, and how many there should be.
    missing: (usize, usize),
}

/// Compares `group` with what is wanted of it, as part of comparison `run` (directory and id), and writes what is new.
///
/// # Errors
/// When the database fails; then nothing of it is written.
pub async fn compare(ctx: &Ctx, run: (&str, Uuid), group: &str, seen: Option<Seen>, swept: &mut Swept) -> Result<(), ServiceError> {
    let (directory, now) = (run.0, ctx.clock.now());
    let rows = target::of_group(&ctx.db, directory, group).await?;
    let inner: Vec<String> = seen.iter().flat_map(|seen| seen.inherited.values()).map(|through| through.group.clone()).collect();
    let explained_inside: HashSet<(String, String)> =
        if inner.is_empty() { HashSet::new() } else { target::wanted_in(&ctx.db, directory, &inner).await?.into_iter().collect() };
    let mut tx = ctx.db.begin().await?;
    let managed = managed_group::lock(&mut tx, directory, group).await?;
    let open = drift::lock_open(&mut tx, directory, group).await?;
    let declared = managed_group::declared(&mut tx, directory, group).await?;
    let exceptions = managed_group::exceptions(&mut tx, directory, group).await?;
    let mut events = Vec::new();
    let verdict = match &seen {
        // A group that cannot be seen settles nothing.
        None => Verdict {
            differences: vec![Difference { kind: "unknown_target", reference: String::new(), through: None }],
            busy: open.iter().map(|row| row.person_reference.clone()).filter(|reference| !reference.is_empty()).collect(),
            ..Verdict::default()
        },
        Some(seen) => judge(seen, &rows, &declared, &exceptions, &explained_inside, managed.is_none(), now, swept),
    };
    if let Some(seen) = &seen {
        swept.groups += 1;
        let members = i32::try_from(seen.direct.len()).unwrap_or(i32::MAX);
        match &managed {
            None => {
                import(&mut tx, (directory, group), &verdict, members, now, &mut events).await?;
                swept.declared += verdict.newly_declared.len();
            }
            Some(row) => {
                let (missing, should) = verdict.missing;
                let shrunk = missing > believable(should) && row.believed_at.is_none();
                let people = i32::try_from(missing).unwrap_or(i32::MAX);
                let is_stopped = row.stopped_why.as_deref() == Some("shrunk");
                if shrunk {
                    // A list that lost so many at once is not believed: nothing is concluded from it.
                    if !is_stopped {
                        managed_group::stop(&mut tx, row.id, Some(("shrunk", people)), now).await?;
                        let fact = Fact::GroupStopped {
                            directory: directory.into(),
                            group: group.into(),
                            why: "shrunk".into(),
                            people: missing,
                            members: seen.direct.len(),
                        };
                        event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
                        let said = format!("{missing} of {should} members are missing at once in the list of a group");
                        tell_owners(ctx, &mut tx, (directory, group), &said, now).await?;
                        commit::commit(tx).await?;
                    }
                    return Ok(());
                }
                if is_stopped {
                    managed_group::stop(&mut tx, row.id, None, now).await?;
                    let fact = Fact::GroupReleased { directory: directory.into(), group: group.into(), how: "the list is whole again".into() };
                    events.push(by_system(Subject::default(), fact));
                }
                managed_group::read(&mut tx, row.id, members, now).await?;
            }
        }
    }
    if !verdict.left.is_empty() {
        managed_group::left(&mut tx, &verdict.left, now).await?;
        let fact = Fact::GroupMembersLeft { directory: directory.into(), group: group.into(), members: verdict.left.len() };
        events.push(by_system(Subject::default(), fact));
    }
    managed_group::end_exceptions(&mut tx, &verdict.over.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), now).await?;
    for (_, _, person, why) in &verdict.over {
        let fact = Fact::DriftExceptionEnded { directory: directory.into(), group: group.into(), person: person.clone(), why: (*why).into() };
        events.push(by_system(Subject::default(), fact));
    }
    event::append(&mut tx, &events).await?;
    report(ctx, &mut tx, run, group, &verdict, &open, now).await?;
    target::raise(&mut tx, &verdict.owed, now).await?;
    commit::commit(tx).await
}

/// What the members of a group come to. Pure but for counting.
#[allow(clippy::too_many_arguments, reason = "everything that is known of one group")]
fn judge(
    seen: &Seen,
    rows: &[TargetRow],
    declared: &[Declared],
    exceptions: &[Exception],
    explained_inside: &HashSet<(String, String)>,
    first: bool,
    now: DateTime<Utc>,
    swept: &mut Swept,
) -> Verdict {
    let mut verdict = Verdict::default();
    let direct: HashSet<&str> = seen.direct.iter().map(String::as_str).collect();
    let is_there = |reference: &str| direct.contains(reference) || seen.inherited.contains_key(reference);
    let by_reference: HashMap<&str, &TargetRow> = rows.iter().map(|row| (row.person_reference.as_str(), row)).collect();
    let mut answered: HashSet<&str> = HashSet::new();
    for member in declared {
        if is_there(&member.person_reference) {
            answered.insert(&member.person_reference);
        } else {
            verdict.left.push(member.id);
        }
    }
    for exception in exceptions {
        let why = match (is_there(&exception.person_reference), exception.ends_at > now) {
            (true, true) => {
                answered.insert(&exception.person_reference);
                continue;
            }
            (true, false) => "its time is up",
            (false, _) => "the member is gone",
        };
        verdict.over.push((exception.id, exception.drift_id, exception.person_reference.clone(), why));
    }
    let mut wanted = 0;
    for row in rows {
        // A membership that is being worked on is in neither state yet.
        if row.done_gen < row.r#gen {
            verdict.busy.insert(row.person_reference.clone());
            continue;
        }
        wanted += usize::from(row.wanted);
        if row.wanted && !direct.contains(row.person_reference.as_str()) {
            swept.missing += 1;
            verdict.differences.push(Difference { kind: "missing_member", reference: row.person_reference.clone(), through: None });
            verdict.owed.push(row.id);
        }
    }
    let mut unexplained: Vec<(&str, Option<&Through>)> = seen.direct.iter().map(|reference| (reference.as_str(), None)).collect();
    unexplained.extend(
        seen.inherited
            .iter()
            .filter(|(person, through)| !explained_inside.contains(&(through.group.clone(), (*person).clone())))
            .map(|(person, through)| (person.as_str(), Some(through))),
    );
    unexplained.sort_by_key(|(reference, _)| *reference);
    unexplained.dedup_by_key(|(reference, _)| *reference);
    for (reference, through) in unexplained {
        let row = by_reference.get(reference);
        if answered.contains(reference) || verdict.busy.contains(reference) || row.is_some_and(|row| row.wanted) {
            continue;
        }
        let ours = row.is_some_and(|row| !row.pre_existing);
        if first && !ours {
            verdict.newly_declared.push((reference.to_owned(), through.cloned()));
            continue;
        }
        // Soon after our own removal it can be a late call of ours that came through: take it away again. Later it was somebody
        // else, and what Countersign did not add it does not remove unless it is told to.
        match row.filter(|row| ours && through.is_none() && row.member_seen_at.is_some_and(|at| now - at < LATE)) {
            Some(row) => {
                swept.lingering += 1;
                verdict.owed.push(row.id);
            }
            None => swept.unexpected += 1,
        }
        verdict.differences.push(Difference { kind: "unexpected_member", reference: reference.to_owned(), through: through.cloned() });
    }
    let missing = verdict.differences.iter().filter(|difference| difference.kind == "missing_member").count() + verdict.left.len();
    verdict.missing = (missing, wanted + declared.len());
    verdict
}

/// Declares who is in a group at its first comparison.
async fn import(
    tx: &mut Tx,
    (directory, group): (&str, &str),
    verdict: &Verdict,
    members: i32,
    now: DateTime<Utc>,
    events: &mut Vec<Event>,
) -> Result<(), ServiceError> {
    if !managed_group::insert(tx, new_id(), directory, group, members, now).await? {
        return Ok(()); // Another comparison was faster; what is new now is found by the next.
    }
    let references: Vec<String> = verdict.newly_declared.iter().map(|(reference, _)| reference.clone()).collect();
    let people = person::ids_by_reference(tx, directory, &references).await?;
    let declared: Vec<Member> = verdict
        .newly_declared
        .iter()
        .map(|(reference, through)| Member {
            id: new_id(),
            reference: reference.clone(),
            person: people.get(reference).copied(),
            through: through.as_ref().map(|through| (through.group.clone(), through.name.clone())),
        })
        .collect();
    managed_group::declare(tx, directory, group, &declared, now).await?;
    let fact = Fact::GroupImported { directory: directory.into(), group: group.into(), members: declared.len() };
    events.push(by_system(Subject::default(), fact));
    Ok(())
}

/// Writes new differences and ends those that are gone, each with its event, and tells the owners of what is new.
async fn report(
    ctx: &Ctx,
    tx: &mut Tx,
    (directory, sweep): (&str, Uuid),
    group: &str,
    verdict: &Verdict,
    open: &[DriftRow],
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    let is_open = |kind: &str, reference: &str| open.iter().any(|d| d.kind == kind && d.person_reference == reference);
    let fresh: Vec<&Difference> = verdict.differences.iter().filter(|d| !is_open(d.kind, &d.reference)).collect();
    let references: Vec<String> = fresh.iter().map(|d| d.reference.clone()).filter(|r| !r.is_empty()).collect();
    let people = if references.is_empty() { BTreeMap::new() } else { person::ids_by_reference(tx, directory, &references).await? };
    let (mut events, mut about): (Vec<Event>, Vec<Uuid>) = (Vec::new(), Vec::new());
    let mut strangers: Vec<String> = Vec::new();
    for difference in fresh {
        let (id, person) = (new_id(), people.get(&difference.reference).copied());
        let through = difference.through.as_ref();
        let found = Found {
            id,
            directory,
            group,
            reference: &difference.reference,
            person,
            kind: difference.kind,
            through: through.map(|through| (through.group.as_str(), through.name.as_str())),
            sweep,
        };
        if !drift::open(tx, &found, now).await? {
            continue;
        }
        if difference.kind != "missing_member" {
            strangers.push(difference.reference.clone());
        }
        about.push(id);
        let fact = Fact::DriftFound {
            drift: difference.kind.into(),
            directory: directory.into(),
            group: group.into(),
            person: difference.reference.clone(),
            through: through.map(|through| through.name.clone()),
        };
        events.push(by_system(Subject { person, ..Subject::default() }, fact));
    }
    let gone = open.iter().filter(|old| {
        !verdict.differences.iter().any(|d| old.kind == d.kind && old.person_reference == d.reference) && !verdict.busy.contains(&old.person_reference)
    });
    for old in gone {
        let (action, resolution) = match () {
            () if old.request_status.as_deref() == Some("approved") => ("adopted", "a grant explains it"),
            () if old.removal_asked_at.is_some() => ("removed", "taken out of the group"),
            () => ("alerted", "no longer seen"),
        };
        drift::resolve(tx, old.id, (action, resolution), old.removal_asked_by.filter(|_| action == "removed"), now).await?;
        about.push(old.id);
        let fact = Fact::DriftResolved {
            drift: old.kind.clone(),
            directory: directory.into(),
            group: group.into(),
            person: old.person_reference.clone(),
            resolution: resolution.into(),
        };
        events.push(by_system(Subject { person: old.person_id.map(PersonId), ..Subject::default() }, fact));
    }
    for (events, about) in events.chunks(AT_ONCE).zip(about.chunks(AT_ONCE)) {
        let ids = event::append(tx, events).await?;
        drift::cite(tx, about, &ids).await?;
    }
    if !strangers.is_empty() {
        let said = match strangers.len() {
            1 if strangers[0].is_empty() => "A group is no longer in the directory".to_owned(),
            1 => "A member whom no grant explains was found in a group".to_owned(),
            many => format!("{many} members whom no grant explains were found in a group"),
        };
        tell_owners(ctx, tx, (directory, group), &said, now).await?;
    }
    Ok(())
}

/// Tells the owners of the roles that a group gives.
///
/// # Errors
/// When the database fails.
pub(super) async fn tell_owners(ctx: &Ctx, tx: &mut Tx, (directory, group): (&str, &str), said: &str, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let roles = drift::roles(&ctx.db, directory, Some(group)).await?;
    let mut owners: Vec<PersonId> = roles.iter().map(|role| PersonId(role.owner_id)).collect();
    owners.sort_unstable();
    owners.dedup();
    for owner in owners {
        let titles: Vec<&str> = roles.iter().filter(|role| role.owner_id == owner.0).map(|role| role.title.as_str()).collect();
        let sentence = format!("{said} that gives {}. Look at it under Drift.", titles.join(" and "));
        notice::tell(tx, &[owner], "drift", None, &sentence, now).await?;
    }
    Ok(())
}
