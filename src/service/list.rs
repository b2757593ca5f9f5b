//! Lists for the API: what may be seen, in pages.

use uuid::Uuid;

use crate::domain::id::{ApplicationId, GrantId, RequestId, RoleId};
use crate::store::{list_event, list_grant, list_request, list_role, policy_change, question, request};

// What these lists are narrowed by and made of, for the floor above, which does not know the store.
pub use crate::store::list_event::{EventFilter, EventListed};
pub use crate::store::list_grant::{GrantFilter, GrantListed};
pub use crate::store::list_request::{AskedListed, RequestFilter, RequestListed};
pub use crate::store::list_role::RoleListed;
pub use crate::store::policy_change::ChangeListed;
pub use crate::store::question::QuestionRow;

use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// The most rows of one page.
pub const MOST: i64 = 200;

/// One page: its rows, and whether there are more.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// In order.
    pub rows: Vec<T>,
    /// Whether rows follow.
    pub more: bool,
}

/// Cuts the row too many that says whether there are more.
fn page<T>(mut rows: Vec<T>, limit: i64) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > limit;
    rows.truncate(limit);
    Page { rows, more }
}

/// In whose eyes rows are filtered; nobody's for who reads everything.
fn eyes(by: &By) -> Option<Uuid> {
    (!by.reads_everything()).then_some(by.person.0)
}

/// Offered roles that hold every word of `q`, by name.
///
/// # Errors
/// When the database fails.
pub async fn roles(ctx: &Ctx, q: &str, application: Option<ApplicationId>, after: Option<Uuid>, limit: i64) -> Result<Page<RoleListed>, ServiceError> {
    let words: Vec<String> = q.split_whitespace().take(8).map(String::from).collect();
    Ok(page(list_role::search(&ctx.db, &words, application.map(|id| id.0), after, limit + 1).await?, limit))
}

/// Changes of the rules, newest first, for auditors and administrators; only those of `status` where one is given.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; when the database fails.
pub async fn changes(ctx: &Ctx, by: &By, status: Option<&str>, after: Option<Uuid>, limit: i64) -> Result<Page<ChangeListed>, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    Ok(page(policy_change::list(&ctx.db, status, after, limit + 1).await?, limit))
}

/// A role that is offered.
///
/// # Errors
/// [`ServiceError::Missing`] when it is not.
pub async fn role(ctx: &Ctx, id: RoleId) -> Result<RoleListed, ServiceError> {
    list_role::by_id(&ctx.db, id.0).await?.ok_or(ServiceError::Missing)
}

/// Requests that `by` may see, newest first.
///
/// # Errors
/// When the database fails.
pub async fn requests(ctx: &Ctx, by: &By, filter: &RequestFilter, after: Option<Uuid>, limit: i64) -> Result<Page<RequestListed>, ServiceError> {
    Ok(page(list_request::list(&ctx.db, eyes(by), filter, after, limit + 1).await?, limit))
}

/// A request in full.
#[derive(Clone, Debug)]
pub struct RequestInFull {
    /// The request.
    pub request: RequestListed,
    /// Who was asked, and what they said.
    pub asked: Vec<AskedListed>,
    /// What approvers asked, and what was answered, oldest first.
    pub questions: Vec<QuestionRow>,
    /// Every rule looked at, JSON.
    pub trace: String,
    /// Values of the policy's own fields, JSON.
    pub fields: Option<String>,
}

/// A request that `by` may see.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none that they may see.
pub async fn request(ctx: &Ctx, by: &By, id: RequestId) -> Result<RequestInFull, ServiceError> {
    let request = list_request::by_id(&ctx.db, eyes(by), id.0).await?.ok_or(ServiceError::Missing)?;
    let (asked, questions, trace, texts) = tokio::try_join!(
        list_request::asked(&ctx.db, id.0),
        question::of_request(&ctx.db, id.0),
        list_request::trace(&ctx.db, id.0),
        request::texts(&ctx.db, id)
    )?;
    Ok(RequestInFull { request, asked, questions, trace: trace.unwrap_or_default(), fields: texts.and_then(|texts| texts.fields) })
}

/// Grants that `by` may see, newest first.
///
/// # Errors
/// When the database fails.
pub async fn grants(ctx: &Ctx, by: &By, filter: &GrantFilter, after: Option<Uuid>, limit: i64) -> Result<Page<GrantListed>, ServiceError> {
    Ok(page(list_grant::list(&ctx.db, eyes(by), filter, after, limit + 1).await?, limit))
}

/// A grant that `by` may see.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none that they may see.
pub async fn grant(ctx: &Ctx, by: &By, id: GrantId) -> Result<GrantListed, ServiceError> {
    list_grant::by_id(&ctx.db, eyes(by), id.0).await?.ok_or(ServiceError::Missing)
}

/// Events that `by` may see, newest first.
///
/// # Errors
/// When the database fails.
pub async fn events(ctx: &Ctx, by: &By, filter: &EventFilter, after: Option<i64>, limit: i64) -> Result<Page<EventListed>, ServiceError> {
    Ok(page(list_event::list(&ctx.db, eyes(by), filter, after, limit + 1).await?, limit))
}
