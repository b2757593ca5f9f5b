//! The API's document as a page to read.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;
use utoipa::OpenApi;

use crate::web::api::document::Document;
use crate::web::error::{Failure, frame};
use crate::web::guard::Visitor;
use crate::web::pages::docs::{Docs, DocsPage, Field, Group, Operation};
use crate::web::state::App;

/// The reference, made from the document. It holds nothing of this installation, so everybody may read it.
pub async fn page(State(app): State<App>, Visitor(viewer): Visitor) -> Response {
    let document = match serde_json::to_value(Document::openapi()) {
        Ok(document) => document,
        Err(error) => return Failure::broken(&error).into_response(),
    };
    let docs = Docs { base: app.public.origin.clone(), groups: groups(&document) };
    match (DocsPage { frame: frame(&app, viewer.as_ref(), "docs"), docs }).render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => Failure::broken(&error).into_response(),
    }
}

/// Operations by their tag, in the order of the document.
fn groups(document: &Value) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, described) in item.as_object().into_iter().flatten() {
            let name = text(&described["tags"][0]);
            let operation = operation(document, path, method, described);
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.operations.push(operation),
                None => groups.push(Group { name, operations: vec![operation] }),
            }
        }
    }
    groups
}

fn operation(document: &Value, path: &str, method: &str, described: &Value) -> Operation {
    let mut fields: Vec<Field> = described["parameters"].as_array().into_iter().flatten().map(|parameter| field(document, parameter)).collect();
    let body = follow(document, &described["requestBody"]["content"]["application/json"]["schema"]);
    let required: Vec<&str> = body["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, schema) in body["properties"].as_object().into_iter().flatten() {
        fields.push(Field {
            name: name.clone(),
            place: "body".into(),
            kind: kind(follow(document, schema)),
            required: required.contains(&name.as_str()),
            about: about(document, schema),
        });
    }
    let answers = described["responses"].as_object().into_iter().flatten();
    Operation {
        method: method.into(),
        path: path.into(),
        summary: text(&described["summary"]),
        about: text(&described["description"]),
        scope: described["security"][0]["token"][0].as_str().map(String::from),
        fields,
        answers: answers.map(|(status, answer)| (status.clone(), text(&answer["description"]))).collect(),
    }
}

fn field(document: &Value, parameter: &Value) -> Field {
    Field {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: kind(follow(document, &parameter["schema"])),
        required: parameter["required"].as_bool().unwrap_or_default(),
        about: text(&parameter["description"]),
    }
}

/// What a `$ref` stands for; anything else stands for itself.
fn follow<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

/// The type in a word: `uuid`, `date-time`, `integer`, `string or null`.
fn kind(schema: &Value) -> String {
    if let Some(format) = schema["format"].as_str().filter(|format| !format.starts_with("int")) {
        return format.into();
    }
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        // Something of its own, or nothing.
        Value::Null if schema["oneOf"].is_array() => "object or null".into(),
        Value::Null if schema["$ref"].is_string() => "object".into(),
        other => text(other),
    }
}

/// What is said of it: at the field, or else where its kind is described.
fn about(document: &Value, schema: &Value) -> String {
    let described = std::iter::once(schema).chain(schema["oneOf"].as_array().into_iter().flatten()).map(|part| [part, follow(document, part)]);
    described.flatten().find_map(|part| part["description"].as_str()).unwrap_or_default().into()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_of_every_operation_and_field() {
        let document = serde_json::to_value(Document::openapi()).unwrap_or_default();
        let groups = groups(&document);
        let count: usize = groups.iter().map(|group| group.operations.len()).sum();
        let described =
            document["paths"].as_object().into_iter().flat_map(|paths| paths.values()).filter_map(Value::as_object).map(serde_json::Map::len).sum::<usize>();
        assert_eq!(count, described);
        let ask = groups.iter().flat_map(|group| &group.operations).find(|op| op.method == "post" && op.path == "/api/v1/requests");
        let ask = ask.map(|op| (op.scope.clone(), op.fields.iter().map(|field| (field.name.clone(), field.required)).collect::<Vec<_>>()));
        let (scope, fields) = ask.unwrap_or_default();
        assert_eq!(scope.as_deref(), Some("requests:write"));
        assert!(fields.contains(&("role".into(), true)) && fields.contains(&("duration_s".into(), true)) && fields.contains(&("justification".into(), false)));
        for operation in groups.iter().flat_map(|group| &group.operations) {
            assert!(operation.fields.iter().all(|field| !field.kind.is_empty() && !field.about.is_empty()), "{operation:?}");
        }
    }
}
