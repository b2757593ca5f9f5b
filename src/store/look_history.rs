//! What one approver has decided.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::list_role::pattern;

/// A decision and what it was about.
#[derive(Clone, Debug, FromRow)]
pub struct DecidedRow {
    /// The approval or denial.
    pub id: Uuid,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// `approve` or `deny`.
    pub verdict: String,
    /// What was written.
    pub comment: Option<String>,
    /// The length chosen, when shorter, in seconds.
    pub granted_s: Option<i64>,
    /// `web`, `api`, `cli`, ...
    pub channel: String,
    /// The step, counted from 1.
    pub step_no: i32,
    /// Its name.
    pub step: String,
    /// `self`, `delegate`, `escalation`, `reassigned` or `fallback`.
    pub acting_as: String,
    /// Name of whom the approver stood in for, or who had handed it on.
    pub acting_for: Option<String>,
    /// The request.
    pub request_id: Uuid,
    /// Where it stands now.
    pub status: String,
    /// Seconds asked for; none: without end.
    pub duration_s: Option<i64>,
    /// Who is to hold it.
    pub beneficiary: String,
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// Its risk.
    pub risk: String,
    /// The application's name.
    pub application: String,
    /// Name of the policy that governed.
    pub policy: Option<String>,
    /// Its version.
    pub policy_version: Option<i32>,
}

/// Narrows what was decided.
#[derive(Clone, Debug, Default)]
pub struct DecidedFilter {
    /// All of these words somewhere in beneficiary, role, application or comment.
    pub words: Vec<String>,
    /// Only this application.
    pub application: Option<Uuid>,
    /// Only `approve` or `deny`.
    pub verdict: Option<String>,
    /// Only where the approver stood in for somebody who was away.
    pub standing_in: bool,
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
}

/// What `person` decided, newest first, before the decision `before`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn decided(db: &Db, person: Uuid, filter: &DecidedFilter, before: Option<Uuid>, limit: i64) -> Result<Vec<DecidedRow>, StoreError> {
    let patterns: Vec<String> = filter.words.iter().map(|word| pattern(word)).collect();
    Ok(sqlx::query_as(
        "select d.id, d.decided_at, d.verdict, d.comment, d.granted_s, d.channel, d.step_no, st.name as step, w.acting_as, f.display_name as acting_for, d.request_id, r.status,
           r.duration_s, b.display_name as beneficiary, r.role_id, o.name as role, o.risk, a.name as application, v.name as policy, v.version as policy_version
         from approval d join request r on r.id = d.request_id join person b on b.id = d.beneficiary_id join role o on o.id = r.role_id join application a on a.id = r.application_id
         join request_step st on st.request_id = d.request_id and st.step_no = d.step_no
         join assignment w on w.request_id = d.request_id and w.step_no = d.step_no and w.slot_no = d.slot_no and w.person_id = d.decided_by
         left join person f on f.id = w.acting_for left join access_policy_version v on v.id = r.policy_version_id
         where d.decided_by = $1 and ($2::uuid is null or d.id < $2) and ($3::uuid is null or r.application_id = $3) and ($4::text is null or d.verdict = $4)
           and (not $5 or w.acting_as = 'delegate') and ($6::timestamptz is null or d.decided_at >= $6) and ($7::timestamptz is null or d.decided_at < $7)
           and (cardinality($8::text[]) = 0 or lower(concat_ws(' ', b.display_name, a.name, o.name, d.comment)) like all ($8))
         order by d.id desc limit $9",
    )
    .bind(person)
    .bind(before)
    .bind(filter.application)
    .bind(&filter.verdict)
    .bind(filter.standing_in)
    .bind(filter.from)
    .bind(filter.to)
    .bind(patterns)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// Applications that `person` decided about, by name.
///
/// # Errors
/// When the database fails.
pub async fn applications(db: &Db, person: Uuid) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(sqlx::query_as(
        "select id, name from application where id in (select r.application_id from approval d join request r on r.id = d.request_id where d.decided_by = $1) order by name, id",
    )
    .bind(person)
    .fetch_all(&db.pool)
    .await?)
}
