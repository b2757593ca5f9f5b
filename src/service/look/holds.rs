//! What the page Holds shows.

use uuid::Uuid;

use crate::service::ctx::{By, Ctx};
use crate::service::erase::ORDER_LASTS;
use crate::service::error::ServiceError;
use crate::store::look_hold;

// For the floor above, which does not know the store.
pub use crate::store::look_hold::{HoldListed, OrderListed};

use super::shared::{Cursor, Listing};

/// How many holds a page has.
const PAGE: usize = 50;
/// How many orders are shown.
const ORDERS: i64 = 50;

/// Holds that keep something, and who is to be erased.
#[derive(Clone, Debug)]
pub struct Holds {
    /// The holds, oldest first.
    pub rows: Listing<HoldListed>,
    /// Orders that wait for a second administrator.
    pub orders: Vec<OrderListed>,
    /// Whether erasing takes two administrators.
    pub by_two: bool,
    /// Who looks.
    pub viewer: Uuid,
}

/// A page of holds, for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a cursor that is none of ours; when the database fails.
pub async fn holds(ctx: &Ctx, by: &By, after: Option<&Cursor>) -> Result<Holds, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let after = after.map(Cursor::id).transpose()?;
    let rows = look_hold::holds(&ctx.db, after, PAGE as i64 + 1).await?;
    let orders = look_hold::orders(&ctx.db, ctx.clock.now() - ORDER_LASTS, ORDERS).await?;
    Ok(Holds { rows: Listing::cut(rows, PAGE, |row| row.id), orders, by_two: ctx.changing.require_second_person, viewer: by.person.0 })
}
