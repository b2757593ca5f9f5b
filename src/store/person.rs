//! People, as they were last seen in a directory.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::domain::id::PersonId;
use crate::domain::person::Named;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A person's row.
#[derive(Clone, Debug, FromRow)]
pub struct PersonRow {
    /// The id that stays.
    pub id: Uuid,
    /// Key of the directory.
    pub directory: String,
    /// The immutable id there.
    pub reference: String,
    /// Login name there.
    pub user_name: String,
    /// Address.
    pub email: Option<String>,
    /// Name for people.
    pub display_name: String,
    /// `active`, `disabled` or `gone`.
    pub status: String,
    /// Department.
    pub department: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// The manager's reference.
    pub manager_reference: Option<String>,
    /// References of the groups seen last.
    pub groups: Vec<String>,
}

impl PersonRow {
    /// To write into an event.
    pub fn named(&self) -> Named {
        Named { id: PersonId(self.id), name: self.display_name.clone(), email: self.email.clone() }
    }

    /// Whether the directory called them active when it was last asked.
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }
}

/// What a directory said of a person, to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Key of the directory.
    pub directory: String,
    /// The immutable id there.
    pub reference: String,
    /// Login name there.
    pub user_name: String,
    /// Address.
    pub email: Option<String>,
    /// Name for people.
    pub display_name: String,
    /// `active`, `disabled` or `gone`.
    pub status: &'static str,
    /// Department.
    pub department: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Employment type.
    pub employment_type: Option<String>,
    /// The manager's reference.
    pub manager_reference: Option<String>,
    /// Every attribute.
    pub attributes: Value,
    /// References of groups.
    pub groups: Vec<String>,
}

/// What [`upsert`] found.
#[derive(Clone, Debug, FromRow)]
pub struct Upserted {
    /// The person.
    pub id: Uuid,
    /// Their status before; none for somebody new.
    pub old_status: Option<String>,
    /// Whether anything but the time was new.
    pub changed: bool,
}

/// The columns of [`PersonRow`], with the rest of the statement. None of them is a column of a role as `catalog` selects it.
macro_rules! people {
    ($rest:literal) => {
        concat!("select id, directory, reference, user_name, email, display_name, status, department, title, manager_reference, groups from person ", $rest)
    };
}
pub(super) use people;

/// The row of `id`, if there is one.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, id: PersonId) -> Result<Option<PersonRow>, StoreError> {
    Ok(sqlx::query_as(people!("where id = $1")).bind(id.0).fetch_optional(&db.pool).await?)
}

/// The rows of `ids`, in no order.
///
/// # Errors
/// When the database fails.
pub async fn by_ids(db: &Db, ids: &[Uuid]) -> Result<Vec<PersonRow>, StoreError> {
    Ok(sqlx::query_as(people!("where id = any($1)")).bind(ids).fetch_all(&db.pool).await?)
}

/// The rows of `ids`, in no order, on a connection that is at hand. (Behind a subquery no length is known when it is planned, so that
/// one plan serves; Postgres would otherwise make one for each call, which takes longer than the reading.)
///
/// # Errors
/// When the database fails.
pub(super) async fn read(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<PersonRow>, StoreError> {
    Ok(sqlx::query_as(people!("where id = any((select $1::uuid[])::uuid[])")).bind(ids).fetch_all(connection).await?)
}

/// Names to write into an event, each person once, by id.
///
/// # Errors
/// When the database fails.
pub async fn names(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Named>, StoreError> {
    let rows: Vec<PersonRow> = sqlx::query_as(people!("where id = any($1) order by id")).bind(ids).fetch_all(&mut **tx).await?;
    Ok(rows.iter().map(PersonRow::named).collect())
}

/// The rows with one of `references` in `directory`, by name.
///
/// # Errors
/// When the database fails.
pub async fn by_references(db: &Db, directory: &str, references: &[String]) -> Result<Vec<PersonRow>, StoreError> {
    Ok(sqlx::query_as(people!("where directory = $1 and reference = any($2) order by display_name, id"))
        .bind(directory)
        .bind(references)
        .fetch_all(&db.pool)
        .await?)
}

/// Ids of those with one of `references` in `directory`, by reference.
///
/// # Errors
/// When the database fails.
pub async fn ids_by_reference(tx: &mut Tx, directory: &str, references: &[String]) -> Result<BTreeMap<String, PersonId>, StoreError> {
    let rows: Vec<(String, Uuid)> = sqlx::query_as("select reference, id from person where directory = $1 and reference = any($2)")
        .bind(directory)
        .bind(references)
        .fetch_all(&mut **tx)
        .await?;
    Ok(rows.into_iter().map(|(reference, id)| (reference, PersonId(id))).collect())
}

/// Notes at `now` that those of `seen`, people of `directory`, about whom nothing is new were seen again. Returns their ids and
/// references; the others are for [`upsert`].
///
/// # Errors
/// When the database fails.
pub async fn seen_again(tx: &mut Tx, directory: &str, seen: &[Seen], now: DateTime<Utc>) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(sqlx::query_as(
        "update person p set seen_at = $3 from jsonb_to_recordset($2) as s (reference text, user_name text, email text, display_name text, status text, department text, title text,
           employment_type text, manager_reference text, attributes jsonb, groups text[])
         where p.directory = $1 and p.reference = s.reference
           and (p.user_name, p.email, p.display_name, p.status, p.department, p.title, p.employment_type, p.manager_reference, p.attributes, p.groups)
             is not distinct from (s.user_name, s.email, s.display_name, s.status, s.department, s.title, s.employment_type, s.manager_reference, s.attributes, s.groups)
         returning p.id, p.reference",
    )
    .bind(directory)
    .bind(sqlx::types::Json(seen))
    .bind(now)
    .fetch_all(&mut **tx)
    .await?)
}

/// Somebody of whom something was new.
#[derive(Clone, Debug, FromRow)]
pub struct Changed {
    /// The person.
    pub id: Uuid,
    /// The immutable id in the directory.
    pub reference: String,
    /// Their status before; none for somebody new.
    pub old_status: Option<String>,
    /// Their attributes before.
    pub old_attributes: Option<Value>,
    /// Their manager's reference before.
    pub old_manager: Option<String>,
    /// References of their groups before.
    pub old_groups: Option<Vec<String>>,
    /// Whether anything but the time was new.
    pub changed: bool,
}

/// A row of [`upsert_many`]: the id for somebody new, and what was seen.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct New<'a> {
    /// Used for somebody new.
    pub id: PersonId,
    /// What was seen.
    #[serde(flatten)]
    pub seen: &'a Seen,
}

/// Keeps what was seen of people of `directory`, each once. With `still_active` whoever was active stays so, whatever is said now.
/// Who was erased stays so until they are active again. Returns everybody of `rows` with what was known before.
///
/// # Errors
/// When the database fails.
pub async fn upsert_many(tx: &mut Tx, directory: &str, rows: &[New<'_>], still_active: bool, now: DateTime<Utc>) -> Result<Vec<Changed>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as(
        "with seen as (
           select * from jsonb_to_recordset($2) as s (id uuid, reference text, user_name text, email text, display_name text, status text, department text, title text,
             employment_type text, manager_reference text, attributes jsonb, groups text[])
         ), s as (
           select s.id, s.reference, coalesce(e.user_name, s.user_name) as user_name, case when e.id is null then s.email end as email,
             coalesce(e.display_name, s.display_name) as display_name, s.status, case when e.id is null then s.department end as department,
             case when e.id is null then s.title end as title, case when e.id is null then s.employment_type end as employment_type,
             case when e.id is null then s.manager_reference end as manager_reference, case when e.id is null then s.attributes else '{}' end as attributes,
             case when e.id is null then s.groups else '{}' end as groups
           from seen s left join person e on e.directory = $1 and e.reference = s.reference and e.display_name = '(erased)' and s.status <> 'active'
         ), old as (
           select p.reference, p.status, p.attributes, p.manager_reference, p.groups,
             (p.user_name, p.email, p.display_name, p.status, p.department, p.title, p.employment_type, p.manager_reference, p.attributes, p.groups)
               is distinct from (s.user_name, s.email, s.display_name, s.status, s.department, s.title, s.employment_type, s.manager_reference, s.attributes, s.groups) as changed
           from person p join s on s.reference = p.reference where p.directory = $1 order by p.reference for no key update of p
         ), fresh as (
           insert into person (id, directory, reference, user_name, email, display_name, status, department, title, employment_type, manager_reference, attributes, groups, seen_at)
           select s.id, $1, s.reference, s.user_name, s.email, s.display_name, s.status, s.department, s.title, s.employment_type, s.manager_reference, s.attributes, s.groups, $4
           from s cross join (select count(*) from old) as read_before_it_changes order by s.reference
           on conflict (directory, reference) do update set user_name = excluded.user_name, email = excluded.email, display_name = excluded.display_name,
             status = case when $3 and person.status = 'active' then 'active' else excluded.status end, department = excluded.department, title = excluded.title,
             employment_type = excluded.employment_type, manager_reference = excluded.manager_reference, attributes = excluded.attributes, groups = excluded.groups,
             seen_at = excluded.seen_at
           returning id, reference
         )
         select fresh.id, fresh.reference, old.status as old_status, old.attributes as old_attributes, old.manager_reference as old_manager, old.groups as old_groups,
           coalesce(old.changed, true) as changed from fresh left join old on old.reference = fresh.reference",
    )
    .bind(directory)
    .bind(sqlx::types::Json(rows))
    .bind(still_active)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?)
}

/// Keeps what was seen; `new_id` is used for somebody new. Who was erased stays so until they are active again. A row that says the same already is left alone, its time apart.
///
/// # Errors
/// When the database fails.
pub async fn upsert(tx: &mut Tx, new_id: PersonId, seen: &Seen, now: DateTime<Utc>) -> Result<Upserted, StoreError> {
    Ok(sqlx::query_as(
        "with s as (
           select coalesce(e.user_name, $4::text) as user_name, case when e.id is null then $5::text end as email, coalesce(e.display_name, $6::text) as display_name, $7::text as status,
             case when e.id is null then $8::text end as department, case when e.id is null then $9::text end as title, case when e.id is null then $10::text end as employment_type,
             case when e.id is null then $11::text end as manager_reference, case when e.id is null then $12::jsonb else '{}'::jsonb end as attributes,
             case when e.id is null then $13::text[] else '{}'::text[] end as groups
           from (select 1) one left join person e on e.directory = $2 and e.reference = $3 and e.display_name = '(erased)' and $7::text <> 'active'
         ), old as (
           select p.id, p.status, (p.user_name, p.email, p.display_name, p.status, p.department, p.title, p.employment_type, p.manager_reference, p.attributes, p.groups)
               is distinct from (s.user_name, s.email, s.display_name, s.status, s.department, s.title, s.employment_type, s.manager_reference, s.attributes, s.groups) as changed
           from person p cross join s where p.directory = $2 and p.reference = $3 for update of p
         ), fresh as (
           insert into person (id, directory, reference, user_name, email, display_name, status, department, title, employment_type, manager_reference, attributes, groups, seen_at)
           select $1, $2, $3, s.user_name, s.email, s.display_name, s.status, s.department, s.title, s.employment_type, s.manager_reference, s.attributes, s.groups, $14
           from s cross join (select count(*) from old) as read_before_it_changes
           on conflict (directory, reference) do update set user_name = excluded.user_name, email = excluded.email, display_name = excluded.display_name,
             status = excluded.status, department = excluded.department, title = excluded.title, employment_type = excluded.employment_type,
             manager_reference = excluded.manager_reference, attributes = excluded.attributes, groups = excluded.groups, seen_at = excluded.seen_at
           returning id
         )
         select fresh.id, old.status as old_status, coalesce(old.changed, true) as changed from fresh left join old on true",
    )
    .bind(new_id.0)
    .bind(&seen.directory)
    .bind(&seen.reference)
    .bind(&seen.user_name)
    .bind(&seen.email)
    .bind(&seen.display_name)
    .bind(seen.status)
    .bind(&seen.department)
    .bind(&seen.title)
    .bind(&seen.employment_type)
    .bind(&seen.manager_reference)
    .bind(&seen.attributes)
    .bind(&seen.groups)
    .bind(now)
    .fetch_one(&mut **tx)
    .await?)
}

/// Marks somebody as gone whom the directory no longer knows. Returns their status before.
///
/// # Errors
/// When the database fails.
pub async fn gone(tx: &mut Tx, id: PersonId, now: DateTime<Utc>) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "with old as (select id, status from person where id = $1 for update)
         update person set status = 'gone', seen_at = $2, groups = '{}' from old where person.id = old.id returning old.status",
    )
    .bind(id.0)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?)
}

/// How many people of a directory are not gone.
///
/// # Errors
/// When the database fails.
pub async fn count(db: &Db, directory: &str) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from person where directory = $1 and status <> 'gone'").bind(directory).fetch_one(&db.pool).await?)
}

/// Ends every session of a person; returns how many there were.
///
/// # Errors
/// When the database fails.
pub async fn end_sessions(tx: &mut Tx, id: PersonId) -> Result<u64, StoreError> {
    Ok(sqlx::query("delete from session where person_id = $1").bind(id.0).execute(&mut **tx).await?.rows_affected())
}

/// Active people of a directory who were in one of these groups when last seen.
///
/// # Errors
/// When the database fails.
pub async fn in_groups(db: &Db, directory: &str, groups: &[String]) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select id from person where directory = $1 and status = 'active' and groups && $2 order by id")
        .bind(directory)
        .bind(groups)
        .fetch_all(&db.pool)
        .await?)
}
