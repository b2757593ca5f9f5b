//! Writes a lease with its cause, and ends transactions.

use chrono::{DateTime, Utc};

use crate::clock::new_id;
use crate::domain::catalog::Role;
use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::grant::{GrantStatus, span};
use crate::domain::id::{GrantId, TargetId};
use crate::domain::refusal::Refusal;
use crate::domain::span::Seconds;
use crate::store::db::Tx;
use crate::store::error::StoreError;
use crate::store::event;
use crate::store::grant::{self, GrantRow, NewGrant, NewTarget};
use crate::store::person::PersonRow;
use crate::store::request::RequestRow;

use super::error::ServiceError;

/// Commits; what was written exists from here on.
///
/// # Errors
/// When the database refuses at the end: then nothing of it exists.
pub async fn commit(tx: Tx) -> Result<(), ServiceError> {
    tx.commit().await.map_err(|error| StoreError::from(error).into())
}

/// What [`lease`] needs to know of the approved request.
pub struct Approved<'a> {
    /// The request.
    pub request: &'a RequestRow,
    /// The role.
    pub role: &'a Role,
    /// Who will hold it.
    pub beneficiary: &'a PersonRow,
    /// How long; none: without end.
    pub duration: Option<Seconds>,
    /// End of the lease that this one extends.
    pub extends_until: Option<DateTime<Utc>>,
    /// Whose act approved it.
    pub actor: &'a Actor,
    /// Through which door.
    pub channel: Channel,
}

/// Writes the events that approved a request (the approving one last), its lease with its event, and what is owed to the directory,
/// in the transaction that approved it.
///
/// # Errors
/// [`Refusal::AlreadyHeld`] when the beneficiary has a live lease of the role; otherwise when the database refuses.
pub async fn lease(tx: &mut Tx, approved: &Approved<'_>, mut causes: Vec<Event>, now: DateTime<Utc>) -> Result<GrantId, ServiceError> {
    let (request, role, beneficiary) = (approved.request, approved.role, approved.beneficiary);
    let (starts_at, ends_at) = span(now, approved.duration, request.wanted_start, approved.extends_until);
    let id = GrantId(new_id());
    let fact = Fact::GrantCreated { starts_at, duration_s: approved.duration.map(|d| d.0), extension_of: request.extension_of.map(GrantId) };
    let subject = Subject { grant: Some(id), ..about(request) };
    let approving = causes.len().checked_sub(1);
    causes.push(Event { actor: approved.actor.clone(), channel: approved.channel, subject, fact });
    let ids = event::append(tx, &causes).await?;
    let approval_event = approving.and_then(|at| ids.get(at).copied()).ok_or_else(|| StoreError::Broken("a lease needs the event that approved it".into()))?;
    grant::insert(
        tx,
        &NewGrant {
            id,
            request_id: request.id,
            approval_event,
            beneficiary: beneficiary.id,
            role: request.role_id,
            application: request.application_id,
            target: NewTarget { id: TargetId(new_id()), directory: &role.directory, person: &beneficiary.reference, group: &role.group_reference },
            status: if starts_at > now { GrantStatus::Scheduled } else { GrantStatus::Provisioning },
            approved_at: now,
            duration_s: approved.duration.map(|d| d.0),
            starts_at,
            ends_at,
            extension_of: request.extension_of,
        },
    )
    .await
    .map_err(|error| match error.constraint() {
        // Somebody's other ask for the same role was faster.
        Some("access_grant_one_live") => ServiceError::Refused(Refusal::AlreadyHeld(beneficiary.display_name.clone())),
        _ => error.into(),
    })?;
    Ok(id)
}

/// Until when the lease that is to be extended lasts or lasted.
///
/// # Errors
/// [`Refusal::NotExtendable`] when it was ended before its time: what was taken or given back is asked for anew, not extended.
pub fn extended_until(extended: Option<GrantRow>) -> Result<Option<DateTime<Utc>>, Refusal> {
    let Some(lease) = extended else { return Ok(None) };
    match lease.end_reason.as_deref() {
        None => Ok(lease.ends_at),
        Some("expired") => Ok(lease.ended_at.or(lease.ends_at)),
        Some(why) => Err(Refusal::NotExtendable(format!("it was ended before its time ({})", why.replace('_', " ")))),
    }
}

/// Everything an event about `request` is searched by.
pub fn about(request: &RequestRow) -> Subject {
    Subject {
        request: Some(request.id.into()),
        grant: None,
        person: Some(request.beneficiary_id.into()),
        role: Some(request.role_id.into()),
        application: Some(request.application_id.into()),
        policy_version: request.policy_version_id.map(Into::into),
    }
}

/// Everything an event about `grant` is searched by.
pub fn about_grant(grant: &crate::store::grant::GrantRow) -> Subject {
    Subject {
        request: Some(grant.request_id.into()),
        grant: Some(grant.id.into()),
        person: Some(grant.beneficiary_id.into()),
        role: Some(grant.role_id.into()),
        application: Some(grant.application_id.into()),
        policy_version: Some(grant.policy_version_id.into()),
    }
}

/// An event of the service itself.
pub fn by_system(subject: Subject, fact: Fact) -> Event {
    Event { actor: Actor::System, channel: Channel::System, subject, fact }
}
