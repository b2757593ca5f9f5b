//! Shows what a set would change, then saves exactly that.

use crate::evidence::canonical;
use crate::service::catalog_export;
use crate::service::catalog_file::places::Fault;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::look::change::DiffLine;
use crate::service::plan::{self, Plan};

use super::submit::{Outcome, submit_seen};

/// What a text would change, and a mark of exactly that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// What it changes.
    pub lines: Vec<DiffLine>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// Stands for the text and all that it changes; whoever sends it back has seen both.
    pub mark: String,
}

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is not what was seen, or has faults: look at this first.
    Look(Review),
    /// It was applied, proposed, or changes nothing.
    Done(Outcome),
}

/// The rules in force as TOML, for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else.
pub async fn text(ctx: &Ctx, by: &By) -> Result<String, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    catalog_export::toml(&ctx.db, &ctx.directories).await
}

/// What `text` would change, for administrators. Changes nothing.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; [`ServiceError::Unavailable`] when the directory or the database does not answer.
pub async fn review(ctx: &Ctx, by: &By, text: &str) -> Result<Review, ServiceError> {
    if !by.is_administrator {
        return Err(ServiceError::Missing);
    }
    Ok(of(text, plan::run(&ctx.db, &ctx.directories, text).await?))
}

/// Saves `text` as an administrator, if `mark` says that they have seen what it changes as of now: it is applied, or proposed where
/// a second person decides.
///
/// # Errors
/// As [`review`].
pub async fn save(ctx: &Ctx, by: &By, (text, source): (&str, &str), mark: &str) -> Result<Saved, ServiceError> {
    let seen = review(ctx, by, text).await?;
    if seen.mark != mark || !seen.faults.is_empty() {
        return Ok(Saved::Look(seen));
    }
    // Somebody may have been faster since: then it is not what was seen, and nothing was done.
    let submitted = submit_seen(ctx, (text, source), (by.actor(), by.channel), mark).await?;
    Ok(match submitted.outcome {
        Outcome::Faulty | Outcome::Moved => Saved::Look(of(text, submitted.plan)),
        done => Saved::Done(done),
    })
}

/// What `plan`, made of `text`, comes to.
pub(in crate::service) fn of(text: &str, plan: Plan) -> Review {
    let lines = plan.lines();
    let mark = mark_of(text, &lines);
    Review { lines: lines.iter().map(|line| DiffLine::of(line)).collect(), faults: plan.faults, mark }
}

/// Stands for a text and all that it changes.
pub(in crate::service) fn mark_of(text: &str, lines: &[String]) -> String {
    canonical::digest(&format!("{}\n{}", canonical::digest(text), lines.join("\n")))
}
