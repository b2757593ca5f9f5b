//! Looks an ask over before it is written.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::catalog::Role;
use crate::domain::decide::{Ask, Decision, Outcome, Rules, Standing, decide};
use crate::domain::id::{GrantId, PersonId, PolicyVersionId, RoleId};
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::{AccessPolicy, FieldFault, Wanted};
use crate::domain::refusal::Refusal;
use crate::domain::separation::SeparationRule;
use crate::evidence::canonical::{canonical, digest};
use crate::store::error::StoreError;
use crate::store::grounds::{self, Asking};
use crate::store::person::PersonRow;
use crate::store::request::RequestRow;
use crate::store::{emergency, grant};

use super::ask::AskFor;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::fetch;
use super::resolve::{self, ResolvedStep};

/// Everything known about an ask before it is written: the form's preview and the act share it.
#[derive(Clone, Debug)]
pub struct Considered {
    /// The role.
    pub role: Role,
    /// Who asks.
    pub requester: PersonRow,
    /// For whom, as the directory describes them now.
    pub snapshot: PersonSnapshot,
    /// Row of the beneficiary.
    pub beneficiary: PersonRow,
    /// What was decided on.
    pub ask: Ask,
    /// What the policies say.
    pub decision: Decision,
    /// The version that governs.
    pub policy: Option<Arc<AccessPolicy>>,
    /// Whether any policy is in force for the role.
    pub any_policy: bool,
    /// The separation rules that name the role.
    pub separation: Vec<Arc<SeparationRule>>,
    /// Whom it would ask, or would have asked.
    pub steps: Vec<ResolvedStep>,
    /// What it was decided from.
    pub(super) inputs: String,
    /// When.
    pub now: DateTime<Utc>,
}

/// What a decision was made from; stored with the request so that it can be made again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inputs {
    /// The form of this record: 2.
    pub v: u32,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// The policies that may govern, in the order in which they are tried.
    pub policies: Vec<Cited>,
    /// The separation rules that name the role.
    pub separation: Vec<Cited>,
    /// The person as the directory described them.
    pub person: PersonSnapshot,
    /// What was asked for.
    pub ask: Ask,
    /// The role as it was; what an approver reads must still be so when they answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether it was refused because nobody could approve it: that depends on who was there, not on the rules.
    pub dead_end: Option<String>,
}

/// A version that a decision was made under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cited {
    /// Its id.
    pub id: Uuid,
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: i32,
    /// SHA-256 of its canonical form, hex.
    pub digest: String,
}

/// What an approval authorises, and nothing else.
#[derive(Serialize)]
struct Authorised<'a> {
    beneficiary: PersonId,
    role: RoleId,
    directory: &'a str,
    group: &'a str,
    duration_s: Option<i64>,
    starts_at: Option<DateTime<Utc>>,
    extension_of: Option<GrantId>,
    policy_version: PolicyVersionId,
    policy_digest: &'a str,
}

/// Looks an ask over: who, what the directory says now, what the policies say, whom it would ask. Writes nothing.
///
/// # Errors
/// [`ServiceError::Missing`] for a role that is not there; [`Refusal::RoleRetired`]; [`Refusal::NotForOthers`] when it is for somebody
/// whom no policy of the role lets them ask for; [`ServiceError::Unavailable`] when the directory does not answer.
pub async fn consider(ctx: &Ctx, by: &By, ask_for: &AskFor) -> Result<Considered, ServiceError> {
    let who = ask_for.requester.unwrap_or(by.person);
    let for_whom = ask_for.beneficiary.unwrap_or(who);
    let for_other = who != for_whom;
    let Asking { role, retired, governing, separation, people } =
        grounds::of_asking(&ctx.db, ask_for.role, for_whom, who).await?.ok_or(ServiceError::Missing)?;
    if retired {
        return Err(Refusal::RoleRetired.into());
    }
    let policies = ctx.policies.versions(&ctx.db, &governing).await?;
    let separation = ctx.separation.versions(&ctx.db, &separation).await?;
    let row_of = |id: PersonId| people.iter().find(|row| row.id == id.0).cloned().ok_or(ServiceError::Missing);
    // Who may not ask for others learns nothing of them, not even that they are there.
    let may = |standing: Standing| policies.iter().any(|p| p.on_behalf.manager && standing.manages || p.on_behalf.owner && standing.owns);
    if for_other && (!may(Standing { manages: true, owns: true }) || row_of(for_whom).is_err()) {
        return Err(Refusal::NotForOthers.into());
    }
    let (requester, beneficiary) = (row_of(who)?, row_of(for_whom)?);
    if beneficiary.directory != role.directory {
        return Err(Refusal::OtherDirectory(beneficiary.display_name, role.directory).into());
    }
    let mut snapshot = fetch::person(ctx, &beneficiary).await?;
    if for_other || policies.iter().any(|policy| policy.looks_up()) {
        snapshot.line = fetch::line(ctx, &snapshot).await?;
    }
    let standing = Standing {
        manages: for_other && requester.directory == snapshot.directory && snapshot.line.iter().any(|above| above.reference == requester.reference),
        owns: role.owner == who || role.application_owner == who,
    };
    if for_other && !may(standing) {
        return Err(Refusal::NotForOthers.into());
    }
    let now = ctx.clock.now();
    let ask = Ask {
        requester: who,
        beneficiary: for_whom,
        role: role.id,
        risk: role.risk,
        duration: ask_for.duration,
        starts_at: ask_for.starts_at,
        extension: ask_for.extension_of.is_some(),
        emergency: ask_for.emergency.is_some(),
        review_owed: ask_for.emergency.is_some() && emergency::is_owed(&ctx.db, for_whom).await?,
        standing,
        held: match kept_apart_from(&role, &separation) {
            apart if apart.is_empty() => vec![],
            apart => grant::held_or_asked(&ctx.db, for_whom, &apart).await?,
        },
    };
    let tried: Vec<&AccessPolicy> = policies.iter().map(|policy| &**policy).collect();
    let kept_apart: Vec<&SeparationRule> = separation.iter().map(|rule| &**rule).collect();
    let mut decision = decide(Rules { policies: &tried, separation: &kept_apart }, &snapshot, &ask, now);
    let policy = policies.iter().find(|policy| Some(policy.id) == decision.policy).cloned();
    let mut steps = Vec::new();
    let mut dead_end = None;
    if let Some(policy) = policy.as_ref().filter(|_| !decision.steps.is_empty()) {
        let about = resolve::About { role: &role, requester: who, beneficiary: &snapshot, started_by: ask_for.started_by, at_hand: &people };
        steps = resolve::steps(ctx, &decision.steps, policy, &kept_apart, about).await?;
        let distinct = resolve::distinct_people(&decision.steps, policy, &kept_apart);
        dead_end = resolve::dead_end(&steps, distinct, who, for_whom).filter(|_| decision.outcome == Outcome::NeedsApproval);
    }
    if let Some(why) = &dead_end {
        decision.refuse_dead_end(why, &snapshot, now);
    }
    let inputs = Inputs {
        v: 2,
        decided_at: now,
        policies: policies.iter().map(|p| Cited { id: p.id.0, key: p.key.clone(), version: p.version, digest: p.digest.clone() }).collect(),
        separation: separation.iter().map(|r| Cited { id: r.id, key: r.key.clone(), version: r.version, digest: r.digest.clone() }).collect(),
        person: snapshot.clone(),
        ask: ask.clone(),
        role: Some(role.clone()),
        dead_end,
    };
    let inputs = canonical(&inputs).map_err(|error| StoreError::Broken(error.to_string()))?;
    Ok(Considered { role, requester, snapshot, beneficiary, ask, decision, policy, any_policy: !policies.is_empty(), separation, steps, inputs, now })
}

/// The other roles that the rules keep apart from `role`, in order.
pub fn kept_apart_from(role: &Role, rules: &[Arc<SeparationRule>]) -> Vec<Uuid> {
    let mut apart: Vec<Uuid> = rules.iter().flat_map(|rule| rule.a.iter().chain(&rule.b)).filter(|other| **other != role.id).map(|other| other.0).collect();
    apart.sort_unstable();
    apart.dedup();
    apart
}

impl Considered {
    /// Everything that the governing policy does not allow of what was sent; empty when all is well, and when it is refused anyway.
    pub fn faults(&self, ask_for: &AskFor) -> Vec<FieldFault> {
        let Some(policy) = self.policy.as_ref().filter(|_| self.decision.outcome != Outcome::Refused) else { return vec![] };
        policy.faults(Wanted {
            duration: ask_for.duration,
            starts_in: ask_for.starts_at.map(|start| (start - self.now).num_seconds()),
            justification: ask_for.justification.as_deref(),
            ticket_reference: ask_for.ticket_reference.as_deref(),
            fields: &ask_for.fields,
            extension: ask_for.extension_of.is_some(),
            emergency: ask_for.emergency.as_deref(),
        })
    }

    /// Whether the beneficiary must confirm before anything else happens.
    pub fn must_be_confirmed(&self) -> bool {
        self.requester.id != self.beneficiary.id && self.policy.as_ref().is_some_and(|policy| policy.on_behalf.confirm)
    }
}

/// SHA-256 over what an approval of `row` authorises: beneficiary, role and the group behind it, duration, start, policy version.
///
/// # Errors
/// Never in practice: every field has a canonical form.
pub fn ask_digest(row: &RequestRow, role: &Role, policy: &AccessPolicy) -> Result<String, ServiceError> {
    let authorised = Authorised {
        beneficiary: row.beneficiary_id.into(),
        role: role.id,
        directory: &role.directory,
        group: &role.group_reference,
        duration_s: row.duration_s,
        starts_at: row.wanted_start,
        extension_of: row.extension_of.map(GrantId),
        policy_version: policy.id,
        policy_digest: &policy.digest,
    };
    Ok(digest(&canonical(&authorised).map_err(|error| StoreError::Broken(error.to_string()))?))
}
