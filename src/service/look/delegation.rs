//! What the page of delegations shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::service::ctx::{By, Ctx};
use crate::service::delegate::{self, DelegationRow};
use crate::service::error::ServiceError;

/// Who stands in for the viewer, and for whom the viewer does.
#[derive(Clone, Debug)]
pub struct Delegations {
    /// The viewer's own.
    pub own: Vec<Stands>,
    /// Those in which the viewer stands in.
    pub others: Vec<Stands>,
    /// What the form holds.
    pub typed: TypedAway,
}

/// A delegation.
#[derive(Clone, Debug)]
pub struct Stands {
    /// Its id.
    pub id: Uuid,
    /// Who is away.
    pub person: String,
    /// Who stands in.
    pub delegate: String,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when; of one that was ended before its time, when that was.
    pub ends_at: DateTime<Utc>,
    /// Why.
    pub reason: Option<String>,
    /// `in_force`, `ahead` or `over`.
    pub state: &'static str,
}

/// What the form was sent with.
#[derive(Clone, Debug, Default)]
pub struct TypedAway {
    /// Who was to stand in.
    pub delegate: String,
    /// The first day.
    pub from: String,
    /// The last day.
    pub until: String,
    /// Why.
    pub reason: String,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// The delegations of `by`.
///
/// # Errors
/// When the database fails.
pub async fn delegations(ctx: &Ctx, by: &By, typed: TypedAway) -> Result<Delegations, ServiceError> {
    let now = ctx.clock.now();
    let (own, others) = delegate::list(ctx, by).await?.into_iter().partition::<Vec<_>, _>(|row| row.person_id == by.person.0);
    let stand = |rows: Vec<DelegationRow>| rows.into_iter().map(|row| stands(row, now)).collect();
    Ok(Delegations { own: stand(own), others: stand(others), typed })
}

/// Where a delegation stands at `now`: `in_force`, `ahead` or `over`.
pub fn state(row: &DelegationRow, now: DateTime<Utc>) -> &'static str {
    match (row.ended_at.is_some() || row.ends_at <= now, row.starts_at > now) {
        (true, _) => "over",
        (false, true) => "ahead",
        (false, false) => "in_force",
    }
}

fn stands(row: DelegationRow, now: DateTime<Utc>) -> Stands {
    Stands {
        id: row.id,
        state: state(&row, now),
        person: row.person,
        delegate: row.delegate,
        starts_at: row.starts_at,
        ends_at: row.ended_at.unwrap_or(row.ends_at),
        reason: row.reason,
    }
}
