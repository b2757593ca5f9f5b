//! Bearer tokens of the API; only their SHA-256 is kept.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::{PersonId, TokenId};

use super::db::{Db, Tx};
use super::error::StoreError;

/// A token to be written.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    /// Its id.
    pub id: TokenId,
    /// SHA-256 of the token's text.
    pub hash: &'a [u8; 32],
    /// Whose it is.
    pub person: PersonId,
    /// Its name.
    pub name: &'a str,
    /// Words of its scopes.
    pub scopes: &'a [&'static str],
    /// When it is made.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// A token's row, with its person.
#[derive(Clone, Debug, FromRow)]
pub struct TokenRow {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub person_id: Uuid,
    /// Their name now.
    pub person_name: String,
    /// `active`, `disabled` or `gone`.
    pub person_status: String,
    /// Key of their directory.
    pub person_directory: String,
    /// References of the groups seen last.
    pub person_groups: Vec<String>,
    /// When that was.
    pub person_seen_at: DateTime<Utc>,
    /// Its name.
    pub name: String,
    /// Words of its scopes.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The columns of [`TokenRow`], with the rest of the statement.
macro_rules! tokens {
    ($rest:literal) => {
        concat!(
            "select t.id, t.person_id, p.display_name as person_name, p.status as person_status, p.directory as person_directory, p.groups as person_groups, p.seen_at as person_seen_at, t.name, t.scopes, t.created_at, t.expires_at, t.last_used_at, t.revoked_at ",
            "from api_token t join person p on p.id = t.person_id ",
            $rest
        )
    };
}

/// Writes a token.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, new: &NewToken<'_>) -> Result<(), StoreError> {
    sqlx::query("insert into api_token (id, token_hash, person_id, name, scopes, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)")
        .bind(new.id.0)
        .bind(new.hash.as_slice())
        .bind(new.person.0)
        .bind(new.name)
        .bind(new.scopes)
        .bind(new.created_at)
        .bind(new.expires_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The token with this hash.
///
/// # Errors
/// When the database fails.
pub async fn by_hash(db: &Db, hash: &[u8; 32]) -> Result<Option<TokenRow>, StoreError> {
    Ok(sqlx::query_as(tokens!("where t.token_hash = $1")).bind(hash.as_slice()).fetch_optional(&db.pool).await?)
}

/// The token.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, id: TokenId) -> Result<Option<TokenRow>, StoreError> {
    Ok(sqlx::query_as(tokens!("where t.id = $1")).bind(id.0).fetch_optional(&db.pool).await?)
}

/// Tokens, newest first, after the one `after` where given, at most `limit`; of one person, or with `None` of everybody.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, person: Option<PersonId>, after: Option<Uuid>, limit: i64) -> Result<Vec<TokenRow>, StoreError> {
    Ok(sqlx::query_as(tokens!("where ($1::uuid is null or t.person_id = $1) and ($2::uuid is null or t.id < $2) order by t.id desc limit $3"))
        .bind(person.map(|p| p.0))
        .bind(after)
        .bind(limit)
        .fetch_all(&db.pool)
        .await?)
}

/// How many tokens of a person are neither expired nor revoked. The person's row is locked, so that the answer holds until the
/// transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn count_live(tx: &mut Tx, person: PersonId, now: DateTime<Utc>) -> Result<i64, StoreError> {
    sqlx::query("select 1 from person where id = $1 for update").bind(person.0).execute(&mut **tx).await?;
    Ok(sqlx::query_scalar("select count(*) from api_token where person_id = $1 and revoked_at is null and expires_at > $2")
        .bind(person.0)
        .bind(now)
        .fetch_one(&mut **tx)
        .await?)
}

/// Records a use, at most once in the time since `not_since`; true when it was recorded.
///
/// # Errors
/// When the database fails.
pub async fn used(tx: &mut Tx, id: TokenId, now: DateTime<Utc>, not_since: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query("update api_token set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at <= $3)")
        .bind(id.0)
        .bind(now)
        .bind(not_since)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Revokes what a person still has, and returns the names.
///
/// # Errors
/// When the database fails.
pub async fn revoke_of_person(tx: &mut Tx, person: PersonId, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar("update api_token set revoked_at = $2 where person_id = $1 and revoked_at is null returning name")
        .bind(person.0)
        .bind(now)
        .fetch_all(&mut **tx)
        .await?)
}

/// Revokes a token; false when it was revoked before.
///
/// # Errors
/// When the database fails.
pub async fn revoke(tx: &mut Tx, id: TokenId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query("update api_token set revoked_at = $2 where id = $1 and revoked_at is null").bind(id.0).bind(now).execute(&mut **tx).await?;
    Ok(done.rows_affected() > 0)
}
