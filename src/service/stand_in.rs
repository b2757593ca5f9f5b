//! Whoever stands in for somebody who is away is asked too.

use chrono::{DateTime, Utc};

use crate::domain::event::Fact;
use crate::store::db::Tx;
use crate::store::request::RequestRow;
use crate::store::{delegation, event, person};

use super::commit::{about, by_system};
use super::error::ServiceError;

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
    let events: Vec<_> = asked
        .iter()
        .filter_map(|line| {
            let (from, to) = (name_of(line.acting_for)?, name_of(line.person_id)?);
            let (step_no, slot_no) = (step_no.unsigned_abs() as usize, line.slot_no.unsigned_abs() as usize);
            Some(by_system(about(row), Fact::ApprovalDelegated { step_no, slot_no, from, to }))
        })
        .collect();
    event::append(tx, &events).await?;
    Ok(asked.len())
}
