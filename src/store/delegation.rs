//! Who stands in for whom, and when.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::RequestId;

use super::db::Tx;
use super::error::StoreError;

/// A delegate who was asked.
#[derive(Clone, Debug, FromRow)]
pub struct AskedRow {
    /// The slot, counted from 1.
    pub slot_no: i32,
    /// Who stands in.
    pub person_id: Uuid,
    /// Who is away.
    pub acting_for: Uuid,
}

/// Asks, at the open step, the active delegates in force at `now` of everybody asked there in their own right, requester, beneficiary
/// and whoever is asked already apart.
///
/// # Errors
/// When the database fails.
pub async fn assign(tx: &mut Tx, request: RequestId, step_no: i32, now: DateTime<Utc>) -> Result<Vec<AskedRow>, StoreError> {
    Ok(sqlx::query_as(
        "insert into assignment (request_id, step_no, slot_no, person_id, assigned_at, open, acting_as, acting_for)
         select distinct on (a.slot_no, d.delegate_id) a.request_id, a.step_no, a.slot_no, d.delegate_id, $3, true, 'delegate', a.person_id
         from assignment a join delegation d on d.person_id = a.person_id and d.starts_at <= $3 and d.ends_at > $3 and d.ended_at is null
         join person p on p.id = d.delegate_id and p.status = 'active' join request r on r.id = a.request_id
         where a.request_id = $1 and a.step_no = $2 and a.open and a.acting_as <> 'delegate' and a.assigned_at >= d.starts_at
           and d.delegate_id <> r.requester_id and d.delegate_id <> r.beneficiary_id
         order by a.slot_no, d.delegate_id, a.person_id
         on conflict do nothing returning slot_no, person_id, acting_for",
    )
    .bind(request.0)
    .bind(step_no)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?)
}
