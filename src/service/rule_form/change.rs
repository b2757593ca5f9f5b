//! Opens, looks at, saves and retires one entry.
//!
//! There is no second way to write: the entry takes its place in the whole set, and that goes the way of every catalog file.

use std::collections::BTreeMap;

use crate::clock::new_id;
use crate::evidence::canonical;
use crate::service::catalog_export;
use crate::service::catalog_file::model::CatalogFile;
use crate::service::catalog_file::places::Fault;
use crate::service::catalog_file::read::read;
use crate::service::catalog_file::words::{self, Line};
use crate::service::change::review::{self, Review, Saved};
use crate::service::change::submit::Outcome;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::plan::{self, Plan};
use crate::store::catalog::{self, Catalog};
use crate::store::catalog_write::Write;

use super::shape::Kind;
use super::sheet::Form;
use super::text::Entry;
use super::{fill, list, set, text};

/// The keys of the set, to choose from.
pub type Options = BTreeMap<Kind, Vec<(String, String)>>;

/// An entry opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What it says, field by field.
    pub form: Form,
    /// Stands for the entry as it is in force; empty for a new one.
    pub base: String,
    /// What it says in words.
    pub words: Vec<Line>,
    /// The keys of the set.
    pub options: Options,
}

/// What an entry would come to.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// What it would change in the whole set, and the mark of exactly that.
    pub review: Review,
    /// What it would say in words; empty while it has faults of its own.
    pub words: Vec<Line>,
    /// What is wrong, by the path of the field; the empty path is the entry itself.
    pub faults: BTreeMap<String, Vec<String>>,
    /// What is wrong elsewhere in the set, with the entry that has it.
    pub elsewhere: Vec<(Option<(Kind, String)>, String)>,
    /// Whether the entry in force is not the one that the form was opened with.
    pub overtaken: bool,
    /// The keys of the set.
    pub options: Options,
}

/// What became of an entry.
#[derive(Clone, Debug)]
pub enum Kept {
    /// It is not what was seen, or has faults: look at this first.
    Look(Box<Looked>),
    /// It was applied, proposed, or changes nothing.
    Done(Outcome),
}

fn options(file: &CatalogFile) -> Options {
    [Kind::Application, Kind::Profile, Kind::Procedure, Kind::Policy]
        .into_iter()
        .map(|kind| (kind, list::rows(file, kind).into_iter().map(|row| (row.key, row.name)).collect()))
        .collect()
}

fn base_of(text: &str, kind: Kind, key: Option<&str>) -> String {
    key.and_then(|key| set::of(text, kind, key)).map_or_else(String::new, |entry| canonical::digest(&entry))
}

async fn in_force(ctx: &Ctx, by: &By, changing: bool) -> Result<String, ServiceError> {
    if !(by.is_administrator || (by.reads_everything() && !changing)) {
        return Err(ServiceError::Missing);
    }
    catalog_export::toml(&ctx.db, &ctx.directories).await
}

/// An entry in force, for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and where there is no such entry; [`ServiceError::Unavailable`] when the database does
/// not answer.
pub async fn open(ctx: &Ctx, by: &By, kind: Kind, key: &str) -> Result<Opened, ServiceError> {
    let text = in_force(ctx, by, false).await?;
    let file = read(&text);
    let form = fill::of(&file, kind, key).ok_or(ServiceError::Missing)?;
    let current = now(ctx).await?;
    Ok(Opened { base: base_of(&text, kind, Some(key)), words: in_words(&file, kind, key, &Plan::default(), &current), options: options(&file), form })
}

/// A form for something new, for administrators.
///
/// # Errors
/// As [`open`].
pub async fn blank(ctx: &Ctx, by: &By, kind: Kind) -> Result<Opened, ServiceError> {
    let text = in_force(ctx, by, true).await?;
    Ok(Opened { form: fill::fresh(kind), base: String::new(), words: Vec::new(), options: options(&read(&text)) })
}

/// The keys of the set, for a form that is only shown again.
///
/// # Errors
/// As [`open`], for administrators only.
pub async fn again(ctx: &Ctx, by: &By, kind: Kind, key: Option<&str>, base: &str) -> Result<Looked, ServiceError> {
    let text = in_force(ctx, by, true).await?;
    Ok(Looked { overtaken: base_of(&text, kind, key) != base, options: options(&read(&text)), ..Looked::default() })
}

async fn now(ctx: &Ctx) -> Result<Catalog, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    Ok(catalog::whole(&mut tx).await?)
}

/// What `form` would come to in the place of the entry `key`, or as a new one, for administrators. `base` stands for the entry that
/// it was opened with. Changes nothing.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; [`ServiceError::Unavailable`] when the directory or the database does not answer.
pub async fn look(ctx: &Ctx, by: &By, (key, form): (Option<&str>, &Form), base: &str) -> Result<Looked, ServiceError> {
    let text = in_force(ctx, by, true).await?;
    looked(ctx, &text, (key, form), base).await
}

async fn looked(ctx: &Ctx, text: &str, (key, form): (Option<&str>, &Form), base: &str) -> Result<Looked, ServiceError> {
    let entry = text::entry(form);
    let (whole, first) = set::with(text, form.kind, key, &entry);
    let file = read(&whole);
    let resolved = plan::ask(&ctx.db, &ctx.directories, &file).await?;
    let current = now(ctx).await?;
    let plan = plan::plan(&file, &current, &resolved, &mut new_id);
    let typed = match form.kind {
        Kind::Role => format!("{}.{}", form.text("application"), form.text("key").trim()),
        _ => form.text("key").trim().to_owned(),
    };
    let (faults, elsewhere) = sorted(&plan.faults, &file, &entry, first);
    // What is faulty says nothing yet; what is in force would be taken for it.
    let words = if faults.is_empty() { in_words(&file, form.kind, &typed, &plan, &current) } else { Vec::new() };
    let overtaken = base_of(text, form.kind, key) != base;
    Ok(Looked { review: review::of(&whole, plan), words, faults, elsewhere, overtaken, options: options(&read(text)) })
}

/// The faults of the entry by field, and the others.
#[allow(clippy::type_complexity, reason = "two halves of one list")]
fn sorted(faults: &[Fault], file: &CatalogFile, entry: &Entry, first: usize) -> (BTreeMap<String, Vec<String>>, Vec<(Option<(Kind, String)>, String)>) {
    let mut own: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut elsewhere = Vec::new();
    for fault in faults {
        match fault.line.checked_sub(first).and_then(|line| entry.paths.get(line)) {
            Some(path) => own.entry(path.clone()).or_default().push(fault.sentence.clone()),
            None => elsewhere.push((set::owner_of(file, fault.line), fault.sentence.clone())),
        }
    }
    (own, elsewhere)
}

/// Saves `form` as an administrator, if `mark` says that they have seen what it changes as of now: it is applied, or proposed where
/// a second person decides.
///
/// # Errors
/// As [`look`].
pub async fn save(ctx: &Ctx, by: &By, (key, form): (Option<&str>, &Form), (base, mark): (&str, &str)) -> Result<Kept, ServiceError> {
    let text = in_force(ctx, by, true).await?;
    let (whole, _) = set::with(&text, form.kind, key, &text::entry(form));
    let source = format!("the form of {} {}", form.kind.word(), source_key(key.unwrap_or_else(|| form.text("key"))));
    match review::save(ctx, by, (&whole, &source), mark).await? {
        Saved::Done(outcome) => Ok(Kept::Done(outcome)),
        Saved::Look(_) => Ok(Kept::Look(Box::new(look(ctx, by, (key, form), base).await?))),
    }
}

/// A key as the log may hold it; what is no key has a fault and is never saved.
fn source_key(key: &str) -> String {
    key.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.')).take(130).collect()
}

/// What taking an entry out of the set would change, for administrators. Changes nothing.
///
/// # Errors
/// As [`look`]; [`ServiceError::Missing`] also where there is no such entry.
pub async fn retiring(ctx: &Ctx, by: &By, kind: Kind, key: &str) -> Result<Looked, ServiceError> {
    let text = in_force(ctx, by, true).await?;
    let whole = set::without(&text, kind, key).ok_or(ServiceError::Missing)?;
    let review = review::review(ctx, by, &whole).await?;
    let (faults, elsewhere) = sorted(&review.faults, &read(&whole), &Entry::default(), 1);
    Ok(Looked { review, faults, elsewhere, ..Looked::default() })
}

/// Takes an entry out of the set, as [`save`].
///
/// # Errors
/// As [`retiring`].
pub async fn retire(ctx: &Ctx, by: &By, kind: Kind, key: &str, mark: &str) -> Result<Kept, ServiceError> {
    let text = in_force(ctx, by, true).await?;
    let whole = set::without(&text, kind, key).ok_or(ServiceError::Missing)?;
    let source = format!("retiring {} {}", kind.word(), source_key(key));
    match review::save(ctx, by, (&whole, &source), mark).await? {
        Saved::Done(outcome) => Ok(Kept::Done(outcome)),
        Saved::Look(_) => Ok(Kept::Look(Box::new(retiring(ctx, by, kind, key).await?))),
    }
}

/// What an entry says in words: as it is to be, or else as it is in force.
fn in_words(file: &CatalogFile, kind: Kind, key: &str, plan: &Plan, current: &Catalog) -> Vec<Line> {
    let line = |label: &str, text: &str| (label.to_owned(), text.to_owned());
    let bound = |policies: &[crate::service::catalog_file::model::BindingEntry], otherwise: &str| {
        words::bindings(policies.iter().map(|bound| (bound.policy.value.as_str(), bound.priority)), otherwise)
    };
    match kind {
        Kind::Application => file.applications.iter().find(|entry| entry.key.value == key).map_or_else(Vec::new, |entry| {
            vec![
                line("name", &entry.name),
                line("description", &entry.description),
                line("owner", &entry.owner.value),
                line("policies", &bound(&entry.policies, "the default ones")),
            ]
        }),
        Kind::Role => file.roles.iter().find(|entry| set::is_role(entry, key)).map_or_else(Vec::new, |entry| {
            let owner = entry.owner.as_ref().map_or("the application’s owner", |owner| &owner.value);
            vec![
                line("application", &entry.application.value),
                line("name", &entry.name),
                line("description", &entry.description),
                line("owner", owner),
                line("risk", entry.risk.word()),
                line("group", &entry.group.value),
                line("members without a grant", entry.drift.word()),
                line("policies", &bound(&entry.policies, "those of its application")),
            ]
        }),
        Kind::Profile => {
            let new =
                plan.writes.iter().find_map(|write| if let Write::Profile { body, .. } = write { Some(body).filter(|body| body.key == key) } else { None });
            let body = new.or_else(|| current.profiles.iter().map(|now| &now.body).find(|body| body.key == key));
            body.map(words::profile).unwrap_or_default()
        }
        Kind::Procedure => {
            let new =
                plan.writes.iter().find_map(|write| if let Write::Procedure { body, .. } = write { Some(body).filter(|body| body.key == key) } else { None });
            let body = new.or_else(|| current.procedures.iter().map(|now| &now.body).find(|body| body.key == key));
            body.map(words::procedure).unwrap_or_default()
        }
        Kind::Policy => {
            let new =
                plan.writes.iter().find_map(|write| if let Write::Policy { body, .. } = write { Some(&**body).filter(|body| body.key == key) } else { None });
            let body = new.or_else(|| current.policies.iter().map(|(now, _)| &now.body).find(|body| body.key == key));
            body.map(words::policy).unwrap_or_default()
        }
        Kind::Separation => file.separation.iter().find(|entry| entry.key.value == key).map_or_else(Vec::new, |entry| {
            let side =
                |side: &[crate::service::catalog_file::places::Placed<String>]| side.iter().map(|role| role.value.as_str()).collect::<Vec<_>>().join(", ");
            let exception =
                entry.procedure.as_ref().map_or_else(|| "none: nobody holds both".to_owned(), |key| format!("with approval by procedure {}", key.value));
            vec![line("name", &entry.name), line("not together", &side(&entry.a)), line("with", &side(&entry.b)), line("exception", &exception)]
        }),
    }
}
