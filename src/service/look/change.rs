//! What the pages about changes of the rules show.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::service::change::weigh::{self, Weighed};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::what_if::Turn;
use crate::store::{policy_change, policy_change_weigh};

use super::shared::{Cursor, Listing};

// A request that would come out otherwise, and a version made, as they are stored.
pub use crate::store::policy_change::ChangedVersion;
pub use crate::store::policy_change_weigh::MovedRow;

/// How many changes a page has.
const PAGE: usize = 50;
/// The states that a change can be in.
pub const STATES: [&str; 6] = ["proposed", "approved", "applied", "rejected", "withdrawn", "failed"];

/// Changes, newest first.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Only of this state; empty: all.
    pub status: String,
    /// The changes.
    pub rows: Listing<ChangeRow>,
    /// Whether a second person decides here.
    pub by_two: bool,
}

/// A change in the list.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    /// Which.
    pub id: Uuid,
    /// Who made it.
    pub author: String,
    /// Where it came from.
    pub source: String,
    /// How many changes it makes.
    pub changes: i32,
    /// The first of them.
    pub first: String,
    /// `proposed`, `approved`, `applied`, `rejected`, `withdrawn` or `failed`.
    pub status: String,
    /// When it was made.
    pub submitted_at: DateTime<Utc>,
    /// When it takes effect, or took.
    pub effective_at: Option<DateTime<Utc>>,
    /// Who decided.
    pub approver: Option<String>,
}

/// One change with all that is known of it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which, and where it stands.
    pub row: ChangeRow,
    /// SHA-256 of the whole set as it is to be, hex.
    pub digest: String,
    /// What it changes.
    pub lines: Vec<DiffLine>,
    /// Which policy versions it made.
    pub versions: Vec<ChangedVersion>,
    /// When somebody decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// What they said.
    pub comment: Option<String>,
    /// Why it failed, or still waits.
    pub error: Option<String>,
    /// What it would have done; none: not known yet.
    pub weighed: Option<Weighed>,
    /// Whether that is being found out, now or soon.
    pub is_weighing: bool,
    /// How far that is, if it is known here: done, and of how many.
    pub progress: Option<(u64, u64)>,
    /// What the viewer may do.
    pub can: CanChange,
}

/// What a viewer may do with a change.
#[derive(Clone, Copy, Debug, Default)]
pub struct CanChange {
    /// Approve it.
    pub approve: bool,
    /// Reject it.
    pub reject: bool,
    /// Take it back.
    pub withdraw: bool,
    /// Why an administrator may not approve what is proposed.
    pub is_author: bool,
}

/// One thing that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    /// `new`, `changed` or `retired`.
    pub mark: &'static str,
    /// Which thing: `role orders-db/reader  Read-only`.
    pub title: String,
    /// What about it.
    pub details: Vec<String>,
}

/// The requests that would come out otherwise.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The change.
    pub id: Uuid,
    /// Only those that take this turn; empty: all.
    pub turn: String,
    /// Only of this role.
    pub role: Option<Uuid>,
    /// In order of time.
    pub rows: Vec<MovedRow>,
    /// Where the next page begins.
    pub next: Option<i32>,
    /// How many more there are that are not kept one by one.
    pub left_out: u64,
}

impl DiffLine {
    /// Whether this is its mark.
    pub fn is(&self, mark: &str) -> bool {
        self.mark == mark
    }

    /// Reads "~ role orders-db/reader  Read-only: risk: low -> elevated; …".
    pub fn of(line: &str) -> Self {
        let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mark = match sign {
            "+" => "new",
            "-" => "retired",
            _ => "changed",
        };
        let (title, details) = rest.split_once(": ").map_or((rest, ""), |(title, details)| (title, details));
        Self { mark, title: title.to_owned(), details: details.split("; ").filter(|part| !part.is_empty()).map(str::to_owned).collect() }
    }
}

/// A line without its details: "New: role orders-db/reader  Read-only".
fn in_short(line: &str) -> String {
    let line = DiffLine::of(line);
    let mark = match line.mark {
        "new" => "New",
        "retired" => "Retired",
        _ => "Changed",
    };
    format!("{mark}: {}", line.title)
}

impl Weighed {
    /// How many requests were decided again.
    pub fn all(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// How many requests take each turn: its word, how many, what becomes of them. What does not change comes last.
pub fn told(counts: &BTreeMap<String, u64>) -> Vec<(&'static str, u64, &'static str)> {
    Turn::ALL.iter().filter_map(|(_, word, said)| Some((*word, *counts.get(*word)?, *said))).collect()
}

/// Whoever applied it at the command line has no name.
fn named(name: Option<String>) -> String {
    name.unwrap_or_else(|| "an operator".into())
}

fn may_read(by: &By) -> Result<(), ServiceError> {
    if by.reads_everything() { Ok(()) } else { Err(ServiceError::Missing) }
}

/// Changes of the rules, for auditors and administrators; only those of `status` where it is one.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a cursor that is none of ours.
pub async fn changes(ctx: &Ctx, by: &By, status: &str, after: Option<&Cursor>) -> Result<Changes, ServiceError> {
    may_read(by)?;
    let status = STATES.into_iter().find(|known| *known == status);
    let after = after.map(Cursor::id).transpose()?;
    let listing = Listing::cut(policy_change::list(&ctx.db, status, after, PAGE as i64 + 1).await?, PAGE, |row| row.id);
    let rows = listing.rows.into_iter().map(|row| ChangeRow {
        id: row.id,
        author: named(row.author),
        source: row.source,
        changes: row.changes,
        first: row.first.as_deref().map(in_short).unwrap_or_default(),
        status: row.status,
        submitted_at: row.submitted_at,
        effective_at: row.effective_at,
        approver: row.approver,
    });
    let rows = Listing { rows: rows.collect(), next: listing.next };
    Ok(Changes { status: status.unwrap_or_default().into(), rows, by_two: ctx.changing.require_second_person })
}

/// One change, for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and where there is none.
pub async fn change(ctx: &Ctx, by: &By, id: Uuid) -> Result<Change, ServiceError> {
    may_read(by)?;
    let row = policy_change::by_id(&ctx.db, id).await?.ok_or(ServiceError::Missing)?;
    let versions = policy_change::versions(&ctx.db, id).await?;
    let (is_author, open) = (row.author_id == Some(by.person.0), matches!(row.status.as_str(), "proposed" | "approved"));
    let can = CanChange {
        approve: by.is_administrator && !is_author && row.status == "proposed",
        reject: by.is_administrator && !is_author && open,
        withdraw: by.is_administrator && is_author && open,
        is_author,
    };
    let weighed = row.whatif.as_deref().and_then(|text| serde_json::from_str(text).ok());
    Ok(Change {
        digest: row.digest,
        lines: row.changes.iter().map(|line| DiffLine::of(line)).collect(),
        versions,
        decided_at: row.decided_at,
        comment: row.comment,
        error: row.last_error,
        is_weighing: row.whatif.is_none() && open,
        weighed,
        progress: weigh::progress(ctx, id),
        can,
        row: ChangeRow {
            id,
            author: named(row.author),
            source: row.source,
            changes: i32::try_from(row.changes.len()).unwrap_or(i32::MAX),
            first: row.changes.first().map(|line| in_short(line)).unwrap_or_default(),
            status: row.status,
            submitted_at: row.submitted_at,
            effective_at: row.effective_at,
            approver: row.approver,
        },
    })
}

/// The whole set that a change proposes, as TOML, for auditors and administrators.
///
/// # Errors
/// As [`change`].
pub async fn body(ctx: &Ctx, by: &By, id: Uuid) -> Result<String, ServiceError> {
    may_read(by)?;
    Ok(policy_change::by_id(&ctx.db, id).await?.ok_or(ServiceError::Missing)?.body)
}

/// The stored requests that would come out otherwise under a change, a page at a time.
///
/// # Errors
/// As [`change`].
pub async fn moved(ctx: &Ctx, by: &By, id: Uuid, turn: &str, role: Option<Uuid>, after: i32) -> Result<Moved, ServiceError> {
    let change = change(ctx, by, id).await?;
    let turn = Turn::ALL.iter().map(|(_, word, _)| *word).find(|word| *word == turn);
    let mut rows = policy_change_weigh::moved(&ctx.db, id, turn, role, after, PAGE as i64 + 1).await?;
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = rows.last().filter(|_| more).map(|row| row.position);
    Ok(Moved { id, turn: turn.unwrap_or_default().into(), role, rows, next, left_out: change.weighed.map_or(0, |weighed| weighed.left_out) })
}

/// How many changes wait for somebody to decide.
///
/// # Errors
/// When the database fails.
pub async fn waiting(ctx: &Ctx) -> Result<i64, ServiceError> {
    Ok(policy_change::proposed(&ctx.db).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_change_is_taken_apart() {
        let line = DiffLine::of("~ role orders-db/reader  Read-only: risk: low -> elevated; owner: a -> b");
        assert_eq!((line.mark, line.title.as_str()), ("changed", "role orders-db/reader  Read-only"));
        assert_eq!(line.details, ["risk: low -> elevated", "owner: a -> b"]);
        assert_eq!(DiffLine::of("- policy old v2").mark, "retired");
        assert_eq!(DiffLine::of("").title, "");
    }

    #[test]
    fn counts_are_told_in_the_order_of_weight() {
        let counts = BTreeMap::from([("unchanged".to_owned(), 9), ("refused".to_owned(), 2)]);
        assert_eq!(told(&counts), [("refused", 2, "would be refused"), ("unchanged", 9, "unchanged")]);
    }
}
