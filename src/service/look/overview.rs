//! What the administrator's overview shows.

use chrono::{DateTime, Duration, Utc};

use crate::service::ctx::{By, Ctx};
use crate::service::doctor::{self as checks, State};
use crate::service::error::ServiceError;
use crate::service::pause;
use crate::store::finding::{self, Totals};
use crate::store::look_overview::Numbers;
use crate::store::{doctor, look_directory, look_drift, look_overview, look_provisioning};

use super::directory::{health, run};

/// A removal that is owed for longer needs somebody.
const LATE: Duration = Duration::minutes(2);
/// A worker that was not heard of for longer is not at work.
const SILENT: Duration = Duration::seconds(30);

/// How the installation is doing, what needs a person first.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What needs somebody, worst first; empty when nothing does.
    pub attention: Vec<Attention>,
    /// The parts and how they are.
    pub parts: Vec<Part>,
    /// Numbers of the last 24 hours and now.
    pub numbers: Vec<Number>,
}

/// Something that needs somebody.
#[derive(Clone, Debug)]
pub struct Attention {
    /// `bad` or `warn`.
    pub tone: &'static str,
    /// What is wrong.
    pub sentence: String,
    /// What is done about it without anybody, or what to do.
    pub next: String,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// Where to look.
    pub href: String,
}

/// A part of the installation.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// `ok`, `slow`, `failing` or `unknown`.
    pub state: &'static str,
    /// In a sentence.
    pub sentence: String,
    /// When that was last seen to be so.
    pub at: Option<DateTime<Utc>>,
    /// Where to look.
    pub href: Option<String>,
}

/// A number worth watching.
#[derive(Clone, Debug)]
pub struct Number {
    /// What is counted.
    pub label: String,
    /// How many.
    pub value: i64,
    /// What to read beside it.
    pub note: Option<String>,
    /// Where they are listed.
    pub href: Option<String>,
}

/// The overview, for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else.
pub async fn overview(ctx: &Ctx, by: &By) -> Result<Overview, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let now = ctx.clock.now();
    let (owed, failing, drifts, timetable, workers, server, numbers, rules) = tokio::try_join!(
        look_provisioning::owed(&ctx.db, now, now - LATE),
        look_provisioning::failing(&ctx.db, 5),
        look_directory::open_drifts(&ctx.db),
        doctor::timetable(&ctx.db, now),
        doctor::workers(&ctx.db),
        doctor::server(&ctx.db),
        look_overview::numbers(&ctx.db, now - Duration::days(1), now + Duration::days(1)),
        finding::totals(&ctx.db),
    )?;
    let (paused, stopped) = (pause::now(ctx).await?, look_drift::stopped(&ctx.db, 20).await?);
    let guards = checks::guards_hold(ctx, &server.role).await?;
    let mut attention = Vec::new();
    let mut needs = |tone, sentence: String, next: &str, since, href: &str| {
        attention.push(Attention { tone, sentence, next: next.into(), since, href: href.into() });
    };

    let last_beat = workers.first().map(|worker| worker.beat_at);
    let alive = workers.iter().filter(|worker| now - worker.beat_at < SILENT).count();
    if alive == 0 {
        needs(
            "bad",
            "No worker is at work: nothing is granted, nothing ends, nothing times out.".into(),
            "Start `countersign serve`; what is owed is kept and done at once.",
            last_beat,
            "/admin/provisioning",
        );
    }
    for part in guards.iter().filter(|part| part.state == State::Bad) {
        needs(
            "bad",
            part.sentence.clone(),
            "Somebody changed the database’s structure or rights. Find out who; `countersign doctor` says more.",
            None,
            "/admin",
        );
    }
    for row in failing.iter().filter(|row| !row.wanted || row.fails >= 3) {
        let (what, from) = if row.wanted { ("Adding", "to") } else { ("Removing", "from") };
        let tone = if row.wanted { "warn" } else { "bad" };
        let sentence = format!("{what} {} {from} {} fails: {}", row.person, row.group_name, row.last_error);
        let next = if row.wanted { "It is tried again, at ever longer distances." } else { "It is tried again until it is done." };
        needs(tone, sentence, next, row.owed_since, "/admin/provisioning");
    }
    if owed.failing > failing.len() as i64 {
        needs("warn", format!("{} memberships fail in all.", owed.failing), "Each is tried again by itself.", None, "/admin/provisioning");
    }
    let mut parts = Vec::new();
    for key in ctx.directories.keys() {
        let (people_read, groups_compared) = (run(&timetable, "sync", key), run(&timetable, "sweep", key));
        let (state, sentence) = health(&people_read, &groups_compared, now);
        if state == "failing" {
            needs(
                "bad",
                format!("Directory {key}. {sentence}"),
                "It is tried again every minute. Nothing is decided on old data meanwhile.",
                people_read.last_ok_at,
                &format!("/directories/{key}"),
            );
        }
        parts.push(Part { name: format!("Directory {key}"), state, sentence, at: people_read.last_ok_at, href: Some(format!("/directories/{key}")) });
    }
    for pause in &paused {
        let (tone, what) = if pause.everything { ("bad", "everything, removals too") } else { ("warn", "new access") };
        let sentence = format!("Directory {} is paused by {}: {what} is held back. {}", pause.directory, pause.paused_by, pause.reason);
        let next = if pause.everything { "People keep access that has ended until it goes on." } else { "What is granted is given when it goes on." };
        needs(tone, sentence, next, Some(pause.paused_at), &format!("/directories/{}", pause.directory));
    }
    for group in &stopped {
        let sentence = if group.why == "shrunk" {
            format!("{} members are missing at once from the list of {}, so it is not believed.", group.people, group.group_name)
        } else {
            format!("{} members of {} without a grant were not taken out at once.", group.people, group.group_name)
        };
        needs("warn", sentence, "Look, and say how to go on.", Some(group.stopped_at), "/drift");
    }
    if drifts > 0 {
        let sentence =
            if drifts == 1 { "1 membership differs from what was granted.".into() } else { format!("{drifts} memberships differ from what was granted.") };
        needs("warn", sentence, "Countersign does not remove what it did not add: see who they are.", None, "/drift");
    }
    parts.push(Part {
        name: "Provisioning".into(),
        state: if owed.late > 0 {
            "failing"
        } else if owed.failing > 0 {
            "slow"
        } else {
            "ok"
        },
        sentence: match (owed.waiting, owed.failing) {
            (0, 0) => "Nothing waits, nothing fails.".into(),
            (waiting, failing) => format!("{waiting} wait, {failing} fail, {} removals are late.", owed.late),
        },
        at: owed.oldest_removal,
        href: Some("/admin/provisioning".into()),
    });
    for (tone, sentence, next, since, href) in of_rules(&rules) {
        needs(tone, sentence, next, since, &href);
    }
    parts.push(rules_part(&rules));
    parts.push(Part {
        name: "Worker".into(),
        state: if alive == 0 { "failing" } else { "ok" },
        sentence: match alive {
            0 => "Not at work.".into(),
            1 => "One worker, at work.".into(),
            n => format!("{n} workers, at work."),
        },
        at: last_beat,
        href: None,
    });
    parts.push(Part {
        name: "Database".into(),
        state: if server.durable { "ok" } else { "slow" },
        sentence: format!(
            "Postgres {}, schema {}, {} MB{}",
            server.version,
            server.migration,
            server.bytes / 1_000_000,
            if server.durable { "." } else { "; a power cut can lose what was committed (fsync or full_page_writes is off)." }
        ),
        at: None,
        href: None,
    });
    for part in guards {
        let state = match part.state {
            State::Good => "ok",
            State::Warn => "slow",
            State::Bad => "failing",
        };
        parts.push(Part { name: part.name, state, sentence: part.sentence, at: None, href: None });
    }
    parts.push(Part {
        name: "Log".into(),
        state: "ok",
        sentence: format!("About {} events.", numbers.events),
        at: numbers.newest_event,
        href: Some("/log".into()),
    });
    attention.sort_by_key(|a| a.tone != "bad");
    Ok(Overview { attention, parts, numbers: figures(&numbers, now) })
}

/// What needs somebody: tone, sentence, what to do, since when, where to look.
type Need = (&'static str, String, &'static str, Option<DateTime<Utc>>, String);

/// What about the rules needs somebody.
fn of_rules(rules: &Totals) -> Vec<Need> {
    let mut needs = Vec::new();
    if let Some(policy) = rules.dead_example {
        let these = |count: i64, one: &str, many: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {many}") };
        let sentence = format!(
            "{} of {}: people may ask, and nobody could approve.",
            these(rules.dead_roles, "role", "roles"),
            these(rules.dead_policies, "policy", "policies")
        );
        needs.push((
            "warn",
            sentence,
            "The policy’s health says which step, and for whom. Name somebody who stands in.",
            rules.checked_at,
            format!("/admin/policies/{policy}#health"),
        ));
    }
    if let Some(role) = rules.apart_example {
        let sentence = match rules.apart {
            1 => "Somebody holds two roles that a separation rule keeps apart.".to_owned(),
            n => format!("{n} times somebody holds two roles that a separation rule keeps apart."),
        };
        needs.push(("bad", sentence, "See who on the role’s page, and revoke one of the two.", rules.apart_since, format!("/roles/{role}#apart")));
    }
    if rules.proposed > 0 {
        let sentence = match rules.proposed {
            1 => "A change of the rules waits for a second administrator.".to_owned(),
            n => format!("{n} changes of the rules wait for a second administrator."),
        };
        needs.push(("warn", sentence, "Another than its author approves or rejects it.", rules.proposed_since, "/admin/changes?status=proposed".into()));
    }
    needs
}

fn rules_part(rules: &Totals) -> Part {
    let (state, sentence) = match (&rules.last_error, rules.checked_at) {
        (Some(error), _) => ("failing", format!("Who could approve could not be looked at: {error}")),
        (None, None) => ("unknown", "Not looked at yet.".into()),
        (None, Some(_)) if rules.dead_policies > 0 => ("slow", format!("{} roles have requests that nobody could approve.", rules.dead_roles)),
        (None, Some(_)) if rules.single_policies > 0 => {
            ("ok", format!("Whoever may ask can be approved; {} policies have a step that hangs on a single person.", rules.single_policies))
        }
        (None, Some(_)) => ("ok", "Whoever may ask can be approved.".into()),
    };
    Part { name: "Rules".into(), state, sentence, at: rules.checked_at, href: Some("/admin/policies".into()) }
}

fn figures(numbers: &Numbers, now: DateTime<Utc>) -> Vec<Number> {
    let yesterday = (now - Duration::days(1)).date_naive();
    let since = |kind: &str| Some(format!("/log?from={yesterday}&kind={kind}"));
    let number = |label: &str, value, note: Option<String>, href| Number { label: label.into(), value, note, href };
    vec![
        number("Requests in 24 hours", numbers.requests, None, since("request")),
        number("Requests that wait", numbers.open, None, None),
        number("Denied in 24 hours", numbers.denied, None, since("request.denied")),
        number("Access held now", numbers.active, None, None),
        number("Ends within a day", numbers.ending, None, None),
    ]
}
