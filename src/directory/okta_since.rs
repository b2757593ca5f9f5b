//! What changed in Okta since an earlier moment.
//!
//! Moments are Okta's own, from its `Date`. Each question reaches a little further back than the last answer, as a record may become
//! visible later than it says it changed; who is named twice is read twice. Okta does not tell whom it deleted: a person has to be
//! deactivated first, which it does tell, and a full reading finds the rest.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::directory::facts::{Changes, ReadError};
use crate::directory::http::encoded;
use crate::directory::okta::{Okta, READ_GROUPS, READ_PEOPLE};
use crate::directory::okta_answer::{no_id, rows};
use crate::directory::okta_record as record;

/// How much further back each question reaches.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);
/// Most pages read for one answer.
const PAGES: usize = 10;

/// Where counting stands: what [`Changes::next`] holds.
#[derive(Debug, Deserialize, Serialize)]
struct Since {
    /// Changes after this moment were not told yet.
    since: DateTime<Utc>,
    /// Halfway through: what is still to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<Rest>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Rest {
    /// Where counting begins the next time.
    until: DateTime<Utc>,
    /// Whether people are done.
    groups: bool,
    /// The next page; `None` for the first.
    page: Option<String>,
}

impl Since {
    fn changes(self, people: Vec<String>, groups: Vec<String>) -> Result<Option<Changes>, ReadError> {
        let more = self.rest.is_some();
        let next = serde_json::to_string(&self).map_err(|_| ReadError::Malformed("where it stands cannot be written down".into()))?;
        Ok(Some(Changes { people, groups, next, more }))
    }
}

impl Okta {
    /// See [`Directory::changes`](crate::directory::port::Directory::changes). People by `lastUpdated`, which a change of status moves
    /// too; groups by `lastUpdated` and `lastMembershipUpdated`. At most ten pages a time.
    pub async fn changes(&self, since: Option<&str>) -> Result<Option<Changes>, ReadError> {
        let Some(since) = since else {
            let answer = self.ask("/api/v1/users?limit=1", READ_PEOPLE).await?.ok_or_else(no_list)?;
            let now = answer.date.unwrap_or_else(|| self.0.clock.now());
            return Since { since: now.trunc_subsecs(0), rest: None }.changes(Vec::new(), Vec::new());
        };
        let Since { since, rest } = serde_json::from_str(since).map_err(|_| ReadError::Expired)?;
        let moment = quoted(since - OVERLAP);
        let (mut people, mut groups) = (Vec::new(), Vec::new());
        let mut rest = rest;
        for _ in 0..PAGES {
            let at_groups = rest.as_ref().is_some_and(|rest| rest.groups);
            let (list, filter, needs, found) = if at_groups {
                ("groups", format!("lastUpdated gt {moment} or lastMembershipUpdated gt {moment}"), READ_GROUPS, &mut groups)
            } else {
                ("users", format!("lastUpdated gt {moment}"), READ_PEOPLE, &mut people)
            };
            let to = rest.as_mut().and_then(|rest| rest.page.take()).unwrap_or_else(|| format!("/api/v1/{list}?limit=200&filter={}", encoded(&filter)));
            let answer = self.ask(&to, needs).await?.ok_or_else(no_list)?;
            for row in rows(&answer)? {
                found.push(record::id(&row).ok_or_else(no_id)?.to_owned());
            }
            // What changes from the first question on belongs to the next time.
            let until = rest.as_ref().map_or_else(|| answer.date.unwrap_or_else(|| self.0.clock.now()).trunc_subsecs(0), |rest| rest.until);
            rest = match answer.next {
                Some(next) if next == to => return Err(ReadError::Malformed("its list starts over instead of ending".into())),
                Some(next) => Some(Rest { until, groups: at_groups, page: Some(next) }),
                None if at_groups => return Since { since: until.max(since), rest: None }.changes(people, groups),
                None => Some(Rest { until, groups: true, page: None }),
            };
        }
        Since { since, rest }.changes(people, groups)
    }
}

fn quoted(moment: DateTime<Utc>) -> String {
    format!("\"{}\"", moment.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
}

fn no_list() -> ReadError {
    ReadError::Malformed("it knows no such list; is its address right?".into())
}
