//! What a role's page shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::condition::Condition;
use crate::domain::grant::{GrantStatus, Lease, end};
use crate::domain::id::{GrantId, PersonId, RoleId};
use crate::domain::policy::{AccessPolicy, Effect};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::{finding, look_role};

use super::help::Help;
use super::shared::{Cursor, Listing, PlannedStep, PolicyName, RoleName, Standing};
use super::trace::{self, TraceRule};
use super::{help, seen, standing, steps, whom};

/// A role, its rules in words, and how the viewer stands towards it.
#[derive(Clone, Debug)]
pub struct Role {
    /// The role.
    pub name: RoleName,
    /// What it lets one do.
    pub about: String,
    /// Who answers for the role.
    pub owner: Option<String>,
    /// Who answers for the application.
    pub application_owner: Option<String>,
    /// `idp_group`, `app_api`, `workflow` or `manual`.
    pub method: String,
    /// What is changed there, in words (`group orders-ro in Demo directory`).
    pub target: String,
    /// How the viewer stands towards it.
    pub standing: Standing,
    /// Why, rule by rule.
    pub trace: Vec<TraceRule>,
    /// What would help a viewer who may not ask.
    pub help: Option<Help>,
    /// Whether the viewer may ask for somebody else.
    pub for_others: bool,
    /// The policies, in order of priority; the first that matches a person governs.
    pub policies: Vec<RolePolicy>,
    /// How many people hold it now.
    pub holders: i64,
    /// The members and why each is there; `None` for a viewer who may not see them.
    pub members: Option<Listing<MemberRow>>,
    /// Who holds it together with a role that a separation rule keeps apart from it; empty for a viewer who may not see members.
    pub apart: Vec<ApartRow>,
    /// What could not be said, and why.
    pub notice: Option<String>,
}

/// Somebody who holds two roles that a separation rule keeps apart.
#[derive(Clone, Debug)]
pub struct ApartRow {
    /// Who.
    pub person: String,
    /// The other role's id.
    pub other: Uuid,
    /// Its application and name.
    pub other_name: String,
    /// The rule's name.
    pub rule: String,
    /// Whether that was approved as an exception.
    pub excepted: bool,
    /// When it was found.
    pub found_at: DateTime<Utc>,
}

/// A policy of a role, in words.
#[derive(Clone, Debug)]
pub struct RolePolicy {
    /// Which policy and version.
    pub policy: PolicyName,
    /// Whether it is the one that governs for the viewer.
    pub governs_viewer: bool,
    /// Who may ask, each a sentence.
    pub who: Vec<String>,
    /// The lengths offered.
    pub choices_s: Vec<i64>,
    /// The longest.
    pub max_s: i64,
    /// The steps; empty when approval is automatic.
    pub steps: Vec<PlannedStep>,
    /// Other things the policy asks for or says, each a sentence.
    pub notes: Vec<String>,
}

/// A member of a role.
#[derive(Clone, Debug)]
pub struct MemberRow {
    /// The person's name.
    pub name: String,
    /// Their department.
    pub department: Option<String>,
    /// The lease they hold it by; `None` when the directory has them and no grant says so.
    pub grant: Option<Uuid>,
    /// The request the lease came from.
    pub request: Option<Uuid>,
    /// Whether it began before anybody was asked.
    pub emergency: bool,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// Until when; `None` for no end.
    pub until: Option<DateTime<Utc>>,
    /// Whether they were there before the group was looked at for the first time.
    pub declared: bool,
    /// Why they are there (`approved by Dana Ruiz`, `already a member when imported`).
    pub why: String,
    /// Whether the viewer may revoke it.
    pub may_revoke: bool,
}

impl Role {
    /// Whether the viewer may not have it, so that the reasons come first.
    pub fn standing_is_may_not(&self) -> bool {
        matches!(self.standing, Standing::MayNot { .. })
    }
}

/// Members of a page.
const PAGE: usize = 50;

/// A role as `by` sees it; its members, after a cursor, for its owners and who reads everything.
///
/// # Errors
/// [`ServiceError::Missing`] when it is not offered, or for a cursor that is none.
pub async fn role(ctx: &Ctx, by: &By, id: RoleId, members: Option<&Cursor>) -> Result<Role, ServiceError> {
    let after = members.map(Cursor::id).transpose()?;
    let (row, has, about, (snapshot, notice)) = tokio::try_join!(
        async { Ok::<_, ServiceError>(look_role::one(&ctx.db, id.0).await?) },
        async { Ok(look_role::has(&ctx.db, by.person.0).await?) },
        async { Ok(look_role::about(&ctx.db, id.0).await?) },
        seen::person_if_known(ctx, by.person)
    )?;
    let (row, about) = row.zip(about).ok_or(ServiceError::Missing)?;
    let policy_ids = row.policies.clone();
    let Some(stood) = standing::cards(ctx, by.person, snapshot.as_deref(), &[&row], &has).await?.pop() else { return Err(ServiceError::Missing) };
    let owns = about.owner_id == by.person.0 || about.application_owner_id == by.person.0;
    let members = if owns || by.reads_everything() {
        let rows = look_role::members(&ctx.db, id.0, after, PAGE as i64 + 1).await?;
        Some(member_page(rows, by, owns))
    } else {
        None
    };
    let apart = if members.is_some() { finding::of_role(&ctx.db, id.0).await? } else { vec![] };
    let policies = stood.policies.iter().zip(policy_ids).map(|(policy, policy_id)| RolePolicy {
        policy: PolicyName { id: policy_id, name: policy.name.clone(), version: policy.version },
        governs_viewer: stood.governing.as_ref().is_some_and(|governing| governing.id == policy.id),
        who: who(policy),
        choices_s: policy.durations.choices.iter().map(|choice| choice.0).collect(),
        max_s: policy.durations.maximum.0,
        steps: policy.procedure.as_ref().map(steps::of_procedure).unwrap_or_default(),
        notes: notes(policy),
    });
    let help = match (&stood.decision, &stood.card.standing) {
        (Some(decision), Standing::MayNot { .. }) => help::help(ctx, by.person, snapshot.as_deref(), id.0, decision, true).await?,
        _ => None,
    };
    let (reports, everybody) = whom::may(ctx, by, &row, owns).await?;
    Ok(Role {
        help,
        for_others: reports || everybody,
        policies: policies.collect(),
        name: stood.card.role,
        about: stood.card.about,
        owner: Some(about.owner),
        application_owner: Some(about.application_owner),
        target: target(about.group_name.or(about.group_reference).as_deref(), about.directory.as_deref()),
        method: about.method,
        standing: stood.card.standing,
        trace: stood.decision.as_deref().map(trace::rules).unwrap_or_default(),
        holders: about.holders,
        members,
        apart: apart.into_iter().map(apart_row).collect(),
        notice,
    })
}

/// "group orders-ro in directory main".
pub fn target(group: Option<&str>, directory: Option<&str>) -> String {
    match (group, directory) {
        (Some(group), Some(directory)) => format!("group {group} in directory {directory}"),
        _ => "nothing yet".into(),
    }
}

fn apart_row(row: finding::RoleFinding) -> ApartRow {
    ApartRow { person: row.person, other: row.other_role, other_name: row.other, rule: row.rule, excepted: row.excepted, found_at: row.found_at }
}

fn member_page(rows: Vec<look_role::MemberRow>, by: &By, owns: bool) -> Listing<MemberRow> {
    // Members without a lease come whole on the first page and do not count towards it.
    let (without, mut leases): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.grant_id.is_none());
    let more = leases.len() > PAGE;
    leases.truncate(PAGE);
    let next = leases.last().filter(|_| more).map(|last| Cursor::after(last.id));
    Listing { rows: without.into_iter().chain(leases).map(|row| member(row, by, owns)).collect(), next }
}

fn member(row: look_role::MemberRow, by: &By, owns: bool) -> MemberRow {
    let status = row.status.as_deref().and_then(GrantStatus::parse);
    let may_revoke = match (row.grant_id, row.person_id, status, row.since) {
        (Some(id), Some(person), Some(status), Some(starts_at)) => {
            let lease =
                Lease { id: GrantId(id), beneficiary: PersonId(person), status, duration: None, starts_at, ends_at: row.until, verified_at: row.verified_at };
            end(&lease, by.person, owns || by.is_administrator, true).is_ok()
        }
        _ => false,
    };
    let why = match (row.grant_id.is_some(), row.approved_by.as_slice(), status) {
        (false, ..) if row.declared => "already a member when the group was first looked at".to_owned(),
        (false, ..) => "in the directory, and no grant says why".to_owned(),
        (true, [], _) => "approved by the policy".to_owned(),
        (true, [head @ .., last], _) if !head.is_empty() => format!("approved by {} and {last}", head.join(", ")),
        (true, names, _) => format!("approved by {}", names.join("")),
    };
    let why = match status {
        Some(GrantStatus::Scheduled) => format!("{why}; has not begun"),
        Some(GrantStatus::Provisioning | GrantStatus::Verifying) => format!("{why}; being provisioned"),
        Some(GrantStatus::Revoking) => format!("{why}; being removed"),
        _ => why,
    };
    MemberRow {
        name: row.name,
        department: row.department,
        grant: row.grant_id,
        request: row.request_id,
        since: row.since,
        until: row.until,
        why,
        may_revoke,
        emergency: row.emergency,
        declared: row.declared,
    }
}

/// Who may ask under `policy`, each rule a sentence.
fn who(policy: &AccessPolicy) -> Vec<String> {
    let all = |conditions: &[Condition], sentence: fn(&Condition) -> String| super::why::all_of(&conditions.iter().map(sentence).collect::<Vec<_>>());
    let mut sentences = Vec::new();
    if !policy.applies_to.is_empty() {
        sentences.push(format!("Only for some: {}", all(&policy.applies_to, Condition::sentence).replacen("You", "you", 1)));
    }
    for rule in &policy.profile.rules {
        sentences.push(match (rule.effect, rule.conditions.as_slice()) {
            (Effect::Allow, []) => "Everybody".into(),
            (Effect::Deny, []) => "Nobody".into(),
            (Effect::Allow, conditions) => all(conditions, Condition::sentence),
            (Effect::Deny, conditions) => all(conditions, Condition::kept_out_sentence),
        });
    }
    sentences
}

/// What else the policy asks for or says, each a sentence.
fn notes(policy: &AccessPolicy) -> Vec<String> {
    let mut notes = Vec::new();
    if policy.durations.indefinite {
        notes.push("May be asked for without end.".into());
    }
    notes.extend(policy.notes());
    notes
}
