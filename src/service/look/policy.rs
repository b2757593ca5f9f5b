//! What the policy pages show.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::condition::{Condition, Operator};
use crate::domain::policy::{AccessPolicy, Effect, Rule};
use crate::service::catalog_file::since::since;
use crate::service::changed;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::{finding, look_policy};

use super::change::DiffLine;
use super::policy_words::PolicyWords;
use super::shared::{Cursor, Listing, PolicyName, RequestRow, RoleName};
use super::{steps, why};

/// How many policies a page has.
const PAGE: usize = 50;
/// How many requests under a version are shown.
const REQUESTS: i64 = 10;

/// The policies in force.
#[derive(Clone, Debug)]
pub struct Policies {
    /// By name.
    pub rows: Listing<PolicyRow>,
}

/// A policy in the list.
#[derive(Clone, Debug)]
pub struct PolicyRow {
    /// Which, in its version in force.
    pub policy: PolicyName,
    /// In a sentence (`1 minute to 30 days; the manager decides.`).
    pub summary: String,
    /// How many roles it can govern.
    pub roles: i64,
    /// When this version was applied.
    pub applied_at: DateTime<Utc>,
    /// Who applied it.
    pub applied_by: String,
}

/// One version of a policy, in words.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which policy and version.
    pub policy: PolicyName,
    /// Whether this is the newest version, which governs what is asked for now.
    pub in_force: bool,
    /// When it was applied.
    pub applied_at: DateTime<Utc>,
    /// Who applied it.
    pub applied_by: String,
    /// SHA-256 of the version's canonical form, hex.
    pub digest: String,
    /// The roles that the policy can govern now.
    pub roles: Vec<RoleName>,
    /// Everything that it says.
    pub words: PolicyWords,
    /// Separation rules that its roles are in, each a sentence.
    pub apart: Vec<String>,
    /// What it says other than the version before it; empty for the first.
    pub since: Vec<DiffLine>,
    /// The version before it.
    pub previous: Option<i32>,
    /// Who approved the change that made it.
    pub approved_by: Option<String>,
    /// The change that made it.
    pub change: Option<Uuid>,
    /// Id of this version, by which the log can be narrowed.
    pub version_id: Uuid,
    /// The newest requests under this version.
    pub requests: Vec<RequestRow>,
    /// All versions, newest first.
    pub versions: Vec<VersionRow>,
    /// Whether its steps can be taken; none for a version that is not in force.
    pub health: Option<Health>,
}

/// Whether the steps of a policy can be taken by somebody.
#[derive(Clone, Debug)]
pub struct Health {
    /// When that was last looked at for everybody.
    pub checked_at: Option<DateTime<Utc>>,
    /// What was found, dead ends first.
    pub findings: Vec<HealthRow>,
}

/// A step that some people's requests cannot take, or hardly.
#[derive(Clone, Debug)]
pub struct HealthRow {
    /// `bad` where a request is refused because of it, else `warn`.
    pub tone: &'static str,
    /// What is wrong, for whom.
    pub sentence: String,
    /// The roles it is so for (`Orders DB Read-only and 3 more`).
    pub roles: String,
}

/// A rule of an access profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRule {
    /// `allow` or `deny`.
    pub effect: String,
    /// Its conditions, each a sentence; all must hold. None: everybody.
    pub sentences: Vec<String>,
}

/// A version in the list of versions.
#[derive(Clone, Debug)]
pub struct VersionRow {
    /// The version, from 1.
    pub version: i32,
    /// When it was applied.
    pub applied_at: DateTime<Utc>,
    /// Who applied it.
    pub applied_by: String,
    /// Who approved it, where somebody else had to.
    pub approved_by: Option<String>,
    /// The change that made it, where one is on record.
    pub change: Option<Uuid>,
}

/// The policies in force by name, for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a cursor that is none of ours.
pub async fn policies(ctx: &Ctx, by: &By, after: Option<&Cursor>) -> Result<Policies, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let after = after.map(Cursor::id).transpose()?;
    let listing = Listing::cut(look_policy::list(&ctx.db, after, PAGE as i64 + 1).await?, PAGE, |row| row.id);
    let mut rows = Vec::with_capacity(listing.rows.len());
    for row in listing.rows {
        let body = ctx.policies.version(&ctx.db, row.version_id.into()).await?;
        rows.push(PolicyRow {
            policy: PolicyName { id: row.id, name: row.name, version: body.version },
            summary: summary(&body),
            roles: row.roles,
            applied_at: row.created_at,
            applied_by: who(row.applied_by),
        });
    }
    Ok(Policies { rows: Listing { rows, next: listing.next } })
}

/// One version of a policy in words, for auditors and administrators; the newest where none is named.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and where there is no such policy or version.
pub async fn policy(ctx: &Ctx, by: &By, id: Uuid, version: Option<i32>) -> Result<Policy, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let versions = look_policy::versions(&ctx.db, id).await?;
    let newest = versions.first().ok_or(ServiceError::Missing)?;
    let shown = versions.iter().find(|row| version.is_none_or(|wanted| row.version == wanted)).ok_or(ServiceError::Missing)?;
    let body = ctx.policies.version(&ctx.db, shown.id.into()).await?;
    let roles = look_policy::roles(&ctx.db, id).await?;
    let health = if shown.id == newest.id { Some(health(ctx, shown.id).await?) } else { None };
    let before = versions.iter().find(|row| row.version < shown.version);
    let since = match before {
        Some(before) => since(&*ctx.policies.version(&ctx.db, before.id.into()).await?, &body),
        None => vec![],
    };
    let requests = look_policy::requests(&ctx.db, shown.id, REQUESTS).await?;
    let governed: Vec<Uuid> = roles.iter().map(|row| row.id).collect();
    let mut apart = Vec::new();
    for rule in ctx.separation.current(&ctx.db).await?.iter().filter(|rule| rule.a.iter().chain(&rule.b).any(|role| governed.contains(&role.0))) {
        apart.push(format!("{}, version {}: {}.", rule.name, rule.version, changed::kept_apart(ctx, rule).await?));
    }
    Ok(Policy {
        health,
        policy: PolicyName { id, name: body.name.clone(), version: body.version },
        in_force: shown.id == newest.id,
        applied_at: shown.created_at,
        applied_by: who(shown.applied_by.clone()),
        approved_by: shown.approved_by.clone(),
        change: shown.change_id,
        version_id: shown.id,
        digest: body.digest.clone(),
        roles: roles.into_iter().map(|row| RoleName { id: row.id, application: row.application, role: row.role, risk: row.risk }).collect(),
        words: PolicyWords::of(&body),
        apart,
        since: since.into_iter().map(|part| DiffLine { mark: if part.is_new { "new" } else { "changed" }, title: part.title, details: part.lines }).collect(),
        previous: before.map(|row| row.version),
        requests: requests.into_iter().map(request).collect(),
        versions: versions.into_iter().map(version_row).collect(),
    })
}

fn version_row(row: look_policy::VersionListed) -> VersionRow {
    VersionRow { version: row.version, applied_at: row.created_at, applied_by: who(row.applied_by), approved_by: row.approved_by, change: row.change_id }
}

fn request(row: look_policy::UnderRow) -> RequestRow {
    RequestRow {
        id: row.id,
        role: RoleName { id: row.role_id, application: row.application, role: row.role, risk: row.risk },
        beneficiary: row.beneficiary,
        status: row.status,
        delivery: row.delivery,
        requested_at: row.created_at,
        requested_s: row.duration_s,
        waits_for: None,
        waits_since: None,
        emergency: row.emergency,
    }
}

async fn health(ctx: &Ctx, version: Uuid) -> Result<Health, ServiceError> {
    let (checked_at, found) = tokio::try_join!(finding::checked_at(&ctx.db), finding::of_policy(&ctx.db, version))?;
    let rows = found.into_iter().map(|row| {
        let more = row.roles - row.some.len() as i64;
        let some = row.some.join(", ");
        HealthRow {
            tone: if row.kind == "single_person" { "warn" } else { "bad" },
            sentence: row.sentence,
            roles: if more > 0 { format!("{some} and {more} more") } else { some },
        }
    });
    Ok(Health { checked_at, findings: rows.collect() })
}

/// A policy applied at the command line has no name beside it.
fn who(name: Option<String>) -> String {
    name.unwrap_or_else(|| "an operator".into())
}

/// "department is Data", for a list of what must fit.
pub(super) fn fits(condition: &Condition) -> String {
    steps::capital(&holds(condition))
}

/// The same within a sentence: `department is Data or IT`.
pub(super) fn holds(condition: &Condition) -> String {
    let name = condition.attribute.replace('_', " ");
    let values = condition.shown().join(" or ");
    match condition.operator {
        Operator::Is | Operator::In => format!("{name} is {values}"),
        Operator::IsNot | Operator::NotIn => format!("{name} is other than {values}"),
        Operator::Contains => format!("{name} contains {values}"),
        Operator::StartsWith => format!("{name} starts with {values}"),
        Operator::Exists => format!("there is a {name}"),
        Operator::NotExists => format!("there is no {name}"),
        Operator::MemberOf => format!("member of {values}"),
        Operator::NotMemberOf => format!("not a member of {values}"),
        Operator::ReportsTo => format!("reports to {values}"),
    }
}

pub(super) fn rule(rule: &Rule) -> ProfileRule {
    let (effect, sentences) = match rule.effect {
        Effect::Allow => ("allow", rule.conditions.iter().map(|condition| why::of_another(&condition.sentence())).collect()),
        Effect::Deny => ("deny", rule.conditions.iter().map(|condition| condition.kept_out_sentence()).collect()),
    };
    ProfileRule { effect: effect.into(), sentences }
}

/// "1 minute to 30 days; the manager decides."
fn summary(policy: &AccessPolicy) -> String {
    let decides = match &policy.procedure {
        None => "approved at once".into(),
        Some(procedure) => {
            let step = |step: &crate::domain::policy::Step| {
                let slots = step.slots.iter().map(steps::counted_slot);
                slots.collect::<Vec<_>>().join(" and ")
            };
            format!("asks {}", procedure.steps.iter().map(step).collect::<Vec<_>>().join(", then "))
        }
    };
    format!("{}; {}.", steps::capital(&policy.duration_sentence()), decides)
}
