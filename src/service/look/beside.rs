//! What stands beside the steps of a request.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::domain::act::{may_confirm, may_note_sign_off, may_reevaluate};
use crate::domain::approval::Deciding;
use crate::domain::decide::Decision;
use crate::domain::event::Fact;
use crate::domain::grant::GrantStatus;
use crate::domain::id::{RequestId, RoleId};
use crate::domain::policy::AccessPolicy;
use crate::service::changed::{self, Difference};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::error::StoreError;
use crate::store::look_request::{self, WholeRow};
use crate::store::{catalog, emergency};

use super::apart::{self, Conflict};
use super::follow::{self, person_then};
use super::help::{self, Help};

/// What is beside deciding.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Of an emergency: why, and its review.
    pub emergency: Option<EmergencyLook>,
    /// The policy's own fields as they were filled in: label and value.
    pub fields: Vec<(String, String)>,
    /// Separation rules that it runs against.
    pub conflicts: Vec<Conflict>,
    /// What changed since it was asked for, while it is open.
    pub changed: Vec<Difference>,
    /// Sign-offs given elsewhere, oldest first.
    pub sign_offs: Vec<SignOffLook>,
    /// The request whose place it took.
    pub supersedes: Option<Uuid>,
    /// The request that took its place.
    pub superseded_by: Option<Uuid>,
    /// Whether it waits until the beneficiary confirms it.
    pub unconfirmed: bool,
    /// When the beneficiary confirmed it.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// Of a lease that the viewer holds and that ends: whether they said that it is not to be extended.
    pub declined: Option<bool>,
    /// Whom a manager or owner would ask more time for: the beneficiary's id.
    pub extend_for: Option<Uuid>,
    /// What would help, when it was refused.
    pub help: Option<Help>,
    /// What the viewer may do.
    pub can: CanBeside,
}

/// What the viewer may do beside deciding, from the same functions that the acts run.
#[derive(Clone, Copy, Debug, Default)]
pub struct CanBeside {
    /// Confirm what somebody else asked for them.
    pub confirm: bool,
    /// Have it asked for again under the rules of now.
    pub again: bool,
    /// Review the emergency.
    pub review: bool,
    /// Note a sign-off given elsewhere.
    pub sign_off: bool,
}

/// An emergency and its review.
#[derive(Clone, Debug)]
pub struct EmergencyLook {
    /// Why it could not wait.
    pub reason: String,
    /// By when the review is, or was, owed; none when it was refused.
    pub due_at: Option<DateTime<Utc>>,
    /// Whether it is overdue.
    pub overdue: bool,
    /// Who may make it.
    pub reviewers: Vec<String>,
    /// Who made it.
    pub reviewed_by: Option<String>,
    /// When.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// `justified` or `not_justified`.
    pub verdict: Option<String>,
    /// What they wrote.
    pub comment: Option<String>,
    /// Whether the access should be revoked now: it was not justified, and still lives.
    pub revoke_now: bool,
}

/// A sign-off given elsewhere.
#[derive(Clone, Debug)]
pub struct SignOffLook {
    /// Who gave it, as written.
    pub given_by: String,
    /// When, as written.
    pub given_at: DateTime<Utc>,
    /// Where it can be looked up.
    pub reference: String,
    /// What was said.
    pub note: Option<String>,
    /// Who noted it.
    pub noted_by: String,
    /// When.
    pub noted_at: DateTime<Utc>,
}

/// What is beside deciding about the request, as `by` sees it.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none that they may see.
pub async fn of_request(ctx: &Ctx, by: &By, id: RequestId) -> Result<Beside, ServiceError> {
    let eyes = (!by.reads_everything()).then_some(by.person.0);
    let row = look_request::whole(&ctx.db, eyes, id.0).await?.ok_or(ServiceError::Missing)?;
    let policy = match row.policy_version_id {
        Some(version) => Some(ctx.policies.version(&ctx.db, version.into()).await?),
        None => None,
    };
    let deciding = policy.as_ref().map(|policy| follow::deciding_of(&row, policy));
    beside(ctx, by, &row, deciding.as_ref(), policy.as_deref(), &follow::decision(&row)?).await
}

/// What is beside deciding about `row`, as `by` sees it.
///
/// # Errors
/// When the database fails.
pub(super) async fn beside(
    ctx: &Ctx,
    by: &By,
    row: &WholeRow,
    deciding: Option<&Deciding>,
    policy: Option<&AccessPolicy>,
    decision: &Decision,
) -> Result<Beside, ServiceError> {
    let now = ctx.clock.now();
    let open = matches!(row.status.as_str(), "submitted" | "pending" | "needs_info");
    let owns = row.role_owner == by.person.0 || row.application_owner == by.person.0;
    let oversees = owns || by.is_administrator;
    let is_viewer = row.beneficiary_id == by.person.0;
    let changed = match row.policy_version_id {
        Some(pinned) if open => {
            let id = RoleId(row.role_id);
            let (role, governing, separation) =
                tokio::try_join!(catalog::role_even_retired(&ctx.db, id), ctx.policies.of_role(&ctx.db, id), ctx.separation.of_role(&ctx.db, id))?;
            let separation: Vec<Uuid> = separation.iter().map(|rule| rule.id).collect();
            let role = role.filter(|(_, retired)| !retired).map(|(role, _)| role);
            let governing: Vec<_> = governing.iter().map(|policy| policy.id).collect();
            changed::since(ctx, &row.inputs, pinned.into(), changed::Now { governing: &governing, separation: &separation }, role.as_ref()).await?
        }
        _ => vec![],
    };
    let review = match &row.emergency_reason {
        Some(reason) => Some(emergency_look(reason, emergency::look(&ctx.db, by.person, RequestId(row.id)).await?, row, (owns, oversees), now)),
        None => None,
    };
    let live = row.grant_status.as_deref().and_then(GrantStatus::parse).is_some_and(GrantStatus::is_live);
    let extends = live && row.ends_at.is_some() && policy.is_some_and(|policy| policy.extension.is_some());
    let for_others = policy.is_some_and(|policy| (policy.on_behalf.owner && owns) || (policy.on_behalf.manager && row.requester_id == by.person.0));
    let can = CanBeside {
        confirm: deciding.is_some_and(|deciding| may_confirm(deciding, by.person).is_ok()),
        again: deciding.is_some_and(|deciding| may_reevaluate(deciding, by.person, oversees, !changed.is_empty()).is_ok()),
        review: review.as_ref().is_some_and(|(look, theirs)| *theirs && look.verdict.is_none() && !is_viewer && row.requester_id != by.person.0),
        sign_off: deciding.is_some_and(|deciding| may_note_sign_off(deciding, by.person, oversees).is_ok()),
    };
    let refused = row.status == "refused" && (is_viewer || row.requester_id == by.person.0);
    let help = match refused {
        true => help::help(ctx, row.beneficiary_id.into(), Some(&person_then(row)?), row.role_id, decision, is_viewer).await?,
        false => None,
    };
    Ok(Beside {
        emergency: review.map(|(look, _)| look),
        fields: fields(row, policy)?,
        conflicts: if row.conflicts.is_empty() { vec![] } else { apart::conflicts_then(ctx, &row.inputs).await? },
        changed,
        sign_offs: sign_offs(row),
        supersedes: row.supersedes,
        superseded_by: row.superseded_by,
        unconfirmed: row.status == "submitted",
        confirmed_at: row.confirmed_at,
        declined: row.no_extension.filter(|_| is_viewer && extends),
        extend_for: (extends && !is_viewer && for_others && !row.no_extension.unwrap_or_default()).then_some(row.beneficiary_id),
        help,
        can,
    })
}

fn emergency_look(
    reason: &str,
    review: Option<emergency::ReviewLook>,
    row: &WholeRow,
    (owns, oversees): (bool, bool),
    now: DateTime<Utc>,
) -> (EmergencyLook, bool) {
    let live = row.grant_status.as_deref().and_then(GrantStatus::parse).is_some_and(GrantStatus::is_live);
    let theirs = review.as_ref().is_some_and(|review| if review.stood_in { oversees } else { review.by_viewer });
    let due_at = review.as_ref().map(|review| review.due_at);
    let reviewed_at = review.as_ref().and_then(|review| review.reviewed_at);
    let verdict = review.as_ref().and_then(|review| review.verdict.clone());
    let look = EmergencyLook {
        reason: reason.to_owned(),
        due_at,
        overdue: reviewed_at.is_none() && due_at.is_some_and(|due| due <= now),
        reviewed_at,
        revoke_now: owns && live && verdict.as_deref() == Some("not_justified"),
        verdict,
        reviewed_by: review.as_ref().and_then(|review| review.reviewed_by.clone()),
        comment: review.as_ref().and_then(|review| review.comment.clone()),
        reviewers: review.map(|review| review.reviewers).unwrap_or_default(),
    };
    (look, theirs)
}

/// The policy's own fields in its order, by label; a value of a field that it no longer has by its key.
fn fields(row: &WholeRow, policy: Option<&AccessPolicy>) -> Result<Vec<(String, String)>, ServiceError> {
    let Some(text) = &row.fields else { return Ok(vec![]) };
    let mut values: BTreeMap<String, String> = serde_json::from_str(text).map_err(StoreError::from)?;
    let mut shown = Vec::new();
    for field in policy.into_iter().flat_map(|policy| &policy.fields) {
        shown.extend(values.remove(&field.key).map(|value| (field.label.clone(), value)));
    }
    shown.extend(values);
    Ok(shown)
}

fn sign_offs(row: &WholeRow) -> Vec<SignOffLook> {
    let noted = row.events.iter().filter(|event| event.kind == "request.sign_off_noted");
    noted
        .filter_map(|event| match serde_json::from_value(json!({ "kind": event.kind, "data": event.data })) {
            Ok(Fact::SignOffNoted { given_by, given_at, reference, note }) => {
                let noted_by = event.actor.clone().unwrap_or_else(|| "Countersign".into());
                Some(SignOffLook { given_by, given_at, reference, note, noted_by, noted_at: event.at })
            }
            _ => None,
        })
        .collect()
}
