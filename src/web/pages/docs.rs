//! API reference: the OpenAPI document, readable.

use askama::Template;

use crate::web::view::{self, Amount as _, Frame, Words as _};

/// The reference page.
#[derive(Template)]
#[template(path = "pages/docs.html")]
pub struct DocsPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub docs: Docs,
}

/// The API, as its OpenAPI document has it.
#[derive(Clone, Debug)]
pub struct Docs {
    /// Where the API is, without a slash at the end.
    pub base: String,
    /// Operations by what they are about.
    pub groups: Vec<Group>,
}

/// Operations about one thing.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they are about.
    pub name: String,
    /// The operations.
    pub operations: Vec<Operation>,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// `get` or `post`.
    pub method: String,
    /// The path with its parameters in braces.
    pub path: String,
    /// In a few words.
    pub summary: String,
    /// In full.
    pub about: String,
    /// The scope a token needs.
    pub scope: Option<String>,
    /// Parameters and body fields.
    pub fields: Vec<Field>,
    /// Statuses and what they mean.
    pub answers: Vec<(String, String)>,
}

/// A parameter or a field of the body.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// `path`, `query`, `header` or `body`.
    pub place: String,
    /// Its type.
    pub kind: String,
    /// Whether it must be there.
    pub required: bool,
    /// What it means.
    pub about: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::proof::*;

    #[test]
    fn every_operation_is_on_the_page() {
        let operation = Operation {
            method: "post".into(),
            path: "/api/v1/requests".into(),
            summary: "Ask for a role".into(),
            about: "Runs the policy on live attributes and stores the decision.".into(),
            scope: Some("requests:write".into()),
            fields: vec![
                Field {
                    name: "Idempotency-Key".into(),
                    place: "header".into(),
                    kind: "string".into(),
                    required: true,
                    about: "Any text of up to 200 characters that is new for each act.".into(),
                },
                Field { name: "role".into(), place: "body".into(), kind: "uuid".into(), required: true, about: "The role asked for.".into() },
            ],
            answers: vec![("201".into(), "The request.".into()), ("422".into(), "Refused, with the trace.".into())],
        };
        let docs = Docs {
            base: "http://127.0.0.1:8080".into(),
            groups: vec![Group { name: "Requests".into(), operations: vec![operation.clone(), Operation { method: "get".into(), ..operation }] }],
        };
        let page = Rendered::of("docs", &DocsPage { frame: frame(Says::Plain, As::Employee, "docs"), docs });
        assert_eq!(page.all("details.op").len(), 2);
        assert!(page.says("requests:write"));
    }
}
