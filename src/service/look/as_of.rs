//! What the page As-of shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::evidence::{canonical, leaf};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_as_of::{self, After, HeldRow, Narrow};

use super::shared::Cursor;

/// Who had access at a moment.
#[derive(Clone, Debug)]
pub struct AsOf {
    /// The moment.
    pub at: DateTime<Utc>,
    /// How many rows there are in all.
    pub count: i64,
    /// The rows, in the order of `access.csv`.
    pub rows: Vec<Held>,
    /// Where the rows after these begin; none when these are the last.
    pub next: Option<Cursor>,
}

/// An access that somebody had, and why.
#[derive(Clone, Debug)]
pub struct Held {
    /// The person, where it is somebody known here.
    pub person_id: Option<Uuid>,
    /// Their name; of nobody known here the reference in the directory.
    pub person: String,
    /// Their address.
    pub email: Option<String>,
    /// What they were at that moment: `active`, `disabled` or `gone`.
    pub person_status: Option<String>,
    /// Their department at that moment.
    pub department: Option<String>,
    /// The application.
    pub application: String,
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// Its risk.
    pub risk: String,
    /// Key of the directory, and the reference of the group there.
    pub target: String,
    /// When they were given it, or it was first seen.
    pub since: DateTime<Utc>,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// `request`, `pre_existing` or `out_of_band`.
    pub source: String,
    /// The grant.
    pub grant: Option<Uuid>,
    /// The request.
    pub request: Option<Uuid>,
    /// Who approved it: id and name; nobody where a rule did.
    pub approvers: Vec<(Uuid, String)>,
    /// The policy that governed the request: id, key, name and version.
    pub policy: Option<(Uuid, String, String, i32)>,
}

/// Who had access at `at`, or has it now, as far as application, role and person narrow it; for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a cursor that is none of ours; a fault of `as_of` for a moment that has not come.
pub async fn as_of(
    ctx: &Ctx,
    by: &By,
    at: Option<DateTime<Utc>>,
    (application, role, person): (Option<Uuid>, Option<Uuid>, Option<Uuid>),
    after: Option<&Cursor>,
    limit: i64,
) -> Result<AsOf, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let at = moment(ctx, at)?;
    let after = after.map(|cursor| read(cursor).ok_or(ServiceError::Missing)).transpose()?;
    let (count, mut rows) = look_as_of::held(&ctx.db, Narrow { at, application, role, person }, after.as_ref(), limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    let next = rows.last().filter(|_| more).map(written);
    Ok(AsOf { at, count, rows: rows.into_iter().map(held).collect(), next })
}

/// The moment that is asked about: now when there is none.
///
/// # Errors
/// A fault of `as_of` for one that has not come.
pub fn moment(ctx: &Ctx, at: Option<DateTime<Utc>>) -> Result<DateTime<Utc>, Refusal> {
    let now = ctx.clock.now();
    match at {
        Some(at) if at > now => {
            let sentence = "That moment has not come yet, so nobody can say who will have access; choose one up to now.".into();
            Err(Refusal::Faults(vec![FieldFault { field: "as_of".into(), sentence }]))
        }
        at => Ok(at.unwrap_or(now)),
    }
}

fn held(row: HeldRow) -> Held {
    Held {
        person_id: row.id,
        person: row.person.unwrap_or(row.reference),
        email: row.email,
        person_status: row.person_status,
        department: row.department,
        application: row.application,
        role_id: row.role_id,
        role: row.role,
        risk: row.risk,
        target: row.target,
        since: row.since,
        until: row.until,
        source: row.source,
        grant: row.grant_id,
        request: row.request_id,
        approvers: row.approvers.0.into_iter().map(|approver| (approver.id, approver.name)).collect(),
        policy: match (row.policy_id, row.policy_key, row.policy_name, row.policy_version) {
            (Some(id), Some(key), Some(name), Some(version)) => Some((id, key, name, version)),
            _ => None,
        },
    }
}

/// The cursor that begins after `row`: its key, with the reference in hex.
fn written(row: &HeldRow) -> Cursor {
    let person = row.id.map_or_else(|| "-".into(), |id| id.simple().to_string());
    let reference = canonical::hex(row.reference.as_bytes());
    let reference = if row.id.is_some() { String::new() } else { reference };
    Cursor(format!("{person}.{reference}.{}.{}.{}.{}", row.role_id.simple(), row.source, row.since.timestamp_micros(), row.row.simple()))
}

fn read(cursor: &Cursor) -> Option<After> {
    let parts: Vec<&str> = cursor.0.split('.').collect();
    let [person, reference, role, source, since, row] = parts.as_slice() else { return None };
    Some(After {
        person: if *person == "-" { None } else { Some(Uuid::try_parse(person).ok()?) },
        reference: String::from_utf8(leaf::bytes(reference)?).ok().filter(|text| !text.contains('\0'))?,
        role: Uuid::try_parse(role).ok()?,
        source: ["request", "pre_existing", "out_of_band"].into_iter().find(|word| word == source)?.to_owned(),
        since: DateTime::from_timestamp_micros(since.parse().ok()?).filter(|at| at.timestamp().abs() < 253_402_300_800)?,
        row: Uuid::try_parse(row).ok()?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let ids = "01934f2a7c117abc8def0123456789ab";
        let cursor = |text: &str| read(&Cursor(text.into()));
        let known = cursor(&format!("{ids}..{ids}.request.1700000000000000.{ids}")).unwrap();
        assert_eq!((known.person.is_some(), known.reference.as_str(), known.source.as_str()), (true, "", "request"));
        let stranger = cursor(&format!("-.c3a9.{ids}.out_of_band.0.{ids}")).unwrap();
        assert_eq!((stranger.person, stranger.reference.as_str()), (None, "é"));
        for bad in ["", ".....", "x", &format!("-.c3.{ids}.out_of_band.0.{ids}"), &format!("-.00.{ids}.out_of_band.0.{ids}")] {
            assert_eq!(cursor(bad), None, "{bad}");
        }
        for bad in [format!("-.é.{ids}.out_of_band.0.{ids}"), format!("-..{ids}.else.0.{ids}"), format!("-..{ids}.request.9223372036854775807.{ids}")] {
            assert_eq!(cursor(&bad), None, "{bad}");
        }
    }
}
