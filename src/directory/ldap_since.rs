//! What changed in an LDAP server since a moment.
//!
//! Active Directory counts its changes (`uSNChanged`), each domain controller for itself, so a place is good for one controller only.
//! Elsewhere records carry the time of their last change; who is gone is not told there and is found by reading everything.

use chrono::TimeDelta;

use crate::directory::facts::{Changes, ReadError};
use crate::directory::ldap::{Ldap, gone};
use crate::directory::ldap_filter::Filter;
use crate::directory::ldap_message::{Entry, Scope, Search};
use crate::directory::ldap_pool::Lease;
use crate::directory::ldap_record::{moment, untold, written};
use crate::directory::ldap_schema::Dialect;

/// Most changes told at once; with more, reading everything is as fast.
const MOST_CHANGES: usize = 50_000;
/// How far back counting by time begins, and overlaps: the server's clock is not ours, and changes of one moment may appear late.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);

impl Ldap {
    /// See [`Directory::changes`](crate::directory::port::Directory::changes).
    pub async fn changes(&self, since: Option<&str>) -> Result<Option<Changes>, ReadError> {
        let mut lease = self.lease().await?;
        match self.schema().dialect {
            Dialect::ActiveDirectory => self.counted(&mut lease, since).await.map(Some),
            Dialect::OpenLdap => self.timed(&mut lease, since).await.map(Some),
        }
    }

    async fn timed(&self, lease: &mut Lease, since: Option<&str>) -> Result<Changes, ReadError> {
        let Some(since) = since else {
            return Ok(Changes { people: Vec::new(), groups: Vec::new(), next: written(self.clock().now() - OVERLAP), more: false });
        };
        let from = moment(since).ok_or(ReadError::Expired)?;
        let filter = Filter::AtLeast("modifyTimestamp".into(), written(from).into_bytes());
        let found = self.changed(lease, filter, "modifyTimestamp", false).await?;
        // The server's own times count, so its clock may be wrong.
        let newest = found.iter().filter_map(|entry| moment(entry.text("modifyTimestamp")?)).max();
        // Never beyond what was seen, and never back: what repeats does no harm.
        let next = newest.map_or(from, |newest| (newest - OVERLAP).max(from));
        self.sorted(&found, written(next))
    }

    async fn counted(&self, lease: &mut Lease, since: Option<&str>) -> Result<Changes, ReadError> {
        let root = lease.one("", &Filter::anything(), &["dsServiceName", "highestCommittedUSN"]).await?.unwrap_or_default();
        let (Some(controller), Some(count)) = (root.text("dsServiceName"), root.text("highestCommittedUSN").and_then(|n| n.trim().parse::<u64>().ok())) else {
            return Err(ReadError::Malformed("it does not tell its count of changes".into()));
        };
        let next = format!("{count} {controller}");
        let Some(since) = since else { return Ok(Changes { people: Vec::new(), groups: Vec::new(), next, more: false }) };
        // Another controller counts otherwise, and one that was restored counts anew.
        let (from, of) = since.split_once(' ').ok_or(ReadError::Expired)?;
        let from = from.parse::<u64>().ok().filter(|from| *from <= count && of == controller).ok_or(ReadError::Expired)?;
        let filter = Filter::AtLeast("uSNChanged".into(), (from + 1).to_string().into_bytes());
        let found = self.changed(lease, filter, "uSNChanged", true).await?;
        self.sorted(&found, next)
    }

    async fn changed(&self, lease: &mut Lease, filter: Filter, stamp: &str, deleted: bool) -> Result<Vec<Entry>, ReadError> {
        let schema = self.schema();
        // A deleted record keeps its class, and little else that a filter of the settings could ask for.
        let people = match schema.dialect {
            Dialect::ActiveDirectory => Filter::is("objectClass", "user").and(Filter::Not(Box::new(Filter::is("objectClass", "computer")))),
            Dialect::OpenLdap => schema.person.clone(),
        };
        let filter = filter.and(Filter::Any(vec![schema.group(), people]));
        let attributes = [schema.dialect.id(), "objectClass", stamp];
        let search = Search { base: &schema.base, scope: Scope::Subtree, filter: &filter, attributes: &attributes, deleted };
        match lease.up_to(&search, MOST_CHANGES).await?.ok_or_else(|| gone(&schema.base))? {
            (_, true) => Err(ReadError::Expired),
            (found, false) => Ok(found),
        }
    }

    fn sorted(&self, found: &[Entry], next: String) -> Result<Changes, ReadError> {
        let schema = self.schema();
        let mut changes = Changes { people: Vec::new(), groups: Vec::new(), next, more: false };
        for entry in found {
            let reference = schema.reference(entry).ok_or_else(|| untold(schema.dialect.id()))?;
            let list = if schema.kind(entry).is_some() { &mut changes.groups } else { &mut changes.people };
            list.push(reference);
        }
        Ok(changes)
    }
}
