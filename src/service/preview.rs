//! Says what asking would do, and writes nothing.

use crate::domain::policy::Wanted;
use crate::domain::refusal::Refusal;

use super::ask::{AskFor, Considered, consider};
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// What asking would do now, with everything wrong about the fields. The very function that the act runs.
///
/// # Errors
/// As [`consider`].
pub async fn preview(ctx: &Ctx, by: &By, ask_for: &AskFor) -> Result<(Considered, Option<Refusal>), ServiceError> {
    let considered = consider(ctx, by, ask_for).await?;
    let faults = considered
        .policy
        .as_ref()
        .map(|policy| {
            policy.faults(Wanted {
                duration: ask_for.duration,
                justification: ask_for.justification.as_deref(),
                ticket_reference: ask_for.ticket_reference.as_deref(),
            })
        })
        .unwrap_or_default();
    let refusal = (!faults.is_empty()).then_some(Refusal::Faults(faults));
    Ok((considered, refusal))
}
