//! Evidence, streamed as CSV.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::service::bundle;
use crate::service::export::{Download, File, Mode, Taking, export};
use crate::web::api::body::Query;
use crate::web::api::caller::{ExportsRead, May};
use crate::web::api::fields::Fields;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::error::Failure;
use crate::web::rate_limit::Caller;
use crate::web::state::App;

/// Of what.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// From this time on: RFC 3339, or a day. Requests and approvals by when they were asked for, grants by when they were approved.
    from: Option<String>,
    /// Before this time: RFC 3339, or a day.
    to: Option<String>,
    /// Of `access.csv` the moment; now when there is none. The same as `to`.
    as_of: Option<String>,
    /// Only of this application.
    application: Option<Uuid>,
    /// Only of this role.
    role: Option<Uuid>,
    /// Only where this person is requester, beneficiary or actor.
    person: Option<Uuid>,
    /// `raw`, or `safe` for spreadsheets: a cell that might run as a formula is prefixed with `'`.
    mode: Option<String>,
}

/// Reads what is to be taken of `file`, every fault named.
pub fn taking(file: File, mut query: Fields) -> Result<Taking, Problem> {
    let mode = query.word("mode", &[Mode::Raw.word(), Mode::Safe.word()]).and_then(Mode::parse).unwrap_or_default();
    let as_of = query.time("as_of");
    let taking = Taking {
        file,
        mode,
        from: query.time("from"),
        to: query.time("to").or(as_of),
        application: query.id("application").map(Into::into),
        role: query.id("role").map(Into::into),
        person: query.id("person").map(Into::into),
    };
    query.done(taking)
}

/// The answer that streams a download; the Log page's and the API's alike. A file that breaks off breaks the connection, so that
/// half a file never looks like a whole one.
pub fn stream(download: Download) -> Response {
    let media = download.media;
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{}\"", download.name));
    let mut response = Body::from_stream(download.into_stream()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CONTENT_DISPOSITION, disposition.unwrap_or(HeaderValue::from_static("attachment")));
    response
}

/// Refuses what takes nothing and so must not be on record as a taking: a HEAD, and a browser that only fetches ahead.
///
/// # Errors
/// 405 and 403.
pub fn in_earnest(method: &Method, headers: &HeaderMap) -> Result<(), Failure> {
    if method == Method::HEAD {
        return Err(Failure::of_status(StatusCode::METHOD_NOT_ALLOWED));
    }
    // `Sec-Purpose` (Fetch, of 2023 on) and what browsers sent before.
    if headers.contains_key("sec-purpose") || headers.contains_key("purpose") {
        return Err(Failure::ahead());
    }
    Ok(())
}

/// Download a file of evidence
///
/// `requests.csv`, `approvals.csv`, `grants.csv`, `access.csv`, `leavers.csv`, `movers.csv`, `provisioning.csv`, `drift.csv`, `events.csv`, `reviews.csv`, `sod.csv` or (auditors and administrators only) `policy_changes.csv`, `admin_activity.csv`, `control_totals.csv`, whole and streamed (RFC 4180). Auditors and administrators may take everything, owners what is about their role or application, everybody what is about themselves. The download is an event of the log.
#[utoipa::path(get, path = "/api/v1/exports/{file}", tag = "Evidence", params(("file" = String, Path, description = "`requests.csv`, `approvals.csv`, `grants.csv`, `access.csv`, `leavers.csv`, `movers.csv`, `provisioning.csv`, `drift.csv`, `events.csv`, `policy_changes.csv`, `reviews.csv`, `sod.csv`, `admin_activity.csv` or `control_totals.csv`."), Narrow), security(("token" = ["exports:read"])),
    responses((status = 200, description = "The file.", body = String, content_type = "text/csv"), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "Too many exports are under way.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn get(
    State(app): State<App>,
    caller: May<ExportsRead>,
    method: Method,
    headers: HeaderMap,
    Path(file): Path<String>,
    Query(query): Query,
) -> Result<Response, Problem> {
    in_earnest(&method, &headers)?;
    let file = File::parse(&file).ok_or_else(Failure::missing)?;
    let taking = taking(file, query)?;
    app.limits.export.take(Caller::Person(caller.by.person), app.ctx.clock.now()).map_err(Failure::too_many)?;
    Ok(stream(export(&app.ctx, &caller.by, &taking).await?))
}

/// Download a bundle
///
/// All files of a period as of one moment in a zip, with the event list and its proof, a signed manifest (`manifest.json`, `manifest.note`), the result of `countersign replay`, and `VERIFY.md`, which says how to check it without this server. For auditors and administrators. What breaks off is simply taken again. The download is an event of the log.
#[utoipa::path(get, path = "/api/v1/exports/bundle.zip", tag = "Evidence", params(Narrow), security(("token" = ["exports:read"])),
    responses((status = 200, description = "The bundle.", body = Vec<u8>, content_type = "application/zip"), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "Too many exports are under way, or the log cannot be signed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn bundle(State(app): State<App>, caller: May<ExportsRead>, method: Method, headers: HeaderMap, Query(query): Query) -> Result<Response, Problem> {
    in_earnest(&method, &headers)?;
    if !caller.by.reads_everything() {
        return Err(Failure::missing().into());
    }
    let taking = taking(File::Requests, query)?;
    app.limits.export.take(Caller::Person(caller.by.person), app.ctx.clock.now()).map_err(Failure::too_many)?;
    let (download, _) = bundle::bundle(&app.ctx, &caller.by, &taking).await?;
    Ok(stream(download))
}
