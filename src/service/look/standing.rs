//! How the viewer stands to roles: decided in memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::catalog::Risk;
use crate::domain::decide::{Ask, Decision, Outcome, Rules, Standing as Stands, decide};
use crate::domain::grant::{Extended, GrantStatus, Lease, extend};
use crate::domain::id::{GrantId, PersonId, PolicyVersionId};
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::AccessPolicy;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::store::look_role::{HasRow, ShelfRow};

use super::shared::{RoleCard, RoleName, Standing};
use super::{steps, why};

/// A card with what it was made from.
#[derive(Clone, Debug)]
pub struct Stood {
    /// The card.
    pub card: RoleCard,
    /// What the policies say; none when the directory does not answer.
    pub decision: Option<Arc<Decision>>,
    /// The policies that may govern, in the order in which they are tried.
    pub policies: Vec<Arc<AccessPolicy>>,
    /// The one that governs.
    pub governing: Option<Arc<AccessPolicy>>,
}

/// The cards of `rows` for `person`, who has `has` of them, and whose snapshot is none when the directory does not answer. Every version is read once, every set
/// of policies decided once, however many roles share it.
///
/// # Errors
/// When the database fails.
pub async fn cards(ctx: &Ctx, person: PersonId, snapshot: Option<&PersonSnapshot>, rows: &[&ShelfRow], has: &[HasRow]) -> Result<Vec<Stood>, ServiceError> {
    let mut wanted: Vec<PolicyVersionId> = rows.iter().flat_map(|row| &row.versions).map(|id| PolicyVersionId(*id)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let bodies: HashMap<PolicyVersionId, Arc<AccessPolicy>> =
        ctx.policies.versions(&ctx.db, &wanted).await?.into_iter().map(|policy| (policy.id, policy)).collect();
    let now = ctx.clock.now();
    let mut decided: HashMap<(Vec<uuid::Uuid>, String), Arc<Decision>> = HashMap::new();
    let mut cards = Vec::with_capacity(rows.len());
    for row in rows {
        let policies: Vec<Arc<AccessPolicy>> = row.versions.iter().filter_map(|id| bodies.get(&PolicyVersionId(*id)).cloned()).collect();
        let risk = Risk::parse(&row.risk).unwrap_or(Risk::Critical);
        let decision = snapshot.map(|snapshot| {
            let make = || {
                let tried: Vec<&AccessPolicy> = policies.iter().map(|policy| &**policy).collect();
                // Whether one may ask at all does not hang on the length: the shortest that is offered is weighed.
                let shortest = policies.iter().map(|policy| policy.durations.minimum).min();
                let ask = Ask {
                    requester: person,
                    beneficiary: person,
                    role: row.id.into(),
                    risk,
                    duration: shortest,
                    starts_at: None,
                    extension: false,
                    emergency: false,
                    review_owed: false,
                    standing: Stands::default(),
                    held: vec![],
                };
                Arc::new(decide(Rules { policies: &tried, separation: &[] }, snapshot, &ask, now))
            };
            decided.entry((row.versions.clone(), row.risk.clone())).or_insert_with(make).clone()
        });
        let governing = decision.as_ref().and_then(|d| d.policy).and_then(|id| bodies.get(&id).cloned());
        let standing = standing(&of_role(row.id, has), person, decision.as_deref(), governing.as_deref(), !policies.is_empty(), now);
        let card = RoleCard {
            role: RoleName { id: row.id, application: row.application.clone(), role: row.role.clone(), risk: row.risk.clone() },
            about: row.about.clone(),
            usual_s: governing.as_ref().and_then(|p| p.durations.recommended.or(p.durations.choices.first().copied())).map(|d| d.0),
            decided_by: governing.as_deref().and_then(steps::decided_by),
            standing,
        };
        cards.push(Stood { card, decision, policies, governing });
    }
    Ok(cards)
}

/// The lease that ends last and the open request of a role.
fn of_role(role: uuid::Uuid, has: &[HasRow]) -> (Option<&HasRow>, Option<&HasRow>) {
    let of_role = || has.iter().filter(|row| row.role_id == role);
    (of_role().find(|row| row.grant_id.is_some()), of_role().find(|row| row.request_id.is_some()))
}

fn standing(
    (held, open): &(Option<&HasRow>, Option<&HasRow>),
    person: PersonId,
    decision: Option<&Decision>,
    governing: Option<&AccessPolicy>,
    any_policy: bool,
    now: chrono::DateTime<chrono::Utc>,
) -> Standing {
    let lease = held.and_then(|row| Some((row, row.grant_id?, row.starts_at?, row.grant_status.as_deref()?)));
    if let Some((row, grant, starts_at, status)) = lease {
        let lease = Lease {
            id: GrantId(grant),
            beneficiary: person,
            status: GrantStatus::parse(status).unwrap_or(GrantStatus::Failed),
            duration: None,
            starts_at,
            ends_at: row.ends_at,
            verified_at: row.verified_at,
        };
        // The lease that ends last is the one that nothing extends. A request for the extension may be open.
        let extended = Extended { already: false, times: row.extension_no.unwrap_or_default().unsigned_abs(), declined: row.no_extension.unwrap_or_default() };
        let may_extend = open.is_none() && extend(&lease, governing.and_then(|p| p.extension.as_ref()), extended, now).is_ok();
        return Standing::Holds { grant, until: row.ends_at, may_extend, emergency: row.emergency };
    }
    if let Some((request, since)) = open.and_then(|row| row.request_id.zip(row.asked_at)) {
        return Standing::Requested { request, since };
    }
    match decision {
        None => Standing::Unknown,
        Some(decision) if decision.outcome == Outcome::Refused => Standing::MayNot { reason: why::reason(decision, any_policy) },
        Some(_) => Standing::MayAsk,
    }
}
