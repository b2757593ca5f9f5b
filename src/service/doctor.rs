//! Looks the installation over: parts, guards, what must never be.

use chrono::{DateTime, Duration, Utc};

use crate::clock::Clock;
use crate::directory::port::Directory;
use crate::store::{db, doctor as found, target};

use super::ctx::{Access, Ctx};
use super::error::ServiceError;

/// Tables that only grow, as the migrations say.
const ONLY_GROW: [&str; 23] = [
    "audit_event",
    "approval",
    "access_profile_version",
    "access_profile_rule",
    "access_profile_condition",
    "approval_procedure_version",
    "approval_procedure_step",
    "approval_procedure_slot",
    "access_policy_version",
    "access_policy_condition",
    "approval_procedure_condition",
    "approval_procedure_source",
    "access_policy_field",
    "access_policy_rule",
    "separation_rule_version",
    "separation_rule_role",
    "emergency_reviewer",
    "policy_change_version",
    "policy_change_request",
    "provisioning_attempt",
    "audit_leaf",
    "audit_node",
    "audit_checkpoint",
];
/// Tables whose rows are never removed.
const NEVER_REMOVED: [&str; 25] = [
    "request",
    "request_step",
    "request_slot",
    "access_grant",
    "role",
    "application",
    "person",
    "identity",
    "target",
    "access_policy",
    "access_profile",
    "approval_procedure",
    "separation_rule",
    "delegation",
    "request_question",
    "emergency_review",
    "policy_change",
    "drift",
    "managed_group",
    "pre_existing_member",
    "drift_exception",
    "directory_pause",
    "legal_hold",
    "evidence_schedule",
    "evidence_run",
];
/// Tables whose changes need an event of the same transaction.
const WITH_EVENT: [&str; 24] = [
    "request",
    "approval",
    "access_grant",
    "application",
    "role",
    "policy_binding",
    "access_policy",
    "access_policy_version",
    "access_profile_version",
    "approval_procedure_version",
    "separation_rule",
    "separation_rule_version",
    "request_question",
    "emergency_review",
    "delegation",
    "policy_change",
    "drift",
    "managed_group",
    "pre_existing_member",
    "drift_exception",
    "directory_pause",
    "legal_hold",
    "evidence_schedule",
    "evidence_run",
];
/// Guards of one table each: table, trigger, function.
const SINGLE: [(&str, &str, &str); 45] = [
    ("identity", "never_changed", "refuse_change"),
    ("request_slot", "never_changed", "refuse_change"),
    ("assignment", "never_removed", "refuse_change"),
    ("assignment", "never_emptied", "refuse_change"),
    ("assignment", "with_event", "require_event"),
    ("person", "never_another", "refuse_another"),
    ("target", "never_another", "refuse_another"),
    ("assignment", "never_another", "refuse_another"),
    ("delegation", "never_another", "refuse_another"),
    ("request_question", "never_another", "refuse_another"),
    ("drift", "never_another", "refuse_another"),
    ("pre_existing_member", "never_another", "refuse_another"),
    ("drift_exception", "never_another", "refuse_another"),
    ("directory_pause", "never_another", "refuse_another"),
    ("leaver", "dated", "require_dated"),
    ("legal_hold", "dated", "require_dated"),
    ("person", "returns", "note_return"),
    ("directory_wait", "capped", "cap_wait"),
    ("mover", "dated", "require_dated"),
    ("drift", "dated", "require_dated"),
    ("pre_existing_member", "dated", "require_dated"),
    ("provisioning_attempt", "dated", "require_dated"),
    ("legal_hold", "never_another", "refuse_another"),
    ("evidence_schedule", "never_another", "refuse_another"),
    ("evidence_run", "never_another", "refuse_another"),
    ("access_profile_rule", "not_later", "refuse_late_part"),
    ("access_profile_condition", "not_later", "refuse_late_part"),
    ("approval_procedure_step", "not_later", "refuse_late_part"),
    ("approval_procedure_slot", "not_later", "refuse_late_part"),
    ("access_policy_condition", "not_later", "refuse_late_part"),
    ("approval_procedure_condition", "not_later", "refuse_late_part"),
    ("approval_procedure_source", "not_later", "refuse_late_part"),
    ("access_policy_field", "not_later", "refuse_late_part"),
    ("access_policy_rule", "not_later", "refuse_late_part"),
    ("separation_rule_role", "not_later", "refuse_late_part"),
    ("policy_binding", "with_event_gone", "require_event"),
    ("access_grant", "after_approval", "require_approval"),
    ("access_grant", "as_approved", "refuse_rewrite"),
    ("request", "as_submitted", "refuse_rewrite"),
    ("emergency_review", "made_once", "refuse_second_review"),
    ("approval", "of_open_step", "require_open_step"),
    ("request", "as_governed", "require_governing"),
    ("request_step", "with_request", "require_same_transaction"),
    ("request_slot", "with_request", "require_same_transaction"),
    ("api_token", "stays_revoked", "refuse_revival"),
];
/// Work that is due may wait for so long before somebody should look.
const LATE: Duration = Duration::minutes(2);
/// The database's clock and this machine's may differ by so much.
const CLOCK_OFF: Duration = Duration::seconds(5);

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Works, and somebody should look.
    Warn,
    /// Does not work, or cannot be trusted.
    Bad,
}

/// One part and how it is.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: State,
    /// In a sentence.
    pub sentence: String,
}

/// Something that must never be, and is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Number of the invariant, as the design counts them.
    pub invariant: u8,
    /// Its name.
    pub rule: &'static str,
    /// What it is about: mostly the id of a row.
    pub id: String,
    /// What is wrong with it.
    pub sentence: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}: {}", self.invariant, self.rule, self.id, self.sentence)
    }
}

/// Tables of who left and who moved.
const LIVES: [&str; 3] = ["leaver", "mover", "eligibility_loss"];

/// Every guard that the migrations make: table, trigger, function.
fn guards() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut guards = SINGLE.to_vec();
    guards.extend([
        ("audit_event", "awaits_leaf", "await_leaf"),
        ("audit_leaf", "follows", "require_next_leaf"),
        ("audit_unsealed", "has_leaf", "require_leaf"),
        ("audit_unsealed", "never_changed", "refuse_change"),
        ("audit_unsealed", "never_emptied", "refuse_change"),
    ]);
    guards.extend(ONLY_GROW.iter().flat_map(|t| [(*t, "only_grows", "refuse_change"), (*t, "never_emptied", "refuse_change")]));
    guards.extend(NEVER_REMOVED.iter().flat_map(|t| [(*t, "never_removed", "refuse_change"), (*t, "never_emptied", "refuse_change")]));
    guards.extend(WITH_EVENT.iter().flat_map(|t| [(*t, "with_event", "require_event"), (*t, "only_erased", "require_erasure")]));
    guards.extend(LIVES.iter().flat_map(|t| [(*t, "never_removed", "refuse_change"), (*t, "never_emptied", "refuse_change")]));
    guards.extend(LIVES.iter().flat_map(|t| [(*t, "never_another", "refuse_other_life"), (*t, "with_event", "require_life_event")]));
    guards.push(("eligibility_loss", "with_event_resolved", "require_life_event"));
    guards
}

/// Looks every part over: database, role, guards, clock, directories, worker, timetable. Changes nothing. (That the settings are
/// whole is known before there is a [`Ctx`].)
///
/// # Errors
/// When the database cannot be reached at all.
pub async fn look_over(ctx: &Ctx) -> Result<Vec<Part>, ServiceError> {
    let mut parts = Vec::new();
    let server = found::server(&ctx.db).await?;
    parts.push(part(
        "Database",
        if server.durable { State::Good } else { State::Warn },
        format!(
            "Postgres {}, schema {}, {} MB{}.",
            server.version,
            server.migration,
            server.bytes / 1_000_000,
            if server.durable { "" } else { "; fsync, full_page_writes or synchronous_commit is off: a power cut can lose what was committed" }
        ),
    ));
    parts.extend(guards_hold(ctx, &server.role).await?);
    parts.push(if found::is_hardened(&ctx.db).await? {
        part("Structure", State::Good, "Event triggers refuse changes of the schema outside of a migration.")
    } else {
        part("Structure", State::Warn, "config/harden.sql is not applied (it needs a superuser): whoever owns the tables may change their structure.")
    });
    parts.push(clock(ctx).await?);
    for (key, directory) in ctx.directories.iter() {
        parts.push(probe(key, directory).await);
        parts.push(groups(ctx, key, directory).await);
    }
    let now = ctx.clock.now();
    parts.push(worker(ctx, now).await?);
    parts.push(timetable(ctx, now).await?);
    Ok(parts)
}

/// Whether the application's role and the guards are as the migrations made them; `role` is whom we are signed in as.
///
/// # Errors
/// When the database fails.
pub async fn guards_hold(ctx: &Ctx, role: &str) -> Result<Vec<Part>, ServiceError> {
    Ok(vec![rights(ctx, role).await?, guard_triggers(ctx).await?])
}

fn part(name: impl Into<String>, state: State, sentence: impl Into<String>) -> Part {
    Part { name: name.into(), state, sentence: sentence.into() }
}

async fn rights(ctx: &Ctx, role: &str) -> Result<Part, ServiceError> {
    let text = db::migrations_text();
    let tables: Vec<String> = text.split("create table countersign.").skip(1).filter_map(|rest| rest.split([' ', '(']).next()).map(String::from).collect();
    let wrong = found::rights(&ctx.db, &tables, &ONLY_GROW.map(String::from)).await?;
    Ok(if wrong.is_empty() {
        part("Database role", State::Good, format!("Signed in as {role}, which owns nothing and may change nothing that records."))
    } else {
        part("Database role", State::Bad, format!("Rights are not as the migrations give them: {}.", wrong.join("; ")))
    })
}

async fn guard_triggers(ctx: &Ctx) -> Result<Part, ServiceError> {
    let there = found::triggers(&ctx.db).await?;
    let text = db::migrations_text();
    let mut wrong = Vec::new();
    let wanted = guards();
    for (table, trigger, function) in &wanted {
        match there.iter().find(|t| t.table_name == *table && t.trigger_name == *trigger) {
            None => wrong.push(format!("{table} has no {trigger}")),
            Some(t) if t.function_name != *function => wrong.push(format!("{trigger} of {table} runs {}", t.function_name)),
            Some(t) if !t.always => wrong.push(format!("{trigger} of {table} can be switched off by a session")),
            Some(t) if t.function_owner != "countersign_guard" => wrong.push(format!("{function} is owned by {}", t.function_owner)),
            Some(t) if !text.contains(&t.body) => wrong.push(format!("{function} is not the one of the migrations")),
            Some(_) => {}
        }
    }
    wrong.dedup();
    Ok(if wrong.is_empty() {
        part("Guards", State::Good, format!("All {} triggers are in place, always on, and run what the migrations wrote.", wanted.len()))
    } else {
        part("Guards", State::Bad, format!("The database does not refuse what it must: {}.", wrong.join("; ")))
    })
}

async fn clock(ctx: &Ctx) -> Result<Part, ServiceError> {
    let machine = Clock::system();
    let before = machine.now();
    let database = ctx.db.clock().await?;
    let took = machine.now() - before;
    let off = database - before - took / 2;
    let state = if off.abs() > CLOCK_OFF { State::Warn } else { State::Good };
    Ok(part(
        "Clock",
        state,
        format!(
            "The database is {} ms {} this machine; the database's clock counts.",
            off.num_milliseconds().abs(),
            if off < Duration::zero() { "behind" } else { "ahead of" }
        ),
    ))
}

async fn probe(key: &str, directory: &Directory) -> Part {
    let probe = directory.probe().await;
    let state = match (probe.works, probe.is_lacking()) {
        (false, _) => State::Bad,
        (true, true) => State::Warn,
        (true, false) => State::Good,
    };
    part(format!("Directory {key}"), state, probe.notes.join(" "))
}

/// Whether the groups that give rights are there: without them nobody is administrator or auditor.
async fn groups(ctx: &Ctx, key: &str, directory: &Directory) -> Part {
    let mut sentences = Vec::new();
    let mut state = State::Good;
    let access = ctx.access.get(key).cloned().unwrap_or_default();
    // Where one directory has them, another need not.
    let nowhere = |of: fn(&Access) -> &String| ctx.access.values().all(|access| of(access).is_empty());
    let none = [nowhere(|access| &access.administrators_group), nowhere(|access| &access.auditors_group)];
    for ((what, group), nowhere) in [("Administrators", &access.administrators_group), ("Auditors", &access.auditors_group)].into_iter().zip(none) {
        if group.is_empty() {
            if nowhere {
                state = State::Warn;
                sentences.push(format!("{what}: no group is configured, so there are none."));
            } else {
                sentences.push(format!("{what}: none of this directory."));
            }
            continue;
        }
        let known = match directory.find_group(group).await {
            Ok(Some(named)) => Ok(Some(named.reference)),
            Ok(None) => directory.group(group).await.map(|found| found.map(|g| g.reference)),
            Err(error) => Err(error),
        };
        match known {
            Ok(Some(reference)) => match directory.members(&reference).await {
                Ok(Some(members)) if !members.is_empty() => sentences.push(format!("{what}: {} of group {group}.", members.len())),
                Ok(_) => {
                    state = State::Warn;
                    sentences.push(format!("{what}: group {group} has no members."));
                }
                Err(error) => {
                    state = State::Bad;
                    sentences.push(format!("{what}: {error}"));
                }
            },
            Ok(None) => {
                state = State::Bad;
                sentences.push(format!("{what}: the directory has no group {group}."));
            }
            Err(error) => {
                state = State::Bad;
                sentences.push(format!("{what}: {error}"));
            }
        }
    }
    part(format!("Rights in {key}"), state, sentences.join(" "))
}

async fn worker(ctx: &Ctx, now: DateTime<Utc>) -> Result<Part, ServiceError> {
    let workers = found::workers(&ctx.db).await?;
    let alive = workers.iter().filter(|w| now - w.beat_at < Duration::seconds(30)).count();
    Ok(match (alive, workers.first()) {
        (0, None) => part("Worker", State::Bad, "No worker has been heard of: nothing is granted or taken away. Start `countersign serve`."),
        (0, Some(last)) => {
            part("Worker", State::Bad, format!("Not heard of since {}: nothing is granted or taken away.", last.beat_at.format("%Y-%m-%d %H:%M:%S UTC")))
        }
        (1, _) => part("Worker", State::Good, "One worker, at work."),
        (n, _) => part("Worker", State::Good, format!("{n} workers, at work.")),
    })
}

async fn timetable(ctx: &Ctx, now: DateTime<Utc>) -> Result<Part, ServiceError> {
    let entries = found::timetable(&ctx.db, now).await?;
    let mut wrong: Vec<String> = Vec::new();
    for key in ctx.directories.keys() {
        for what in ["sync", "sweep"] {
            let name = format!("{what}:{key}");
            match entries.iter().find(|entry| entry.name == name) {
                None => wrong.push(format!("{name} has never run")),
                Some(entry) if entry.last_error.is_some() => {
                    wrong.push(format!("{name} failed the last time: {}", entry.last_error.as_deref().unwrap_or_default().trim_end_matches('.')))
                }
                Some(entry) if entry.next_at < now - LATE && !entry.running => wrong.push(format!("{name} is overdue")),
                Some(_) => {}
            }
        }
    }
    Ok(if wrong.is_empty() {
        part("Timetable", State::Good, "Everybody is read and every group compared when it is due.")
    } else {
        part("Timetable", State::Warn, format!("{}.", wrong.join("; ")))
    })
}

/// Holds everything kept, and every managed group of every directory, against the invariants. Changes nothing; no finding means that
/// all of them hold. At most 100 findings for each rule.
///
/// # Errors
/// When the database fails. A directory that does not answer is a finding: what cannot be compared is not known to be right.
pub async fn deep(ctx: &Ctx) -> Result<Vec<Finding>, ServiceError> {
    let mut findings = Vec::new();
    let mut tx = found::snapshot(&ctx.db).await?;
    let now = ctx.clock.now();
    for rule in &found::RULES {
        for wrong in found::wrong(&mut tx, rule, now).await? {
            findings.push(Finding { invariant: rule.invariant, rule: rule.name, id: wrong.id, sentence: wrong.sentence });
        }
    }
    drop(tx);
    for (key, directory) in ctx.directories.iter() {
        for group in target::managed_groups(&ctx.db, key).await? {
            match directory.members(&group).await {
                Ok(members) => compare(ctx, key, directory, &group, &members.unwrap_or_default(), &mut findings).await?,
                Err(error) => findings.push(finding(&group, format!("could not be read: {error}"))),
            }
        }
    }
    findings.sort_by_key(|finding| finding.invariant);
    Ok(findings)
}

fn finding(id: &str, sentence: String) -> Finding {
    Finding { invariant: 5, rule: "the directory is as the leases say", id: id.into(), sentence }
}

/// Compares one group. What looks wrong is looked at once more, both here and there, as access comes and goes meanwhile.
async fn compare(ctx: &Ctx, key: &str, directory: &Directory, group: &str, members: &[String], findings: &mut Vec<Finding>) -> Result<(), ServiceError> {
    let mut tx = found::snapshot(&ctx.db).await?;
    let should = found::memberships(&mut tx, key, Some(group), None, ctx.clock.now()).await?;
    drop(tx);
    let is_member = |reference: &str| members.iter().any(|m| m == reference);
    let mut odd: Vec<&str> = should.iter().filter(|s| s.wanted != is_member(&s.person_reference) && !s.excused).map(|s| s.person_reference.as_str()).collect();
    odd.extend(members.iter().map(String::as_str).filter(|m| !should.iter().any(|s| s.person_reference == **m)));
    for person in odd {
        let there = match directory.is_member(group, person).await {
            Ok(there) => there,
            Err(error) => {
                findings.push(finding(group, format!("could not be read again: {error}")));
                continue;
            }
        };
        let mut tx = found::snapshot(&ctx.db).await?;
        let again = found::memberships(&mut tx, key, Some(group), Some(person), ctx.clock.now()).await?;
        drop(tx);
        let wanted = again.iter().any(|s| s.wanted);
        if wanted != there && !again.iter().any(|s| s.excused) {
            let sentence =
                if there { "is a member, and neither a lease nor a drift on record explains it" } else { "should be a member by a lease, and is not" };
            findings.push(finding(group, format!("{person} {sentence}")));
        }
    }
    Ok(())
}
