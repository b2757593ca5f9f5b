//! LDAP records found by the id that never changes.
//!
//! A record that is not found is gone only when the server still shows others: a right to read that was lost must not look like
//! everybody having left.

use crate::directory::facts::ReadError;
use crate::directory::ldap::{Ldap, gone};
use crate::directory::ldap_dn as dn;
use crate::directory::ldap_filter::Filter;
use crate::directory::ldap_message::{Entry, Scope, Search};
use crate::directory::ldap_pool::Lease;
use crate::directory::ldap_record::untold;
use crate::directory::ldap_schema::{self as schema, Dialect, GroupKind};

impl Ldap {
    /// The record with this reference, wherever the server finds it: Active Directory also outside the base, to where it may have been
    /// moved.
    ///
    /// # Errors
    /// When there is no trustworthy answer.
    pub(super) async fn locate(&self, lease: &mut Lease, reference: &str, attributes: &[&str]) -> Result<Option<Entry>, ReadError> {
        let schema = self.schema();
        if schema::id(reference).as_deref() != Some(reference) {
            return Ok(None); // no id of this server looks like that
        }
        let found = match schema.dialect {
            Dialect::ActiveDirectory => lease.one(&format!("<GUID={reference}>"), &Filter::anything(), attributes).await?,
            Dialect::OpenLdap => {
                let filter = Filter::is(schema.dialect.id(), reference);
                let search = Search { base: &schema.base, scope: Scope::Subtree, filter: &filter, attributes, deleted: false };
                lease.all(&search, 1).await?.ok_or_else(|| gone(&schema.base))?.pop()
            }
        };
        let Some(entry) = found else { return Ok(None) };
        match schema.reference(&entry) {
            Some(told) if told == reference => Ok(Some(entry)),
            Some(_) => Err(ReadError::Malformed("it sent another record than the one asked for".into())),
            None => Err(untold(schema.dialect.id())),
        }
    }

    /// The person with this reference: of those below the base that the filter counts as people (`strict`), or whatever record it is and
    /// wherever it was moved, so that who is no longer counted can still be taken out of groups.
    ///
    /// # Errors
    /// As [`Ldap::locate`]; also when the server shows nobody at all, which is a right that was lost, and not everybody having left.
    pub(super) async fn locate_person(&self, lease: &mut Lease, reference: &str, attributes: &[&str], strict: bool) -> Result<Option<Entry>, ReadError> {
        let mut found = self.locate(lease, reference, attributes).await?;
        if let Some(entry) = &found {
            if self.schema().kind(entry).is_some() {
                return Ok(None);
            }
            if strict && !dn::is_within(&entry.dn, &self.schema().base) {
                found = None;
            } else if strict {
                let counted = lease.one(&entry.dn, &self.schema().person, &[self.schema().dialect.id()]).await?;
                found = found.filter(|_| counted.is_some());
            }
        }
        if found.is_none() && !self.shows_anybody(lease).await? {
            return Err(ReadError::Malformed("it shows nobody at all; the service account may have lost its right to read".into()));
        }
        Ok(found)
    }

    async fn shows_anybody(&self, lease: &mut Lease) -> Result<bool, ReadError> {
        let schema = self.schema();
        let attributes = [schema.dialect.id()];
        let search = Search { base: &schema.people, scope: Scope::Subtree, filter: &schema.person, attributes: &attributes, deleted: false };
        let mut found = Vec::new();
        lease.page(&search, &[], &mut found).await?.ok_or_else(|| gone(&schema.people))?;
        Ok(!found.is_empty())
    }

    /// The group with this reference, and its kind.
    ///
    /// # Errors
    /// As [`Ldap::locate`]; also when it lies outside the base: it is not ours to change there, and its members are still in it.
    pub(super) async fn locate_group(&self, lease: &mut Lease, reference: &str) -> Result<Option<(Entry, GroupKind)>, ReadError> {
        let found = self.locate(lease, reference, &self.schema().of_a_group()).await?;
        match &found {
            None => self.shows_groups(lease).await?,
            Some(entry) if !dn::is_within(&entry.dn, &self.schema().base) => {
                return Err(ReadError::Malformed(format!("the group was moved to {}, outside of the base {}", entry.dn, self.schema().base)));
            }
            Some(_) => {}
        }
        Ok(found.and_then(|entry| self.schema().kind(&entry).map(|kind| (entry, kind))))
    }

    /// Fails when the server shows no group at all: a right that was lost must not look like a group that is gone.
    async fn shows_groups(&self, lease: &mut Lease) -> Result<(), ReadError> {
        let schema = self.schema();
        let (filter, attributes) = (schema.group(), [schema.dialect.id()]);
        let search = Search { base: &schema.groups, scope: Scope::Subtree, filter: &filter, attributes: &attributes, deleted: false };
        let mut found = Vec::new();
        lease.page(&search, &[], &mut found).await?.ok_or_else(|| gone(&schema.groups))?;
        if found.is_empty() {
            return Err(ReadError::Malformed("it shows no group at all; the service account may have lost its right to read".into()));
        }
        Ok(())
    }
}
