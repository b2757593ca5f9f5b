//! LDAP memberships changed, one person each.
//!
//! A change names the one value it means; there is no form that empties a group. Result codes mean different things on different
//! servers (directories: 53 is "not a member" on one and "will not" on another), so where a code is not clear the server is asked whether
//! the person is a member, on the same connection. A connection that breaks after the change was sent leaves it uncertain.

use std::time::Duration;

use crate::directory::facts::{ReadError, WriteResult, clean};
use crate::directory::ldap::{Ldap, usable};
use crate::directory::ldap_link::Fault;
use crate::directory::ldap_message::{Entry, Modify, Outcome};
use crate::directory::ldap_pool::Lease;
use crate::directory::ldap_record as record;
use crate::directory::ldap_schema::GroupKind;

/// How long to leave a busy server alone.
const BUSY: Duration = Duration::from_secs(5);

/// A change that is being made.
struct Change<'a> {
    group: &'a Entry,
    kind: GroupKind,
    who: &'a Entry,
    value: &'a str,
    /// In, or out.
    wanted: bool,
}

impl Ldap {
    /// See [`Directory::add`](crate::directory::port::Directory::add).
    pub async fn add(&self, group: &str, person: &str) -> WriteResult {
        self.change(group, person, true).await.unwrap_or_else(|result| result)
    }

    /// See [`Directory::remove`](crate::directory::port::Directory::remove).
    pub async fn remove(&self, group: &str, person: &str) -> WriteResult {
        self.change(group, person, false).await.unwrap_or_else(|result| result)
    }

    async fn change(&self, group: &str, person: &str, wanted: bool) -> Result<WriteResult, WriteResult> {
        usable(group).and_then(|()| usable(person)).map_err(not_begun)?;
        let mut lease = self.pool().lease().await.map_err(not_sent)?;
        let Some((group, kind)) = self.locate_group(&mut lease, group).await.map_err(not_begun)? else { return Ok(WriteResult::NotFoundGroup) };
        // Whoever it is may be taken out; only a person is let in.
        let who = self.locate_person(&mut lease, person, &self.to_compare(), wanted).await.map_err(not_begun)?;
        let Some(who) = who else { return Ok(WriteResult::NotFoundUser) };
        let Some(value) = self.value(kind, &who) else { return Ok(WriteResult::GroupNotWritable("it lists logins, and the person has none".into())) };
        if self.is_primary(&group, kind, &who) {
            return Ok(if wanted { WriteResult::AlreadyInState } else { WriteResult::GroupNotWritable("it is the person's primary group".into()) });
        }
        if let Some(why) = record::read_only(self.schema(), &group) {
            return Ok(WriteResult::GroupNotWritable(why));
        }
        let change = Change { group: &group, kind, who: &who, value, wanted };
        let attribute = kind.attribute();
        let one = if wanted { Modify::Add(attribute, value) } else { Modify::Delete(attribute, value) };
        let outcome = lease.modify(&group.dn, &[one]).await.map_err(lost)?;
        if outcome.code == 65 && !wanted && kind.needs_one() {
            return self.last_member(&mut lease, &change, &outcome).await;
        }
        self.meaning(&mut lease, &change, &outcome).await
    }

    /// Takes out the last member of a group that cannot be empty: somebody who is nobody comes in with the same change.
    async fn last_member(&self, lease: &mut Lease, change: &Change<'_>, refused: &Outcome) -> Result<WriteResult, WriteResult> {
        let Some(nobody) = &self.schema().placeholder else {
            return match self.is_in(lease, change.group, change.kind, change.who).await {
                Ok(true) => Ok(WriteResult::GroupNotWritable(
                    "the person is its last member, and a group of this kind cannot be empty; name who stands in with the setting `placeholder`".into(),
                )),
                Ok(false) => Ok(WriteResult::AlreadyInState),
                Err(error) => Err(unread(error)),
            };
        };
        let attribute = change.kind.attribute();
        let both = [Modify::Add(attribute, nobody), Modify::Delete(attribute, change.value)];
        let outcome = lease.modify(&change.group.dn, &both).await.map_err(lost)?;
        match outcome.code {
            // The one who stands in cannot come in twice, or is not there: the first refusal says more.
            19 | 20 | 32 => self.meaning(lease, change, refused).await,
            _ => self.meaning(lease, change, &outcome).await,
        }
    }

    /// What an outcome means (RFC 4511 appendix A, and what servers make of it).
    async fn meaning(&self, lease: &mut Lease, change: &Change<'_>, outcome: &Outcome) -> Result<WriteResult, WriteResult> {
        let told = || format!("result {} {}", outcome.code, clean(&outcome.message)).trim_end().to_owned();
        let result = match (outcome.code, change.wanted) {
            (0, _) => return Ok(WriteResult::Changed),
            (20 | 68, true) | (16, false) => return Ok(WriteResult::AlreadyInState),
            (51, _) => return Ok(WriteResult::RateLimited { retry_after: BUSY }),
            (52, _) => return Ok(WriteResult::Transient(told())),
            (8 | 13 | 48 | 49, _) => return Ok(WriteResult::Auth(told())),
            // Failed on the way: nobody says how far it came.
            (3 | 80, _) => return Ok(WriteResult::Ambiguous(told())),
            (10, _) => return Ok(WriteResult::GroupNotWritable("this server is a copy that takes no changes".into())),
            (32, _) => return self.what_is_missing(lease, change).await,
            (50, _) => WriteResult::GroupNotWritable(format!("the service account has no right to write its members, {}", told())),
            // A constraint: most often a member that is not there.
            (19, true) => match self.what_is_missing(lease, change).await? {
                WriteResult::Unknown(_) => WriteResult::GroupNotWritable(told()),
                missing => return Ok(missing),
            },
            (19 | 53 | 65 | 71, _) => WriteResult::GroupNotWritable(told()),
            _ => WriteResult::Unknown(told()),
        };
        // Only the membership itself tells whether there was something to do.
        match self.is_in(lease, change.group, change.kind, change.who).await {
            Ok(member) if member == change.wanted => Ok(WriteResult::AlreadyInState),
            Ok(_) => Ok(result),
            Err(error) => Err(unread(error)),
        }
    }

    /// Which of the two records went away in between; [`WriteResult::Unknown`] when both are there.
    async fn what_is_missing(&self, lease: &mut Lease, change: &Change<'_>) -> Result<WriteResult, WriteResult> {
        let anything = crate::directory::ldap_filter::Filter::anything();
        for (entry, missing) in [(change.group, WriteResult::NotFoundGroup), (change.who, WriteResult::NotFoundUser)] {
            if lease.one(&entry.dn, &anything, &[self.schema().dialect.id()]).await.map_err(unread)?.is_none() {
                return Ok(missing);
            }
        }
        Ok(WriteResult::Unknown("it misses something that is there".into()))
    }
}

/// A fault before anything was sent.
fn not_sent(fault: Fault) -> WriteResult {
    match fault {
        Fault::Auth(why) => WriteResult::Auth(why),
        Fault::NotSent(why) | Fault::Lost(why) | Fault::Malformed(why) => WriteResult::Transient(why),
    }
}

/// A fault while the change was on its way.
fn lost(fault: Fault) -> WriteResult {
    match fault {
        Fault::NotSent(why) => WriteResult::Transient(why),
        Fault::Auth(why) => WriteResult::Auth(why),
        Fault::Lost(why) | Fault::Malformed(why) => WriteResult::Ambiguous(why),
    }
}

/// A question before the change that has no answer: nothing was changed.
fn not_begun(error: ReadError) -> WriteResult {
    match error {
        ReadError::RateLimited { retry_after } => WriteResult::RateLimited { retry_after },
        ReadError::Auth(why) => WriteResult::Auth(why),
        ReadError::Unreachable(why) | ReadError::Malformed(why) | ReadError::Refused(why) => WriteResult::Transient(why),
        other => WriteResult::Transient(other.to_string()),
    }
}

/// A question after the change that has no answer.
fn unread(error: ReadError) -> WriteResult {
    WriteResult::Ambiguous(error.to_string().trim_end_matches('.').to_owned())
}
