//! Reads fields one by one; every fault is named.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::domain::policy::FieldFault;
use crate::domain::span::{LONGEST, Seconds};
use crate::service::list::MOST;
use crate::web::api::problem::Problem;
use crate::web::error::Failure;

/// The fields of a body or a query on their way to being understood. What is wrong is collected; [`Fields::done`] tells.
#[derive(Debug)]
pub struct Fields {
    values: Map<String, Value>,
    /// Values came as text (a query), so numbers and truths are read from text.
    textual: bool,
    faults: Vec<FieldFault>,
}

impl Fields {
    /// Of a JSON object.
    pub fn of_body(values: Map<String, Value>) -> Self {
        Self { values, textual: false, faults: Vec::new() }
    }

    /// Of a query string's pairs, decoded. A name that comes twice is a fault; an empty value is as good as none.
    pub fn of_query(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut fields = Self { values: Map::new(), textual: true, faults: Vec::new() };
        for (name, value) in pairs {
            if fields.values.contains_key(&name) {
                fields.fault(&name, "Given twice; give it once.");
            } else {
                fields.values.insert(name, Value::String(value));
            }
        }
        fields.values.retain(|_, value| value.as_str() != Some(""));
        fields
    }

    /// Notes what is wrong with a field.
    pub fn fault(&mut self, field: &str, sentence: impl Into<String>) {
        self.faults.push(FieldFault { field: field.chars().take(60).collect(), sentence: sentence.into() });
    }

    /// Whether the field is there, `null` included.
    pub fn has(&self, field: &str) -> bool {
        self.values.contains_key(field)
    }

    fn take(&mut self, field: &str) -> Option<Value> {
        self.values.remove(field).filter(|value| !value.is_null())
    }

    /// Text without NUL.
    pub fn text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) if !text.contains('\0') => Some(text),
            Value::String(_) => {
                self.fault(field, "Holds a NUL character; take it out.");
                None
            }
            _ => {
                self.fault(field, "Must be text.");
                None
            }
        }
    }

    /// An object.
    pub fn object(&mut self, field: &str) -> Option<Map<String, Value>> {
        match self.take(field)? {
            Value::Object(values) => Some(values),
            _ => {
                self.fault(field, "Must be an object.");
                None
            }
        }
    }

    /// What was wrong, with every field that is not known here.
    pub fn faults(mut self) -> Vec<FieldFault> {
        let unknown: Vec<String> = self.values.keys().cloned().collect();
        for field in unknown {
            self.fault(&field, "There is no such field here.");
        }
        self.faults
    }

    /// A UUID.
    pub fn id(&mut self, field: &str) -> Option<Uuid> {
        let text = self.text(field)?;
        let id = Uuid::try_parse(&text).ok().filter(|_| text.len() == 36);
        if id.is_none() {
            self.fault(field, "Must be an id like 01934f2a-7c11-7abc-8def-0123456789ab.");
        }
        id
    }

    /// An RFC 3339 time with its zone; in a query also a day, which means its first moment in UTC.
    pub fn time(&mut self, field: &str) -> Option<DateTime<Utc>> {
        let text = self.text(field)?;
        let day = || text.parse::<chrono::NaiveDate>().ok().filter(|_| self.textual && text.len() == 10)?.and_hms_opt(0, 0, 0);
        // Postgres and people agree on these years.
        let sane = |at: &DateTime<Utc>| (DateTime::UNIX_EPOCH..DateTime::<Utc>::MAX_UTC).contains(at) && at.timestamp() < 253_402_300_800;
        let read = DateTime::parse_from_rfc3339(&text).map(|at| at.to_utc()).ok().or_else(|| day().map(|day| day.and_utc())).filter(sane);
        if read.is_none() {
            self.fault(field, "Must be a time like 2026-01-31T09:00:00Z, from 1970 to 9999.");
        }
        read
    }

    /// A length of time in whole seconds, from 1 second to 100 years.
    pub fn seconds(&mut self, field: &str) -> Option<Seconds> {
        let number = self.take(field)?;
        let read = number.as_i64().filter(|seconds| (1..=LONGEST).contains(seconds)).map(Seconds);
        if read.is_none() {
            self.fault(field, "Must be a whole number of seconds, from 1 to 100 years.");
        }
        read
    }

    /// A whole number from `least` to `most`.
    pub fn number(&mut self, field: &str, least: i64, most: i64) -> Option<i64> {
        let value = self.take(field)?;
        let read = if self.textual { value.as_str().and_then(|text| text.parse().ok()) } else { value.as_i64() };
        let read = read.filter(|number| (least..=most).contains(number));
        if read.is_none() {
            self.fault(field, format!("Must be a whole number from {least} to {most}."));
        }
        read
    }

    /// `true` or `false`.
    pub fn truth(&mut self, field: &str) -> Option<bool> {
        let value = self.take(field)?;
        let read = if self.textual { value.as_str().and_then(|text| text.parse().ok()) } else { value.as_bool() };
        if read.is_none() {
            self.fault(field, "Must be true or false.");
        }
        read
    }

    /// One of `words`.
    pub fn word(&mut self, field: &str, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text(field)?;
        let read = words.iter().find(|word| **word == text).copied();
        if read.is_none() {
            self.fault(field, format!("Must be one of {}.", words.join(", ")));
        }
        read
    }

    /// Each object of a list of 1 to `most`, as `read` reads it; its faults are named `field[N].name`.
    pub fn each<T>(&mut self, field: &str, most: usize, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(list) = self.take(field)? else {
            self.fault(field, "Must be a list.");
            return None;
        };
        if list.is_empty() || list.len() > most {
            self.fault(field, format!("Must be a list of 1 to {most}; this one has {}.", list.len()));
            return None;
        }
        let mut all = Vec::with_capacity(list.len());
        for (n, one) in list.into_iter().enumerate() {
            let Value::Object(values) = one else {
                self.fault(field, format!("Number {} must be an object.", n + 1));
                return None;
            };
            let mut one = Self::of_body(values);
            let made = read(&mut one);
            let unknown: Vec<String> = one.values.keys().cloned().collect();
            for name in &unknown {
                one.fault(name, "There is no such field here.");
            }
            if made.is_none() && one.faults.is_empty() {
                one.fault("id", "Must be given.");
            }
            let faults = one.faults.into_iter().map(|fault| FieldFault { field: format!("{field}[{n}].{}", fault.field), sentence: fault.sentence });
            self.faults.extend(faults);
            all.extend(made);
        }
        Some(all)
    }

    /// Says that a field must be there, unless something else is wrong with it.
    pub fn missing(&mut self, field: &str) {
        if !self.faults.iter().any(|fault| fault.field == field) {
            self.fault(field, "Must be given.");
        }
    }

    /// How many rows a page is to have: `limit`, 50 unless told, at most [`MOST`].
    pub fn limit(&mut self) -> i64 {
        self.number("limit", 1, MOST).unwrap_or(50)
    }

    /// What was read, unless something was wrong or is not known here.
    ///
    /// # Errors
    /// Every fault there is.
    pub fn done<T>(mut self, read: T) -> Result<T, Problem> {
        let unknown: Vec<String> = self.values.keys().cloned().collect();
        for field in unknown {
            self.fault(&field, "There is no such field here.");
        }
        if self.faults.is_empty() { Ok(read) } else { Err(Failure::fields(self.faults).into()) }
    }

    /// What was read, where a field that must be there may not have been.
    ///
    /// # Errors
    /// Every fault there is, the missing field included.
    pub fn done_with<T>(mut self, field: &str, read: Option<T>) -> Result<T, Problem> {
        if read.is_none() && !self.faults.iter().any(|fault| fault.field == field) {
            self.fault(field, "Must be given.");
        }
        match read {
            Some(read) => self.done(read),
            None => Err(match self.done(()) {
                Err(problem) => problem,
                Ok(()) => Failure::bad_input("A field is missing.").into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn body(value: Value) -> Fields {
        Fields::of_body(value.as_object().cloned().unwrap_or_default())
    }

    fn faulty(fields: Fields) -> Vec<String> {
        let mut names: Vec<String> = fields.faults.iter().map(|fault| fault.field.clone()).collect();
        names.extend(fields.values.keys().cloned());
        names
    }

    #[test]
    fn every_fault_is_named_not_only_the_first() {
        let mut fields = body(json!({"role": "x", "duration_s": -1, "justification": 7, "starts_at": "tomorrow", "colour": "red"}));
        assert!(fields.id("role").is_none() && fields.seconds("duration_s").is_none());
        assert!(fields.text("justification").is_none() && fields.time("starts_at").is_none());
        assert_eq!(faulty(fields), ["role", "duration_s", "justification", "starts_at", "colour"]);
    }

    #[test]
    fn a_query_reads_numbers_truths_and_days_from_text() {
        let pairs = [("limit", "7"), ("mine", "true"), ("from", "2026-01-31"), ("q", "")].map(|(a, b)| (a.to_string(), b.to_string()));
        let mut fields = Fields::of_query(pairs);
        assert_eq!(fields.limit(), 7);
        assert_eq!(fields.truth("mine"), Some(true));
        assert_eq!(fields.time("from").map(|at| at.to_rfc3339()), Some("2026-01-31T00:00:00+00:00".into()));
        assert_eq!(fields.text("q"), None);
        assert!(fields.done(()).is_ok());
    }

    #[test]
    fn what_comes_twice_or_is_nothing_at_all_is_a_fault() {
        let mut fields = Fields::of_query([("q".into(), "a".into()), ("q".into(), "b".into())]);
        fields.text("q");
        assert_eq!(faulty(fields), ["q"]);
        for value in [json!("a\0b"), json!({}), json!([1])] {
            let mut fields = body(json!({ "q": value }));
            assert_eq!(fields.text("q"), None);
            assert_eq!(faulty(fields), ["q"]);
        }
        for value in [json!(0), json!(1.5), json!("60"), json!(i64::MAX), json!(u64::MAX)] {
            let mut fields = body(json!({ "s": value }));
            assert_eq!(fields.seconds("s"), None);
            assert_eq!(faulty(fields), ["s"]);
        }
        assert!(body(json!({})).done_with::<Uuid>("role", None).is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_reader(text: String) {
            let mut fields = Fields::of_query([("a".into(), text.clone()), ("b".into(), text.clone()), ("c".into(), text)]);
            let _ = (fields.id("a"), fields.time("b"), fields.number("c", 0, 9));
        }
    }
}
