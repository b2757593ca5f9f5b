//! For whom a role may be asked.

use crate::domain::id::{PersonId, RoleId};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_role::{self, ShelfRow};
use crate::store::{person, reports};

pub use crate::store::reports::PickRow;

use super::catalog::words;
use super::shared::RoleName;

/// People to choose from.
#[derive(Clone, Debug)]
pub struct Whom {
    /// The role.
    pub role: RoleName,
    /// What was searched for.
    pub q: String,
    /// Whether the viewer may search everybody, not only who reports to them.
    pub everybody: bool,
    /// Whether the viewer may ask for who reports to them.
    pub reports: bool,
    /// Who was found; without a search, who reports to the viewer, the nearest first.
    pub found: Vec<PickRow>,
}

/// How many people are listed.
const MOST: i64 = 50;

/// For whom `by` may ask at all, by the policies that may govern the role: who reports to them, anybody.
///
/// # Errors
/// When the database fails.
pub async fn may(ctx: &Ctx, by: &By, row: &ShelfRow, owns: bool) -> Result<(bool, bool), ServiceError> {
    let ids: Vec<_> = row.versions.iter().map(|id| (*id).into()).collect();
    let policies = ctx.policies.versions(&ctx.db, &ids).await?;
    let reports = policies.iter().any(|policy| policy.on_behalf.manager) && reports::any(&ctx.db, by.person.0).await?;
    Ok((reports, owns && policies.iter().any(|policy| policy.on_behalf.owner)))
}

/// The people whom `by` may ask the role for, narrowed by `q`. An owner finds anybody by name, a manager who reports to them at any depth.
///
/// # Errors
/// [`ServiceError::Missing`] when the role is not offered, or they may ask for nobody else.
pub async fn whom(ctx: &Ctx, by: &By, role: RoleId, q: String) -> Result<Whom, ServiceError> {
    let (row, about) = tokio::try_join!(look_role::one(&ctx.db, role.0), look_role::about(&ctx.db, role.0))?;
    let (row, about) = row.zip(about).ok_or(ServiceError::Missing)?;
    let owns = about.owner_id == by.person.0 || about.application_owner_id == by.person.0;
    let (reports, everybody) = may(ctx, by, &row, owns).await?;
    if !reports && !everybody {
        return Err(ServiceError::Missing);
    }
    let words: Vec<String> = words(&q).iter().map(|word| word.to_lowercase()).collect();
    let found = match (everybody && !words.is_empty(), reports || words.is_empty()) {
        (true, _) => reports::named(&ctx.db, by.person.0, &words, MOST).await?,
        (false, true) => reports::of(&ctx.db, by.person.0, &words, MOST).await?,
        (false, false) => vec![],
    };
    Ok(Whom { role: RoleName { id: row.id, application: row.application, role: row.role, risk: row.risk }, q, everybody, reports, found })
}

/// The name of somebody who may be asked for; none when there is no such person.
///
/// # Errors
/// When the database fails.
pub async fn name(ctx: &Ctx, id: PersonId) -> Result<Option<String>, ServiceError> {
    Ok(person::by_id(&ctx.db, id).await?.map(|row| row.display_name))
}
