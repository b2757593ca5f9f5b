//! What an approver needs to decide, on one screen.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::approval::Deciding;
use crate::domain::decide::TraceLine;
use crate::domain::id::RoleId;
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::AccessPolicy;
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::domain::span::Seconds;
use crate::service::answer::{still_right, tried};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::fetch;
use crate::store::error::StoreError;
use crate::store::look_request::{self, Asked, CardRow, WholeRow};
use crate::store::request::RequestRow;
use crate::store::{catalog, person};

use super::follow::{others, person_then};
use super::request::{Card, Change, Fact, why_instead, why_you};
use super::seen;

/// How far back "before" looks.
const BEFORE: TimeDelta = TimeDelta::days(90);

/// The card of `by` for a request that waits for them in slot `slot` (from 0) of the open step. The beneficiary is looked up in the
/// directory now; when it does not answer, the card says so and shows what was known when the request was made.
///
/// # Errors
/// When the database fails.
pub(super) async fn card(
    ctx: &Ctx,
    by: &By,
    row: &WholeRow,
    flat: &RequestRow,
    deciding: &Deciding,
    slot: usize,
    policy: &Arc<AccessPolicy>,
) -> Result<Card, ServiceError> {
    let now = ctx.clock.now();
    let (facts, beneficiary, role) = tokio::try_join!(
        look_request::card(&ctx.db, by.person.0, row.beneficiary_id, row.role_id, now - BEFORE),
        person::by_id(&ctx.db, row.beneficiary_id.into()),
        catalog::role_even_retired(&ctx.db, RoleId(row.role_id)),
    )?;
    let beneficiary = beneficiary.ok_or(ServiceError::Missing)?;
    let then = person_then(row)?;
    let (today, not_now) = match fetch::person(ctx, &beneficiary).await {
        Ok(mut today) => {
            let governing: Vec<_> = ctx.policies.of_role(&ctx.db, RoleId(row.role_id)).await?.iter().map(|policy| policy.id).collect();
            let tried = tried(ctx, policy.id, &governing).await?;
            if tried.iter().any(|policy| policy.looks_up()) {
                today.line = fetch::line(ctx, &today).await?;
            }
            let not_now = still_right(role, flat, (policy, &tried), &today, now).err().map(|error| error.to_string());
            (Some(today), not_now)
        }
        Err(ServiceError::Unavailable(_)) => {
            let why = "The directory does not answer, so this cannot be approved at the moment: an approval is only ever given on what the directory says now.";
            (None, Some(why.to_owned()))
        }
        Err(other) => return Err(other),
    };
    let paused = (deciding.status == RequestStatus::NeedsInfo).then(|| format!("{} You can still deny.", Refusal::QuestionOpen));
    let not_now = paused.or(not_now);
    let person = today.as_ref().unwrap_or(&then);
    let mine = row.asked.iter().find(|a| a.step_no as usize == deciding.step_no && a.slot_no as usize == slot + 1 && a.person_id == Some(by.person.0));
    let first_name = row.beneficiary.split_whitespace().next().unwrap_or(&row.beneficiary);
    let peers = match &row.beneficiary_department {
        Some(department) => seen::peers(ctx, std::slice::from_ref(department)).await?.remove(department).and_then(|peers| peers.of(row.role_id)),
        None => None,
    };
    Ok(Card {
        step_no: deciding.step_no as i32,
        step_name: mine.map(|a| a.step.clone()).unwrap_or_default(),
        steps: deciding.steps.len() as i32,
        digest: row.ask_digest.clone(),
        relation: (person.manager.as_deref() == Some(facts.viewer_reference.as_str())).then(|| "who reports to you".into()),
        first_look: mine.is_some_and(|a| a.first_viewed_at.is_none()),
        why_you: mine.map(|a| why_asked(a, first_name)).unwrap_or_default(),
        others: others(row, deciding, by.person),
        given: deciding
            .steps
            .get(deciding.step_no.saturating_sub(1))
            .and_then(|slots| slots.get(slot))
            .map(|slot| (slot.approved_by.len(), slot.approvals as usize))
            .unwrap_or_default(),
        due: row.step_due_at,
        facts: facts_of(row, &facts, person, peers, now)?,
        changed: match &today {
            Some(today) => changes(ctx, &then, today).await?,
            None => vec![],
        },
        not_now,
        shorter_s: shorter(policy, deciding),
        approve_needs_comment: false,
        deny_needs_reason: policy.comment_to_deny,
        fault: None,
        typed: String::new(),
        denies: false,
    })
}

fn why_asked(line: &Asked, first_name: &str) -> String {
    let instead = why_instead(line.acting_as.as_deref().unwrap_or_default(), line.acting_for_name.as_deref());
    instead.unwrap_or_else(|| why_you(&line.source, &line.source_label, Some(first_name)))
}

/// The policy's choices that are shorter than what stands now.
fn shorter(policy: &AccessPolicy, deciding: &Deciding) -> Vec<i64> {
    let most = [deciding.duration, deciding.granted].into_iter().flatten().min();
    let durations = &policy.durations;
    let fits = |choice: &Seconds| *choice >= durations.minimum && most.is_none_or(|most| *choice < most);
    let mut choices: Vec<i64> = durations.choices.iter().copied().filter(fits).map(|choice| choice.0).collect();
    if choices.is_empty() && most.is_none_or(|most| durations.minimum < most) {
        choices.push(durations.minimum.0);
    }
    choices
}

/// The attributes that the rules looked at and found as they want them, but those that the card shows anyway.
fn matching(row: &WholeRow, person: &PersonSnapshot) -> Result<Vec<Fact>, ServiceError> {
    let trace: Vec<TraceLine> = serde_json::from_str(&row.trace).map_err(StoreError::from)?;
    let mut facts: Vec<Fact> = Vec::new();
    for line in trace.iter().filter(|line| line.passed) {
        let Some(attribute) = line.attribute.as_deref().filter(|name| !matches!(*name, "active" | "title" | "department" | "employment_type")) else {
            continue;
        };
        let label = super::steps::capital(&attribute.replace('_', " "));
        // Of groups only those that a rule looked at: somebody may be in hundreds.
        let values = match attribute {
            "groups" => line.seen.clone(),
            "manager" => continue,
            other => person.values(other).into_iter().map(str::to_owned).collect(),
        };
        if values.is_empty() || facts.iter().any(|fact| fact.label == label && fact.value == values.join(", ")) {
            continue;
        }
        let (source, at) = if attribute == "groups" { (&line.source, line.fetched_at) } else { (&person.directory, person.fetched_at) };
        facts.push(Fact { label, value: values.join(", "), source: Some(format!("directory {source}, as a rule asks")), at: Some(at) });
    }
    Ok(facts)
}

fn facts_of(row: &WholeRow, facts: &CardRow, person: &PersonSnapshot, peers: Option<(i64, i64)>, now: DateTime<Utc>) -> Result<Vec<Fact>, ServiceError> {
    let seen = |label: &str, value: String| Fact {
        label: label.to_owned(),
        value,
        source: Some(format!("directory {}", person.directory)),
        at: Some(person.fetched_at),
    };
    let ours = |label: &str, value: String| Fact { label: label.to_owned(), value, source: Some("Countersign’s grants".into()), at: Some(now) };
    let mut all = Vec::new();
    for (attribute, label) in [("title", "Title"), ("department", "Department"), ("employment_type", "Employment")] {
        let values = person.values(attribute);
        if !values.is_empty() {
            all.push(seen(label, values.join(", ")));
        }
    }
    all.extend(matching(row, person)?);
    if !person.active {
        all.push(seen("Account", "not active".into()));
    }
    if let (Some((held, people)), Some(department)) = (peers, &row.beneficiary_department) {
        all.push(ours("Peers", format!("{held} of {people} in {department} hold it")));
    }
    all.push(ours("Before", before(facts)));
    all.push(ours("Holds now", holds(facts)));
    let members = if facts.members == 1 { "1 person holds it".into() } else { format!("{} people hold it", facts.members) };
    all.push(ours("Role", format!("{} risk, {members}", super::steps::capital(&row.risk))));
    Ok(all)
}

fn before(facts: &CardRow) -> String {
    let times = match facts.had {
        0 => return "Never in the last 90 days".into(),
        1 => "Once".to_owned(),
        n => format!("{n} times"),
    };
    match facts.had_longest_s {
        Some(longest) => format!("{times} in the last 90 days, at most {}", Seconds(longest)),
        None => format!("{times} in the last 90 days"),
    }
}

fn holds(facts: &CardRow) -> String {
    let more = facts.holds_total - facts.holds.len() as i64;
    match (facts.holds.is_empty(), more) {
        (true, _) => "Nothing".into(),
        (false, ..=0) => facts.holds.join(", "),
        (false, more) => format!("{} and {more} more", facts.holds.join(", ")),
    }
}

/// What the directory says otherwise than when the request was made.
async fn changes(ctx: &Ctx, then: &PersonSnapshot, now: &PersonSnapshot) -> Result<Vec<Change>, ServiceError> {
    let mut changes = Vec::new();
    let mut change = |what: &str, before: String, after: String| {
        if before != after {
            // Of groups only those left and joined are told; of all else, what is there no more is "nothing".
            let shown = |text: String| if text.is_empty() && what != "Groups" { "nothing".to_owned() } else { text };
            changes.push(Change { what: what.to_owned(), before: shown(before), after: shown(after) });
        }
    };
    let active = |person: &PersonSnapshot| if person.active { "active" } else { "not active" }.to_owned();
    change("Account", active(then), active(now));
    change("Name", then.display_name.clone(), now.display_name.clone());
    let attributes: BTreeSet<&String> = then.attributes.keys().chain(now.attributes.keys()).collect();
    for attribute in attributes {
        let values = |person: &PersonSnapshot| person.values(attribute).join(", ");
        change(&super::steps::capital(&attribute.replace('_', " ")), values(then), values(now));
    }
    let groups = |person: &PersonSnapshot| person.groups.iter().map(|group| group.name.clone()).collect::<BTreeSet<_>>();
    let (had, has) = (groups(then), groups(now));
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>().join(", ");
    change("Groups", only(&had, &has), only(&has, &had));
    if then.manager != now.manager {
        let references: Vec<String> = [&then.manager, &now.manager].into_iter().flatten().cloned().collect();
        let people = person::by_references(&ctx.db, &now.directory, &references).await?;
        let name = |reference: &Option<String>| {
            let known = people.iter().find(|p| Some(&p.reference) == reference.as_ref()).map(|p| p.display_name.clone());
            known.or_else(|| reference.clone()).unwrap_or_default()
        };
        change("Manager", name(&then.manager), name(&now.manager));
    }
    Ok(changes)
}
