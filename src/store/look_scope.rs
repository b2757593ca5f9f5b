//! What evidence can be narrowed to, by name.

use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// Names of what is narrowed to; none where an id is of nothing.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct NamesRow {
    /// The application's.
    pub application: Option<String>,
    /// The role's, with its application.
    pub role: Option<String>,
    /// The role's application.
    pub role_application: Option<Uuid>,
    /// The person's.
    pub person: Option<String>,
}

/// The names of these.
///
/// # Errors
/// When the database fails.
pub async fn names(db: &Db, application: Option<Uuid>, role: Option<Uuid>, person: Option<Uuid>) -> Result<NamesRow, StoreError> {
    Ok(sqlx::query_as(
        "select (select name from application where id = $1) as application,
           (select a.name || ' ' || r.name from role r join application a on a.id = r.application_id where r.id = $2) as role,
           (select application_id from role where id = $2) as role_application, (select display_name from person where id = $3) as person",
    )
    .bind(application)
    .bind(role)
    .bind(person)
    .fetch_one(&db.pool)
    .await?)
}

/// What a text can mean.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct MeantRow {
    /// `person`, `role` or `application`.
    pub what: String,
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What tells it from others of that name.
    pub beside: Option<String>,
}

/// People, roles and applications called something like `text` (in lower case), or with that id; at most `limit` of each, by name.
///
/// # Errors
/// When the database fails.
pub async fn meant(db: &Db, text: &str, limit: i64) -> Result<Vec<MeantRow>, StoreError> {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    Ok(sqlx::query_as(
        "(select 'person' as what, id, display_name as name, concat_ws(', ', department, nullif(user_name, '')) as beside from person
            where lower(display_name) like '%' || $1 || '%' or lower(user_name) like $1 || '%' or lower(email) like $1 || '%' or id = $3 order by display_name, id limit $2)
         union all (select 'role', r.id, a.name || ' ' || r.name, null from role r join application a on a.id = r.application_id
            where lower(r.name) like '%' || $1 || '%' or lower(a.name || ' ' || r.name) like '%' || $1 || '%' and lower(a.name) not like '%' || $1 || '%' or r.id = $3 order by 3, 2 limit $2)
         union all (select 'application', id, name, null from application where lower(name) like '%' || $1 || '%' or key = $1 or id = $3 order by name, id limit $2)",
    )
    .bind(escaped)
    .bind(limit)
    .bind(Uuid::try_parse(text).ok())
    .fetch_all(&db.pool)
    .await?)
}
