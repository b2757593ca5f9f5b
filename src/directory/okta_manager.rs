//! Whom Okta's profile means by a manager.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::directory::facts::ReadError;
use crate::directory::okta::{Learned, ManagerIs, Okta};
use crate::directory::okta_answer::quoted;
use crate::directory::okta_record as record;

/// How long a manager that was looked up is believed.
const BELIEVED: TimeDelta = TimeDelta::minutes(10);
/// Most managers remembered.
const MOST: usize = 50_000;
/// Managers looked up at once.
const AT_ONCE: usize = 4;

impl Okta {
    /// The reference of the manager whom the profile names `told`; `None` when it names nobody there is, or more than one.
    pub(super) async fn manager(&self, told: Option<String>) -> Result<Option<String>, ReadError> {
        let Some(told) = told else { return Ok(None) };
        if self.0.manager_is == ManagerIs::Id {
            return Ok(record::usable(&told).then_some(told));
        }
        if let Some(known) = self.known_manager(&told) {
            return Ok(known);
        }
        let found = match self.0.manager_is {
            ManagerIs::Login => match self.id_of_login(&told).await {
                Err(ReadError::Several { .. }) => None,
                found => found?,
            },
            _ => self.id_of_number(&told).await?,
        };
        self.know_manager(told, found.clone());
        Ok(found)
    }

    /// The references of many managers, each asked for once.
    pub(super) async fn look_up_managers(&self, told: BTreeSet<String>) -> Result<(), ReadError> {
        stream::iter(told).map(|told| self.manager(Some(told))).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await
    }

    /// Keeps under which name others may know the people of this page as their manager.
    pub(super) fn know_managers(&self, people: &[Value]) {
        let named = |row: &Value| match self.0.manager_is {
            // A number is only somebody's when nobody else has it, which a page cannot tell.
            ManagerIs::Id | ManagerIs::EmployeeNumber => None,
            ManagerIs::Login => row.pointer("/profile/login").and_then(Value::as_str).map(str::to_owned),
        };
        for row in people {
            if let (Some(name), Some(id)) = (named(row), record::id(row)) {
                self.know_manager(name, Some(id.to_owned()));
            }
        }
    }

    async fn id_of_number(&self, number: &str) -> Result<Option<String>, ReadError> {
        let theirs = self.0.mapping.attributes.get("employee_number").map_or("employeeNumber", String::as_str);
        let found = self.users("search", &format!("profile.{theirs} eq {}", quoted(number))).await?;
        let has = |row: &&Value| match row.pointer("/profile").and_then(|profile| profile.get(theirs)) {
            Some(Value::String(text)) => text == number,
            Some(Value::Number(value)) => value.to_string() == number,
            _ => false,
        };
        let hits: BTreeSet<&str> = found.iter().filter(has).filter_map(record::id).collect();
        Ok(if hits.len() == 1 { hits.first().map(|id| (*id).to_owned()) } else { None })
    }

    fn known_manager(&self, told: &str) -> Option<Option<String>> {
        let now = self.0.clock.now();
        let known = self.0.managers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.get(told).filter(|learned| now - learned.at < BELIEVED).map(|learned| learned.what.clone())
    }

    fn know_manager(&self, told: String, id: Option<String>) {
        let now = self.0.clock.now();
        let mut known = self.0.managers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(told, Learned { what: id, at: now });
    }
}
