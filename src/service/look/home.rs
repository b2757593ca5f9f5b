//! What Home shows.

use super::shared::{AccessRow, RequestRow, RoleCard};

/// Home: what I hold, what I wait for, what I might want.
#[derive(Clone, Debug)]
pub struct Home {
    /// What I hold now, soonest end first; at most eight.
    pub access: Vec<AccessRow>,
    /// How many I hold in all.
    pub access_total: i64,
    /// My open requests, newest first; at most eight.
    pub requests: Vec<RequestRow>,
    /// How many are open in all.
    pub requests_total: i64,
    /// Roles I may ask for that people like me hold; at most six.
    pub suggested: Vec<RoleCard>,
}
