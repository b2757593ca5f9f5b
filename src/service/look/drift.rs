//! What the Drift page shows.

use uuid::Uuid;

use crate::domain::drift::DriftRule;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_drift;

// For the floor above, which does not know the store.
pub use crate::store::look_drift::{DriftFilter, DriftListed, StoppedRow};

use super::shared::{Cursor, Listing};

/// How many a page has.
const PAGE: usize = 50;
/// How many stopped groups are shown.
const STOPPED: i64 = 20;

/// What differs, and what may be done about it.
#[derive(Clone, Debug)]
pub struct Drifts {
    /// How the list is narrowed.
    pub filter: DriftFilter,
    /// The drifts, newest first.
    pub rows: Listing<DriftRow>,
    /// Groups in which nothing more is done by itself; for who reads everything.
    pub stopped: Vec<StoppedRow>,
    /// Keys of the directories.
    pub directories: Vec<String>,
    /// Whether everything is seen, not only what the viewer owns.
    pub everything: bool,
}

/// A drift, and what the viewer may do about it.
#[derive(Clone, Debug)]
pub struct DriftRow {
    /// What it is.
    pub row: DriftListed,
    /// Where it stands, in a sentence.
    pub stands: String,
    /// What happens by itself: `alert`, `remove` or `adopt`.
    pub rule: &'static str,
    /// What the viewer may do.
    pub can: Can,
}

/// What a viewer may do about a drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Can {
    /// Have a grant asked for.
    pub adopt: bool,
    /// Have it taken away.
    pub remove: bool,
    /// Leave it alone for a while.
    pub ignore: bool,
    /// End that it is left alone.
    pub end_exception: bool,
}

/// Drifts as `by` may see them: everything for auditors and administrators, else of the groups that give a role of theirs.
///
/// # Errors
/// [`ServiceError::Missing`] for a cursor that is none of ours; when the database fails.
pub async fn drifts(ctx: &Ctx, by: &By, filter: DriftFilter, after: Option<&Cursor>) -> Result<Drifts, ServiceError> {
    let after = after.map(Cursor::id).transpose()?;
    let everything = by.reads_everything();
    let rows = look_drift::page(&ctx.db, by.person.0, everything, &filter, after, PAGE as i64 + 1).await?;
    let cut = Listing::cut(rows, PAGE, |row| row.id);
    Ok(Drifts {
        rows: Listing { rows: cut.rows.into_iter().map(|row| seen(row, by)).collect(), next: cut.next },
        stopped: if everything { look_drift::stopped(&ctx.db, STOPPED).await? } else { vec![] },
        directories: ctx.directories.keys().cloned().collect(),
        filter,
        everything,
    })
}

/// A page of drifts for the API.
///
/// # Errors
/// When the database fails.
pub async fn listed(ctx: &Ctx, by: &By, filter: &DriftFilter, after: Option<Uuid>, limit: i64) -> Result<(Vec<DriftRow>, bool), ServiceError> {
    let mut rows = look_drift::page(&ctx.db, by.person.0, by.reads_everything(), filter, after, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > most;
    rows.truncate(most);
    Ok((rows.into_iter().map(|row| seen(row, by)).collect(), more))
}

/// One drift.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none that `by` may see; when the database fails.
pub async fn one(ctx: &Ctx, by: &By, id: Uuid) -> Result<DriftRow, ServiceError> {
    let row = look_drift::one(&ctx.db, by.person.0, by.reads_everything(), id).await?.ok_or(ServiceError::Missing)?;
    Ok(seen(row, by))
}

fn seen(row: DriftListed, by: &By) -> DriftRow {
    let rules: Vec<DriftRule> = row.rules.iter().map(|word| DriftRule::parse(word).unwrap_or_default()).collect();
    DriftRow { stands: stands(&row), rule: DriftRule::of_group(&rules).word(), can: can(&row, by), row }
}

/// Whether a request that is to adopt it is under way.
fn is_being_adopted(row: &DriftListed) -> bool {
    row.request_id.is_some() && matches!(row.request_status.as_deref(), Some("submitted" | "pending" | "needs_info" | "approved"))
}

fn can(row: &DriftListed, by: &By) -> Can {
    let acts = by.is_administrator || row.owned;
    let free = acts && row.kind == "unexpected_member" && row.resolved_at.is_none() && row.removal_asked_at.is_none() && !is_being_adopted(row);
    Can {
        adopt: free && !row.roles.is_empty(),
        remove: free && row.through_name.is_none(),
        ignore: free && row.person_id != Some(by.person.0),
        end_exception: acts && row.exception_until.is_some(),
    }
}

fn stands(row: &DriftListed) -> String {
    let by = |name: &Option<String>| name.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
    match () {
        () if row.resolved_at.is_some() => {
            let how = row.resolution.clone().unwrap_or_default();
            super::steps::capital(&format!("{how}{}", by(&row.resolved_by)))
        }
        () if row.kind == "missing_member" => "A grant wants it, so it is being added again.".into(),
        () if row.kind == "unknown_target" => "The directory has no such group any more. Name another for the role, or retire it.".into(),
        () if row.removal_asked_at.is_some() => match &row.removal_error {
            Some(error) => format!("Being taken out{}; tried again: {error}", by(&row.removal_asked_by)),
            None => format!("Being taken out{}.", by(&row.removal_asked_by)),
        },
        () if is_being_adopted(row) => "A grant is asked for.".into(),
        () => {
            let mut said = match &row.through_name {
                Some(group) => format!("In it only by the inner group {group}."),
                None => "Nobody granted it here.".to_owned(),
            };
            if let Some(note) = &row.note {
                said.push_str(&format!(" No grant came of asking for one: {}.", note.trim_end_matches('.')));
            }
            said
        }
    }
}
