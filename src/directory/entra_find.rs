//! One person or group of an Entra tenant, searched for.
//!
//! Every row is compared here before it counts; where Graph refuses a search, or answers with what was not searched for, everything is
//! looked at.

use serde_json::Value;

use crate::directory::entra::{Entra, READ_GROUPS, READ_PEOPLE, TOP, Walk, not_told};
use crate::directory::entra_record as record;
use crate::directory::facts::{PersonFacts, ReadError, clean};
use crate::directory::http::encoded;
use crate::domain::person::GroupRef;

impl Entra {
    /// See [`Directory::find_person`](crate::directory::port::Directory::find_person).
    pub async fn find_person(&self, attribute: &str, value: &str) -> Result<Option<PersonFacts>, ReadError> {
        if value.trim().is_empty() || value.len() > 512 || value.chars().any(char::is_control) {
            return Ok(None);
        }
        let path = match attribute {
            "id" => return self.person(value).await,
            "user_name" => "userPrincipalName",
            "email" => "mail",
            "external_id" => "onPremisesImmutableId",
            "user_type" => "userType",
            key => self.attributes().get(key).map(String::as_str).unwrap_or_default(),
        };
        if path.is_empty() {
            return Ok(None);
        }
        let without_case = ["user_name", "email"].contains(&attribute);
        let hit = |row: &Value| record::values(row, path).iter().any(|told| if without_case { told.eq_ignore_ascii_case(value) } else { told == value });
        let select = format!("$select=id,{}", path.split('.').next().unwrap_or_default());
        let filter = encoded(&format!("{} eq '{}'", path.replace('.', "/"), value.replace('\'', "''")));
        // Only these are indexed without the header, and current; the others lag a little behind.
        let walk = if ["userPrincipalName", "mail", "employeeId", "department"].contains(&path) {
            Walk::from(format!("/users?$filter={filter}&{select}"))
        } else {
            Walk::advanced(format!("/users?$filter={filter}&{select}&$count=true&{TOP}"))
        };
        let found = match self.search(walk, READ_PEOPLE, hit).await? {
            Some(found) => found,
            None => {
                let rows = self.all(format!("/users?{select}&{TOP}"), READ_PEOPLE).await?.unwrap_or_default();
                rows.iter().filter(|row| hit(row)).filter_map(record::id).map(str::to_owned).collect()
            }
        };
        match found.as_slice() {
            [] => Ok(None),
            [one] => self.person(one).await,
            _ => Err(ReadError::Several { attribute: attribute.to_owned(), value: value.to_owned() }),
        }
    }

    /// Ids of the rows of a search; `None` when Graph refuses it, or lists what was not searched for.
    async fn search(&self, walk: Walk, needs: &str, hit: impl Fn(&Value) -> bool) -> Result<Option<Vec<String>>, ReadError> {
        let mut found = Vec::new();
        let mut open = Some(walk);
        while let Some(walk) = open {
            let page = self.page(walk.refusable(), needs).await?;
            let Some((page, next)) = page.filter(|(page, _)| page.rows.iter().all(&hit)) else { return Ok(None) };
            for row in &page.rows {
                found.push(record::id(row).ok_or_else(not_told)?.to_owned());
            }
            open = next;
        }
        Ok(Some(found))
    }

    /// See [`Directory::find_group`](crate::directory::port::Directory::find_group).
    pub async fn find_group(&self, name: &str) -> Result<Option<GroupRef>, ReadError> {
        if name.trim().is_empty() || name.len() > 512 || name.chars().any(char::is_control) {
            return Ok(None);
        }
        let called = |row: &Value| row["displayName"].as_str().map(clean).unwrap_or_default();
        let filter = encoded(&format!("displayName eq '{}'", name.replace('\'', "''")));
        let alike = |row: &Value| called(row).eq_ignore_ascii_case(name);
        let rows = self.all(format!("/groups?$filter={filter}&$select=id,displayName"), READ_GROUPS).await?.unwrap_or_default();
        let rows = match rows.iter().all(alike) {
            true => rows,
            false => self.all(format!("/groups?$select=id,displayName&{TOP}"), READ_GROUPS).await?.unwrap_or_default(),
        };
        let found: Vec<_> = rows.iter().filter(|row| called(row) == name).collect();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(record::group_ref(one).ok_or_else(not_told)?)),
            _ => Err(ReadError::Several { attribute: "group name".into(), value: name.to_owned() }),
        }
    }
}
