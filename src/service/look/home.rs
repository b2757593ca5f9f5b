//! What Home shows.

use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_access::{self, Wanted};
use crate::store::look_role;

use super::access::{access_row, request_row};
use super::shared::{AccessRow, RequestRow, RoleCard, Standing};
use super::{seen, standing};

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
    /// Roles I may ask for; at most six.
    pub suggested: Vec<RoleCard>,
    /// Whether people of my department hold them.
    pub by_peers: bool,
    /// What could not be said, and why.
    pub notice: Option<String>,
}

/// Most rows of what one holds and waits for.
const ROWS: i64 = 8;
/// How many of the roles that peers hold are looked at, and shown.
const TRIED: usize = 12;
const SUGGESTED: usize = 6;

/// Home of `by`.
///
/// # Errors
/// When the database fails.
pub async fn home(ctx: &Ctx, by: &By) -> Result<Home, ServiceError> {
    let wanted = Wanted { live: ROWS, open: ROWS, ..Wanted::default() };
    let (mine, (snapshot, notice)) =
        tokio::try_join!(async { Ok(look_access::mine(&ctx.db, by.person.0, &wanted).await?) }, seen::person_if_known(ctx, by.person))?;
    let now = ctx.clock.now();
    let mut home = Home {
        access: vec![],
        access_total: mine.first().map_or(0, |row| row.live_total),
        requests: vec![],
        requests_total: mine.first().map_or(0, |row| row.open_total),
        suggested: vec![],
        by_peers: true,
        notice,
    };
    let mut known = Vec::new();
    for row in mine {
        known.push(row.role_id);
        if row.part == "open" {
            home.requests.push(request_row(row));
        } else {
            home.access.extend(access_row(row, by.person, now));
        }
    }
    let Some(snapshot) = snapshot else { return Ok(home) };
    let department: Vec<String> = snapshot.values("department").first().map(|d| (*d).to_owned()).into_iter().collect();
    let peers = seen::peers(ctx, &department).await?;
    let roles = peers.values().flat_map(|peers| &peers.roles).map(|(role, _)| *role);
    let candidates: Vec<_> = roles.filter(|role| !known.contains(role)).take(TRIED).collect();
    if !candidates.is_empty() {
        let rows = look_role::cards_of(&ctx.db, by.person.0, &candidates).await?;
        let stood = standing::cards(ctx, by.person, Some(&snapshot), rows).await?;
        home.suggested = stood.into_iter().map(|s| s.card).filter(|card| matches!(card.standing, Standing::MayAsk)).take(SUGGESTED).collect();
    }
    if home.suggested.is_empty() && home.access.is_empty() {
        // Nobody to take after, and nothing held: the first of the catalog will do.
        let rows = look_role::cards(&ctx.db, by.person.0, &[], None, None, 2 * TRIED as i64).await?;
        let stood = standing::cards(ctx, by.person, Some(&snapshot), rows).await?;
        home.by_peers = false;
        home.suggested = stood.into_iter().map(|s| s.card).filter(|card| matches!(card.standing, Standing::MayAsk)).take(SUGGESTED).collect();
    }
    Ok(home)
}
