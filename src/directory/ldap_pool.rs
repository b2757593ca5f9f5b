//! Connections to an LDAP server, kept and limited.
//!
//! Whoever asks holds one connection from the first question to the last, so a change and the look at it afterwards meet the same
//! server. A question that fails on a kept connection before anything else went over it is asked once more on a new one; a change never.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::directory::facts::{ReadError, clean};
use crate::directory::ldap_filter::Filter;
use crate::directory::ldap_link::{Fault, Link, Target, Way};
use crate::directory::ldap_message::{self as message, Entry, Modify, Outcome, Scope, Search};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How long a refused password is not tried again: a few refusals in a row lock an account.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// Most listings at the same time, each of which keeps a connection between its pages.
const LISTINGS: usize = 4;
/// How long to leave a busy server alone.
const BUSY: Duration = Duration::from_secs(5);

/// The connections.
pub struct Pool {
    way: Way,
    page_size: u32,
    slots: Arc<Semaphore>,
    listings: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
    /// Where it last answered: behind one name there may be several servers, which know of a change at different times.
    last: Mutex<Option<SocketAddr>>,
    refused: Mutex<Option<(Instant, String)>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("targets", &self.way.targets).finish_non_exhaustive()
    }
}

/// A connection for as long as somebody asks.
pub struct Lease {
    link: Option<Link>,
    /// It was used before, and nothing has gone over it since.
    untried: bool,
    keep: bool,
    pool: Arc<Pool>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(link) = self.link.take().filter(|link| self.keep && link.is_usable(IDLE)) {
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < 32 {
                idle.push(link);
            }
        }
    }
}

impl Pool {
    /// Prepares; nothing is sent yet.
    pub fn new(way: Way, concurrency: usize, page_size: u32) -> Self {
        Self {
            way,
            page_size: page_size.max(1),
            slots: Arc::new(Semaphore::new(concurrency.max(1))),
            listings: Arc::new(Semaphore::new(LISTINGS)),
            idle: Mutex::default(),
            last: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// A connection for questions and changes.
    ///
    /// # Errors
    /// When there is none.
    pub async fn lease(self: &Arc<Self>) -> Result<Lease, Fault> {
        self.leased(&self.slots).await
    }

    /// A connection for a listing, which keeps it between its pages.
    ///
    /// # Errors
    /// When there is none.
    pub async fn listing(self: &Arc<Self>) -> Result<Lease, Fault> {
        self.leased(&self.listings).await
    }

    async fn leased(self: &Arc<Self>, slots: &Arc<Semaphore>) -> Result<Lease, Fault> {
        let Ok(Ok(slot)) = tokio::time::timeout(self.way.timeout, Arc::clone(slots).acquire_owned()).await else {
            return Err(Fault::NotSent("too many questions are waiting for it".into()));
        };
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|link| link.is_usable(IDLE));
            idle.pop()
        };
        let untried = kept.is_some();
        let link = match kept {
            Some(link) => link,
            None => self.connect().await?,
        };
        Ok(Lease { link: Some(link), untried, keep: true, pool: Arc::clone(self), _slot: slot })
    }

    async fn connect(&self) -> Result<Link, Fault> {
        if let Some((when, why)) = &*self.refused.lock().unwrap_or_else(PoisonError::into_inner)
            && when.elapsed() < REFUSED_FOR
        {
            return Err(Fault::Auth(why.clone()));
        }
        let mut places: Vec<(&Target, SocketAddr)> = Vec::new();
        for target in &self.way.targets {
            let looked_up = tokio::time::timeout(self.way.timeout, tokio::net::lookup_host((target.host.as_str(), target.port))).await;
            if let Ok(Ok(addresses)) = looked_up {
                places.extend(addresses.take(8).map(|address| (target, address)));
            }
        }
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        places.sort_by_key(|(_, address)| Some(*address) != last);
        let mut fault = Fault::NotSent("its name is not known".into());
        for (target, address) in places {
            match Link::open(&self.way, target, address).await {
                Ok(link) => {
                    *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
                    return Ok(link);
                }
                Err(Fault::Auth(why)) => {
                    *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), why.clone()));
                    return Err(Fault::Auth(why));
                }
                Err(other) => fault = other,
            }
        }
        Err(fault)
    }
}

impl Lease {
    /// Everything a search finds, page by page, but at most `most` records. `None` when the base itself is not there.
    ///
    /// # Errors
    /// When the answer is not complete, and when there is more.
    pub async fn all(&mut self, search: &Search<'_>, most: usize) -> Result<Option<Vec<Entry>>, ReadError> {
        match self.up_to(search, most).await? {
            Some((_, true)) => Err(ReadError::Malformed(format!("there are more than {most} records where so many are not believed"))),
            found => Ok(found.map(|(found, _)| found)),
        }
    }

    /// As [`Lease::all`], but where there are more than `most` records, some of them and `true`.
    ///
    /// # Errors
    /// When the answer is not complete.
    pub async fn up_to(&mut self, search: &Search<'_>, most: usize) -> Result<Option<(Vec<Entry>, bool)>, ReadError> {
        let mut found = Vec::new();
        let mut cookie = Vec::new();
        let mut barren = 0;
        let mut seen: HashSet<String> = HashSet::new();
        loop {
            let before = found.len();
            let Some(next) = self.page(search, &cookie, &mut found).await? else { return Ok(None) };
            if found.len() > most || next.is_empty() {
                let more = found.len() > most;
                return Ok(Some((found, more)));
            }
            // An empty page with a next one is legal; an endless row of them, or of the same, is not.
            let new = found.iter().skip(before).filter(|entry| seen.insert(entry.dn.clone())).count();
            barren = if new == 0 { barren + 1 } else { 0 };
            if barren > 100 {
                return Err(ReadError::Malformed("its list goes on without an end".into()));
            }
            cookie = next;
        }
    }

    /// One page, from `cookie` on; where the next one begins, empty when there is none. `None` when the base is not there.
    ///
    /// # Errors
    /// When the page is not complete.
    pub async fn page(&mut self, search: &Search<'_>, cookie: &[u8], found: &mut Vec<Entry>) -> Result<Option<Vec<u8>>, ReadError> {
        let before = found.len();
        let mut controls = if search.scope == Scope::Base { Vec::new() } else { message::paged(self.pool.page_size, cookie) };
        if search.deleted {
            controls.extend(message::show_deleted());
        }
        let mut outcome = self.link()?.search(search, &controls, found).await;
        if self.may_ask_again(&outcome, cookie) {
            found.truncate(before);
            outcome = self.anew().await?.search(search, &controls, found).await;
        }
        self.untried = false;
        let outcome = outcome.map_err(unread)?;
        match outcome.code {
            0 => Ok(Some(outcome.cookie)),
            32 => Ok(None),
            _ => Err(unusable(&outcome)),
        }
    }

    /// The record of this name; `None` when there is none, or the filter does not fit it.
    ///
    /// # Errors
    /// When there is no trustworthy answer.
    pub async fn one(&mut self, dn: &str, filter: &Filter, attributes: &[&str]) -> Result<Option<Entry>, ReadError> {
        let search = Search { base: dn, scope: Scope::Base, filter, attributes, deleted: false };
        Ok(self.all(&search, 1).await?.and_then(|found| found.into_iter().next()))
    }

    /// Whether a record has a value; no record has none.
    ///
    /// # Errors
    /// When there is no trustworthy answer.
    pub async fn compare(&mut self, dn: &str, attribute: &str, value: &str) -> Result<bool, ReadError> {
        let mut outcome = self.link()?.compare(dn, attribute, value).await;
        if self.may_ask_again(&outcome, &[]) {
            outcome = self.anew().await?.compare(dn, attribute, value).await;
        }
        self.untried = false;
        let outcome = outcome.map_err(unread)?;
        match outcome.code {
            6 => Ok(true),
            // False; no such attribute; no such record.
            5 | 16 | 32 => Ok(false),
            _ => Err(unusable(&outcome)),
        }
    }

    /// Changes a record, once.
    ///
    /// # Errors
    /// [`Fault::Lost`] and [`Fault::Malformed`] when it may have been carried out all the same.
    pub async fn modify(&mut self, dn: &str, changes: &[Modify<'_>]) -> Result<Outcome, Fault> {
        let Some(link) = &mut self.link else { return Err(Fault::NotSent("the connection broke before".into())) };
        link.modify(dn, changes).await
    }

    /// Ends the connection instead of keeping it, for a listing that was not read to its end.
    pub fn keep(&mut self, keep: bool) {
        self.keep = keep;
    }

    fn link(&mut self) -> Result<&mut Link, ReadError> {
        self.link.as_mut().ok_or_else(|| ReadError::Unreachable("the connection broke before".into()))
    }

    /// A kept connection may have ended without our noticing. A cookie is good on its own connection only.
    fn may_ask_again(&self, outcome: &Result<Outcome, Fault>, cookie: &[u8]) -> bool {
        self.untried && cookie.is_empty() && matches!(outcome, Err(Fault::Lost(_)))
    }

    async fn anew(&mut self) -> Result<&mut Link, ReadError> {
        self.untried = false;
        self.link = None;
        let link = self.pool.connect().await.map_err(unread)?;
        Ok(self.link.insert(link))
    }
}

/// A fault while asking.
pub fn unread(fault: Fault) -> ReadError {
    match fault {
        Fault::NotSent(why) | Fault::Lost(why) => ReadError::Unreachable(why),
        Fault::Malformed(why) => ReadError::Malformed(why),
        Fault::Auth(why) => ReadError::Auth(why),
    }
}

/// An outcome that is no answer to a question.
pub fn unusable(outcome: &Outcome) -> ReadError {
    let told = || format!("result {} {}", outcome.code, clean(&outcome.message)).trim_end().to_owned();
    match outcome.code {
        3 => ReadError::Unreachable("it took longer than it allows itself".into()),
        4 | 11 => ReadError::Malformed("it cut its answer short".into()),
        10 => ReadError::Malformed("it refers to another server instead of answering".into()),
        12 => ReadError::Malformed("it cannot give long lists in pages".into()),
        8 | 13 | 48 | 49 | 50 => ReadError::Auth(told()),
        51 => ReadError::RateLimited { retry_after: BUSY },
        52 | 80 => ReadError::Unreachable(told()),
        _ => ReadError::Malformed(told()),
    }
}
