//! What the viewer has decided, and what became of it.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_history::{self, DecidedFilter, DecidedRow};

use super::catalog::words;
use super::log::LogFilter;
use super::request::how_asked;
use super::shared::{Choice, Cursor, Listing, RoleName};

/// Decisions of a page.
const PAGE: usize = 50;

/// What the history is narrowed to. Empty words narrow nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Words, as typed.
    pub q: String,
    /// An application.
    pub application: Option<Uuid>,
    /// `approve`, `deny`, or nothing for both.
    pub verdict: String,
    /// Only where the viewer stood in for somebody who was away.
    pub standing_in: bool,
    /// First day (UTC), inclusive.
    pub from: Option<NaiveDate>,
    /// Last day (UTC), inclusive.
    pub to: Option<NaiveDate>,
}

impl HistoryFilter {
    /// Whether anything is narrowed.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// As the database takes it.
    pub(in crate::service) fn narrowed(&self) -> DecidedFilter {
        let period = LogFilter { from: self.from, to: self.to, ..LogFilter::default() };
        DecidedFilter {
            words: words(&self.q),
            application: self.application,
            verdict: Some(self.verdict.clone()).filter(|verdict| !verdict.is_empty()),
            standing_in: self.standing_in,
            from: period.begins(),
            to: period.ends(),
        }
    }
}

/// Decisions of the viewer.
#[derive(Clone, Debug)]
pub struct History {
    /// What it is narrowed to.
    pub filter: HistoryFilter,
    /// The applications to choose from.
    pub applications: Vec<Choice>,
    /// The decisions, newest first.
    pub rows: Listing<HistoryRow>,
}

/// A decision and what it was about.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// When.
    pub at: DateTime<Utc>,
    /// `approve` or `deny`.
    pub verdict: String,
    /// What was written.
    pub comment: Option<String>,
    /// The length chosen, when shorter than asked for.
    pub granted_s: Option<i64>,
    /// The length asked for; `None` for no end.
    pub requested_s: Option<i64>,
    /// Through which door, when not on a page.
    pub channel: Option<String>,
    /// The step, counted from 1.
    pub step_no: i32,
    /// Its name.
    pub step: String,
    /// How the viewer came to be asked, when not by the step's source (`for Mara Voss, who is away`).
    pub how: Option<String>,
    /// The request.
    pub request: Uuid,
    /// Where it stands now.
    pub status: String,
    /// Who is to hold it.
    pub beneficiary: String,
    /// The role.
    pub role: RoleName,
    /// The policy that governed, with its version.
    pub policy: Option<String>,
}

/// What `by` has decided, own and in the place of others, narrowed, after a cursor.
///
/// # Errors
/// [`ServiceError::Missing`] for a cursor that is none; when the database fails.
pub async fn history(ctx: &Ctx, by: &By, filter: HistoryFilter, after: Option<&Cursor>) -> Result<History, ServiceError> {
    let before = after.map(Cursor::id).transpose()?;
    let narrowed = filter.narrowed();
    let (mut found, applications) =
        tokio::try_join!(look_history::decided(&ctx.db, by.person.0, &narrowed, before, PAGE as i64 + 1), look_history::applications(&ctx.db, by.person.0))?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let next = found.last().filter(|_| more).map(|last| Cursor::after(last.id));
    Ok(History {
        filter,
        applications: applications.into_iter().map(|(id, name)| Choice { value: id.to_string(), label: name }).collect(),
        rows: Listing { rows: found.into_iter().map(row_of).collect(), next },
    })
}

fn row_of(row: DecidedRow) -> HistoryRow {
    HistoryRow {
        at: row.decided_at,
        verdict: row.verdict,
        comment: row.comment,
        granted_s: row.granted_s,
        requested_s: row.duration_s,
        channel: Some(row.channel).filter(|channel| channel != Channel::Web.word()),
        step_no: row.step_no,
        step: row.step,
        how: how_asked(&row.acting_as, row.acting_for.as_deref()),
        request: row.request_id,
        status: row.status,
        beneficiary: row.beneficiary,
        role: RoleName { id: row.role_id, application: row.application, role: row.role, risk: row.risk },
        policy: row.policy.zip(row.policy_version).map(|(name, version)| format!("{name}, version {version}")),
    }
}
