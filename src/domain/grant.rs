//! Grants are leases.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::id::{GrantId, PersonId};
use super::policy::Extension;
use super::refusal::Refusal;
use super::span::Seconds;

/// How far the delivery of a grant has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantStatus {
    /// Begins later.
    Scheduled,
    /// The directory is being told.
    Provisioning,
    /// Told; waiting until the directory says so itself.
    Verifying,
    /// The directory says it is so.
    Active,
    /// Ended; the removal is not yet verified.
    Revoking,
    /// Ended and verified.
    Ended,
    /// Given up: access never began.
    Failed,
}

impl GrantStatus {
    /// Every status with its word.
    pub const ALL: [(GrantStatus, &'static str); 7] = [
        (Self::Scheduled, "scheduled"),
        (Self::Provisioning, "provisioning"),
        (Self::Verifying, "verifying"),
        (Self::Active, "active"),
        (Self::Revoking, "revoking"),
        (Self::Ended, "ended"),
        (Self::Failed, "failed"),
    ];

    /// The word in database, API and CSV.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, word)| word)
    }

    /// The status of a word; `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w)| *w == word).map(|(status, _)| *status)
    }

    /// Whether the lease has not ended.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Scheduled | Self::Provisioning | Self::Verifying | Self::Active)
    }
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Its time was up.
    Expired,
    /// The holder gave it back.
    Returned,
    /// Somebody else ended it.
    Revoked,
    /// The directory says the person is disabled or gone.
    Offboarded,
    /// The person no longer meets the policy.
    EligibilityLost,
}

impl EndReason {
    /// The word in database, API and CSV.
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Returned => "returned",
            Self::Revoked => "revoked",
            Self::Offboarded => "offboarded",
            Self::EligibilityLost => "eligibility_lost",
        }
    }
}

/// A lease as far as these rules need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: GrantId,
    /// Who holds it.
    pub beneficiary: PersonId,
    /// How far it has come.
    pub status: GrantStatus,
    /// How long it lasts once begun; none: without end.
    pub duration: Option<Seconds>,
    /// When it begins or began.
    pub starts_at: DateTime<Utc>,
    /// When it ends; moves with `starts_at` until the lease has begun. None: without end.
    pub ends_at: Option<DateTime<Utc>>,
    /// When the directory first confirmed it.
    pub verified_at: Option<DateTime<Utc>>,
}

impl Lease {
    /// Whether this lease wants its membership at `now`. The clock of a duration starts when access begins, so a lease that is
    /// still being delivered wants it whatever `ends_at` says.
    pub fn wants(&self, now: DateTime<Utc>) -> bool {
        match self.status {
            GrantStatus::Scheduled | GrantStatus::Provisioning | GrantStatus::Verifying => self.starts_at <= now,
            GrantStatus::Active => self.starts_at <= now && self.ends_at.is_none_or(|end| now < end),
            GrantStatus::Revoking | GrantStatus::Ended | GrantStatus::Failed => false,
        }
    }

    /// Whether its time is up at `now`.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.status == GrantStatus::Active && self.ends_at.is_some_and(|end| end <= now)
    }

    /// The span once the directory has confirmed at `now`: begins now, or keeps its beginning if it has begun before.
    pub fn begun(&self, now: DateTime<Utc>) -> (DateTime<Utc>, Option<DateTime<Utc>>) {
        let start = if self.verified_at.is_some() { self.starts_at } else { self.starts_at.max(now) };
        (start, ends(start, self.duration))
    }
}

/// Whether a membership is wanted at `now`: exactly while at least one of its leases says so.
pub fn wanted(leases: &[Lease], now: DateTime<Utc>) -> bool {
    leases.iter().any(|lease| lease.wants(now))
}

/// The span of a new lease approved at `now`: from `wanted_start`, or from the end of the lease it extends, or at once.
pub fn span(
    now: DateTime<Utc>,
    duration: Option<Seconds>,
    wanted_start: Option<DateTime<Utc>>,
    extends_until: Option<DateTime<Utc>>,
) -> (DateTime<Utc>, Option<DateTime<Utc>>) {
    let start = wanted_start.into_iter().chain(extends_until).fold(now, DateTime::max);
    (start, ends(start, duration))
}

/// The end of a lease: none only for one without limit. Past the calendar's last day it is that day, not never.
fn ends(start: DateTime<Utc>, duration: Option<Seconds>) -> Option<DateTime<Utc>> {
    duration.map(|d| d.after(start).unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// Whether `by` may end a lease now: the holder returns, an owner or administrator revokes. Gives the reason to record.
///
/// # Errors
/// Says why not.
pub fn end(lease: &Lease, by: PersonId, is_owner_or_administrator: bool, revoke: bool) -> Result<EndReason, Refusal> {
    if !lease.status.is_live() {
        return Err(Refusal::AlreadyEnded);
    }
    match (revoke, by == lease.beneficiary, is_owner_or_administrator) {
        (false, true, _) => Ok(EndReason::Returned),
        (false, false, _) => Err(Refusal::NotHolder),
        (true, _, true) => Ok(EndReason::Revoked),
        (true, _, false) => Err(Refusal::NotOwner),
    }
}

/// What has happened to a lease as far as extending it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// An extension of it is asked for or follows it.
    pub already: bool,
    /// How many leases it extends in a row.
    pub times: u32,
    /// The holder said that it is not to be extended.
    pub declined: bool,
}

/// Whether a lease may be extended at `now`: active, with an end, where the policy allows it and the last part of its time has begun.
///
/// # Errors
/// Says why not.
pub fn extend(lease: &Lease, rules: Option<&Extension>, extended: Extended, now: DateTime<Utc>) -> Result<(), Refusal> {
    let Some(end) = lease.ends_at else {
        return Err(Refusal::NotExtendable("it has no end".into()));
    };
    if lease.status != GrantStatus::Active || end <= now {
        return Err(Refusal::NotExtendable("it is not active".into()));
    }
    let Some(rules) = rules else {
        return Err(Refusal::NotExtendable("its policy does not allow extensions".into()));
    };
    if extended.already {
        return Err(Refusal::NotExtendable("it has been extended already".into()));
    }
    if extended.declined {
        return Err(Refusal::NotExtendable("its holder said that it is not to be extended".into()));
    }
    if let Some(most) = rules.most.filter(|most| extended.times >= *most) {
        return Err(Refusal::NotExtendable(format!("it was extended {most} time{} in a row, and the policy allows no more", if most == 1 { "" } else { "s" })));
    }
    let opens = end - (end - lease.starts_at) * rules.last_percent.clamp(1, 100) as i32 / 100;
    if now < opens {
        return Err(Refusal::NotExtendable(format!("the last {} % of its time has not begun", rules.last_percent)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
