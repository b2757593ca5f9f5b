//! The SCIM 2.0 service: what can be asked (RFC 7644).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use openidconnect::url::form_urlencoded;
use serde::Serialize;
use serde_json::{Value, json};

use super::filter::{self, Filter, Subject};
use super::register::Directory;
use super::scim_answer::{self as answer, Fault, LIST, Selection};
use super::scim_group::{self, GroupSubject};
use super::scim_user::{self, UserSubject};
use super::{filter_text, scim_patch, scim_schema, site::Site};

/// Largest body, in bytes.
const LARGEST: usize = 1024 * 1024;
/// Resources on a page when `count` is not given, and at most.
const PAGE: usize = 100;
/// See [`PAGE`].
const LARGEST_PAGE: usize = 1_000;

/// The routes, under `/scim/v2`; each needs the bearer token.
pub fn routes(site: Arc<Site>) -> Router<Arc<Site>> {
    Router::new()
        .route("/ServiceProviderConfig", get(scim_schema::service_provider_config))
        .route("/ResourceTypes", get(scim_schema::resource_types))
        .route("/ResourceTypes/{id}", get(scim_schema::resource_type))
        .route("/Schemas", get(scim_schema::schemas))
        .route("/Schemas/{id}", get(scim_schema::schema))
        .route("/Users", get(users))
        .route("/Users/{id}", get(user).patch(change_user))
        .route("/Groups", get(groups))
        .route("/Groups/{id}", get(group).patch(change_group))
        .fallback(|| async { Fault::new(StatusCode::NOT_FOUND, "there is no such endpoint") })
        .method_not_allowed_fallback(|| async { Fault::new(StatusCode::NOT_IMPLEMENTED, "the demo directory reads, and changes with PATCH; nothing else") })
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn_with_state(site, authorized))
}

/// Lets nobody pass without the token (RFC 6750 §2.1).
async fn authorized(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = sent.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match token {
        Some((_, token)) if site.scim_token.is(token.trim()) => next.run(request).await,
        _ => Fault::new(StatusCode::UNAUTHORIZED, "a valid bearer token is needed").into_response(),
    }
}

#[derive(Default)]
struct Query {
    filter: Option<String>,
    start: Option<String>,
    count: Option<String>,
    only: Option<String>,
    except: Option<String>,
}

impl Query {
    /// Reads what this service knows; parameter names count in any case, unknown ones (such as `sortBy`) are passed over.
    fn read(query: Option<String>) -> Result<Self, Fault> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let place = match name.to_ascii_lowercase().as_str() {
                "filter" => &mut read.filter,
                "startindex" => &mut read.start,
                "count" => &mut read.count,
                "attributes" => &mut read.only,
                "excludedattributes" => &mut read.except,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(Fault::bad("invalidValue", format!("{name} is sent twice")));
            }
        }
        Ok(read)
    }

    fn selection(&self) -> Result<Selection, Fault> {
        Selection::new(self.only.as_deref(), self.except.as_deref())
    }

    fn filter<S: Subject>(&self) -> Result<Option<Filter>, Fault> {
        self.filter.as_deref().map(filter_text::parse::<S>).transpose().map_err(|why| Fault::bad("invalidFilter", why))
    }

    /// How many to pass over, and how many to show: `startIndex` counts from 1 and less is 1, a negative `count` is 0.
    fn page(&self) -> Result<(usize, usize), Fault> {
        let number = |name: &str, sent: &Option<String>| match sent {
            None => Ok(None),
            Some(text) => text.parse::<i64>().map(Some).map_err(|_| Fault::bad("invalidValue", format!("{name} is a whole number"))),
        };
        let start = number("startIndex", &self.start)?.unwrap_or(1).max(1);
        let count = number("count", &self.count)?.map_or(PAGE, |count| usize::try_from(count.max(0)).unwrap_or(LARGEST_PAGE));
        Ok((usize::try_from(start - 1).unwrap_or(usize::MAX), count.min(LARGEST_PAGE)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<R> {
    schemas: [&'static str; 1],
    total_results: usize,
    start_index: usize,
    items_per_page: usize,
    #[serde(rename = "Resources")]
    resources: Vec<R>,
}

/// The page of `found` that was asked for, each resource made by `view` and cut down to the selection.
fn page<R: Serialize>(found: Vec<usize>, query: &Query, selection: &Selection, view: impl Fn(usize) -> R) -> Result<Response, Fault> {
    let (skip, count) = query.page()?;
    let shown = found.iter().skip(skip).take(count).map(|at| view(*at));
    fn whole<R>(total: usize, skip: usize, resources: Vec<R>) -> Page<R> {
        Page { schemas: [LIST], total_results: total, start_index: skip.saturating_add(1), items_per_page: resources.len(), resources }
    }
    Ok(match selection {
        Selection::All => answer::body(&whole(found.len(), skip, shown.collect()), None),
        cut => answer::body(&whole(found.len(), skip, shown.map(|view| cut.cut(json!(view))).collect::<Vec<Value>>()), None),
    })
}

/// The resources for which the filter holds: asked of the candidates an index names, or of all.
fn matching<S: Subject>(filter: Option<Filter>, all: usize, named: impl Fn(&Filter) -> Option<Vec<usize>>, subject: impl Fn(usize) -> S) -> Vec<usize> {
    let Some(filter) = filter else {
        return (0..all).collect();
    };
    let among = named(&filter).unwrap_or_else(|| (0..all).collect());
    among.into_iter().filter(|at| filter::holds(&filter, &subject(*at))).collect()
}

async fn users(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Result<Response, Fault> {
    let query = Query::read(query)?;
    let (filter, selection) = (query.filter::<UserSubject<'_>>()?, query.selection()?);
    let directory = site.register.read();
    let named = |filter: &Filter| scim_user::candidates(&directory, filter);
    let found = matching(filter, directory.people.len(), named, |at| UserSubject(&directory, at));
    page(found, &query, &selection, |at| scim_user::view(&directory, at, &site.scim_base, selection.wants("groups")))
}

async fn groups(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Result<Response, Fault> {
    let query = Query::read(query)?;
    let (filter, selection) = (query.filter::<GroupSubject<'_>>()?, query.selection()?);
    let directory = site.register.read();
    let named = |filter: &Filter| scim_group::candidates(&directory, filter);
    let found = matching(filter, directory.groups.len(), named, |at| GroupSubject(&directory, at));
    page(found, &query, &selection, |at| scim_group::view(&directory, at, &site.scim_base, selection.wants("members")))
}

async fn user(State(site): State<Arc<Site>>, Path(id): Path<String>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Fault> {
    let selection = Query::read(query)?.selection()?;
    let directory = site.register.read();
    let at = directory.person(&id).ok_or_else(|| Fault::missing("user", &id))?;
    Ok(show_user(&site, &directory, at, &selection, &headers))
}

async fn group(State(site): State<Arc<Site>>, Path(id): Path<String>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Fault> {
    let selection = Query::read(query)?.selection()?;
    let directory = site.register.read();
    let at = directory.group(&id).ok_or_else(|| Fault::missing("group", &id))?;
    Ok(show_group(&site, &directory, at, &selection, &headers))
}

fn show_user(site: &Site, directory: &Directory, at: usize, selection: &Selection, headers: &HeaderMap) -> Response {
    show(directory.people[at].version, scim_user::view(directory, at, &site.scim_base, selection.wants("groups")), selection, headers)
}

fn show_group(site: &Site, directory: &Directory, at: usize, selection: &Selection, headers: &HeaderMap) -> Response {
    show(directory.groups[at].version, scim_group::view(directory, at, &site.scim_base, selection.wants("members")), selection, headers)
}

fn show(version: u64, view: impl Serialize, selection: &Selection, headers: &HeaderMap) -> Response {
    if answer::names_version(headers, header::IF_NONE_MATCH, version) == Some(true) {
        return answer::empty(StatusCode::NOT_MODIFIED, version);
    }
    match selection {
        Selection::All => answer::body(&view, Some(version)),
        cut => answer::body(&cut.cut(json!(view)), Some(version)),
    }
}

async fn change_user(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Fault> {
    let (query, operations) = (Query::read(query)?, operations(&headers, body)?);
    let selection = query.selection()?;
    let mut directory = site.register.write();
    let at = directory.person(&id).ok_or_else(|| Fault::missing("user", &id))?;
    precondition(&headers, directory.people[at].version)?;
    if let Some(active) = scim_patch::person(&operations)?
        && directory.set_active(at, active, site.clock.now())
    {
        site.register.changed.notify_one();
    }
    Ok(match selection {
        Selection::All => answer::empty(StatusCode::NO_CONTENT, directory.people[at].version),
        cut => show_user(&site, &directory, at, &cut, &HeaderMap::new()),
    })
}

async fn change_group(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Fault> {
    let (query, operations) = (Query::read(query)?, operations(&headers, body)?);
    let selection = query.selection()?;
    let mut directory = site.register.write();
    let at = directory.group(&id).ok_or_else(|| Fault::missing("group", &id))?;
    precondition(&headers, directory.groups[at].version)?;
    let joining = scim_patch::group(&operations, &directory, at)?;
    if directory.change_members(at, &joining.add, &joining.remove, site.clock.now()) {
        site.register.changed.notify_one();
    }
    Ok(match selection {
        Selection::All => answer::empty(StatusCode::NO_CONTENT, directory.groups[at].version),
        cut => show_group(&site, &directory, at, &cut, &HeaderMap::new()),
    })
}

/// Reads the operations of a PATCH from a body that says it is JSON.
fn operations(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Vec<scim_patch::Operation>, Fault> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !matches!(media.as_str(), "application/scim+json" | "application/json") {
        return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/scim+json"));
    }
    let body = body.map_err(|rejection| Fault::new(rejection.status(), format!("the body cannot be read, or is larger than {LARGEST} bytes")))?;
    scim_patch::read(&body)
}

/// `If-Match` must name the version there is (RFC 7644 §3.14).
fn precondition(headers: &HeaderMap, version: u64) -> Result<(), Fault> {
    match answer::names_version(headers, header::IF_MATCH, version) {
        Some(false) => Err(Fault::new(StatusCode::PRECONDITION_FAILED, "the resource has changed since; fetch it again")),
        _ => Ok(()),
    }
}
