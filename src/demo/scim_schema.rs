//! What the SCIM service says about itself (RFC 7643 §5–7).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::scim_answer::{self as answer, ENTERPRISE, Fault, GROUP, LIST, USER};
use super::site::Site;

/// `GET /ServiceProviderConfig`: PATCH, filters and ETags; nothing else.
pub async fn service_provider_config(State(site): State<Arc<Site>>) -> Response {
    let not = json!({"supported": false});
    let config = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": 1000},
        "changePassword": not,
        "sort": not,
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A fixed token in the Authorization header (RFC 6750)",
            "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{}/ServiceProviderConfig", site.scim_base)},
    });
    answer::body(&config, None)
}

/// `GET /ResourceTypes`
pub async fn resource_types(State(site): State<Arc<Site>>) -> Response {
    list(["User", "Group"].iter().filter_map(|name| type_named(name, &site.scim_base)).collect())
}

/// `GET /ResourceTypes/{id}`
pub async fn resource_type(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Result<Response, Fault> {
    type_named(&id, &site.scim_base).map(|found| answer::body(&found, None)).ok_or_else(|| Fault::missing("resource type", &id))
}

/// `GET /Schemas`
pub async fn schemas(State(site): State<Arc<Site>>) -> Response {
    list([USER, ENTERPRISE, GROUP].iter().filter_map(|urn| schema_named(urn, &site.scim_base)).collect())
}

/// `GET /Schemas/{urn}`
pub async fn schema(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Result<Response, Fault> {
    schema_named(&id, &site.scim_base).map(|found| answer::body(&found, None)).ok_or_else(|| Fault::missing("schema", &id))
}

fn list(resources: Vec<Value>) -> Response {
    let count = resources.len();
    answer::body(&json!({"schemas": [LIST], "totalResults": count, "startIndex": 1, "itemsPerPage": count, "Resources": resources}), None)
}

fn type_named(name: &str, base: &str) -> Option<Value> {
    let (endpoint, schema, extensions) = match name {
        "User" => ("/Users", USER, json!([{"schema": ENTERPRISE, "required": false}])),
        "Group" => ("/Groups", GROUP, json!([])),
        _ => return None,
    };
    Some(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": name,
        "name": name,
        "endpoint": endpoint,
        "schema": schema,
        "schemaExtensions": extensions,
        "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{name}")},
    }))
}

fn schema_named(urn: &str, base: &str) -> Option<Value> {
    let (name, attributes) = match urn {
        USER => ("User", user_attributes()),
        ENTERPRISE => (
            "EnterpriseUser",
            vec![
                text("employeeNumber", true),
                text("costCenter", false),
                text("department", false),
                complex("manager", false, "readOnly", vec![text("value", true), reference("$ref", "User"), text("displayName", false)]),
            ],
        ),
        GROUP => (
            "Group",
            vec![
                text("displayName", false),
                complex("members", true, "readWrite", vec![text("value", true), reference("$ref", "User"), text("display", false), text("type", false)]),
            ],
        ),
        _ => return None,
    };
    Some(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": urn,
        "name": name,
        "attributes": attributes,
        "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{urn}")},
    }))
}

fn user_attributes() -> Vec<Value> {
    let mut user_name = text("userName", false);
    user_name["required"] = true.into();
    user_name["uniqueness"] = "server".into();
    vec![
        user_name,
        complex("name", false, "readOnly", vec![text("formatted", false), text("givenName", false), text("familyName", false)]),
        text("displayName", false),
        text("title", false),
        text("userType", false),
        attribute("active", "boolean", false, "readWrite"),
        complex("emails", true, "readOnly", vec![text("value", false), text("type", false), attribute("primary", "boolean", false, "readOnly")]),
        complex("addresses", true, "readOnly", vec![text("locality", false), text("type", false)]),
        complex("groups", true, "readOnly", vec![text("value", true), reference("$ref", "Group"), text("display", false), text("type", false)]),
    ]
}

fn attribute(name: &str, kind: &str, many: bool, mutability: &str) -> Value {
    json!({
        "name": name, "type": kind, "multiValued": many, "description": "", "required": false,
        "mutability": mutability, "returned": "default",
    })
}

fn text(name: &str, exact: bool) -> Value {
    let mut text = attribute(name, "string", false, "readOnly");
    text["caseExact"] = exact.into();
    text["uniqueness"] = "none".into();
    text
}

fn reference(name: &str, to: &str) -> Value {
    let mut reference = attribute(name, "reference", false, "readOnly");
    reference["referenceTypes"] = json!([to]);
    reference["caseExact"] = true.into();
    reference["uniqueness"] = "none".into();
    reference
}

fn complex(name: &str, many: bool, mutability: &str, parts: Vec<Value>) -> Value {
    let mut complex = attribute(name, "complex", many, mutability);
    complex["subAttributes"] = parts.into();
    complex
}
