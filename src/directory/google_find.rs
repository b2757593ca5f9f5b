//! One person or group of a Google Workspace, searched for.

use serde_json::Value;

use crate::directory::facts::{PersonFacts, ReadError};
use crate::directory::google::{Google, READ_GROUPS, READ_PEOPLE, no_list, not_told};
use crate::directory::google_answer::{checked, is_missing};
use crate::directory::google_record as record;
use crate::directory::http::encoded;
use crate::domain::person::GroupRef;

impl Google {
    /// See [`Directory::find_person`](crate::directory::port::Directory::find_person).
    pub async fn find_person(&self, attribute: &str, value: &str) -> Result<Option<PersonFacts>, ReadError> {
        if value.trim().is_empty() || value.len() > 512 || value.chars().any(char::is_control) {
            return Ok(None);
        }
        let path = match attribute {
            "id" => return self.person(value).await,
            "user_name" | "email" => return self.person_at(value).await,
            "external_id" => "externalIds.account",
            key => self.attributes().get(key).map(String::as_str).unwrap_or_default(),
        };
        if path.is_empty() {
            return Ok(None);
        }
        // Google's searches split words and match beginnings: every record is looked at instead.
        let path_to_all = format!("/users?customer={}&maxResults=500&projection=full", self.customer());
        let rows = self.all(path_to_all, "users", READ_PEOPLE).await?.ok_or_else(no_list)?;
        let hits: Vec<_> = rows.iter().filter(|row| record::values(row, path).iter().any(|told| told == value)).collect();
        match hits.as_slice() {
            [] => Ok(None),
            [one] => self.person(record::id(one).ok_or_else(not_told)?).await,
            _ => Err(ReadError::Several { attribute: attribute.to_owned(), value: value.to_owned() }),
        }
    }

    /// The person whose primary address this is; an alias is nobody's login.
    async fn person_at(&self, address: &str) -> Result<Option<PersonFacts>, ReadError> {
        if !address.contains('@') {
            return Ok(None);
        }
        let answer = self.exchange(&format!("/users/{}", encoded(address))).await?;
        // 400: no address at all.
        if is_missing(&answer) || answer.status == 400 {
            return Ok(None);
        }
        let found = checked(answer, READ_PEOPLE)?.json().unwrap_or_default();
        if !found["primaryEmail"].as_str().is_some_and(|primary| primary.eq_ignore_ascii_case(address)) {
            return Ok(None);
        }
        self.person(record::id(&found).ok_or_else(not_told)?).await
    }

    /// See [`Directory::find_group`](crate::directory::port::Directory::find_group). A group's address names it too.
    pub async fn find_group(&self, name: &str) -> Result<Option<GroupRef>, ReadError> {
        if name.trim().is_empty() || name.len() > 512 || name.chars().any(char::is_control) {
            return Ok(None);
        }
        if name.contains('@') && !name.contains(' ') {
            let answer = self.exchange(&format!("/groups/{}", encoded(name))).await?;
            if answer.status == 200 {
                let found = answer.json().unwrap_or_default();
                let is_theirs = found["email"].as_str().is_some_and(|address| address.eq_ignore_ascii_case(name));
                return if is_theirs { Ok(Some(record::group_ref(&found).ok_or_else(not_told)?)) } else { Ok(None) };
            }
            if !is_missing(&answer) && answer.status != 400 {
                checked(answer, READ_GROUPS)?;
            }
        }
        let called = |row: &Value| record::group_ref(row).is_some_and(|group| group.name == name);
        let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
        let query = encoded(&format!("name='{quoted}'"));
        let some = self.all(format!("/groups?customer={}&query={query}&maxResults=200", self.customer()), "groups", READ_GROUPS).await?;
        let hits: Vec<_> = some.unwrap_or_default().into_iter().filter(called).collect();
        match hits.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(record::group_ref(one).ok_or_else(not_told)?)),
            _ => Err(ReadError::Several { attribute: "group name".into(), value: name.to_owned() }),
        }
    }
}
