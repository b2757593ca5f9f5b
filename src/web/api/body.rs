//! Bodies, queries and ids as they arrive, with their faults.

use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::web::api::fields::Fields;
use crate::web::api::problem::Problem;
use crate::web::error::Failure;
use crate::web::state::App;

/// The longest body, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// The fields of a JSON object. No body at all is an object without fields.
#[derive(Debug)]
pub struct Body(pub Fields);

/// The fields of the query.
#[derive(Debug)]
pub struct Query(pub Fields);

/// The id in the path; whatever is no id is nothing that is there.
#[derive(Clone, Copy, Debug)]
pub struct Id(pub Uuid);

impl FromRequest<App> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase());
        let is_json = kind.as_deref().is_none_or(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"));
        let bytes = Bytes::from_request(request, app).await.map_err(|rejection| Failure::of_status(rejection.into_response().status()))?;
        if bytes.is_empty() {
            return Ok(Self(Fields::of_body(Default::default())));
        }
        if !is_json {
            return Err(Failure::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into());
        }
        match serde_json::from_slice(&bytes) {
            Ok(Distinct(fields)) => Ok(Self(Fields::of_body(fields))),
            Err(error) if error.is_data() => Err(Failure::bad_input("The body must be a JSON object that names each field once.").into()),
            Err(error) => Err(Failure::bad_input(format!("The body is not JSON: line {}, column {}.", error.line(), error.column())).into()),
        }
    }
}

/// A JSON object in which no name comes twice: of two values neither is surely the one that was meant.
struct Distinct(Map<String, Value>);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Distinct;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Distinct, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name comes twice"));
                    }
                }
                Ok(Distinct(fields))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

impl FromRequestParts<App> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        let axum::extract::Query(pairs) = pairs.map_err(|_| Failure::bad_input("The query cannot be read: encode it as name=value pairs in UTF-8."))?;
        Ok(Self(Fields::of_query(pairs)))
    }
}

impl FromRequestParts<App> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, app).await.map_err(|_| Failure::missing())?;
        Uuid::try_parse(&text).map(Self).map_err(|_| Failure::missing().into())
    }
}
