//! SCIM that is pushed, read for whom it names.
//!
//! An identity provider can push people over SCIM (RFC 7644 §3.3 to §3.6) to whoever keeps them. We keep nobody by what is pushed: each
//! call names somebody, and the directory is asked.

use serde_json::Value;

use super::plain_hook::tidied;

/// The methods that change a person.
const CHANGES: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// Whom a call to `/Users`, or to `/Users/{id}`, names: by the id in the path, and by `id`, `externalId` and `userName` of the body.
///
/// # Errors
/// When it changes nobody, or its body is not what SCIM sends.
pub fn people(method: &str, id: Option<&str>, body: &[u8]) -> Result<Vec<String>, &'static str> {
    if !CHANGES.contains(&method) || (method == "POST") != id.is_none() {
        return Err("This changes nobody.");
    }
    let mut named: Vec<String> = id.map(str::to_owned).into_iter().collect();
    if method != "DELETE" {
        let value: Value = serde_json::from_slice(body).map_err(|_| "The body is not JSON.")?;
        let Value::Object(said) = value else { return Err("The body is not a JSON object.") };
        let schemas: Vec<&str> = said.get("schemas").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let wanted = if method == "PATCH" { "PatchOp" } else { "User" };
        if !schemas.iter().any(|schema| schema.rsplit(':').next().is_some_and(|name| name.eq_ignore_ascii_case(wanted))) {
            return Err("The body does not say the schema of what it holds.");
        }
        named.extend(["id", "externalId", "userName"].iter().filter_map(|key| said.get(*key)?.as_str().map(str::to_owned)));
    }
    Ok(tidied(named.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"externalId":"e-1","userName":"bo.lind","active":false}"#;
    const PATCH: &str = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}"#;

    #[test]
    fn each_call_names_whom_it_is_about() {
        let named = |method, id, body: &str| people(method, id, body.as_bytes());
        assert_eq!(named("POST", None, USER), Ok(vec!["bo.lind".into(), "e-1".into()]));
        assert_eq!(named("PUT", Some("8c3f"), USER), Ok(vec!["8c3f".into(), "bo.lind".into(), "e-1".into()]));
        assert_eq!(named("PATCH", Some("8c3f"), PATCH), Ok(vec!["8c3f".into()]));
        assert_eq!(named("DELETE", Some("8c3f"), ""), Ok(vec!["8c3f".into()]));
        for (method, id, body) in [
            ("GET", Some("8c3f"), ""),
            ("POST", Some("8c3f"), USER),
            ("DELETE", None, ""),
            ("PUT", Some("8c3f"), PATCH),
            ("PATCH", Some("8c3f"), USER),
            ("PATCH", Some("8c3f"), ""),
            ("PATCH", Some("8c3f"), "[]"),
            ("POST", None, r#"{"userName":"bo.lind"}"#),
        ] {
            assert!(named(method, id, body).is_err(), "{method} {id:?} {body}");
        }
        assert_eq!(named("DELETE", Some(&"x".repeat(300)), ""), Ok(vec![]));
    }
}
