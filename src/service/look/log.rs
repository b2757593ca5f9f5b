//! What the Log shows.

use chrono::{DateTime, Days, NaiveDate, Utc};
use uuid::Uuid;

use crate::domain::event::Fact;
use crate::domain::id::PersonId;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::error::StoreError;
use crate::store::look_log::{self, About, Lanes, LogRow, Narrow, Turn};
use crate::store::look_names::{self, ChoiceRow, Meant};

use super::shared::{Choice, Cursor, EventRow};

/// How many events a page has.
const PAGE: i64 = 50;
/// How many people, roles and applications a search takes in.
const MEANT: usize = 20;

/// Every kind of event, under the heading of its first word.
pub const KINDS: [(&str, &str, &[&str]); 20] = [
    (
        "request",
        "Requests",
        &[
            "request.submitted",
            "request.confirmed",
            "request.refused",
            "request.auto_approved",
            "request.step_opened",
            "request.approved",
            "request.denied",
            "request.withdrawn",
            "request.timed_out",
            "request.closed",
            "request.superseded",
            "request.reminded",
            "request.nudged",
            "request.escalated",
            "request.fallback_asked",
            "request.question_asked",
            "request.question_answered",
            "request.question_lapsed",
            "request.sign_off_noted",
        ],
    ),
    ("approval", "Approvals", &["approval.viewed", "approval.given", "approval.denied", "approval.reassigned", "approval.delegated"]),
    (
        "grant",
        "Grants",
        &[
            "grant.created",
            "grant.provisioning_started",
            "grant.provisioned",
            "grant.attempt_failed",
            "grant.activated",
            "grant.failed",
            "grant.expired",
            "grant.returned",
            "grant.revoked",
            "grant.offboarded",
            "grant.eligibility_lost",
            "grant.eligibility_grace",
            "grant.eligibility_kept",
            "grant.eligibility_restored",
            "grant.ended",
            "grant.extension_declined",
        ],
    ),
    ("emergency", "Emergencies", &["emergency.review_owed", "emergency.review_overdue", "emergency.reviewed"]),
    ("delegation", "Delegation", &["delegation.created", "delegation.ended"]),
    ("separation", "Separation of duties", &["separation.found", "separation.resolved"]),
    ("policy_change", "Changes of the rules", &["policy_change.proposed", "policy_change.approved", "policy_change.rejected", "policy_change.failed"]),
    (
        "drift",
        "Drift",
        &["drift.found", "drift.adoption_asked", "drift.adoption_failed", "drift.removal_ordered", "drift.ignored", "drift.exception_ended", "drift.resolved"],
    ),
    ("group", "Groups", &["group.imported", "group.members_left", "group.stopped", "group.released"]),
    ("session", "Sessions", &["session.started", "session.refused", "session.ended"]),
    ("identity", "Identities", &["identity.linked"]),
    ("token", "API tokens", &["token.created", "token.used", "token.revoked"]),
    ("catalog", "Catalog and policies", &["catalog.applied"]),
    (
        "evidence",
        "Evidence",
        &[
            "evidence.exported",
            "evidence.sampled",
            "evidence.viewed",
            "evidence.key_added",
            "evidence.log_restored",
            "evidence.witnessed",
            "evidence.read",
            "evidence.schedule_made",
            "evidence.schedule_changed",
            "evidence.schedule_switched",
            "evidence.schedule_run_asked",
            "evidence.scheduled_sent",
            "evidence.scheduled_failed",
        ],
    ),
    ("log", "The log's key", &["log.key_rotated"]),
    ("retention", "Retention", &["retention.applied"]),
    ("hold", "Legal holds", &["hold.placed", "hold.lifted"]),
    ("directory", "Directory", &["directory.synced", "directory.failed", "directory.believed", "directory.paused", "directory.resumed"]),
    ("person", "People", &["person.changed", "person.moved", "person.erasure_ordered", "person.erased"]),
    ("clock", "Clock", &["clock.jumped"]),
];

/// What the log is narrowed to. Empty words narrow nothing.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// First day (UTC), inclusive.
    pub from: Option<NaiveDate>,
    /// Last day (UTC), inclusive.
    pub to: Option<NaiveDate>,
    /// An application's id.
    pub application: Option<Uuid>,
    /// A role's id.
    pub role: Option<Uuid>,
    /// The id of a policy's version: what it governed.
    pub policy: Option<Uuid>,
    /// A kind, or the first part of one (`request`).
    pub kind: String,
    /// A person's name or address, a role, an application, or the id of any of these, of a request or of a grant.
    pub q: String,
}

impl LogFilter {
    /// Whether that application or role is the one chosen.
    pub fn is_chosen(&self, value: &str) -> bool {
        [self.application, self.role].into_iter().flatten().any(|id| id.to_string() == value)
    }

    /// When the period begins.
    pub fn begins(&self) -> Option<DateTime<Utc>> {
        Some(self.from?.and_hms_opt(0, 0, 0)?.and_utc())
    }

    /// When the period is over: the last day's end.
    pub fn ends(&self) -> Option<DateTime<Utc>> {
        Some(self.to?.checked_add_days(Days::new(1))?.and_hms_opt(0, 0, 0)?.and_utc())
    }
}

/// The log, newest first.
#[derive(Clone, Debug)]
pub struct Log {
    /// What it is narrowed to.
    pub filter: LogFilter,
    /// The version that the filter names: name and number.
    pub policy: Option<(String, i32)>,
    /// Applications to choose from.
    pub applications: Vec<Choice>,
    /// Roles of the chosen application to choose from.
    pub roles: Vec<Choice>,
    /// Kinds to choose from.
    pub kinds: Vec<Choice>,
    /// The events.
    pub rows: Vec<EventRow>,
    /// Where older events begin, if there may be any.
    pub older: Option<Cursor>,
    /// Where newer events begin, if there may be any.
    pub newer: Option<Cursor>,
    /// Looking stopped here although matching events may follow.
    pub cut: bool,
    /// The viewer sees every event, not only their own and those of what they own.
    pub whole: bool,
    /// What the search took in, when that is not plain.
    pub notice: Option<String>,
}

/// A page of the log as `by` may see it: auditors and administrators everything, everybody else what is about them, by them, and of
/// roles and applications that they own. `before` or `after` are the cursors of a page shown before.
///
/// # Errors
/// [`ServiceError::Missing`] for a cursor that is none of ours; when the database fails.
pub async fn log(ctx: &Ctx, by: &By, filter: LogFilter, before: Option<&Cursor>, after: Option<&Cursor>) -> Result<Log, ServiceError> {
    let turn = match (before, after) {
        (Some(cursor), _) => Turn::Before(number(cursor)?),
        (None, Some(cursor)) => Turn::After(number(cursor)?),
        (None, None) => Turn::Newest,
    };
    let whole = by.reads_everything();
    let eyes = if whole { None } else { Some(look_names::owned(&ctx.db, by.person.0).await?) };
    let kinds = kinds_of(&filter.kind);
    let (about, notice) = about(ctx, &filter.q).await?;
    let narrow =
        Narrow { from: filter.begins(), to: filter.ends(), kinds, application: filter.application, role: filter.role, version: filter.policy, about, eyes };
    let policy = match filter.policy {
        // What governs what is nobody's but theirs who read everything.
        Some(version) if whole => match ctx.policies.version(&ctx.db, version.into()).await {
            Err(StoreError::Broken(_)) => return Err(ServiceError::Missing),
            found => Some(found?),
        },
        Some(_) => return Err(ServiceError::Missing),
        None => None,
    };
    let page = look_log::page(&ctx.db, &candidates(&narrow), &narrow, turn, PAGE).await?;
    let owner = (!whole).then_some(by.person.0);
    let applications = look_names::applications(&ctx.db, owner).await?;
    let roles = match filter.application {
        Some(application) => look_names::roles(&ctx.db, application, owner).await?,
        None => Vec::new(),
    };
    Ok(Log {
        filter,
        policy: policy.map(|policy| (policy.name.clone(), policy.version)),
        applications: choices(applications),
        roles: choices(roles),
        kinds: kind_choices(),
        rows: page.rows.into_iter().map(event).collect(),
        older: page.older.map(|id| Cursor(id.to_string())),
        newer: page.newer.map(|id| Cursor(id.to_string())),
        cut: page.cut,
        whole,
        notice,
    })
}

/// Whose rows a file of what `filter` leaves holds: the one person that the search means, or `by` themselves when they may take no
/// more than their own. A file knows no search for several; none: everybody's.
///
/// # Errors
/// When the database fails.
pub async fn person_to_take(ctx: &Ctx, by: &By, filter: &LogFilter) -> Result<Option<PersonId>, ServiceError> {
    let searched = about(ctx, &filter.q).await?.0.filter(|about| about.roles.is_empty() && about.applications.is_empty() && about.requests.is_empty());
    if let Some([only]) = searched.as_ref().map(|about| about.persons.as_slice()) {
        return Ok(Some(PersonId(*only)));
    }
    let narrowed = filter.application.is_some() || filter.role.is_some();
    Ok((!by.reads_everything() && !narrowed).then_some(by.person))
}

fn number(cursor: &Cursor) -> Result<i64, ServiceError> {
    cursor.0.parse().ok().filter(|id| *id >= 0).ok_or(ServiceError::Missing)
}

/// The kinds that a word stands for: one, or all that begin with it. An unknown word stands for none.
fn kinds_of(word: &str) -> Option<Vec<String>> {
    if word.is_empty() {
        return None;
    }
    let all = KINDS.iter().flat_map(|(head, _, kinds)| kinds.iter().map(move |kind| (*head, *kind)));
    Some(all.filter(|(head, kind)| *head == word || *kind == word).map(|(_, kind)| kind.to_owned()).collect())
}

fn kind_choices() -> Vec<Choice> {
    let mut choices = Vec::new();
    for (head, label, kinds) in KINDS {
        if kinds.len() > 1 {
            choices.push(Choice { value: head.into(), label: format!("{label}: all") });
        }
        choices.extend(kinds.iter().map(|kind| Choice { value: (*kind).into(), label: (*kind).into() }));
    }
    choices
}

pub(super) fn choices(rows: Vec<ChoiceRow>) -> Vec<Choice> {
    rows.into_iter().map(|row| Choice { value: row.id.to_string(), label: row.name }).collect()
}

/// What `q` is about, and what to say when it took in less than it could mean.
async fn about(ctx: &Ctx, q: &str) -> Result<(Option<About>, Option<String>), ServiceError> {
    let text = q.trim().to_lowercase();
    if text.is_empty() {
        return Ok((None, None));
    }
    let meant = match Uuid::try_parse(&text) {
        Ok(id) => match look_names::identified(&ctx.db, id).await? {
            // The log may know an id that nothing else knows any more.
            none if none.is_empty() => vec![Meant { what: "request".into(), id }],
            some => some,
        },
        Err(_) => look_names::named(&ctx.db, &text, MEANT as i64 + 1).await?,
    };
    let ids = |what: &str| meant.iter().filter(|m| m.what == what).map(|m| m.id).collect::<Vec<_>>();
    let mut about = About { persons: ids("person"), roles: ids("role"), applications: ids("application"), requests: ids("request") };
    let mut many = Vec::new();
    for (list, name) in [(&mut about.persons, "people"), (&mut about.roles, "roles"), (&mut about.applications, "applications")] {
        if list.len() > MEANT {
            list.truncate(MEANT);
            many.push(name);
        }
    }
    let notice = match (meant.is_empty(), many.as_slice()) {
        (true, _) => Some(format!("Nobody and nothing is called “{q}”.")),
        (false, []) => None,
        (false, many) => {
            Some(format!("More than {MEANT} {} are called something like “{q}”; these are the events of {MEANT}. Say more of the name.", many.join(", ")))
        }
    };
    Ok((Some(about), notice))
}

/// Sets of lanes, each of which holds every event that `narrow` leaves; those that tend to be short first.
fn candidates(narrow: &Narrow) -> Vec<Lanes> {
    let mut candidates = Vec::new();
    if let Some(about) = &narrow.about {
        candidates.push(Lanes {
            persons: about.persons.clone(),
            actors: about.persons.clone(),
            roles: about.roles.clone(),
            applications: about.applications.clone(),
            requests: about.requests.clone(),
            ..Lanes::default()
        });
    }
    if let Some(role) = narrow.role {
        candidates.push(Lanes { roles: vec![role], ..Lanes::default() });
    }
    if let Some(version) = narrow.version {
        candidates.push(Lanes { versions: vec![version], ..Lanes::default() });
    }
    if let Some(eyes) = &narrow.eyes {
        candidates.push(Lanes {
            persons: vec![eyes.person],
            actors: vec![eyes.person],
            roles: eyes.roles.clone(),
            applications: eyes.applications.clone(),
            ..Lanes::default()
        });
    }
    if let Some(kinds) = &narrow.kinds {
        candidates.push(Lanes { kinds: kinds.clone(), ..Lanes::default() });
    }
    if let Some(application) = narrow.application {
        candidates.push(Lanes { applications: vec![application], ..Lanes::default() });
    }
    if candidates.is_empty() {
        candidates.push(Lanes { everything: true, ..Lanes::default() });
    }
    candidates
}

/// An event as a page tells it.
pub(super) fn event(row: LogRow) -> EventRow {
    let fact = serde_json::from_value::<Fact>(serde_json::json!({ "kind": row.kind, "data": row.data }));
    let sentence = fact.map_or_else(|_| row.kind.replace(['.', '_'], " "), |fact| fact.story());
    let actor = match (row.actor_kind.as_str(), row.actor_name, row.token) {
        ("system", ..) if row.channel == "cli" => "An operator".to_owned(),
        ("system", ..) => "Countersign".to_owned(),
        (_, Some(name), Some(token)) => format!("{name}, with token {token}"),
        (_, Some(name), None) => name,
        (_, None, _) => "Somebody without a name".to_owned(),
    };
    EventRow {
        id: row.id,
        at: row.occurred_at,
        kind: row.kind,
        actor,
        acting_for: row.acting_for,
        channel: row.channel,
        sentence,
        request: row.request_id,
        person: row.person,
        application: row.application,
        role: row.role,
        emergency: row.emergency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_can_be_chosen() {
        let source = include_str!("../../domain/event.rs");
        let mut kinds: Vec<&str> = source.split("#[serde(rename = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let mut known: Vec<&str> = KINDS.iter().flat_map(|(_, _, kinds)| kinds.iter().copied()).collect();
        kinds.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, kinds);
        assert!(KINDS.iter().all(|(head, _, kinds)| kinds.iter().all(|kind| kind.starts_with(&format!("{head}.")))));
    }

    #[test]
    fn a_word_stands_for_its_kinds() {
        assert_eq!(kinds_of(""), None);
        assert_eq!(kinds_of("separation"), Some(vec!["separation.found".into(), "separation.resolved".into()]));
        assert_eq!(kinds_of("grant.ended"), Some(vec!["grant.ended".into()]));
        assert_eq!(kinds_of("x"), Some(vec![]));
    }
}
