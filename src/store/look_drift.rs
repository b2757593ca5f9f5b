//! Drift, listed for who may see it.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// How the list is narrowed. Empty words narrow nothing.
#[derive(Clone, Debug, Default)]
pub struct DriftFilter {
    /// Part of a person's name or login, of a group's name, or of a role's.
    pub q: String,
    /// `unexpected_member`, `missing_member` or `unknown_target`.
    pub kind: String,
    /// Key of the directory.
    pub directory: String,
    /// Settled ones instead of those that are open.
    pub settled: bool,
}

/// A drift as it is listed.
#[derive(Clone, Debug, FromRow)]
pub struct DriftListed {
    /// Its id.
    pub id: Uuid,
    /// Key of the directory.
    pub directory: String,
    /// The group's reference.
    pub group_reference: String,
    /// The group's name when the catalog was applied, or its reference.
    pub group_name: String,
    /// The person's reference.
    pub person_reference: String,
    /// The person, if known.
    pub person_id: Option<Uuid>,
    /// Their name.
    pub person: Option<String>,
    /// Their login.
    pub user_name: Option<String>,
    /// `unexpected_member`, `missing_member` or `unknown_target`.
    pub kind: String,
    /// Name of the inner group by which the person is a member.
    pub through_name: Option<String>,
    /// When it was found.
    pub detected_at: DateTime<Utc>,
    /// What was done: `alerted`, `removed`, `adopted` or `ignored`.
    pub action: String,
    /// The request that is to adopt it.
    pub request_id: Option<Uuid>,
    /// That request's status.
    pub request_status: Option<String>,
    /// When that request was found closed without a grant.
    pub adoption_over_at: Option<DateTime<Utc>>,
    /// When its removal was ordered.
    pub removal_asked_at: Option<DateTime<Utc>>,
    /// By whom; none: by the rule of the role.
    pub removal_asked_by: Option<String>,
    /// What came of trying to adopt it.
    pub note: Option<String>,
    /// What the directory said last to the removal.
    pub removal_error: Option<String>,
    /// When it was settled.
    pub resolved_at: Option<DateTime<Utc>>,
    /// How.
    pub resolution: Option<String>,
    /// By whom.
    pub resolved_by: Option<String>,
    /// Why it is left alone, if it is now.
    pub exception_reason: Option<String>,
    /// Who answers for that.
    pub exception_owner: Option<String>,
    /// Until when.
    pub exception_until: Option<DateTime<Utc>>,
    /// The offered roles that the group gives.
    pub roles: Vec<Uuid>,
    /// Their names, with their applications'.
    pub role_titles: Vec<String>,
    /// What each does about members without a grant.
    pub rules: Vec<String>,
    /// Whether `viewer` owns one of them, or its application.
    pub owned: bool,
}

/// The columns of [`DriftListed`], seen from $1, with the rest of the statement.
macro_rules! listed {
    ($rest:literal) => {
        concat!(
            "select d.id, d.directory, d.group_reference, coalesce(g.name, d.group_reference) as group_name, d.person_reference, d.person_id, p.display_name as person, p.user_name, d.kind,
               d.through_name, d.detected_at, d.action, d.request_id, q.status as request_status, d.adoption_over_at, d.removal_asked_at,
               (select n.display_name from person n where n.id = d.removal_asked_by) as removal_asked_by, d.note,
               case when d.removal_asked_at is not null then (select t.last_error from target t where t.directory = d.directory and t.person_reference = d.person_reference
                 and t.group_reference = d.group_reference) end as removal_error,
               d.resolved_at, d.resolution, (select n.display_name from person n where n.id = d.resolved_by) as resolved_by,
               x.reason as exception_reason, (select n.display_name from person n where n.id = x.owner_id) as exception_owner, x.ends_at as exception_until,
               coalesce(g.roles, '{}') as roles, coalesce(g.titles, '{}') as role_titles, coalesce(g.rules, '{}') as rules, coalesce(g.owned, false) as owned
             from drift d left join person p on p.id = d.person_id left join request q on q.id = d.request_id
             left join drift_exception x on x.drift_id = d.id and x.ended_at is null
             cross join lateral (
               select max(r.group_name) as name, array_agg(r.id order by r.id) filter (where r.offered) as roles, array_agg(r.title order by r.id) filter (where r.offered) as titles,
                 array_agg(r.drift order by r.id) filter (where r.offered) as rules, bool_or(r.offered and $1 in (r.owner_id, r.application_owner_id)) as owned
               from (select r.id, r.group_name, a.name || ' ' || r.name as title, r.drift, r.owner_id, a.owner_id as application_owner_id,
                       r.retired_at is null and a.retired_at is null as offered
                     from role r join application a on a.id = r.application_id where r.directory = d.directory and r.group_reference = d.group_reference) r) g ",
            $rest
        )
    };
}

/// Drifts in the eyes of `viewer`, newest first, after the one `after`, at most `limit`: all of them for who reads everything, else those of
/// groups that give a role of theirs.
///
/// # Errors
/// When the database fails.
pub async fn page(db: &Db, viewer: Uuid, everything: bool, filter: &DriftFilter, after: Option<Uuid>, limit: i64) -> Result<Vec<DriftListed>, StoreError> {
    Ok(sqlx::query_as(listed!(
        "where ($2 or g.owned) and (d.resolved_at is not null) = $3 and ($4 = '' or d.kind = $4) and ($5 = '' or d.directory = $5)
           and ($6 = '' or strpos(lower(concat_ws(' ', p.display_name, p.user_name, p.email, d.person_reference, g.name, d.group_reference, array_to_string(g.titles, ' '))), lower($6)) > 0)
           and ($7::uuid is null or d.id < $7)
         order by d.id desc limit $8"
    ))
    .bind(viewer)
    .bind(everything)
    .bind(filter.settled)
    .bind(&filter.kind)
    .bind(&filter.directory)
    .bind(&filter.q)
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// One drift in the eyes of `viewer`.
///
/// # Errors
/// When the database fails.
pub async fn one(db: &Db, viewer: Uuid, everything: bool, id: Uuid) -> Result<Option<DriftListed>, StoreError> {
    Ok(sqlx::query_as(listed!("where ($2 or g.owned) and d.id = $3")).bind(viewer).bind(everything).bind(id).fetch_optional(&db.pool).await?)
}

/// A group in which nothing more is done by itself.
#[derive(Clone, Debug, FromRow)]
pub struct StoppedRow {
    /// Its id.
    pub id: Uuid,
    /// Key of the directory.
    pub directory: String,
    /// Its name when the catalog was applied, or its reference.
    pub group_name: String,
    /// `many` or `shrunk`.
    pub why: String,
    /// How many people that is about.
    pub people: i32,
    /// How many members it had when it was last believed.
    pub members: i32,
    /// Since when.
    pub stopped_at: DateTime<Utc>,
}

/// Groups in which nothing more is done by itself, oldest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn stopped(db: &Db, limit: i64) -> Result<Vec<StoppedRow>, StoreError> {
    Ok(sqlx::query_as(
        "select m.id, m.directory, coalesce((select r.group_name from role r where r.directory = m.directory and r.group_reference = m.group_reference order by r.id limit 1), m.group_reference) as group_name,
           m.stopped_why as why, m.stopped_people as people, m.members, m.stopped_at
         from managed_group m where m.stopped_at is not null order by m.stopped_at, m.id limit $1",
    )
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}
