//! What My access shows.

use super::shared::{AccessRow, Listing, RequestRow};

/// What I hold, will hold and held.
#[derive(Clone, Debug)]
pub struct Access {
    /// Held now or on its way in or out, soonest end first.
    pub current: Vec<AccessRow>,
    /// Approved and not begun.
    pub scheduled: Vec<AccessRow>,
    /// Open requests, newest first.
    pub open: Vec<RequestRow>,
    /// Ended, newest first.
    pub ended: Listing<AccessRow>,
    /// Requests that came to nothing (denied, withdrawn, timed out, refused), newest first.
    pub closed: Listing<RequestRow>,
}
