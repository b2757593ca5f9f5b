//! What Home shows.

use crate::domain::person::PersonSnapshot;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::told::{self, NoticeRow};
use crate::store::emergency;
use crate::store::look_access::{self, Wanted};
use crate::store::look_role::ShelfRow;

use super::access::{access_row, request_row};
use super::shared::{AccessRow, RequestRow, RoleCard, Standing};
use super::{seen, standing};

// The review that is owed, as it is stored.
pub use crate::store::emergency::DebtRow;

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
    /// What I was told and have not put aside, newest first; at most eight.
    pub told: Vec<NoticeRow>,
    /// The review that stands between me and a further emergency.
    pub debt: Option<DebtRow>,
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
    let (mine, told, debt, (snapshot, notice)) = tokio::try_join!(
        async { Ok(look_access::mine(&ctx.db, by.person.0, &wanted).await?) },
        told::unseen(ctx, by, ROWS),
        async { Ok(emergency::owed_to(&ctx.db, by.person).await?) },
        seen::person_if_known(ctx, by.person)
    )?;
    let now = ctx.clock.now();
    let total_of = |part: &str| mine.iter().find(|row| row.part == part).map_or(0, |row| row.total);
    let mut home = Home {
        access: vec![],
        access_total: total_of("live"),
        requests: vec![],
        requests_total: total_of("open"),
        suggested: vec![],
        by_peers: true,
        told,
        debt,
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
    let shelf = seen::shelf(ctx).await?;
    let mut rows: Vec<&ShelfRow> = candidates.iter().filter_map(|id| shelf.iter().find(|row| row.id == *id)).collect();
    home.suggested = may_ask(ctx, by, &snapshot, &rows).await?;
    if home.suggested.is_empty() && home.access.is_empty() {
        // Nobody to take after, and nothing held: the first of the catalog will do.
        home.by_peers = false;
        rows = shelf.iter().filter(|row| !known.contains(&row.id)).take(4 * TRIED).collect();
        home.suggested = may_ask(ctx, by, &snapshot, &rows).await?;
    }
    Ok(home)
}

/// Those of `rows` that may be asked for; none of them is held or asked for.
async fn may_ask(ctx: &Ctx, by: &By, snapshot: &PersonSnapshot, rows: &[&ShelfRow]) -> Result<Vec<RoleCard>, ServiceError> {
    let stood = standing::cards(ctx, by.person, Some(snapshot), rows, &[]).await?;
    Ok(stood.into_iter().map(|s| s.card).filter(|card| matches!(card.standing, Standing::MayAsk)).take(SUGGESTED).collect())
}
