//! The sheets of a sample: everything about each item.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::evidence::canonical::hex;
use crate::evidence::note::Checkpoint;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::sample::{self, Drawing, Item, Sample};
use crate::store::look_request::{self, WholeRow};
use crate::store::sample as store;
use crate::store::seal;

use super::request::{Delivery, StepRow};
use super::shared::{EventRow, PolicyName, RoleName};
use super::trace::TraceRule;
use super::{follow, log, trace, tracker, why};

/// The sheets of a sample.
#[derive(Clone, Debug)]
pub struct Sheets {
    /// What was drawn; its items are on the sheets.
    pub sample: Sample,
    /// A sheet for each item that is shown.
    pub sheets: Vec<Sheet>,
    /// What was signed last; none where there is no key.
    pub signed: Option<Signed>,
}

/// A checkpoint, as a sheet cites it.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The log's name.
    pub origin: String,
    /// How many leaves.
    pub size: i64,
    /// The root over them, hex.
    pub root: String,
    /// When it was signed.
    pub at: DateTime<Utc>,
}

/// Everything about one item.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The item.
    pub item: Item,
    /// The request that it is about.
    pub request: Option<Asked>,
    /// Every time the directory was told.
    pub tries: Vec<Try>,
    /// The events, oldest first, with their places in the sealed log.
    pub events: Vec<Proved>,
}

/// What was asked and decided.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The request.
    pub id: Uuid,
    /// The role.
    pub role: RoleName,
    /// Who asked.
    pub requester: String,
    /// Who is to hold it.
    pub beneficiary: String,
    /// Whether these differ.
    pub on_behalf: bool,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// For how long, in seconds; none: without end.
    pub requested_s: Option<i64>,
    /// For how long it was approved, once it was.
    pub approved_s: Option<Option<i64>>,
    /// Why.
    pub justification: Option<String>,
    /// Ticket.
    pub ticket: Option<String>,
    /// Why it could not wait, of an emergency.
    pub emergency: Option<String>,
    /// Where it stands.
    pub status: String,
    /// When it was settled.
    pub decided_at: Option<DateTime<Utc>>,
    /// What the policy said.
    pub decision: String,
    /// By which rule.
    pub deciding_rule: String,
    /// The policy that governed.
    pub policy: Option<PolicyName>,
    /// Every rule looked at.
    pub trace: Vec<TraceRule>,
    /// The steps, and who decided.
    pub steps: Vec<StepRow>,
    /// The grant.
    pub delivery: Option<Delivery>,
    /// What was said when it ended.
    pub end_comment: Option<String>,
}

/// A try to change a membership.
#[derive(Clone, Debug)]
pub struct Try {
    /// `add` or `remove`.
    pub action: String,
    /// When the directory was told.
    pub at: DateTime<Utc>,
    /// What it answered.
    pub result: String,
    /// What it said.
    pub detail: Option<String>,
    /// When it was read back and was so.
    pub verified_at: Option<DateTime<Utc>>,
}

/// An event with its place.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The event.
    pub event: EventRow,
    /// Its leaf and the leaf's hash, hex; none while it waits for it.
    pub leaf: Option<(i64, String)>,
}

/// Draws a sample, and says everything about its items, or about the one numbered `only`.
///
/// # Errors
/// As of [`sample::draw`]; [`ServiceError::Missing`] when there is no item of that number.
pub async fn sheets(ctx: &Ctx, by: &By, drawing: &Drawing, only: Option<usize>) -> Result<Sheets, ServiceError> {
    let sample = sample::draw(ctx, by, drawing).await?;
    let items: Vec<&Item> = sample.items.iter().filter(|item| only.is_none_or(|no| no == item.no)).collect();
    if only.is_some() && items.is_empty() {
        return Err(ServiceError::Missing);
    }
    let requests: Vec<Uuid> = items.iter().filter_map(|item| item.request).collect();
    let plain: Vec<(i32, Option<Uuid>, i64, i64)> = items.iter().filter(|item| item.request.is_none()).filter_map(|item| cites(item)).collect();
    let (wholes, cited, signed) = tokio::try_join!(look_request::wholes(&ctx.db, &requests), store::cited(&ctx.db, &plain), seal::newest(&ctx.db))?;
    let grants: Vec<Uuid> = wholes.iter().filter_map(|row| row.grant_id).collect();
    let mut events: Vec<i64> = wholes.iter().flat_map(|row| row.events.iter().map(|event| event.id)).collect();
    events.extend(cited.iter().map(|row| row.event.id));
    let (tries, leaves) = tokio::try_join!(store::tries(&ctx.db, &grants), store::leaves(&ctx.db, &events))?;
    let leaves: HashMap<i64, (i64, String)> = leaves.into_iter().map(|row| (row.event_id, (row.leaf_index, hex(&row.hash)))).collect();
    let wholes: HashMap<Uuid, WholeRow> = wholes.into_iter().map(|row| (row.id, row)).collect();
    let mut of_items: HashMap<i32, Vec<EventRow>> = HashMap::new();
    for row in cited {
        of_items.entry(row.no).or_default().push(log::event(row.event));
    }
    let mut sheets = Vec::with_capacity(items.len());
    for item in items {
        let whole = item.request.and_then(|id| wholes.get(&id));
        let events = match whole {
            Some(row) => follow::events(row),
            None => i32::try_from(item.no).ok().and_then(|no| of_items.remove(&no)).unwrap_or_default(),
        };
        let tries = tries.iter().filter(|row| whole.is_some_and(|whole| whole.grant_id == Some(row.grant_id)));
        sheets.push(Sheet {
            item: item.clone(),
            request: whole.map(asked).transpose()?,
            tries: tries.map(tried).collect(),
            events: events.into_iter().map(|event| Proved { leaf: leaves.get(&event.id).cloned(), event }).collect(),
        });
    }
    let signed = signed.filter(|_| ctx.sealer.is_some()).and_then(|signed| {
        let text = signed.note.split("\n\n").next().unwrap_or_default();
        let checkpoint = Checkpoint::parse(&format!("{text}\n")).ok()?;
        Some(Signed { origin: checkpoint.origin, size: signed.size, root: hex(&checkpoint.root), at: signed.signed_at })
    });
    Ok(Sheets { sample, sheets, signed })
}

/// The events that an item without a request cites; with the person, where it is about what happened to one.
fn cites(item: &Item) -> Option<(i32, Option<Uuid>, i64, i64)> {
    let (first, last) = (item.cell("event_seq_first").parse().ok()?, item.cell("event_seq_last").parse().ok()?);
    // Of somebody who left or moved, all that happened is told by person; a difference is told by its own events.
    let person = if item.cell("directory").is_empty() { Uuid::try_parse(item.cell("person_id")).ok() } else { None };
    Some((i32::try_from(item.no).ok()?, person, first, last))
}

fn asked(row: &WholeRow) -> Result<Asked, ServiceError> {
    let decision = follow::decision(row)?;
    Ok(Asked {
        id: row.id,
        role: RoleName { id: row.role_id, application: row.application.clone(), role: row.role.clone(), risk: row.risk.clone() },
        requester: row.requester.clone(),
        beneficiary: row.beneficiary.clone(),
        on_behalf: row.requester_id != row.beneficiary_id,
        requested_at: row.created_at,
        requested_s: row.duration_s,
        approved_s: row.grant_id.map(|_| row.grant_s),
        justification: row.justification.clone(),
        ticket: row.ticket_reference.clone(),
        emergency: row.emergency_reason.clone(),
        status: row.status.clone(),
        decided_at: row.closed_at,
        decision: row.decision.clone(),
        deciding_rule: why::rule_in_words(&row.deciding_rule),
        policy: follow::governed_by(row),
        trace: why::trace_of_another(trace::rules(&decision)),
        steps: tracker::steps(row),
        delivery: follow::delivery(row),
        end_comment: row.end_comment.clone(),
    })
}

fn tried(row: &store::TryRow) -> Try {
    Try { action: row.action.clone(), at: row.started_at, result: row.result.clone(), detail: row.detail.clone(), verified_at: row.verified_at }
}
