//! Shows what chosen groups would become, then does it.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::event::{Actor, Channel};
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::service::catalog_export;
use crate::service::catalog_file::read::read;
use crate::service::change::review::{self, Review, Saved};
use crate::service::change::submit::{Submitted, submit};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::{fetch, sweep};
use crate::store::directory_group::{self, GroupRow};
use crate::store::person;

use super::rules::{Drafted, Importing, Place, draft, is_plain};

/// How many groups are imported at a time.
pub const MOST: usize = 50;
/// How many members of each are shown.
const SHOWN: usize = 50;
/// How many groups are read at a time.
const AT_ONCE: usize = 4;

/// What is to be imported.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// References of the groups.
    pub groups: Vec<String>,
    /// Key of the application.
    pub application: String,
    /// Its name, when it is new.
    pub name: String,
    /// Login of its owner, when it is new.
    pub owner: String,
}

/// A member of a group, and who that is.
#[derive(Clone, Debug)]
pub struct MemberRow {
    /// The reference in the directory.
    pub reference: String,
    /// Name, login, department and status, where the directory lists them.
    pub person: Option<(String, String, Option<String>, String)>,
}

/// A chosen group as the directory has it now.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Its reference.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// How many direct members it has.
    pub members: usize,
    /// The first of them.
    pub shown: Vec<MemberRow>,
    /// How many more are in it by groups inside it.
    pub inherited: usize,
    /// Those groups.
    pub nested: usize,
    /// What to know of it.
    pub warnings: Vec<String>,
    /// Why it cannot be chosen.
    pub why_not: Option<String>,
}

/// What an import would come to.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// The groups, by name.
    pub groups: Vec<Chosen>,
    /// What is wrong with what was entered.
    pub faults: Vec<FieldFault>,
    /// The TOML that is added; empty while something is wrong.
    pub added: String,
    /// What it changes in the rules.
    pub review: Review,
    /// Whether it is new to the catalog: name and owner are wanted.
    pub is_new: bool,
}

impl Preview {
    /// Whether it can be done.
    pub fn is_good(&self) -> bool {
        self.faults.is_empty() && self.review.faults.is_empty() && self.groups.iter().all(|group| group.why_not.is_none()) && !self.groups.is_empty()
    }
}

/// What an import would come to, for administrators. Changes nothing.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a directory that there is not; [`ServiceError::Unavailable`] when it does not
/// answer.
pub async fn preview(ctx: &Ctx, by: &By, directory: &str, wish: &Wish) -> Result<Preview, ServiceError> {
    if !by.is_administrator || !ctx.directories.contains_key(directory) {
        return Err(ServiceError::Missing);
    }
    let (mut preview, drafted) = look(ctx, directory, wish).await?;
    if let Some(drafted) = drafted {
        preview.review = review::review(ctx, by, &drafted.whole).await?;
        preview.added = drafted.added;
    }
    Ok(preview)
}

/// Imports, as an administrator, if `mark` says that they have seen what it changes as of now: it is applied, or proposed where a
/// second person decides. Who is in the groups then is declared at their first comparison, which is due at once.
///
/// # Errors
/// As [`preview`].
pub async fn import(ctx: &Ctx, by: &By, directory: &str, wish: &Wish, mark: &str) -> Result<Result<Saved, Preview>, ServiceError> {
    let shown = preview(ctx, by, directory, wish).await?;
    if !shown.is_good() || shown.review.mark != mark {
        return Ok(Err(shown));
    }
    let (_, Some(drafted)) = look(ctx, directory, wish).await? else { return Ok(Err(shown)) };
    let source = format!("the import from directory {directory}");
    match review::save(ctx, by, (&drafted.whole, &source), mark).await? {
        Saved::Look(_) => Ok(Err(preview(ctx, by, directory, wish).await?)),
        done => Ok(Ok(done)),
    }
}

/// What the operator at the command line would import, and how the catalog would change.
///
/// # Errors
/// As [`preview`].
pub async fn preview_by_operator(ctx: &Ctx, directory: &str, wish: &Wish) -> Result<(Preview, Option<Drafted>), ServiceError> {
    look(ctx, directory, wish).await
}

/// Imports for the operator at the command line.
///
/// # Errors
/// As [`preview`].
pub async fn import_by_operator(ctx: &Ctx, directory: &str, drafted: &Drafted) -> Result<Submitted, ServiceError> {
    let source = format!("the import from directory {directory}");
    submit(ctx, (&drafted.whole, &source), (Actor::System, Channel::Cli)).await
}

/// The kept groups that go by one of `names` (or references), for the operator; those that name nothing, or several, come back as faults.
///
/// # Errors
/// When the database fails.
pub async fn named(ctx: &Ctx, directory: &str, names: &[String]) -> Result<Result<Vec<String>, Vec<String>>, ServiceError> {
    let rows = directory_group::by_names(&ctx.db, directory, names).await?;
    let (mut references, mut faults) = (Vec::new(), Vec::new());
    for name in names {
        let mut found: Vec<&GroupRow> = rows.iter().filter(|row| row.reference == *name).collect();
        if found.is_empty() {
            found = rows.iter().filter(|row| row.name == *name).collect();
        }
        match found.as_slice() {
            [one] => references.push(one.reference.clone()),
            [] => faults.push(format!("There is no group “{name}” in directory {directory}.")),
            _ => faults.push(format!("Several groups of directory {directory} are called “{name}”; write the reference of the one that is meant.")),
        }
    }
    Ok(if faults.is_empty() { Ok(references) } else { Err(faults) })
}

async fn look(ctx: &Ctx, directory: &str, wish: &Wish) -> Result<(Preview, Option<Drafted>), ServiceError> {
    let fault = |field: &str, sentence: String| FieldFault { field: field.into(), sentence };
    let mut preview = Preview::default();
    let wanted: BTreeSet<String> = wish.groups.iter().cloned().collect();
    if wanted.is_empty() {
        preview.faults.push(fault("group", "Choose at least one group.".into()));
    }
    if wanted.len() > MOST {
        preview.faults.push(fault("group", format!("At most {MOST} groups at a time; you chose {}.", wanted.len())));
        return Ok((preview, None));
    }
    let wanted: Vec<String> = wanted.into_iter().collect();
    let kept = directory_group::by_references(&ctx.db, directory, &wanted).await?;
    if kept.len() < wanted.len() {
        preview.faults.push(fault("group", "One of the groups is no longer listed; choose again.".into()));
    }
    preview.groups = stream::iter(kept.clone()).map(|row| one(ctx, directory, row)).buffered(AT_ONCE).try_collect().await?;
    let (home, _) = ctx.directories.home()?;
    let text = catalog_export::toml(&ctx.db, &ctx.directories).await?;
    let file = read(&text);
    let key = wish.application.trim();
    preview.is_new = file.applications.iter().all(|entry| entry.key.value != key);
    let is_key = key.len() <= 63
        && key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_key {
        preview.faults.push(fault("application", "Say which application the roles go into: a key of lower-case letters, digits and dashes.".into()));
    }
    let (name, owner) = (wish.name.trim(), wish.owner.trim());
    if preview.is_new && is_key {
        if name.is_empty() || name.chars().any(char::is_control) || name.chars().count() > 200 {
            preview.faults.push(fault("name", "Give the new application a name of one line.".into()));
        }
        if owner.is_empty() || owner.chars().any(char::is_control) || owner.chars().count() > 200 {
            preview.faults.push(fault("owner", "Say who owns the new application: their login in the directory.".into()));
        }
    }
    if !preview.faults.is_empty() || preview.groups.iter().any(|group| group.why_not.is_some()) {
        return Ok((preview, None));
    }
    let importing: Vec<Importing> = kept
        .iter()
        .map(|row| Importing {
            called: if row.same_name == 1 && is_plain(&row.name) { row.name.clone() } else { row.reference.clone() },
            name: row.name.clone(),
            description: row.description.clone().unwrap_or_default(),
        })
        .collect();
    let place = Place {
        directory: (home != directory).then(|| directory.to_owned()),
        key: key.to_owned(),
        fresh: preview.is_new.then(|| (name.to_owned(), owner.to_owned())),
    };
    let drafted = draft(&text, &place, &importing);
    Ok((preview, Some(drafted)))
}

/// A group with its members, as the directory has it now.
async fn one(ctx: &Ctx, directory: &str, row: GroupRow) -> Result<Chosen, ServiceError> {
    let port = fetch::directory(ctx, directory)?;
    let unanswered = |error: crate::directory::facts::ReadError| ServiceError::Unavailable(error.to_string());
    let facts = port.group(&row.reference).await.map_err(unanswered)?;
    let Some(facts) = facts else {
        let why_not = Some("The directory no longer has this group.".into());
        return Ok(Chosen { reference: row.reference, name: row.name, members: 0, shown: vec![], inherited: 0, nested: 0, warnings: vec![], why_not });
    };
    let inherited =
        if facts.nested.is_empty() { 0 } else { sweep::read(port, &row.reference).await.map_err(unanswered)?.map_or(0, |seen| seen.inherited.len()) };
    let first: Vec<String> = facts.members.iter().take(SHOWN).cloned().collect();
    let people = person::by_references(&ctx.db, directory, &first).await?;
    let shown = first
        .into_iter()
        .map(|reference| {
            let known = people.iter().find(|person| person.reference == reference);
            let person = known.map(|known| (known.display_name.clone(), known.user_name.clone(), known.department.clone(), known.status.clone()));
            MemberRow { reference, person }
        })
        .collect();
    let mut warnings = row.warnings;
    if inherited > 0 {
        warnings.push(format!("{inherited} people are in it only by a group inside it; a role gives and takes direct membership alone."));
    }
    let why_not = match (facts.read_only.or(row.read_only), row.role) {
        (Some(why), _) => Some(format!("Its membership cannot be changed: {}.", why.trim_end_matches('.'))),
        (None, Some(role)) => Some(format!("It gives the role {role} already.")),
        (None, None) => None,
    };
    Ok(Chosen { reference: row.reference, name: facts.name, members: facts.members.len(), shown, inherited, nested: facts.nested.len(), warnings, why_not })
}

/// The refusal that names everything wrong with an import.
pub fn refusal(preview: &Preview) -> Refusal {
    let mut faults = preview.faults.clone();
    faults.extend(
        preview.groups.iter().filter_map(|group| Some(FieldFault { field: "group".into(), sentence: format!("{}: {}", group.name, group.why_not.as_ref()?) })),
    );
    faults.extend(preview.review.faults.iter().map(|fault| FieldFault { field: "rules".into(), sentence: fault.to_string() }));
    Refusal::Faults(faults)
}
