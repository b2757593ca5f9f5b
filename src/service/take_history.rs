//! An approver takes their own decisions away as CSV.

use chrono::SecondsFormat;
use uuid::Uuid;

use crate::domain::event::{Event, Fact, Subject};
use crate::evidence::csv::{Mode, record};
use crate::store::event;
use crate::store::look_history::{self, DecidedFilter, DecidedRow};

use super::commit::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::look::history::HistoryFilter;

/// Rows of one piece.
const PIECE: i64 = 500;

/// The columns, in order. The words are those of approvals.csv.
const COLUMNS: [&str; 18] = [
    "decided_at",
    "decision",
    "request_id",
    "request_status",
    "beneficiary_name",
    "application",
    "role",
    "risk",
    "step_no",
    "step",
    "acting_as",
    "acting_for_name",
    "requested_duration_s",
    "granted_duration_s",
    "comment",
    "policy",
    "policy_version",
    "channel",
];

/// Decisions on their way, newest first.
pub struct Decisions {
    ctx: Ctx,
    person: Uuid,
    filter: DecidedFilter,
    at: At,
}

#[derive(Debug)]
enum At {
    Header,
    After(Option<Uuid>),
    End,
}

/// Starts the file of what `by` decided, narrowed; safe for spreadsheets. The taking is in the log before the first row leaves.
///
/// # Errors
/// When the database fails.
pub async fn take(ctx: &Ctx, by: &By, filter: &HistoryFilter) -> Result<Decisions, ServiceError> {
    let filters = if filter.any() { "own decisions, narrowed" } else { "own decisions" };
    let fact = Fact::EvidenceExported { file: "decisions.csv".into(), mode: Mode::Safe.word().into(), filters: filters.into() };
    let subject = Subject { person: Some(by.person), ..Subject::default() };
    let mut tx = ctx.db.begin().await?;
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject, fact }]).await?;
    commit(tx).await?;
    Ok(Decisions { ctx: ctx.clone(), person: by.person.0, filter: filter.narrowed(), at: At::Header })
}

impl Decisions {
    /// The next piece of the file; `None` at its end. After an error the file is not whole.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, ServiceError>> {
        let mut piece = Vec::new();
        let before = match self.at {
            At::Header => {
                record(COLUMNS.map(Some), Mode::Safe, &mut piece);
                self.at = At::After(None);
                return Some(Ok(piece));
            }
            At::After(before) => before,
            At::End => return None,
        };
        let rows = match look_history::decided(&self.ctx.db, self.person, &self.filter, before, PIECE).await {
            Ok(rows) => rows,
            Err(error) => {
                self.at = At::End;
                return Some(Err(error.into()));
            }
        };
        self.at = match rows.last() {
            Some(last) if rows.len() as i64 == PIECE => At::After(Some(last.id)),
            _ => At::End,
        };
        if rows.is_empty() {
            return None;
        }
        for row in &rows {
            write(row, &mut piece);
        }
        Some(Ok(piece))
    }
}

fn write(row: &DecidedRow, out: &mut Vec<u8>) {
    let (at, request, step_no) = (row.decided_at.to_rfc3339_opts(SecondsFormat::Micros, true), row.request_id.to_string(), row.step_no.to_string());
    let number = |value: Option<i64>| value.map(|value| value.to_string());
    let (asked, granted, version) = (number(row.duration_s), number(row.granted_s), row.policy_version.map(|version| version.to_string()));
    let cells = [
        Some(at.as_str()),
        Some(&row.verdict),
        Some(&request),
        Some(&row.status),
        Some(&row.beneficiary),
        Some(&row.application),
        Some(&row.role),
        Some(&row.risk),
        Some(&step_no),
        Some(&row.step),
        Some(&row.acting_as),
        row.acting_for.as_deref(),
        asked.as_deref(),
        granted.as_deref(),
        row.comment.as_deref(),
        row.policy.as_deref(),
        version.as_deref(),
        Some(&row.channel),
    ];
    record(cells, Mode::Safe, out);
}
