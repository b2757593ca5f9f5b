//! The API's own description: OpenAPI 3.1.

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::web::api::{
    acting, approvals, as_of, catalog, connection, delegations, directories, drifts, events, exports, grants, notices, policy_changes, preview, requests,
    sample, schedules, tokens,
};

/// Made from the handlers' own annotations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Countersign",
        description = "Ask for access, approve it, see it given and taken away, and take the evidence. The same acts as the pages, by the same rules."
    ),
    servers((url = "/")),
    paths(
        catalog::list, catalog::get, preview::preview, requests::create, requests::list, requests::get, requests::approve, requests::deny, approvals::bulk,
        requests::withdraw, acting::ask, acting::answer, acting::hand_on, acting::remind, delegations::list, delegations::create, delegations::end,
        drifts::list, drifts::get, drifts::adopt, drifts::remove, drifts::ignore, directories::list, directories::sync, directories::sweep, directories::pause, directories::resume,
        notices::list, notices::all, notices::one, grants::list, grants::get, grants::give_back, grants::revoke, events::list, as_of::list, sample::get, sample::file, exports::get, exports::bundle,
        schedules::list, schedules::get, schedules::runs, schedules::create, schedules::change, schedules::switch, schedules::run,
        policy_changes::list, policy_changes::get, policy_changes::propose, policy_changes::approve, policy_changes::reject, policy_changes::withdraw, connection::test, tokens::list, tokens::revoke,
    ),
    modifiers(&Bearer)
)]
pub struct Document;

/// How callers say who they are.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("cst_…")
            .description(Some(
                "An API token with the scope that the operation names. A token may do what its person may, and of that only what its scopes name.",
            ))
            .build();
        document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The document as JSON. It holds nothing of this installation, so everybody may read it.
pub async fn json() -> impl IntoResponse {
    let document = Document::openapi();
    match document.to_json() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => crate::web::error::Failure::broken(&error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::scope::Scope;

    fn document() -> serde_json::Value {
        serde_json::to_value(Document::openapi()).unwrap_or_default()
    }

    #[test]
    fn the_document_is_openapi_3_1_and_every_operation_is_explained() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let paths = document["paths"].as_object().cloned().unwrap_or_default();
        assert!(paths.len() >= 25, "{} paths", paths.len());
        for (path, item) in &paths {
            for (method, operation) in item.as_object().into_iter().flatten() {
                assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
                assert!(operation["responses"].get("4XX").is_some(), "{method} {path} has no problems");
                let scopes = operation["security"][0]["token"].as_array().cloned().unwrap_or_default();
                assert!(scopes.iter().all(|scope| scope.as_str().and_then(Scope::parse).is_some()), "{method} {path}: {scopes:?}");
                assert_eq!(scopes.is_empty(), path == "/api/v1/tokens", "{method} {path}");
            }
        }
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let mut count = 0;
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap_or_default();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            count += 1;
        }
        assert!(count > 10);
    }
}
