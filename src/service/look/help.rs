//! What is not met, and what would help.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::decide::{Decision, Outcome};
use crate::domain::id::PersonId;
use crate::domain::person::PersonSnapshot;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::store::look_role::{self, ShelfRow};
use crate::store::{emergency, person};

use super::shared::{RoleName, Standing};
use super::{seen, standing, why};

/// A condition that is not met.
#[derive(Clone, Debug)]
pub struct Unmet {
    /// The condition as a sentence.
    pub sentence: String,
    /// The attribute it looks at, if any.
    pub attribute: Option<String>,
    /// What was seen, or that there was nothing: "The directory main says Sales".
    pub said: Option<String>,
    /// When it was seen.
    pub at: Option<DateTime<Utc>>,
}

/// Another role that may be asked for.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// The role.
    pub role: RoleName,
    /// Whether it gives the very same group; otherwise it is of the same application.
    pub same: bool,
}

/// What is not met, and what would help.
#[derive(Clone, Debug, Default)]
pub struct Help {
    /// Every condition that counts against the person.
    pub unmet: Vec<Unmet>,
    /// Other roles that they may ask for.
    pub alternatives: Vec<Alternative>,
    /// Whom to ask, each a sentence.
    pub ask: Vec<String>,
}

/// How many roles are looked at, and named.
const TRIED: usize = 40;
const NAMED: usize = 5;

/// What would help `person`, described by `snapshot`, whom `decision` refuses a role; nothing when it does not. `is_viewer`: whether they
/// are the one who reads it.
///
/// # Errors
/// When the database fails.
pub async fn help(
    ctx: &Ctx,
    person: PersonId,
    snapshot: Option<&PersonSnapshot>,
    role: Uuid,
    decision: &Decision,
    is_viewer: bool,
) -> Result<Option<Help>, ServiceError> {
    if decision.outcome != Outcome::Refused {
        return Ok(None);
    }
    let whose = |text: String| if is_viewer { text } else { why::of_another(&text) };
    let unmet: Vec<Unmet> = why::against(decision)
        .into_iter()
        .map(|line| Unmet {
            sentence: whose(line.sentence.trim_end_matches('.').to_owned()),
            attribute: line.attribute.clone(),
            said: why::said(line).map(whose),
            at: line.attribute.is_some().then_some(line.fetched_at),
        })
        .collect();
    let alternatives = match snapshot {
        Some(snapshot) => alternatives(ctx, person, snapshot, role).await?,
        None => vec![],
    };
    let mut ask = Vec::new();
    let attributes: Vec<String> = unmet
        .iter()
        .filter_map(|unmet| unmet.attribute.clone())
        .filter(|attribute| !matches!(attribute.as_str(), "groups" | "active" | "manager"))
        .map(|attribute| attribute.replace('_', " "))
        .collect();
    if let (Some(first), Some(snapshot)) = (attributes.first(), snapshot)
        && let Some(reference) = &snapshot.manager
    {
        let manager = person::by_references(&ctx.db, &snapshot.directory, std::slice::from_ref(reference)).await?.pop();
        if let Some(manager) = manager {
            ask.push(whose(format!("If the directory is wrong about your {first}, your manager, {}, can have it corrected there.", manager.display_name)));
        }
    }
    if decision.deciding_rule.ends_with(": emergency")
        && let Some(debt) = emergency::owed_to(&ctx.db, person).await?
    {
        let due = debt.due_at.format("%-d %b %Y, %H:%M UTC");
        ask.push(whose(format!("The review of your earlier emergency is owed by {} by {due}.", debt.reviewers.join(", "))));
    }
    if let Some(about) = look_role::about(&ctx.db, role).await? {
        ask.push(match about.owner_id == person.0 {
            true => whose("You own this role; an administrator changes its rules.".into()),
            false => whose(format!("{} owns this role and can say whether it is meant for you.", about.owner)),
        });
    }
    Ok(Some(Help { unmet, alternatives, ask }))
}

/// Other roles that give the same group, then others of the same application, that the person may ask for.
async fn alternatives(ctx: &Ctx, person: PersonId, snapshot: &PersonSnapshot, role: Uuid) -> Result<Vec<Alternative>, ServiceError> {
    let (shelf, same, has) =
        tokio::try_join!(seen::shelf(ctx), async { Ok(look_role::same_group(&ctx.db, role).await?) }, async { Ok(look_role::has(&ctx.db, person.0).await?) })?;
    let Some(own) = shelf.iter().find(|row| row.id == role) else { return Ok(vec![]) };
    let others = || shelf.iter().filter(|row| row.id != role);
    let mut rows: Vec<&ShelfRow> = others().filter(|row| same.contains(&row.id)).collect();
    rows.extend(others().filter(|row| row.application_id == own.application_id && !same.contains(&row.id)));
    rows.truncate(TRIED);
    let stood = standing::cards(ctx, person, Some(snapshot), &rows, &has).await?;
    let may = stood.into_iter().map(|stood| stood.card).filter(|card| matches!(card.standing, Standing::MayAsk));
    Ok(may.take(NAMED).map(|card| Alternative { same: same.contains(&card.role.id), role: card.role }).collect())
}
