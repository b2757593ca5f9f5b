//! Names and ids as people search and choose them.

use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::look_log::Eyes;

/// What a searched text can mean.
#[derive(Clone, Debug, FromRow)]
pub struct Meant {
    /// `person`, `role`, `application` or `request`.
    pub what: String,
    /// Its id.
    pub id: Uuid,
}

/// People, roles and applications with `text` in their name (at most `limit` of each), where people are also known by the beginning
/// of login name or address; `text` in lower case, at least one character.
///
/// # Errors
/// When the database fails.
pub async fn named(db: &Db, text: &str, limit: i64) -> Result<Vec<Meant>, StoreError> {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    Ok(sqlx::query_as(
        "(select 'person' as what, id from person where lower(display_name) like '%' || $1 || '%' or lower(user_name) like $1 || '%' or lower(email) like $1 || '%' limit $2)
         union all (select 'role', r.id from role r join application a on a.id = r.application_id where lower(r.name) like '%' || $1 || '%'
           or lower(a.name || ' ' || r.name) like '%' || $1 || '%' and lower(a.name) not like '%' || $1 || '%' limit $2)
         union all (select 'application', id from application where lower(name) like '%' || $1 || '%' or key = $1 limit $2)",
    )
    .bind(escaped)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// What an id is the id of.
///
/// # Errors
/// When the database fails.
pub async fn identified(db: &Db, id: Uuid) -> Result<Vec<Meant>, StoreError> {
    Ok(sqlx::query_as(
        "select 'person' as what, id from person where id = $1 union all select 'role', id from role where id = $1
         union all select 'application', id from application where id = $1 union all select 'request', id from request where id = $1
         union all select 'request', request_id from access_grant where id = $1",
    )
    .bind(id)
    .fetch_all(&db.pool)
    .await?)
}

/// A choice of a filter.
#[derive(Clone, Debug, FromRow)]
pub struct ChoiceRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
}

/// Applications to choose from, by name, at most 500: all of them, or those in which `owner` owns something.
///
/// # Errors
/// When the database fails.
pub async fn applications(db: &Db, owner: Option<Uuid>) -> Result<Vec<ChoiceRow>, StoreError> {
    Ok(sqlx::query_as(
        "select a.id, a.name from application a, (select $1::uuid as owner offset 0) who
         where who.owner is null or a.owner_id = who.owner or exists (select 1 from role r where r.application_id = a.id and r.owner_id = who.owner)
         order by a.name, a.id limit 500",
    )
    .bind(owner)
    .fetch_all(&db.pool)
    .await?)
}

/// Roles of an application to choose from, by name, at most 500: all of them, or those that `owner` owns.
///
/// # Errors
/// When the database fails.
pub async fn roles(db: &Db, application: Uuid, owner: Option<Uuid>) -> Result<Vec<ChoiceRow>, StoreError> {
    Ok(sqlx::query_as(
        "select r.id, r.name from role r join application a on a.id = r.application_id where r.application_id = $1 and ($2::uuid is null or r.owner_id = $2 or a.owner_id = $2)
         order by r.name, r.id limit 500",
    )
    .bind(application)
    .bind(owner)
    .fetch_all(&db.pool)
    .await?)
}

/// Roles and applications that `person` owns, at most 1,000 of each.
///
/// # Errors
/// When the database fails.
pub async fn owned(db: &Db, person: Uuid) -> Result<Eyes, StoreError> {
    let (roles, applications): (Vec<Uuid>, Vec<Uuid>) = sqlx::query_as(
        "select array(select id from role where owner_id = $1 order by id limit 1000), array(select id from application where owner_id = $1 order by id limit 1000)",
    )
    .bind(person)
    .fetch_one(&db.pool)
    .await?;
    Ok(Eyes { person, roles, applications })
}

/// These roles with the names of their applications ("Ledger clerk"), retired ones too, by name.
///
/// # Errors
/// When the database fails.
pub async fn of_roles(db: &Db, ids: &[Uuid]) -> Result<Vec<ChoiceRow>, StoreError> {
    Ok(sqlx::query_as(
        "select r.id, a.name || ' ' || r.name as name from role r join application a on a.id = r.application_id where r.id = any($1) order by 2, 1",
    )
    .bind(ids)
    .fetch_all(&db.pool)
    .await?)
}
