//! A sign-off given elsewhere is noted; it counts for nothing.

use chrono::{DateTime, SubsecRound, Utc};

use crate::domain::act::may_note_sign_off;
use crate::domain::event::{Event, Fact};
use crate::domain::id::RequestId;
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::store::event;

use super::ask::tidy;
use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::overseen::{self, Overseen};

/// The longest name or reference, in characters.
const LONGEST_LINE: usize = 300;

/// A sign-off as somebody writes it down.
#[derive(Clone, Debug, Default)]
pub struct SignOff {
    /// Who gave it.
    pub given_by: String,
    /// When.
    pub given_at: Option<DateTime<Utc>>,
    /// Where it can be looked up: a mail, a recording, a ticket.
    pub reference: String,
    /// What was said.
    pub note: Option<String>,
}

/// Notes a sign-off beside the open request, for whoever takes part in it or oversees it. It opens no step and approves nothing; it is
/// an event and nothing else.
///
/// # Errors
/// [`ServiceError::Missing`] for a request that is not theirs to see; a refusal of [`may_note_sign_off`]; [`Refusal::Faults`].
pub async fn note(ctx: &Ctx, by: &By, id: RequestId, said: &SignOff) -> Result<(), ServiceError> {
    let Overseen { row, deciding, oversees, .. } = overseen::look(ctx, by, id).await?;
    may_note_sign_off(&deciding, by.person, oversees)?;
    let now = ctx.clock.now();
    let mut faults = Vec::new();
    let mut line = |text: &str, field: &str, missing: &str| match tidy(Some(text), field) {
        Ok(Some(line)) if line.chars().count() > LONGEST_LINE => {
            faults.push(FieldFault { field: field.into(), sentence: format!("At most {LONGEST_LINE} characters.") });
            String::new()
        }
        Ok(Some(line)) => line.replace('\n', " "),
        Ok(None) => {
            faults.push(FieldFault { field: field.into(), sentence: missing.into() });
            String::new()
        }
        Err(Refusal::Faults(found)) => {
            faults.extend(found);
            String::new()
        }
        Err(_) => String::new(),
    };
    let given_by = line(&said.given_by, "given_by", "Say who gave it.");
    let reference = line(&said.reference, "reference", "Say where it can be looked up: a mail, a ticket, a recording.");
    let given_at = match said.given_at {
        Some(at) if at <= now && at.timestamp() > 946_684_800 => at.trunc_subsecs(0),
        _ => {
            faults.push(FieldFault { field: "given_at".into(), sentence: "Say when it was given; that lies in the past.".into() });
            now
        }
    };
    let note = tidy(said.note.as_deref(), "note").unwrap_or_else(|refusal| {
        if let Refusal::Faults(found) = refusal {
            faults.extend(found);
        }
        None
    });
    if !faults.is_empty() {
        return Err(Refusal::Faults(faults).into());
    }
    let fact = Fact::SignOffNoted { given_by, given_at, reference, note };
    let mut tx = ctx.db.begin().await?;
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact }]).await?;
    commit::commit(tx).await
}
