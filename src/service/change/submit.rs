//! Applies a change, or proposes it.

use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::evidence::canonical;
use crate::service::apply;
use crate::service::commit::commit;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::plan::{self, Plan};
use crate::store::event;
use crate::store::policy_change::{self, NewChange};

use super::review::mark_of;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something is wrong with it; see [`Plan::faults`]. Nothing was changed or proposed.
    Faulty,
    /// The rules are so already.
    Nothing,
    /// It would change something else than what was seen before. Nothing was changed or proposed.
    Moved,
    /// It is in force.
    Applied {
        /// The change.
        change: Uuid,
        /// The event that tells of it.
        event: i64,
    },
    /// It waits for another administrator.
    Proposed(Uuid),
}

/// A change with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// What changes, and what is wrong.
    pub plan: Plan,
    /// What became of it.
    pub outcome: Outcome,
}

/// Makes the rules what `text` says, or proposes that where `policy.require_second_person` is set. `source` is what the log calls
/// it. Whoever calls has made sure that `actor` may change rules: the operator, or an administrator.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory or the database does not answer.
pub async fn submit(ctx: &Ctx, text: (&str, &str), who: (Actor, Channel)) -> Result<Submitted, ServiceError> {
    submit_if(ctx, text, who, None).await
}

/// As [`submit`], if `mark` stands for the text and all that it changes as of now ([`super::review`]); else [`Outcome::Moved`].
///
/// # Errors
/// As [`submit`].
pub async fn submit_seen(ctx: &Ctx, text: (&str, &str), who: (Actor, Channel), mark: &str) -> Result<Submitted, ServiceError> {
    submit_if(ctx, text, who, Some(mark)).await
}

async fn submit_if(ctx: &Ctx, (text, source): (&str, &str), (actor, channel): (Actor, Channel), mark: Option<&str>) -> Result<Submitted, ServiceError> {
    let moved = |plan: &Plan| mark.is_some_and(|mark| mark_of(text, &plan.lines()) != mark);
    if !ctx.changing.require_second_person {
        let applied = apply::run_if(ctx, (text, source), (actor, channel), |plan| !moved(plan)).await?;
        let outcome = match (applied.plan.is_good(), applied.change.zip(applied.event)) {
            (false, _) => Outcome::Faulty,
            (true, None) if moved(&applied.plan) => Outcome::Moved,
            (true, None) => Outcome::Nothing,
            (true, Some((change, event))) => Outcome::Applied { change, event },
        };
        return Ok(Submitted { plan: applied.plan, outcome });
    }
    let plan = plan::run(&ctx.db, &ctx.directories, text).await?;
    if !plan.is_good() {
        return Ok(Submitted { plan, outcome: Outcome::Faulty });
    }
    if moved(&plan) {
        return Ok(Submitted { plan, outcome: Outcome::Moved });
    }
    if apply::is_nothing(&plan) {
        return Ok(Submitted { plan, outcome: Outcome::Nothing });
    }
    let (id, digest, changes) = (new_id(), canonical::digest(text), plan.lines());
    let mut tx = ctx.db.begin().await?;
    let author = actor.person().map(|id| id.0);
    let at = ctx.clock.now();
    policy_change::insert(&mut tx, &NewChange { id, author, source, body: text, digest: &digest, changes: &changes, status: "proposed", at }).await?;
    let fact = Fact::PolicyChangeProposed { change: id, source: source.to_owned(), digest, changes };
    event::append(&mut tx, &[Event { actor, channel, subject: Subject::default(), fact }]).await?;
    commit(tx).await?;
    ctx.wake.notify_one();
    Ok(Submitted { plan, outcome: Outcome::Proposed(id) })
}
