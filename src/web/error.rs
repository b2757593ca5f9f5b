//! Every 4xx and 5xx, as page or problem.
//!
//! A handler answers with a [`Failure`]; [`render`] writes it the way the caller can read it: a page for a browser,
//! `application/problem+json` (RFC 9457) for the API. Causes out of the inside go to the log, never into an answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tower_http::request_id::RequestId;

use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::service::error::ServiceError;
use crate::service::sign_in::Viewer;
use crate::web::pages::error::{ErrorPage, Trouble};
use crate::web::state::App;
use crate::web::view::{self, Frame};

/// What went wrong, in words for outside.
#[derive(Clone, Debug)]
pub struct Failure {
    /// HTTP status, 400 to 599.
    pub status: StatusCode,
    /// The stable id of the problem: `urn:countersign:...`.
    pub id: String,
    /// In a few words.
    pub title: &'static str,
    /// What failed, in a sentence or two.
    pub failed: String,
    /// What was kept of what the person did.
    pub kept: Option<String>,
    /// What to do, or what happens by itself.
    pub next: String,
    /// A way on: address (on this server) and label.
    pub link: Option<(String, String)>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// Each field that is wrong, with what to do.
    pub errors: Vec<FieldFault>,
}

impl Failure {
    fn new(status: StatusCode, id: &str, title: &'static str, failed: impl Into<String>, next: &str) -> Self {
        Self {
            status,
            id: format!("urn:countersign:problem:{id}"),
            title,
            failed: failed.into(),
            kept: None,
            next: next.to_owned(),
            link: None,
            retry_after: None,
            errors: Vec::new(),
        }
    }

    /// There is no such thing, or none that this person may see: the same answer.
    pub fn missing() -> Self {
        let failed = "There is nothing at this address, or nothing that you may see.";
        Self::new(StatusCode::NOT_FOUND, "missing", "Nothing here", failed, "Check the address, or ask whoever sent it.")
    }

    /// The API was called without a session or a good token.
    pub fn unauthenticated() -> Self {
        let failed = "This needs a bearer token, and there is none that is valid.";
        let next = "Send Authorization: Bearer with a token from the API tokens page.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Who is calling?", failed, next)
    }

    /// The API was called with a token that is not good; `failed` says why.
    pub fn bad_token(failed: impl Into<String>) -> Self {
        Self { failed: failed.into(), id: "urn:countersign:problem:bad-token".into(), ..Self::unauthenticated() }
    }

    /// Fields that are wrong before any rule was asked: each is named.
    pub fn fields(errors: Vec<FieldFault>) -> Self {
        let failed = errors.iter().map(|fault| format!("{}: {}", fault.field, fault.sentence)).collect::<Vec<_>>().join(" ");
        let id = "urn:countersign:problem:fields".into();
        Self { errors, id, status: StatusCode::UNPROCESSABLE_ENTITY, ..Self::bad_input(failed) }
    }

    /// A call to the hook of a directory does not know its secret.
    pub fn unproven() -> Self {
        let failed = "This call does not prove that it comes from the directory.";
        Self { failed: failed.into(), next: "Send the secret that is set for the directory’s hook.".into(), ..Self::unauthenticated() }
    }

    /// The idempotency key was used for another call.
    pub fn key_reused() -> Self {
        let failed = "This Idempotency-Key was used for another call, so nothing was done.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "Key used before", failed, "Choose a new key for each act.")
    }

    /// The same call runs at this moment.
    pub fn key_running() -> Self {
        let failed = "The same call with this Idempotency-Key is being answered at this moment.";
        let plain = Self::new(StatusCode::CONFLICT, "idempotency-key-running", "Still running", failed, "Wait a moment, then send it again to get its answer.");
        Self { retry_after: Some(Duration::from_secs(1)), ..plain }
    }

    /// The token is good, but not for this.
    pub fn out_of_scope(scope: &str) -> Self {
        let failed = format!("This token may not be used for {scope}.");
        Self::new(StatusCode::FORBIDDEN, "scope", "Not with this token", failed, "Make a token with that scope.")
    }

    /// A browser fetched ahead what is on record once it is taken.
    pub fn ahead() -> Self {
        let failed = "A browser asked for this ahead of time, and that it is taken goes on record, so nothing was sent.";
        Self::new(StatusCode::FORBIDDEN, "ahead", "Not ahead of time", failed, "Follow the link.")
    }

    /// Another site sent it.
    pub fn cross_site() -> Self {
        let failed = "This did not come from a page of Countersign, so nothing was done.";
        let next = "Open Countersign in this browser and do it there.";
        Self::new(StatusCode::FORBIDDEN, "cross-site", "Not from here", failed, next)
    }

    /// What was sent cannot be understood. `failed` says what and why.
    pub fn bad_input(failed: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-input", "Not understood", failed, "Correct it and send it again.")
    }

    /// Too many calls.
    pub fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let failed = format!("That was too much in too short a time, so nothing was done. Wait {seconds} s.");
        let next = "Wait, then try again.";
        let plain = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "Too fast", failed, next);
        Self { retry_after: Some(Duration::from_secs(seconds)), ..plain }
    }

    /// Something that we need does not answer. `failed` is a sentence for people.
    pub fn unavailable(failed: impl Into<String>) -> Self {
        let next = "Try again in a moment. Access that is due to end still ends.";
        let plain = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not right now", failed, next);
        Self { retry_after: Some(Duration::from_secs(5)), ..plain }
    }

    /// A fault of ours. The cause is for the log.
    pub fn broken(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(cause = %cause, "a request failed");
        let failed = "Something in Countersign is broken. What you did was not done.";
        let next = "Try again; if it stays, give the reference below to an administrator.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", "Broken", failed, next)
    }

    /// An answer to a sign-in that this browser did not begin, or began too long ago, or that was used.
    pub fn stale_sign_in() -> Self {
        let failed = "This sign-in is over: it was used already, took more than 10 minutes, or began in another browser.";
        let plain = Self::new(StatusCode::BAD_REQUEST, "sign-in-over", "Sign in again", failed, "Begin again here.");
        Self { link: Some(("/sign-in".into(), "Sign in".into())), ..plain }
    }

    /// Somebody was not let in; `failed` says why.
    pub fn not_let_in(failed: impl Into<String>) -> Self {
        let next = "If that is not right, an administrator can see this attempt in the log.";
        let plain = Self::new(StatusCode::FORBIDDEN, "not-let-in", "Not signed in", failed, next);
        Self { link: Some(("/sign-in".into(), "Try again".into())), ..plain }
    }

    /// The provider cannot be used; `failed` says why.
    pub fn no_sign_in(failed: impl Into<String>) -> Self {
        Self { link: Some(("/sign-in".into(), "Try again".into())), ..Self::unavailable(failed) }
    }

    /// This failure with a page of its own for people; programs still get the problem.
    pub fn shown_as(self, page: Response) -> Response {
        let (_, body) = page.into_parts();
        let mut response = self.into_response();
        *response.body_mut() = body;
        response.extensions_mut().insert(OwnPage);
        response
    }

    /// The response written as a problem right here, if it is a failure; [`render`] then leaves it as it is.
    pub fn rendered(mut response: Response) -> Response {
        let status = response.status();
        let failure = match response.extensions_mut().remove::<Arc<Self>>() {
            Some(failure) => Arc::unwrap_or_clone(failure),
            None if status.is_client_error() || status.is_server_error() => Self::of_status(status),
            None => return response,
        };
        let mut written = failure.problem(None);
        *written.status_mut() = failure.status;
        if let Some(wait) = failure.retry_after {
            written.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        Self::as_written(&mut written);
        written
    }

    /// Says that a response is written already, whatever its status: [`render`] leaves it as it is.
    pub fn as_written(response: &mut Response) {
        response.extensions_mut().insert(Written);
    }

    /// What a bare status of the framework means.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::missing(),
            StatusCode::METHOD_NOT_ALLOWED => {
                let failed = "This address does not do that.";
                Self::new(status, "method", "Not that way", failed, "Use the page or the API reference.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                let failed = "What was sent is too large, so nothing was done.";
                Self::new(status, "too-large", "Too large", failed, "Send less.")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                let failed = "What was sent is of a kind that cannot be read here.";
                Self::new(status, "media-type", "Not readable", failed, "Send application/json to the API.")
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Self::unavailable("This took too long and was given up."),
            status if status.is_server_error() => Self::broken(&status),
            status => Self { status, ..Self::bad_input("What was sent is not what this address expects, so nothing was done.") },
        }
    }

    fn problem(&self, request_id: Option<&str>) -> Response {
        let mut problem = json!({
            "type": self.id, "title": self.title, "status": self.status.as_u16(), "detail": self.failed, "next": self.next,
        });
        if !self.errors.is_empty() {
            problem["errors"] = self.errors.iter().map(|fault| json!({ "field": fault.field, "detail": fault.sentence })).collect();
        }
        if let Some(id) = request_id {
            problem["request_id"] = id.into();
        }
        ([(header::CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response()
    }

    fn page(self, frame: Frame, request_id: Option<String>) -> Response {
        let error = Trouble {
            status: self.status.as_u16(),
            title: self.title.to_owned(),
            failed: self.failed,
            kept: self.kept,
            next: self.next,
            who_knows: None,
            request_id: request_id.filter(|_| self.status.is_server_error()),
            link: self.link,
        };
        match (ErrorPage { frame, error }).render() {
            Ok(html) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
            Err(error) => {
                tracing::error!(%error, "the error page does not render");
                "Something in Countersign is broken.".into_response()
            }
        }
    }
}

impl IntoResponse for Failure {
    /// Only the status; [`render`] writes the rest.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused(refusal) => refusal.into(),
            ServiceError::Missing => Self::missing(),
            ServiceError::Unavailable(sentence) => Self::unavailable(sentence),
            ServiceError::Broken(cause) => Self::broken(&cause),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (status, title) =
            if refusal.is_conflict() { (StatusCode::CONFLICT, "Somebody was faster") } else { (StatusCode::UNPROCESSABLE_ENTITY, "Not possible") };
        let plain = Self::new(status, "", title, refusal.to_string(), "Go back and look at it again.");
        let id = format!("urn:countersign:refusal:{}", refusal.id());
        let errors = match refusal {
            Refusal::Faults(faults) => faults,
            _ => Vec::new(),
        };
        Self { id, errors, ..plain }
    }
}

/// The response is written already.
#[derive(Clone, Copy, Debug)]
struct Written;

/// The failure brings its own page along.
#[derive(Clone, Copy, Debug)]
struct OwnPage;

/// Who turned out to be looking, for the frame of an error page; the guard fills it in.
#[derive(Clone, Debug, Default)]
pub struct Looking(pub Arc<OnceLock<Viewer>>);

/// What is around a page.
pub fn frame(app: &App, viewer: Option<&Viewer>, place: &'static str) -> Frame {
    let viewer = viewer.map(|viewer| view::Viewer {
        name: viewer.name.clone(),
        person_id: viewer.person.0,
        is_administrator: viewer.is_administrator,
        is_auditor: viewer.is_auditor,
        is_approver: viewer.is_approver,
        queue_count: viewer.queue_count,
        reviews: viewer.reviews,
        notices: viewer.notices,
        demo: app.demo,
    });
    Frame { viewer, place, flash: None, demo: app.demo, now: app.ctx.clock.now() }
}

/// Writes every failure the way the caller can read it.
pub async fn render(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let looking = request.extensions().get::<Looking>().cloned().unwrap_or_default();
    request.extensions_mut().insert(looking.clone());
    let for_program = is_program(&request);
    let is_head = request.method() == Method::HEAD;
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok().map(str::to_owned));
    let mut response = next.run(request).await;
    if response.extensions_mut().remove::<Written>().is_some() {
        return response;
    }
    let status = response.status();
    let told = response.extensions_mut().remove::<Arc<Failure>>();
    let failure = match told {
        Some(failure) => Arc::unwrap_or_clone(failure),
        None if status.is_client_error() || status.is_server_error() => Failure::of_status(status),
        None => return response,
    };
    let (status, retry_after) = (failure.status, failure.retry_after);
    let own_page = response.extensions_mut().remove::<OwnPage>().is_some();
    let mut rendered = if for_program {
        failure.problem(id.as_deref())
    } else if own_page {
        let body = std::mem::take(response.body_mut());
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response()
    } else {
        failure.page(frame(&app, looking.0.get(), ""), id)
    };
    *rendered.status_mut() = status;
    // What the handler set besides (cookies, Allow) stays; what described its body does not.
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    if let Some(wait) = retry_after {
        rendered.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if status == StatusCode::UNAUTHORIZED {
        rendered.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if is_head {
        *rendered.body_mut() = axum::body::Body::empty();
    }
    rendered
}

/// Whether the caller is a program: everything under `/api/`, and whoever takes JSON but no pages.
pub fn is_program(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    request.uri().path().starts_with("/api/") || (accept.contains("json") && !accept.contains("text/html"))
}
