//! What changed in a Keycloak realm, by its admin events.
//!
//! They are there when the realm keeps them (Realm settings, Events, Admin events) and the service account may see them (view-events);
//! else there is no answer. They tell what administrators and this API did, not what people changed of themselves or a federation
//! brought: hints, beside which everything is read once in a while all the same.

use chrono::TimeDelta;
use serde_json::Value;

use crate::directory::facts::{Changes, ReadError};
use crate::directory::keycloak::Keycloak;
use crate::directory::keycloak_answer::{read, rows};
use crate::directory::keycloak_record::usable;

/// Events a page.
const PAGE: usize = 100;
/// Events of several nodes come in up to so late.
const LATE: TimeDelta = TimeDelta::seconds(30);
/// How far back is asked: realms may throw events away, and do not say when.
const OLDEST: TimeDelta = TimeDelta::hours(12);

/// Whether the realm keeps admin events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    No,
    /// The service account may not see whether.
    Hidden,
}

/// `FROM` or `FROM/FIRST/NEWEST`: since when, where to go on, and the latest seen so far; milliseconds.
struct Since {
    from: i64,
    first: usize,
    newest: i64,
}

impl Since {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let from = parts.next()?.parse().ok()?;
        let first = parts.next().map_or(Some(0), |part| part.parse().ok())?;
        let newest = parts.next().map_or(Some(from), |part| part.parse().ok())?;
        parts.next().is_none().then_some(Self { from, first, newest })
    }
}

impl Keycloak {
    pub(super) async fn events_kept(&self) -> Result<Kept, ReadError> {
        let answer = self.ask("/events/config").await?;
        if answer.status == 403 {
            return Ok(Kept::Hidden);
        }
        let kept = read(&answer, "view-events")?.get("adminEventsEnabled") == Some(&Value::Bool(true));
        Ok(if kept { Kept::Yes } else { Kept::No })
    }

    /// See [`Directory::changes`](crate::directory::port::Directory::changes).
    pub async fn changes(&self, since: Option<&str>) -> Result<Option<Changes>, ReadError> {
        if self.events_kept().await? != Kept::Yes {
            return Ok(None);
        }
        let now = self.clock().now();
        let Some(since) = since else {
            return Ok(Some(Changes { people: Vec::new(), groups: Vec::new(), next: (now - LATE).timestamp_millis().to_string(), more: false }));
        };
        let Since { from, first, newest } = Since::parse(since).ok_or(ReadError::Expired)?;
        if from < (now - OLDEST).timestamp_millis() {
            return Err(ReadError::Expired);
        }
        let path = format!(
            "/admin-events?resourceTypes=USER&resourceTypes=GROUP&resourceTypes=GROUP_MEMBERSHIP&dateFrom={from}&direction=asc&first={first}&max={PAGE}"
        );
        let found = rows(&self.ask(&path).await?, "view-events")?;
        let (mut people, mut groups, mut newest) = (Vec::new(), Vec::new(), newest);
        for event in &found {
            newest = newest.max(event.get("time").and_then(Value::as_i64).unwrap_or_default());
            let path = event.get("resourcePath").and_then(Value::as_str).unwrap_or_default();
            let mut segments = path.split('/');
            while let (Some(kind), Some(id)) = (segments.next(), segments.next()) {
                let named = match kind {
                    "users" => &mut people,
                    "groups" => &mut groups,
                    _ => break,
                };
                if usable(id) && !named.iter().any(|known| known == id) {
                    named.push(id.to_owned());
                }
            }
        }
        let more = found.len() >= PAGE;
        // Moments behind ours, so that what is written late is still found; what was told before may be told again.
        let next = if more { format!("{from}/{}/{newest}", first + found.len()) } else { from.max(newest.min((now - LATE).timestamp_millis())).to_string() };
        Ok(Some(Changes { people, groups, next, more }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_among_events_is_read_back_or_not_at_all() {
        let read = |text: &str| Since::parse(text).map(|since| (since.from, since.first, since.newest));
        assert_eq!((read("17"), read("17/100/25")), (Some((17, 0, 17)), Some((17, 100, 25))));
        for bad in ["", "x", "17/", "17/x/1", "17/1/2/3", "17/-1/2", "99999999999999999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
