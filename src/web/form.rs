//! Ids, queries and forms, parsed at the door.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use chrono::{Datelike, NaiveDate};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::evidence::csv::Mode;
use crate::service::ctx::By;
use crate::web::error::Failure;
use crate::web::rate_limit::{Buckets, Caller};
use crate::web::state::App;

/// The one id of a path; what is no id is not there.
#[derive(Clone, Copy, Debug)]
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::<Uuid>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Failure::missing().into_response()),
        }
    }
}

/// The query of a page.
#[derive(Clone, Copy, Debug)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(_) => Err(Failure::bad_input("What follows the ? in this address cannot be read, or says something twice.").into_response()),
        }
    }
}

/// A form that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match Form::<T>::from_request(request, state).await {
            Ok(Form(form)) => Ok(Self(form)),
            Err(FormRejection::InvalidFormContentType(_)) => {
                Err(Failure::bad_input("This address takes what a form of ours sends (application/x-www-form-urlencoded), so nothing was done.")
                    .into_response())
            }
            Err(FormRejection::FailedToDeserializeForm(_) | FormRejection::FailedToDeserializeFormBody(_)) => {
                Err(Failure::bad_input("What the form sent cannot be read: something is missing, said twice, or not in UTF-8. Nothing was done.")
                    .into_response())
            }
            // Too large, or broken off.
            Err(other) => Err(Failure::of_status(other.into_response().status()).into_response()),
        }
    }
}

/// One line of a search or filter as it is kept: without what no line holds, at most 200 characters.
pub fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect::<String>().trim().to_owned()
}

/// Text as it is shown again to who typed it: what a page cannot hold is seen as such.
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\r' | '\t') { '\u{fffd}' } else { c }).collect()
}

/// Counts one act of `by`, or says how long to wait.
///
/// # Errors
/// The answer to send when this one is too much.
#[allow(clippy::result_large_err, reason = "the answer itself, sent on as it is")]
pub fn slowly(app: &App, buckets: &Buckets, by: &By) -> Result<(), Response> {
    buckets.take(Caller::Person(by.person), app.ctx.clock.now()).map_err(|wait| Failure::too_many(wait).into_response())
}

/// A day out of an address; none when it is empty.
///
/// # Errors
/// Says which is none.
pub fn day(name: &str, text: &str) -> Result<Option<NaiveDate>, Failure> {
    let wrong = || Failure::bad_input(format!("“{name}” must be a day like 2026-01-31, from 1970 to 9998."));
    if text.is_empty() { Ok(None) } else { text.parse().ok().filter(sane).map(Some).ok_or_else(wrong) }
}

/// Whether calendars and databases can do with a day.
pub fn sane(day: &NaiveDate) -> bool {
    (1970..=9998).contains(&day.year())
}

/// An id out of an address; none when it is empty.
///
/// # Errors
/// Says which is none.
pub fn chosen_id(name: &str, text: &str) -> Result<Option<Uuid>, Failure> {
    if text.is_empty() {
        Ok(None)
    } else {
        Uuid::try_parse(text).map(Some).map_err(|_| Failure::bad_input(format!("“{name}” must be chosen from the list, or be an id.")))
    }
}

/// Whether cells are to be safe for spreadsheets, out of an address.
///
/// # Errors
/// For a word that is neither.
pub fn mode(text: &str) -> Result<Mode, Failure> {
    if text.is_empty() { Ok(Mode::Raw) } else { Mode::parse(text).ok_or_else(|| Failure::bad_input("“mode” must be raw or safe.")) }
}

/// A failure as the answer to send.
pub fn failed(failure: impl Into<Failure>) -> Response {
    failure.into().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_comes_back_visible() {
        assert_eq!(shown("a\0b\u{1b}\nc"), "a\u{fffd}b\u{fffd}\nc");
        assert_eq!(line(" a\0\tb "), "ab");
        assert_eq!(line(&"x".repeat(300)).len(), 200);
    }
}
