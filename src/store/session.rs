//! Signed-in browsers, and sign-ins that are under way.
//!
//! Cookies are kept as SHA-256 only. Times that decide are parameters.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::{PersonId, SessionId};

use super::db::{Db, Tx};
use super::error::StoreError;

/// A sign-in that went to the provider and is to come back.
#[derive(Clone, Debug, FromRow)]
pub struct Attempt {
    /// Must be in the ID token.
    pub nonce: String,
    /// Goes with the code.
    pub pkce_verifier: String,
    /// Where the person wanted to go: a path of ours.
    pub next: String,
}

/// Keeps an attempt, and forgets those whose time is over.
///
/// # Errors
/// When the database fails.
pub async fn begin(db: &Db, state: &[u8; 32], browser: &[u8; 32], attempt: &Attempt, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "with over as (
           delete from sign_in_attempt where state_hash in (select state_hash from sign_in_attempt where expires_at < $6 order by expires_at limit 20)
         )
         insert into sign_in_attempt (state_hash, browser_hash, nonce, pkce_verifier, next, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(state.as_slice())
    .bind(browser.as_slice())
    .bind(&attempt.nonce)
    .bind(&attempt.pkce_verifier)
    .bind(&attempt.next)
    .bind(now)
    .bind(expires_at)
    .execute(&db.pool)
    .await?;
    Ok(())
}

/// Takes an attempt: only the browser that began it can, only once, only in time.
///
/// # Errors
/// When the database fails.
pub async fn take(db: &Db, state: &[u8; 32], browser: &[u8; 32], now: DateTime<Utc>) -> Result<Option<Attempt>, StoreError> {
    Ok(sqlx::query_as("delete from sign_in_attempt where state_hash = $1 and browser_hash = $2 and expires_at > $3 returning nonce, pkce_verifier, next")
        .bind(state.as_slice())
        .bind(browser.as_slice())
        .bind(now)
        .fetch_optional(&db.pool)
        .await?)
}

/// A session to be kept.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// SHA-256 of the cookie.
    pub token_hash: [u8; 32],
    /// Whose it is.
    pub person: PersonId,
    /// Who vouched.
    pub issuer: String,
    /// For which subject.
    pub subject: String,
    /// The provider's session.
    pub sid: Option<String>,
    /// For signing out at the provider.
    pub id_token: Option<String>,
    /// When the person proved who they are.
    pub auth_time: Option<DateTime<Utc>>,
    /// Ends when unused until then.
    pub idle_until: DateTime<Utc>,
    /// Ends then in any case.
    pub expires_at: DateTime<Utc>,
    /// The browser, as it calls itself.
    pub user_agent: Option<String>,
    /// Where it called from.
    pub address: Option<String>,
}

/// Keeps a session.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, session: &NewSession, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into session (id, token_hash, person_id, issuer, subject, sid, id_token, auth_time, created_at, seen_at, idle_until, expires_at, user_agent, address)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12, $13)",
    )
    .bind(session.id.0)
    .bind(session.token_hash.as_slice())
    .bind(session.person.0)
    .bind(&session.issuer)
    .bind(&session.subject)
    .bind(&session.sid)
    .bind(&session.id_token)
    .bind(session.auth_time)
    .bind(now)
    .bind(session.idle_until)
    .bind(session.expires_at)
    .bind(&session.user_agent)
    .bind(&session.address)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A live session, its person and what they may do: everything a request needs, from one query.
#[derive(Clone, Debug, FromRow)]
pub struct Held {
    /// The session.
    pub session_id: Uuid,
    /// Whose it is.
    pub person_id: Uuid,
    /// Key of their directory.
    pub directory: String,
    /// Their immutable id there.
    pub reference: String,
    /// Login name there.
    pub user_name: String,
    /// Name for people.
    pub display_name: String,
    /// Address.
    pub email: Option<String>,
    /// Is in a group of administrators.
    pub is_administrator: bool,
    /// Is in a group of auditors.
    pub is_auditor: bool,
    /// Was ever asked to approve.
    pub is_approver: bool,
    /// Requests that wait for them.
    pub queue_count: i64,
    /// Reviews of emergencies that they owe.
    pub reviews: i64,
    /// What they were told and have not put aside.
    pub notices: i64,
    /// When the session began.
    pub created_at: DateTime<Utc>,
    /// When it was last noted as used; at most a minute behind.
    pub seen_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
    /// When the person proved who they are.
    pub auth_time: Option<DateTime<Utc>>,
}

/// The session with this cookie, if it is still good at `now` and its person is active. The groups are directories
/// and references; they count for people of that directory, when seen in it after `stale`.
///
/// # Errors
/// When the database fails.
pub async fn held(
    db: &Db,
    token: &[u8; 32],
    (now, stale): (DateTime<Utc>, DateTime<Utc>),
    administrators: &[(String, String)],
    auditors: &[(String, String)],
) -> Result<Option<Held>, StoreError> {
    let halves = |groups: &[(String, String)]| -> (Vec<String>, Vec<String>) { groups.iter().cloned().unzip() };
    let ((administrators_of, administrators), (auditors_of, auditors)) = (halves(administrators), halves(auditors));
    Ok(sqlx::query_as(
        "select s.id as session_id, p.id as person_id, p.directory, p.reference, p.user_name, p.display_name, p.email,
           p.seen_at > $5 and exists (select 1 from unnest($6::text[], $3::text[]) as g (directory, reference) where g.directory = p.directory and g.reference = any(p.groups)) as is_administrator,
           p.seen_at > $5 and exists (select 1 from unnest($7::text[], $4::text[]) as g (directory, reference) where g.directory = p.directory and g.reference = any(p.groups)) as is_auditor,
           exists (select 1 from assignment a where a.person_id = p.id) as is_approver,
           (select count(distinct a.request_id) from assignment a where a.person_id = p.id and a.open) as queue_count,
           (select count(*) from emergency_reviewer w join emergency_review v on v.request_id = w.request_id where w.person_id = p.id and v.reviewed_at is null) as reviews,
           (select count(*) from notice n where n.person_id = p.id and n.seen_at is null) as notices,
           s.created_at, s.seen_at, s.expires_at, s.auth_time
         from session s join person p on p.id = s.person_id
         where s.token_hash = $1 and s.expires_at > $2 and s.idle_until > $2 and p.status = 'active'",
    )
    .bind(token.as_slice())
    .bind(now)
    .bind(administrators)
    .bind(auditors)
    .bind(stale)
    .bind(administrators_of)
    .bind(auditors_of)
    .fetch_optional(&db.pool)
    .await?)
}

/// Notes a use.
///
/// # Errors
/// When the database fails.
pub async fn touch(db: &Db, id: SessionId, now: DateTime<Utc>, idle_until: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update session set seen_at = $2, idle_until = least($3, expires_at) where id = $1 and seen_at < $2")
        .bind(id.0)
        .bind(now)
        .bind(idle_until)
        .execute(&db.pool)
        .await?;
    Ok(())
}

/// A session that was ended.
#[derive(Clone, Debug, FromRow)]
pub struct Ended {
    /// The session.
    pub id: Uuid,
    /// Whose it was.
    pub person_id: Uuid,
    /// Their name.
    pub display_name: String,
    /// For signing out at the provider.
    pub id_token: Option<String>,
}

/// Ends the session with this cookie.
///
/// # Errors
/// When the database fails.
pub async fn end_by_token(tx: &mut Tx, token: &[u8; 32]) -> Result<Option<Ended>, StoreError> {
    Ok(sqlx::query_as(
        "with gone as (delete from session where token_hash = $1 returning id, person_id, id_token)
         select gone.id, gone.person_id, p.display_name, gone.id_token from gone join person p on p.id = gone.person_id",
    )
    .bind(token.as_slice())
    .fetch_optional(&mut **tx)
    .await?)
}

/// Ends sessions of one person: `only` this one, or all but `except`, or (with neither) all.
///
/// # Errors
/// When the database fails.
pub async fn end_of_person(tx: &mut Tx, person: PersonId, only: Option<SessionId>, except: Option<SessionId>) -> Result<Vec<Ended>, StoreError> {
    Ok(sqlx::query_as(
        "with gone as (
           delete from session where person_id = $1 and ($2::uuid is null or id = $2) and ($3::uuid is null or id <> $3) returning id, person_id, id_token
         )
         select gone.id, gone.person_id, p.display_name, gone.id_token from gone join person p on p.id = gone.person_id",
    )
    .bind(person.0)
    .bind(only.map(|id| id.0))
    .bind(except.map(|id| id.0))
    .fetch_all(&mut **tx)
    .await?)
}

/// Ends sessions that began with a sign-in at `issuer`: that of its session `sid`, of `subject` where one is given, and with a subject
/// those whose session at the provider is not known; without `sid` all of `subject`.
///
/// # Errors
/// When the database fails.
pub async fn end_at_provider(tx: &mut Tx, issuer: &str, sid: Option<&str>, subject: Option<&str>) -> Result<Vec<Ended>, StoreError> {
    Ok(sqlx::query_as(
        "with gone as (
           delete from session where issuer = $1 and ($3::text is null or subject = $3)
             and case when $2::text is null then $3::text is not null else sid = $2 or (sid is null and $3::text is not null) end
           returning id, person_id, id_token
         )
         select gone.id, gone.person_id, p.display_name, gone.id_token from gone join person p on p.id = gone.person_id",
    )
    .bind(issuer)
    .bind(sid)
    .bind(subject)
    .fetch_all(&mut **tx)
    .await?)
}

/// Notes that a logout token was taken; false when it was before. `until`: when no such token could be good any more.
///
/// # Errors
/// When the database fails.
pub async fn take_logout_token(tx: &mut Tx, issuer: &str, jti: &[u8; 32], until: DateTime<Utc>) -> Result<bool, StoreError> {
    let taken = sqlx::query("insert into logout_token (issuer, jti_hash, expires_at) values ($1, $2, $3) on conflict do nothing")
        .bind(issuer)
        .bind(jti.as_slice())
        .bind(until)
        .execute(&mut **tx)
        .await?;
    Ok(taken.rows_affected() == 1)
}

/// A session in its person's list.
#[derive(Clone, Debug, FromRow)]
pub struct Listed {
    /// Its id.
    pub id: Uuid,
    /// The browser, as it calls itself.
    pub user_agent: Option<String>,
    /// Where it called from when it began.
    pub address: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub seen_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
}

/// A person's live sessions, latest use first, at most 100.
///
/// # Errors
/// When the database fails.
pub async fn of_person(db: &Db, person: PersonId, now: DateTime<Utc>) -> Result<Vec<Listed>, StoreError> {
    Ok(sqlx::query_as(
        "select id, user_agent, address, created_at, seen_at, expires_at from session
         where person_id = $1 and expires_at > $2 and idle_until > $2 order by seen_at desc, id limit 100",
    )
    .bind(person.0)
    .bind(now)
    .fetch_all(&db.pool)
    .await?)
}
