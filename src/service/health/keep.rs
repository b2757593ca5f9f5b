//! Looks for dead ends and keeps what was found.

use std::sync::Arc;

use crate::clock::new_id;
use crate::service::commit;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::rule_book;
use crate::store::finding::{self, NewFinding};

use super::check::{Finding, check};

/// Resolves every policy in force for everybody, and puts what was found in the place of what was found before, in one transaction.
/// Returns what was found.
///
/// # Errors
/// As [`check`]; then what was found before stays.
pub async fn keep(ctx: &Ctx) -> Result<Vec<Finding>, ServiceError> {
    let book = rule_book::current(ctx).await?;
    let found = check(ctx, Arc::new(book)).await?;
    let rows: Vec<NewFinding> = found
        .iter()
        .map(|finding| NewFinding {
            id: new_id(),
            policy_version: finding.policy.0,
            role: finding.role.0,
            step: finding.step.clone(),
            kind: finding.kind.word(),
            people: finding.people,
            example: finding.example.0,
            sentence: finding.sentence.clone(),
        })
        .collect();
    let mut tx = ctx.db.begin().await?;
    finding::rewrite(&mut tx, &rows, ctx.clock.now()).await?;
    commit::commit(tx).await?;
    Ok(found)
}
