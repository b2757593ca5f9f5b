//! What the OpenID Connect provider says about itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::site::Site;

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery §3, RFC 8414, RFC 9207).
pub async fn configuration(State(site): State<Arc<Site>>) -> Response {
    let at = |path: &str| format!("{}{path}", site.issuer);
    Json(json!({
        "issuer": site.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks.json"),
        "end_session_endpoint": at("/logout"),
        "scopes_supported": ["openid", "profile", "email", "groups"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": ["none", "login", "select_account"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "name", "given_name", "family_name",
            "preferred_username", "email", "email_verified", "groups",
        ],
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
    .into_response()
}

/// `GET /jwks.json`
pub async fn keys(State(site): State<Arc<Site>>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(site.key.public_set())).into_response()
}
