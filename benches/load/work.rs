//! What there is to do in the measured company.

use uuid::Uuid;

use crate::Outcome;
use crate::database::{self, MEASURED};

/// Somebody who acts, and what on.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Act {
    /// Who.
    pub person: Uuid,
    /// Their name.
    pub name: String,
    /// A role to ask for, or a request to answer.
    pub what: Uuid,
    /// What the answer's page showed; empty for a role.
    pub digest: String,
    /// The step that is open; 0 for a role.
    pub step: i32,
}

/// Pairs of a person and a role that nothing stands in the way of, in no order; of roles whose policy approves `at_once`, or of the
/// others, a fifth of which have a second step.
pub async fn to_ask(at_once: bool) -> Outcome<Vec<Act>> {
    let mut connection = database::connect(MEASURED).await?;
    Ok(sqlx::query_as(
        "select p.id as person, p.display_name as name, r.id as what, '' as digest, 0 as step from person p cross join role r
         where p.manager_reference is not null and r.owner_id <> p.id
           and not exists (select 1 from request q where q.beneficiary_id = p.id and q.role_id = r.id)
           and $1 = exists (select 1 from policy_binding b join access_policy y on y.id = b.policy_id where b.role_id = r.id and y.key = 'by-itself')
         order by md5(p.id::text || r.id::text)",
    )
    .bind(at_once)
    .fetch_all(&mut connection)
    .await?)
}

/// Open entries of queues, in no order, each request once.
pub async fn to_answer() -> Outcome<Vec<Act>> {
    let mut connection = database::connect(MEASURED).await?;
    Ok(sqlx::query_as(
        "select a.person_id as person, p.display_name as name, a.request_id as what, r.ask_digest as digest, a.step_no as step
         from assignment a join person p on p.id = a.person_id join request r on r.id = a.request_id where a.open order by md5(a.request_id::text)",
    )
    .fetch_all(&mut connection)
    .await?)
}
