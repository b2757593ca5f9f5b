//! Says what asking would do, and writes nothing.

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
    let faults = considered.faults(ask_for);
    let refusal = (!faults.is_empty()).then_some(Refusal::Faults(faults));
    Ok((considered, refusal))
}
