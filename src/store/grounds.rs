//! What asking and answering start from, on one connection.
//!
//! Every trip to the database and every turn of the pool costs more than these small rows do, so they are fetched together.

use sqlx::{Acquire, FromRow};
use uuid::Uuid;

use crate::domain::catalog::Role;
use crate::domain::id::{PersonId, PolicyVersionId, RequestId, RoleId};

use super::catalog::{self, RoleRow};
use super::db::Db;
use super::error::StoreError;
use super::person::{self, PersonRow, people};
use super::policy;
use super::request::{self, RequestRow};
use super::separation;

/// What asking for a role starts from.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The role and whether it (or its application) is retired.
    pub role: Role,
    /// See `role`.
    pub retired: bool,
    /// What may govern it, as [`policy::Policies::of_role`] finds it.
    pub governing: Vec<PolicyVersionId>,
    /// The latest versions of the separation rules that name it.
    pub separation: Vec<Uuid>,
    /// The person, the requester, the owners of role and application, and the manager as last seen; some may be missing, some there twice.
    pub people: Vec<PersonRow>,
}

/// One of the people, beside the role.
#[derive(FromRow)]
struct AskingRow {
    #[sqlx(flatten)]
    role: RoleRow,
    governing: Vec<Uuid>,
    separation: Vec<Uuid>,
    #[sqlx(flatten)]
    person: PersonRow,
}

/// What asking for `role` for `person` by `requester` starts from; none when there is no such role.
///
/// # Errors
/// When the database does not answer.
pub async fn of_asking(db: &Db, role: RoleId, person: PersonId, requester: PersonId) -> Result<Option<Asking>, StoreError> {
    // Role and people in one trip; materialized, so that what governs the role is looked up once and not for each of them.
    let rows: Vec<AskingRow> = sqlx::query_as(concat!(
        "with asked as materialized (",
        catalog::roles!(columns),
        ", ",
        policy::governing!(),
        " as governing, ",
        separation::naming!(),
        " as separation",
        catalog::roles!(rest),
        ") select * from asked cross join lateral (",
        people!("where id = any(array[$2, $3, role_owner, application_owner]) union all "),
        people!("where (directory, reference) = (select directory, manager_reference from person where id = $2)"),
        ") around"
    ))
    .bind(role.0)
    .bind(person.0)
    .bind(requester.0)
    .fetch_all(&db.pool)
    .await?;
    let mut people = Vec::with_capacity(rows.len());
    let mut asked = None;
    for AskingRow { role, governing, separation, person } in rows {
        people.push(person);
        asked = Some((role, governing, separation));
    }
    // Its owners are somebody, so a role is never there without people.
    let Some((role, governing, separation)) = asked else { return Ok(None) };
    let (role, retired) = role.role()?;
    Ok(Some(Asking { role, retired, governing: governing.into_iter().map(PolicyVersionId).collect(), separation, people }))
}

/// What answering a request starts from.
#[derive(Clone, Debug)]
pub struct Answering {
    /// The request, unlocked.
    pub request: RequestRow,
    /// Its role and whether that is retired; none when no group gives it any more, and then nothing governs it.
    pub role: Option<(Role, bool)>,
    /// The beneficiary and the one who answers, if known.
    pub people: Vec<PersonRow>,
    /// Whether the one who answers was asked, at any step.
    pub asked: bool,
    /// What it was decided from: canonical JSON.
    pub inputs: String,
    /// What may govern its role now, in the order in which it is tried.
    pub governing: Vec<PolicyVersionId>,
    /// The latest versions of the separation rules that name its role.
    pub separation: Vec<Uuid>,
}

#[derive(FromRow)]
struct AnsweringRow {
    #[sqlx(flatten)]
    role: RoleRow,
    governing: Vec<Uuid>,
    separation: Vec<Uuid>,
}

/// What `by` answering the request starts from; none when there is no such request.
///
/// # Errors
/// When the database does not answer.
pub async fn of_answering(db: &Db, id: RequestId, by: PersonId) -> Result<Option<Answering>, StoreError> {
    let mut pooled = db.pool.acquire().await?;
    let connection = pooled.acquire().await?;
    let Some(request::Read { request, asked, inputs }) = request::read(&mut *connection, id, by).await? else { return Ok(None) };
    let people = person::read(&mut *connection, &[request.beneficiary_id, by.0]).await?;
    let found: Option<AnsweringRow> = sqlx::query_as(concat!(
        catalog::roles!(columns),
        ", ",
        policy::governing!(),
        " as governing, ",
        separation::naming!(),
        " as separation",
        catalog::roles!(rest)
    ))
    .bind(request.role_id)
    .fetch_optional(connection)
    .await?;
    let Some(AnsweringRow { role, governing, separation }) = found else {
        return Ok(Some(Answering { request, role: None, people, asked, inputs, governing: vec![], separation: vec![] }));
    };
    let governing = governing.into_iter().map(PolicyVersionId).collect();
    Ok(Some(Answering { request, role: Some(role.role()?), people, asked, inputs, governing, separation }))
}
