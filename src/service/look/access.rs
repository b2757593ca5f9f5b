//! What My access shows.

use chrono::{DateTime, Utc};

use crate::domain::grant::{Extended, GrantStatus, Lease, end, extend};
use crate::domain::id::{GrantId, PersonId};
use crate::domain::policy::Extension;
use crate::domain::span::Seconds;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_access::{self, MineRow, Wanted};

use super::shared::{AccessRow, CanGrant, Cursor, Listing, RequestRow, RoleName};

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

/// Rows of the long parts of a page.
const PAGE: usize = 10;
/// Most leases that are shown as held; nobody holds as many.
const MOST_LIVE: i64 = 1_000;

/// What `by` holds, waits for and had; `ended` and `closed` begin after these cursors.
///
/// # Errors
/// [`ServiceError::Missing`] for a cursor that is none; when the database fails.
pub async fn access(ctx: &Ctx, by: &By, ended: Option<&Cursor>, closed: Option<&Cursor>) -> Result<Access, ServiceError> {
    let wanted = Wanted {
        live: MOST_LIVE,
        open: MOST_LIVE,
        ended: PAGE as i64 + 1,
        ended_after: ended.map(Cursor::id).transpose()?,
        closed: PAGE as i64 + 1,
        closed_after: closed.map(Cursor::id).transpose()?,
    };
    let now = ctx.clock.now();
    let (mut live, mut open, mut over, mut closed) = (vec![], vec![], vec![], vec![]);
    for row in look_access::mine(&ctx.db, by.person.0, &wanted).await? {
        match row.part.as_str() {
            "open" => open.push(request_row(row)),
            "closed" => closed.push(request_row(row)),
            "live" => live.extend(access_row(row, by.person, now)),
            _ => over.extend(access_row(row, by.person, now)),
        }
    }
    let (scheduled, current) = live.into_iter().partition(|row: &AccessRow| row.status == "scheduled");
    Ok(Access { current, scheduled, open, ended: Listing::cut(over, PAGE, |row| row.id), closed: Listing::cut(closed, PAGE, |row| row.id) })
}

/// A request in a list of one's own.
pub fn request_row(row: MineRow) -> RequestRow {
    let waits_for = (row.part == "open").then(|| {
        if row.status == "needs_info" {
            return "your answer to a question".to_owned();
        }
        if row.status == "submitted" {
            return format!("{} to confirm it", row.beneficiary);
        }
        let names = match row.waits_for.as_slice() {
            [] => "nobody".to_owned(),
            [head @ .., _] if row.waits_for.len() > 3 => format!("{} or others", head.join(", ")),
            [head @ .., last] if !head.is_empty() => format!("{} or {last}", head.join(", ")),
            names => names.concat(),
        };
        match row.step_no {
            Some(step) if row.steps > 1 => format!("{names}, step {step} of {}", row.steps),
            _ => names,
        }
    });
    RequestRow {
        id: row.request_id,
        role: RoleName { id: row.role_id, application: row.application, role: row.role, risk: row.risk },
        beneficiary: row.beneficiary,
        status: row.status,
        delivery: row.grant_status,
        requested_at: row.created_at,
        requested_s: row.duration_s,
        waits_for,
        waits_since: row.waits_since,
        emergency: row.emergency,
    }
}

/// A lease in a list of one's own; none for a request without one. Whether more time may be asked for is told by the policy that it was
/// approved under; the form asks the one that governs by then.
pub fn access_row(row: MineRow, viewer: PersonId, now: DateTime<Utc>) -> Option<AccessRow> {
    let (id, status, starts_at) = (row.grant_id?, GrantStatus::parse(row.grant_status.as_deref()?)?, row.starts_at?);
    let lease = Lease {
        id: GrantId(id),
        beneficiary: viewer,
        status,
        duration: row.grant_s.map(Seconds),
        starts_at,
        ends_at: row.ends_at,
        verified_at: row.verified_at,
    };
    let rules = row.extension.unwrap_or(false).then(|| Extension {
        maximum: None,
        last_percent: row.extension_last_percent.unwrap_or(100).unsigned_abs(),
        most: row.extension_most.map(i32::unsigned_abs),
        procedure: None,
    });
    let times = row.extension_no.unwrap_or_default().unsigned_abs();
    let extended = Extended { already: row.extended, times, declined: row.no_extension.unwrap_or_default() };
    let can = CanGrant {
        give_back: end(&lease, viewer, false, false).is_ok(),
        extend: extend(&lease, rules.as_ref(), extended, now).is_ok(),
        revoke: false,
        confirm: false,
    };
    Some(AccessRow {
        id,
        request: row.request_id,
        role: RoleName { id: row.role_id, application: row.application, role: row.role, risk: row.risk },
        status: delivery_word(status, row.last_error.is_some()).into(),
        starts_at,
        ends_at: row.ends_at,
        ended_at: row.ended_at,
        end_reason: row.end_reason,
        confirmed: None,
        emergency: row.emergency,
        can,
    })
}

/// The word of a delivery: `failing` while the directory is told again and again.
pub fn delivery_word(status: GrantStatus, has_error: bool) -> &'static str {
    match status {
        GrantStatus::Provisioning | GrantStatus::Verifying | GrantStatus::Revoking if has_error => "failing",
        other => other.word(),
    }
}

/// The request that a lease came from.
///
/// # Errors
/// When the database fails.
pub async fn request_of(ctx: &Ctx, grant: GrantId) -> Result<Option<uuid::Uuid>, ServiceError> {
    Ok(crate::store::look_role::place_of_grant(&ctx.db, grant.0).await?.map(|(request, _)| request))
}
