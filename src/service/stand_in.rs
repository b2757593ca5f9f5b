//! Asks whoever stands in for somebody who is away.

use chrono::{DateTime, Utc};

use crate::domain::event::Fact;
use crate::domain::id::{PersonId, RequestId};
use crate::store::db::Tx;
use crate::store::request::RequestRow;
use crate::store::{delegation, event, notice, person, request, step_clock};

use super::commit::{self, about, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::tend;

/// Asks the delegates, in force at `now`, of everybody who is asked at the open step in their own right. One hop: a delegate's own
/// delegation passes nothing on. Requester and beneficiary never stand in. Returns how many were asked.
///
/// # Errors
/// When the database fails.
pub async fn ask_delegates(tx: &mut Tx, row: &RequestRow, step_no: i32, now: DateTime<Utc>) -> Result<usize, ServiceError> {
    let asked = delegation::assign(tx, row.id.into(), step_no, now).await?;
    if asked.is_empty() {
        return Ok(0);
    }
    let ids: Vec<_> = asked.iter().flat_map(|line| [line.acting_for, line.person_id]).collect();
    let names = person::names(tx, &ids).await?;
    let name_of = |id| names.iter().find(|named| named.id.0 == id).cloned();
    let called = step_clock::called(tx, row.id.into()).await?;
    let mut events = Vec::with_capacity(asked.len());
    for line in &asked {
        let (Some(from), Some(to)) = (name_of(line.acting_for), name_of(line.person_id)) else { continue };
        let (step_no, slot_no) = (step_no.unsigned_abs() as usize, line.slot_no.unsigned_abs() as usize);
        let told = format!("You are asked for {}, who is away: {} for {}.", from.name, called.role, called.beneficiary);
        notice::tell(tx, &[PersonId(line.person_id)], "delegated", Some(row.id.into()), &told, now).await?;
        events.push(by_system(about(row), Fact::ApprovalDelegated { step_no, slot_no, from, to }));
    }
    event::append(tx, &events).await?;
    Ok(asked.len())
}

/// Ends, in a request, the seats of delegates who stand in for nobody any more, and asks others where too few are left then. Returns
/// whether anything was done.
///
/// # Errors
/// As [`tend::tend`].
pub async fn end(ctx: &Ctx, id: RequestId) -> Result<bool, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    if request::lock(&mut tx, id).await?.is_none() {
        return Ok(false);
    }
    let ended = delegation::end_seats(&mut tx, id, ctx.clock.now()).await?;
    commit::commit(tx).await?;
    if ended > 0 {
        tend::tend_all(ctx, &[id.0]).await?;
    }
    Ok(ended > 0)
}
