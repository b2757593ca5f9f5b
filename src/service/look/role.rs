//! What a role's page shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::shared::{Listing, PlannedStep, PolicyName, RoleName, Standing};
use super::trace::TraceRule;

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
    /// The policies, in order of priority; the first that matches a person governs.
    pub policies: Vec<RolePolicy>,
    /// How many people hold it now.
    pub holders: i64,
    /// The members and why each is there; `None` for a viewer who may not see them.
    pub members: Option<Listing<MemberRow>>,
    /// What could not be said, and why.
    pub notice: Option<String>,
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
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// Until when; `None` for no end.
    pub until: Option<DateTime<Utc>>,
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
