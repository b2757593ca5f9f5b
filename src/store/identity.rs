//! Who of the directory stands behind a sign-in.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::PersonId;

use super::db::{Db, Tx};
use super::error::StoreError;

/// The person an identity was linked to.
#[derive(Clone, Debug, FromRow)]
pub struct Linked {
    /// The person.
    pub person_id: Uuid,
    /// Key of their directory.
    pub directory: String,
    /// Their immutable id there.
    pub reference: String,
    /// Name for people.
    pub display_name: String,
    /// `active`, `disabled` or `gone`, as last seen.
    pub status: String,
}

/// The person that `subject` of `issuer` was linked to, if it was.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &Db, issuer: &str, subject: &str) -> Result<Option<Linked>, StoreError> {
    Ok(sqlx::query_as(
        "select p.id as person_id, p.directory, p.reference, p.display_name, p.status
         from identity i join person p on p.id = i.person_id where i.issuer = $1 and i.subject = $2",
    )
    .bind(issuer)
    .bind(subject)
    .fetch_optional(&db.pool)
    .await?)
}

/// Links for good. Returns whose it is now: `person`, unless another sign-in of the same identity was faster; none when `person` is
/// linked to another subject of this issuer already.
///
/// # Errors
/// When the database fails.
pub async fn link(tx: &mut Tx, issuer: &str, subject: &str, person: PersonId, now: DateTime<Utc>) -> Result<Option<(Uuid, bool)>, StoreError> {
    Ok(sqlx::query_as(
        "with fresh as (
           insert into identity (issuer, subject, person_id, linked_at) values ($1, $2, $3, $4) on conflict do nothing returning person_id
         )
         select person_id, true from fresh
         union all select person_id, false from identity where issuer = $1 and subject = $2 limit 1",
    )
    .bind(issuer)
    .bind(subject)
    .bind(person.0)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?)
}
