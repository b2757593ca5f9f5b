//! How the SCIM service answers: bodies, faults, versions, selections.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

/// The media type of every body (RFC 7644 §8.1).
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/scim+json");
/// URN of the core user schema (RFC 7643 §4.1).
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// URN of the enterprise extension (RFC 7643 §4.3).
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// URN of the group schema (RFC 7643 §4.2).
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// URN of a list (RFC 7644 §3.4.2).
pub const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// URN of a change (RFC 7644 §3.5.2).
pub const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A request that is not done, in SCIM's form (RFC 7644 §3.12).
#[derive(Debug, PartialEq)]
pub struct Fault {
    /// The status, also repeated as a string in the body.
    pub status: StatusCode,
    /// SCIM's keyword for a 400, for example `invalidFilter`.
    pub keyword: Option<&'static str>,
    /// A sentence for the caller.
    pub detail: String,
}

impl Fault {
    /// A fault without a keyword.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, keyword: None, detail: detail.into() }
    }

    /// A 400 with one of the keywords of RFC 7644 table 9.
    pub fn bad(keyword: &'static str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, keyword: Some(keyword), detail: detail.into() }
    }

    /// There is no such resource.
    pub fn missing(what: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} {:?}", id.chars().take(64).collect::<String>()))
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.as_str(),
            "detail": self.detail,
        });
        if let Some(keyword) = self.keyword {
            body["scimType"] = keyword.into();
        }
        let mut response = (self.status, [(header::CONTENT_TYPE, MEDIA_TYPE)], Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"demo directory\""));
        }
        response
    }
}

/// A body with status 200, and its version when it is one resource.
pub fn body(value: &impl Serialize, version: Option<u64>) -> Response {
    let Ok(text) = serde_json::to_vec(value) else {
        return Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written").into_response();
    };
    let mut response = ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response();
    if let Some(version) = version {
        response.headers_mut().insert(header::ETAG, etag(version));
    }
    response
}

/// Status and version without a body: 204 after a change, 304 when the caller has it already.
pub fn empty(status: StatusCode, version: u64) -> Response {
    (status, [(header::ETAG, etag(version))]).into_response()
}

/// The version as an entity tag: weak, as representations differ by what was selected (RFC 7644 §3.14).
fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(written_version(version)).unwrap_or(HeaderValue::from_static("*"))
}

/// The version as it stands in `meta.version` and in `ETag`.
pub fn written_version(version: u64) -> String {
    format!("W/\"{version}\"")
}

/// Whether a precondition header names this version, or `*`; `None` when it was not sent. Weak comparison.
pub fn names_version(headers: &HeaderMap, name: header::HeaderName, version: u64) -> Option<bool> {
    let mut sent = headers.get_all(name).iter().peekable();
    sent.peek()?;
    let bare = format!("\"{version}\"");
    Some(sent.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == bare
    }))
}

/// Which attributes the caller wants (RFC 7644 §3.9). Paths are in lower case.
#[derive(Debug, Default, PartialEq)]
pub enum Selection {
    /// Those that are returned by default.
    #[default]
    All,
    /// Only these, and `id` and `schemas`.
    Only(Vec<Vec<String>>),
    /// All but these; `id` and `schemas` stay.
    Except(Vec<Vec<String>>),
}

impl Selection {
    /// Reads the two parameters; both together are refused.
    pub fn new(only: Option<&str>, except: Option<&str>) -> Result<Self, Fault> {
        let paths = |list: &str| list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(path).collect();
        match (only, except) {
            (None, None) => Ok(Self::All),
            (Some(list), None) => Ok(Self::Only(paths(list))),
            (None, Some(list)) => Ok(Self::Except(paths(list))),
            (Some(_), Some(_)) => Err(Fault::bad("invalidValue", "attributes and excludedAttributes exclude each other; send one")),
        }
    }

    /// Whether a top-level attribute (in lower case) has to be made at all.
    pub fn wants(&self, attribute: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(paths) => paths.iter().any(|path| path[0] == attribute),
            Self::Except(paths) => !paths.iter().any(|path| path.len() == 1 && path[0] == attribute),
        }
    }

    /// Cuts a resource down to what was asked for.
    pub fn cut(&self, mut resource: Value) -> Value {
        match self {
            Self::All => {}
            Self::Only(paths) => retain(&mut resource, paths, &|rest| rest.is_some(), true),
            Self::Except(paths) => retain(&mut resource, paths, &|rest| rest.is_none_or(|rest| !rest), true),
        }
        resource
    }
}

/// `name.givenName` and `URN:department` as steps.
fn path(name: &str) -> Vec<String> {
    let name = name.to_ascii_lowercase();
    let (user, group, enterprise) = (USER.to_ascii_lowercase(), GROUP.to_ascii_lowercase(), ENTERPRISE.to_ascii_lowercase());
    if name == enterprise {
        return vec![name];
    }
    if let Some(rest) = name.strip_prefix(&format!("{enterprise}:")) {
        return [enterprise.as_str()].into_iter().chain(rest.split('.')).map(str::to_owned).collect();
    }
    let short = [user, group].iter().find_map(|urn| name.strip_prefix(&format!("{urn}:")).map(str::to_owned));
    short.unwrap_or(name).split('.').map(str::to_owned).collect()
}

/// Keeps the members of an object for which `keep` says so; it is told `None` when no path begins with the member,
/// `Some(true)` when a path ends there, `Some(false)` when paths lead further down.
fn retain(value: &mut Value, paths: &[Vec<String>], keep: &dyn Fn(Option<bool>) -> bool, top: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| retain(item, paths, keep, false)),
        Value::Object(members) => members.retain(|name, inner| {
            if top && matches!(name.as_str(), "id" | "schemas") {
                return true;
            }
            let name = name.to_ascii_lowercase();
            let further: Vec<Vec<String>> = paths.iter().filter(|path| path[0] == name).map(|path| path[1..].to_vec()).collect();
            let ends = (!further.is_empty()).then(|| further.iter().any(Vec::is_empty));
            let kept = keep(ends);
            if kept && ends == Some(false) {
                retain(inner, &further, keep, false);
            }
            kept
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_cuts_to_what_was_asked_for() {
        let whole = || {
            json!({
                "schemas": [USER], "id": "1", "userName": "bo", "name": {"givenName": "Bo", "familyName": "Lind"},
                "emails": [{"value": "bo@x", "type": "work"}], ENTERPRISE: {"department": "Data", "costCenter": "2"},
            })
        };
        let only = |list: &str| Selection::new(Some(list), None).unwrap().cut(whole());
        let except = |list: &str| Selection::new(None, Some(list)).unwrap().cut(whole());
        assert_eq!(only("USERNAME"), json!({"schemas": [USER], "id": "1", "userName": "bo"}));
        assert_eq!(only("name.givenName,emails.value")["name"], json!({"givenName": "Bo"}));
        assert_eq!(only("emails.value")["emails"], json!([{"value": "bo@x"}]));
        let (department, user_name, cost_center) = (format!("{ENTERPRISE}:department"), format!("{USER}:userName"), format!("{ENTERPRISE}:costCenter"));
        assert_eq!(only(&department)[ENTERPRISE], json!({"department": "Data"}));
        assert_eq!(only(&user_name)["userName"], "bo");
        assert_eq!(except("id,name,emails.type")["emails"], json!([{"value": "bo@x"}]));
        assert!(except("name").get("name").is_none());
        assert_eq!(except("name")["id"], "1");
        assert_eq!(except("name.familyName")["name"], json!({"givenName": "Bo"}));
        assert_eq!(except(&cost_center)[ENTERPRISE], json!({"department": "Data"}));
        assert!(Selection::new(Some("a"), Some("b")).is_err());
        assert!(!Selection::new(None, Some("members")).unwrap().wants("members"));
        assert!(Selection::new(None, Some("members.display")).unwrap().wants("members"));
        assert!(!Selection::new(Some("displayName"), None).unwrap().wants("members"));
    }

    #[test]
    fn preconditions_compare_versions_weakly() {
        let headers = |value: &'static str| HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(value))]);
        let names = |value| names_version(&headers(value), header::IF_MATCH, 7);
        assert_eq!(names_version(&HeaderMap::new(), header::IF_MATCH, 7), None);
        assert_eq!(names("W/\"7\""), Some(true));
        assert_eq!(names("\"7\""), Some(true));
        assert_eq!(names("\"6\", W/\"7\""), Some(true));
        assert_eq!(names("*"), Some(true));
        assert_eq!(names("7"), Some(false));
        assert_eq!(names("W/\"70\""), Some(false));
    }
}
