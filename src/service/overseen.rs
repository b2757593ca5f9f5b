//! A request, for who takes part or oversees it.

use uuid::Uuid;

use crate::domain::approval::Deciding;
use crate::domain::catalog::Role;
use crate::domain::id::{PolicyVersionId, RequestId};
use crate::domain::refusal::Refusal;
use crate::store::grounds::{self, Answering};
use crate::store::request::RequestRow;
use crate::store::{look_request, step};

use super::answer::deciding;
use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// A request, and what somebody is to it.
pub struct Overseen {
    /// Its row, unlocked.
    pub row: RequestRow,
    /// As the rules of acting know it.
    pub deciding: Deciding,
    /// Whether they own the role or its application, or administer the service.
    pub oversees: bool,
    /// Its role, while that is offered.
    pub role: Option<Role>,
    /// What it was decided from: canonical JSON.
    pub inputs: String,
    /// The version that governs it.
    pub pinned: PolicyVersionId,
    /// What may govern its role now, in the order in which it is tried.
    pub governing: Vec<PolicyVersionId>,
    /// The versions of the separation rules that name its role now.
    pub separation: Vec<Uuid>,
}

/// The request as `by` stands to it.
///
/// # Errors
/// [`ServiceError::Missing`] when it is not theirs to see; [`Refusal::Closed`] for a request that no policy governed.
pub async fn look(ctx: &Ctx, by: &By, id: RequestId) -> Result<Overseen, ServiceError> {
    let eyes = (!by.reads_everything()).then_some(by.person.0);
    if !look_request::may_see(&ctx.db, eyes, id.0).await? {
        return Err(ServiceError::Missing);
    }
    let Answering { request: row, role, inputs, governing, separation, .. } =
        grounds::of_answering(&ctx.db, id, by.person).await?.ok_or(ServiceError::Missing)?;
    let pinned: PolicyVersionId = row.policy_version_id.ok_or(ServiceError::Refused(Refusal::Closed("refused")))?.into();
    let policy = ctx.policies.version(&ctx.db, pinned).await?;
    let mut tx = ctx.db.begin().await?;
    let steps = step::steps(&mut tx, id, ctx.clock.now()).await?;
    commit::commit(tx).await?;
    let owns = role.as_ref().is_some_and(|(role, _)| role.owner == by.person || role.application_owner == by.person);
    let deciding = deciding(&row, &steps, &policy);
    let role = role.filter(|(_, retired)| !retired).map(|(role, _)| role);
    Ok(Overseen { row, deciding, oversees: owns || by.is_administrator, role, inputs, pinned, governing, separation })
}
