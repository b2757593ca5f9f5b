//! What the request form sends, read field by field.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::domain::policy::FieldFault;
use crate::domain::span::{LONGEST, Seconds};
use crate::service::look::ask::{Fault, Typed};
use crate::web::form::shown;

/// The form as it is sent.
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// The role.
    pub role: String,
    /// Sent with the form, so that sending twice asks once.
    pub key: String,
    /// The lease to extend.
    pub extend: String,
    /// For whom, when for somebody else.
    pub whom: String,
    /// Seconds, `none` or `other`.
    pub duration: String,
    /// A number, when `other`.
    pub other_amount: String,
    /// A unit, when `other`.
    pub other_unit: String,
    /// Why.
    pub justification: String,
    /// Ticket.
    pub ticket: String,
    /// When it is to begin.
    pub start: String,
    /// Not empty when access is asked for at once.
    pub emergency: String,
    /// Why it cannot wait.
    pub emergency_reason: String,
    /// Not empty when that was confirmed.
    pub emergency_confirmed: String,
    /// Values of the policy's own fields by key.
    pub fields: BTreeMap<String, String>,
    /// Everything that was sent but the key, in order.
    pub all: Vec<(String, String)>,
}

/// What one name of the form may hold at most, in characters.
const LONGEST_NAME: usize = 80;

impl Sending {
    /// Reads the form's pairs; none when a name comes twice: of two values neither is surely the one that was meant. What the form does
    /// not have is left aside.
    pub fn read(pairs: Vec<(String, String)>) -> Option<Self> {
        let mut sent = Self::default();
        let mut seen = std::collections::HashSet::with_capacity(pairs.len());
        for (name, value) in pairs {
            if !seen.insert(name.clone()) {
                return None;
            }
            if name != "key" {
                sent.all.push((name.clone(), value.clone()));
            }
            let place = match name.as_str() {
                "role" => &mut sent.role,
                "key" => &mut sent.key,
                "extend" => &mut sent.extend,
                "for" => &mut sent.whom,
                "duration" => &mut sent.duration,
                "other_amount" => &mut sent.other_amount,
                "other_unit" => &mut sent.other_unit,
                "justification" => &mut sent.justification,
                "ticket" => &mut sent.ticket,
                "start" => &mut sent.start,
                "emergency" => &mut sent.emergency,
                "emergency_reason" => &mut sent.emergency_reason,
                "emergency_confirmed" => &mut sent.emergency_confirmed,
                other => {
                    if let Some(key) = other.strip_prefix("field_").filter(|key| key.len() <= LONGEST_NAME) {
                        sent.fields.insert(key.to_owned(), value);
                    }
                    continue;
                }
            };
            *place = value;
        }
        Some(sent)
    }

    /// As it is shown again to who typed it.
    pub fn typed(&self) -> Typed {
        Typed {
            duration: self.duration.clone(),
            other_amount: shown(&self.other_amount),
            other_unit: self.other_unit.clone(),
            justification: shown(&self.justification),
            ticket: shown(&self.ticket),
            start: shown(&self.start),
            fields: self.fields.iter().map(|(key, value)| (key.clone(), shown(value))).collect(),
            emergency_reason: shown(&self.emergency_reason),
        }
    }

    /// The length that was chosen or written; none for one without end.
    ///
    /// # Errors
    /// The sentence for the field.
    pub fn duration(&self) -> Result<Option<Seconds>, String> {
        let within = |seconds: i64| (1..=LONGEST).contains(&seconds).then_some(Some(Seconds(seconds)));
        match self.duration.as_str() {
            "" => Err("Choose how long.".into()),
            "none" => Ok(None),
            "other" => {
                let unit = match self.other_unit.as_str() {
                    "minutes" => 60,
                    "hours" => 3_600,
                    "days" => 86_400,
                    _ => return Err("Choose minutes, hours or days.".into()),
                };
                let amount = self.other_amount.trim();
                let seconds = amount.parse::<i64>().ok().and_then(|amount| amount.checked_mul(unit)).and_then(within);
                seconds.ok_or_else(|| format!("Write how many {} as a whole number above 0, or choose one of the lengths.", self.other_unit))
            }
            chosen => chosen.parse().ok().and_then(within).ok_or_else(|| "Choose one of the lengths, or write another.".into()),
        }
    }

    /// The start as a browser's field sends it, in UTC; none for at once.
    ///
    /// # Errors
    /// The sentence for the field.
    pub fn start(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, String> {
        let text = self.start.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let start = moment(text).ok_or("Write the start as a date and a time, for example 2026-11-30T09:00; or leave it empty to begin at once.")?;
        if start <= now { Err("This lies in the past; leave it empty to begin as soon as it is approved.".into()) } else { Ok(Some(start)) }
    }

    /// Why it cannot wait, when it is an emergency; none when it is none.
    ///
    /// # Errors
    /// The sentence for the box that was not ticked.
    pub fn emergency(&self) -> Result<Option<String>, String> {
        match (self.emergency.is_empty(), self.emergency_confirmed.is_empty()) {
            (true, _) => Ok(None),
            (false, false) => Ok(Some(self.emergency_reason.clone())),
            (false, true) => Err("Tick the box to say that you take access before anybody is asked, or ask in the ordinary way.".into()),
        }
    }
}

/// A date and time as a browser's field sends it, in UTC.
pub fn moment(text: &str) -> Option<DateTime<Utc>> {
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
    formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text.trim(), format).ok()).map(|read| read.and_utc())
}

/// A fault of the rules as a fault of the form; none where the form has no such field.
pub fn fault_of(fault: FieldFault) -> Option<Fault> {
    let fields = [
        ("duration", "duration"),
        ("justification", "justification"),
        ("ticket_reference", "ticket"),
        ("starts_at", "start"),
        ("emergency_reason", "emergency_reason"),
    ];
    let own = fault.field.starts_with("field_").then(|| fault.field.clone());
    let field = fields.into_iter().find(|(name, _)| *name == fault.field).map(|(_, field)| field.to_owned()).or(own)?;
    Some(Fault { field, sentence: fault.sentence })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::proof::now;

    #[test]
    fn a_name_that_comes_twice_is_no_form() {
        let pair = |name: &str| (name.to_owned(), "x".to_owned());
        assert!(Sending::read(vec![pair("role"), pair("field_a"), pair("field_b")]).is_some_and(|sent| sent.fields.len() == 2));
        for name in ["role", "for", "field_a", "emergency_confirmed"] {
            assert!(Sending::read(vec![pair(name), pair(name)]).is_none(), "{name}");
        }
    }

    #[test]
    fn a_length_is_chosen_or_written_and_never_guessed() {
        let read = |duration: &str, amount: &str, unit: &str| {
            let sent = Sending { duration: duration.into(), other_amount: amount.into(), other_unit: unit.into(), ..Sending::default() };
            sent.duration().map(|length| length.map(|l| l.0)).ok()
        };
        assert_eq!(read("14400", "", ""), Some(Some(14_400)));
        assert_eq!(read("none", "", ""), Some(None));
        assert_eq!(read("other", " 90 ", "minutes"), Some(Some(5_400)));
        for (duration, amount, unit) in [
            ("", "", ""),
            ("0", "", ""),
            ("-5", "", ""),
            ("4h", "", ""),
            ("other", "", "hours"),
            ("other", "1.5", "hours"),
            ("other", "5", "weeks"),
            ("other", "9223372036854775807", "days"),
            ("99999999999999", "", ""),
        ] {
            assert_eq!(read(duration, amount, unit), None, "{duration:?} {amount:?} {unit:?}");
        }
    }

    #[test]
    fn a_start_lies_ahead_or_is_left_empty() {
        let read = |text: &str| Sending { start: text.into(), ..Sending::default() }.start(now());
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("2026-11-22T10:00").unwrap().unwrap().to_rfc3339(), "2026-11-22T10:00:00+00:00");
        for text in ["2026-11-21T09:23", "tomorrow", "2026-13-01T00:00", "\0"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_emergency_is_one_only_when_it_is_confirmed() {
        let sent = |emergency: &str, confirmed: &str| {
            Sending { emergency: emergency.into(), emergency_confirmed: confirmed.into(), emergency_reason: "Down".into(), ..Sending::default() }.emergency()
        };
        assert_eq!(sent("", ""), Ok(None));
        assert_eq!(sent("", "yes"), Ok(None), "a box alone asks for nothing");
        assert_eq!(sent("now", "yes"), Ok(Some("Down".into())));
        assert!(sent("now", "").is_err());
    }
}
