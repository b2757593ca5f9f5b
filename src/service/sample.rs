//! Draw a reproducible sample of a population, on record.
//!
//! The method: an item's id is made of cells of the file; its digest is SHA-256 over the seed in UTF-8, a zero byte and the id in UTF-8.
//! Items stand in the order of their digests, and the first so many are the sample. Nothing else goes in, so that anybody who has the
//! file draws the same (`docs/sampling.md`).

use std::collections::HashMap;

use chrono::Duration;
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use uuid::Uuid;

use crate::domain::event::{Event, Fact};
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::evidence::canonical::hex;
use crate::evidence::columns::File;
use crate::store::error::StoreError;
use crate::store::event;
use crate::store::export::Population;
use crate::store::sample as store;

use super::commit::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::export::{self, Download, Taking};

/// The files that samples are drawn from, in the order of the bundle.
pub const POPULATIONS: [File; 8] =
    [File::Requests, File::Approvals, File::Grants, File::Leavers, File::Movers, File::Provisioning, File::Drift, File::PolicyChanges];
/// The most items of a sample.
pub const MOST: i64 = 200;
/// The same drawing again within this time is the same drawing: its list, its sheets.
const ONCE_IN: Duration = Duration::hours(1);
/// The longest seed, in characters.
pub const LONGEST: usize = 100;

/// What is drawn. The mode of `taking` counts only for the file.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Of which rows. Its period has both ends.
    pub taking: Taking,
    /// By what.
    pub seed: String,
    /// How many.
    pub size: i64,
}

/// What was drawn.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What it was drawn by.
    pub drawing: Drawing,
    /// How many items there are to draw from.
    pub count: i64,
    /// The items, in the order of their digests.
    pub items: Vec<Item>,
}

/// An item of a sample.
#[derive(Clone, Debug)]
pub struct Item {
    /// Which it is, from 1.
    pub no: usize,
    /// Its id, made of cells of the file.
    pub id: String,
    /// Its digest, hex.
    pub digest: String,
    /// Its rows of the file: name and value of each cell, in the file's order. Most items have one.
    pub rows: Vec<Vec<(&'static str, String)>>,
    /// What the ids in it are called: people, roles, grants, requests.
    pub names: HashMap<Uuid, String>,
    /// The request that it is about.
    pub request: Option<Uuid>,
}

impl Item {
    /// A cell of its first row; empty when there is none.
    pub fn cell(&self, name: &str) -> &str {
        self.rows.first().and_then(|row| row.iter().find(|(cell, _)| *cell == name)).map_or("", |(_, value)| value.as_str())
    }

    /// What a cell is called where it is an id of ours.
    pub fn named(&self, value: &str) -> Option<&str> {
        self.names.get(&Uuid::try_parse(value).ok()?).map(String::as_str)
    }

    /// Whom or what it is about, in a few words.
    pub fn title(&self) -> String {
        let of = |cell: &str| self.named(self.cell(cell)).unwrap_or(self.cell(cell)).to_owned();
        let role = || format!("{} {}", self.cell("application"), self.cell("role"));
        match () {
            () if !self.cell("beneficiary_name").is_empty() => format!("{}: {}", self.cell("beneficiary_name"), role()),
            () if !self.cell("grant_id").is_empty() => of("grant_id"),
            () if !self.cell("assigned_to_id").is_empty() => format!("{} on {}", of("assigned_to_id"), of("request_id")),
            () if !self.cell("request_id").is_empty() => of("request_id"),
            () if !self.cell("attribute").is_empty() => format!("{}: {}", of("person_id"), self.cell("attribute")),
            () if !self.cell("directory").is_empty() => format!("{} in {}", of("person_id"), self.cell("target")),
            () if !self.cell("person_id").is_empty() => of("person_id"),
            () if !self.cell("target").is_empty() => self.cell("target").to_owned(),
            () if !self.cell("change_id").is_empty() => {
                let policies: Vec<&str> =
                    self.rows.iter().flatten().filter(|(name, value)| *name == "policy" && !value.is_empty()).map(|(_, value)| value.as_str()).collect();
                if policies.is_empty() { "A change of the rules".into() } else { policies.join(", ") }
            }
            () => self.id.clone(),
        }
    }

    /// Where it stands: the word of the file, or what it says in its place.
    pub fn state(&self) -> &str {
        let cells = ["decision", "status", "result", "kind", "within_sla"];
        let first = if self.cell("steps_required").is_empty() { cells } else { ["status", "decision", "result", "kind", "within_sla"] };
        match first.into_iter().map(|cell| (cell, self.cell(cell))).find(|(_, value)| !value.is_empty()) {
            Some(("within_sla", "true")) => "within the limit",
            Some(("within_sla", _)) => "too late",
            Some((_, word)) => word,
            None => "",
        }
    }

    /// When it happened, as the file has it.
    pub fn at(&self) -> &str {
        let cells = ["requested_at", "approved_at", "assigned_at", "detected_at", "changed_at", "started_at", "submitted_at", "decided_at"];
        cells.into_iter().map(|cell| self.cell(cell)).find(|value| !value.is_empty()).unwrap_or_default()
    }
}

/// Which cells the id of an item is made of, in order; several are joined by `|`.
pub fn id_of(file: File) -> &'static [&'static str] {
    match file {
        File::Requests => &["request_id"],
        File::Approvals => &["request_id", "step_no", "slot_source", "assigned_to_id"],
        File::Grants => &["grant_id"],
        File::Leavers => &["person_id", "detected_at"],
        File::Movers => &["person_id", "attribute", "changed_at"],
        File::Provisioning => &["attempt_id"],
        File::Drift => &["first_seen_sync_id", "event_seq_first"],
        File::PolicyChanges => &["change_id"],
        _ => &[],
    }
}

/// A seed to begin with, unlike any other.
pub fn seed() -> String {
    let id = crate::clock::new_id().simple().to_string();
    id.get(20..).unwrap_or_default().to_owned()
}

/// Draws a sample for `by`, an auditor or administrator. That it was drawn is in the log before it is shown, once an hour for the same drawing.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, or when something named is not there; faults of `population`, `size`, `seed` and the period;
/// [`ServiceError::Unavailable`] when too much is under way.
pub async fn draw(ctx: &Ctx, by: &By, drawing: &Drawing) -> Result<Sample, ServiceError> {
    let (population, narrow, _seat) = begun(ctx, by, drawing).await?;
    let (count, drawn) = store::draw(&ctx.db, population, narrow, &drawing.seed, drawing.size).await?;
    let fact = Fact::EvidenceSampled {
        population: drawing.taking.file.word().into(),
        filters: export::filters(&drawing.taking),
        seed: drawing.seed.clone(),
        size: drawing.size,
        count,
    };
    let said = serde_json::to_value(&fact).map_err(StoreError::from)?;
    let mut tx = ctx.db.begin().await?;
    if !event::sampled_since(&mut tx, by.person, &said["data"], ctx.clock.now() - ONCE_IN).await? {
        event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: export::subject(&drawing.taking), fact }]).await?;
    }
    commit(tx).await?;
    let ids: Vec<String> = drawn.iter().map(|drawn| drawn.id.clone()).collect();
    let rows = if ids.is_empty() { Vec::new() } else { store::rows(&ctx.db, population, narrow, &ids).await? };
    let mut items: Vec<Item> = (1..)
        .zip(drawn)
        .map(|(no, drawn)| Item { no, id: drawn.id, digest: hex(&drawn.digest), rows: Vec::new(), names: HashMap::new(), request: None })
        .collect();
    for (no, row) in rows {
        let item = usize::try_from(no - 1).ok().and_then(|at| items.get_mut(at));
        if let Some(item) = item {
            item.rows.push(drawing.taking.file.header().map(|name| (name, text(&row[name]))).collect());
        }
    }
    named(ctx, &mut items).await?;
    Ok(Sample { drawing: drawing.clone(), count, items })
}

/// Starts the file of a sample: the rows of its items, in the columns of the file they are from and in the order they were drawn. That it is
/// taken is in the log before the first row leaves.
///
/// # Errors
/// As of [`draw`].
pub async fn file(ctx: &Ctx, by: &By, drawing: &Drawing) -> Result<Download, ServiceError> {
    let (population, narrow, seat) = begun(ctx, by, drawing).await?;
    let (_, drawn) = store::draw(&ctx.db, population, narrow, &drawing.seed, drawing.size).await?;
    let file = format!("sample_of_{}", drawing.taking.file.word());
    let filters = format!("{}, {} drawn by the seed {}", export::filters(&drawing.taking), drawing.size, drawing.seed);
    let fact = Fact::EvidenceExported { file: format!("{file}.csv"), mode: drawing.taking.mode.word().into(), filters };
    let mut tx = ctx.db.begin().await?;
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: export::subject(&drawing.taking), fact }]).await?;
    commit(tx).await?;
    let ids: Vec<String> = drawn.into_iter().map(|drawn| drawn.id).collect();
    let rows = store::stream(&ctx.db, population, narrow, &ids).await?;
    Ok(export::of_rows(export::name(&file, &drawing.taking) + ".csv", &drawing.taking, rows, seat))
}

/// Everything that is looked at before anything is drawn, and a seat.
async fn begun(ctx: &Ctx, by: &By, drawing: &Drawing) -> Result<(Population, crate::store::export::Narrow, SemaphorePermit<'static>), ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let faults = faults(drawing);
    if !faults.is_empty() {
        return Err(Refusal::Faults(faults).into());
    }
    export::ends_after_it_begins(&drawing.taking)?;
    export::known(ctx, &drawing.taking).await?;
    Ok((export::population(drawing.taking.file), export::narrow(&drawing.taking), export::seat()?))
}

/// What is wrong with a drawing, every fault named.
pub fn faults(drawing: &Drawing) -> Vec<FieldFault> {
    let fault = |field: &str, sentence: String| FieldFault { field: field.into(), sentence };
    let mut faults = Vec::new();
    if !POPULATIONS.contains(&drawing.taking.file) {
        let words: Vec<&str> = POPULATIONS.iter().map(|file| file.word()).collect();
        faults.push(fault("population", format!("Must be one of {}.", words.join(", "))));
    }
    if !(1..=MOST).contains(&drawing.size) {
        faults.push(fault("size", format!("Must be a whole number from 1 to {MOST}.")));
    }
    let seed = drawing.seed.as_str();
    if seed.is_empty() || seed.chars().count() > LONGEST || seed.trim() != seed || seed.chars().any(char::is_control) {
        faults.push(fault("seed", format!("Must be a line of 1 to {LONGEST} characters that neither begins nor ends with white space.")));
    }
    if drawing.taking.from.is_none() || drawing.taking.to.is_none() {
        faults.push(fault("from", "A sample is drawn of a period: say from when to when.".into()));
    }
    faults
}

/// A cell as the file has it.
fn text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Says what the ids of the items are called, in one look.
async fn named(ctx: &Ctx, items: &mut [Item]) -> Result<(), ServiceError> {
    const NAMED: [&str; 12] = [
        "request_id",
        "grant_id",
        "requester_id",
        "beneficiary_id",
        "role_id",
        "assigned_to_id",
        "decided_by_id",
        "person_id",
        "ended_by",
        "resolved_by",
        "author",
        "approver",
    ];
    let ids_of = |item: &Item| -> Vec<Uuid> {
        item.rows.iter().flatten().filter(|(name, _)| NAMED.contains(name)).filter_map(|(_, value)| Uuid::try_parse(value).ok()).collect()
    };
    let mut ids: Vec<Uuid> = items.iter().flat_map(ids_of).collect();
    ids.sort_unstable();
    ids.dedup();
    let found = store::names(&ctx.db, &ids).await?;
    let by_id: HashMap<Uuid, &store::NameRow> = found.iter().map(|row| (row.id, row)).collect();
    for item in items {
        item.names = ids_of(item).into_iter().filter_map(|id| Some((id, by_id.get(&id)?.name.clone()))).collect();
        let about = ["request_id", "grant_id", "request_id_if_adopted"].into_iter().find_map(|cell| Uuid::try_parse(item.cell(cell)).ok());
        item.request = about.and_then(|id| by_id.get(&id)).and_then(|row| row.request_id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::csv::Mode;

    fn drawing(file: File, size: i64, seed: &str) -> Drawing {
        let at = Some(chrono::DateTime::UNIX_EPOCH);
        Drawing { taking: Taking { file, mode: Mode::Raw, from: at, to: at, application: None, role: None, person: None }, seed: seed.into(), size }
    }

    #[test]
    fn every_fault_of_a_drawing_is_named() {
        let named = |file, size, seed: &str| faults(&drawing(file, size, seed)).into_iter().map(|fault| fault.field).collect::<Vec<_>>();
        assert!(named(File::Grants, 200, &"é".repeat(LONGEST)).is_empty());
        for (size, seed) in [(0, "a"), (201, "a"), (-1, "a"), (i64::MAX, "a"), (1, ""), (1, " a"), (1, "a\0b"), (1, "a\nb"), (1, "x".repeat(101).as_str())] {
            assert_eq!(named(File::Grants, size, seed).len(), 1, "{size} {seed:?}");
        }
        assert_eq!(named(File::Events, 0, ""), ["population", "size", "seed"]);
    }

    #[test]
    fn every_population_has_an_id_of_its_own_columns() {
        for file in POPULATIONS {
            assert!(!id_of(file).is_empty() && id_of(file).iter().all(|cell| file.header().any(|name| name == *cell)), "{file:?}");
        }
        assert!(seed() != seed() && seed().len() == 12);
    }
}
