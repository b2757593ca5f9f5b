//! What the policy pages show.

use chrono::{DateTime, Utc};

use super::shared::{Listing, PlannedStep, PolicyName, RoleName};

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
    /// In a sentence (`Up to 8 hours, manager then owner`).
    pub summary: String,
    /// How many roles it governs.
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
    /// Whether this is the version in force.
    pub in_force: bool,
    /// When it was applied.
    pub applied_at: DateTime<Utc>,
    /// Who applied it.
    pub applied_by: String,
    /// SHA-256 of the version's canonical form, hex.
    pub digest: String,
    /// The roles it governs.
    pub roles: Vec<RoleName>,
    /// Who may ask: the rules of the access profile.
    pub rules: Vec<ProfileRule>,
    /// For whom this policy is meant, when a role has several; each a sentence.
    pub conditions: Vec<String>,
    /// The shortest length.
    pub min_s: i64,
    /// What the form suggests.
    pub recommended_s: i64,
    /// The longest.
    pub max_s: i64,
    /// The lengths offered.
    pub choices_s: Vec<i64>,
    /// The steps; empty when approval is automatic.
    pub steps: Vec<PlannedStep>,
    /// When approval is automatic, as sentences; empty when never.
    pub automatic: Vec<String>,
    /// Everything else it says, each a sentence.
    pub notes: Vec<String>,
    /// All versions, newest first.
    pub versions: Vec<VersionRow>,
}

/// A rule of an access profile.
#[derive(Clone, Debug)]
pub struct ProfileRule {
    /// Its name.
    pub name: String,
    /// `allow` or `deny`.
    pub effect: String,
    /// Its conditions, each a sentence; all must hold.
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
    /// How many requests it decided.
    pub requests: i64,
}
