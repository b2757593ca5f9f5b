//! Holds what somebody has against what they are now.
//!
//! Each live lease is held against the version of the policy that governed it, for whom that is and whom its profile lets in; nothing
//! else of it. What becomes of one whose holder surely does not meet it any more that version says: it is kept, or ends after a grace,
//! with notice, unless they meet it again before. What the directory does not say, or does not answer, takes nothing away.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::eligibility::{Eligibility, Lost, eligible};
use crate::domain::event::Fact;
use crate::domain::grant::EndReason;
use crate::domain::id::PersonId;
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::EligibilityLost;
use crate::store::db::Tx;
use crate::store::grant::{self, GrantRow};
use crate::store::mover::{self, NewLoss};
use crate::store::{catalog, event, notice, person, step_clock, target};

use super::commit::{self, about_grant, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::fetch;

/// How many holders one look sees to; the next goes on.
const BATCH: i64 = 20;
/// When to look again after the directory could not be asked.
const SOON: Duration = Duration::minutes(1);
/// When to look again after the directory did not say.
const UNKNOWN: Duration = Duration::hours(1);

/// How a lease came out.
struct Verdict {
    grant: Uuid,
    then: EligibilityLost,
    owner: Option<PersonId>,
    eligibility: Eligibility,
}

/// Holds every live lease of a person against what their directory has just said of them. Returns how many leases something was done to.
///
/// # Errors
/// [`ServiceError::Unavailable`] when whom they report to cannot be asked; nothing is done then.
pub async fn evaluate(ctx: &Ctx, snapshot: &PersonSnapshot) -> Result<usize, ServiceError> {
    mover::resolve_ended(&ctx.db, snapshot.person, ctx.clock.now()).await?;
    let mut snapshot = snapshot.clone();
    let mut verdicts = Vec::new();
    for id in mover::held_by(&ctx.db, snapshot.person).await? {
        let Some(row) = grant::by_id(&ctx.db, id.into()).await? else { continue };
        let policy = ctx.policies.version(&ctx.db, row.policy_version_id.into()).await?;
        if policy.looks_up() && snapshot.line.is_empty() {
            snapshot.line = fetch::line(ctx, &snapshot).await?;
        }
        let owner = catalog::role_even_retired(&ctx.db, row.role_id.into()).await?.map(|(role, _)| role.owner);
        verdicts.push(Verdict { owner, grant: id, then: policy.eligibility_lost, eligibility: eligible(&policy, &snapshot) });
    }
    let mut done = 0;
    let mut targets = Vec::new();
    let mut tx = ctx.db.begin().await?;
    let now = ctx.clock.now();
    for verdict in verdicts {
        let Some(row) = grant::lock(&mut tx, verdict.grant.into()).await?.filter(|row| row.lease().status.is_live()) else { continue };
        let open = mover::open(&mut tx, row.id.into()).await?;
        match (verdict.eligibility, open) {
            (Eligibility::Holds, Some(loss)) => {
                event::append(&mut tx, &[by_system(about_grant(&row), Fact::GrantEligibilityRestored { rule: loss.rule })]).await?;
                mover::resolve(&mut tx, loss.id, "restored", now).await?;
                let called = step_clock::called(&mut tx, row.request_id.into()).await?;
                tell(&mut tx, &row, &[row.beneficiary_id.into()], &format!("You meet the policy of {} again, so your access stays.", called.role), now).await?;
                done += 1;
            }
            (Eligibility::Lost(lost), None) => {
                lose(&mut tx, &row, (verdict.then, verdict.owner), &lost, now).await?;
                done += 1;
            }
            (Eligibility::Lost(_), Some(loss)) if loss.due_at.is_some_and(|due| due <= now) => {
                grant::end(&mut tx, row.id.into(), EndReason::EligibilityLost, None, None, now).await?;
                event::append(&mut tx, &[by_system(about_grant(&row), Fact::GrantEligibilityLost { rule: loss.rule })]).await?;
                mover::resolve(&mut tx, loss.id, "revoked", now).await?;
                targets.push(row.target_id);
                let called = step_clock::called(&mut tx, row.request_id.into()).await?;
                let told = format!("Your access to {} ended: you no longer meet its policy, and the grace is over.", called.role);
                tell(&mut tx, &row, &[row.beneficiary_id.into()], &told, now).await?;
                done += 1;
            }
            _ => {}
        }
    }
    // What is due and could not be told is looked at again.
    mover::put_off(&mut tx, snapshot.person, now, now + UNKNOWN).await?;
    target::raise(&mut tx, &targets, now).await?;
    commit::commit(tx).await?;
    if !targets.is_empty() {
        ctx.wake.notify_one();
    }
    Ok(done)
}

/// Writes that a lease's holder no longer meets its policy, and tells them and the role's owner.
async fn lose(tx: &mut Tx, row: &GrantRow, (then, owner): (EligibilityLost, Option<PersonId>), lost: &Lost, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let due_at = then.grace().and_then(|grace| grace.after(now));
    let (rule, sentence) = (lost.rule.clone(), lost.sentence.clone());
    let fact = match due_at {
        Some(ends_at) => Fact::GrantEligibilityGrace { rule, sentence, ends_at },
        None => Fact::GrantEligibilityKept { rule, sentence },
    };
    event::append(tx, &[by_system(about_grant(row), fact)]).await?;
    let mover = mover::latest(tx, row.beneficiary_id.into(), &lost.attributes, row.approved_at).await?;
    let new = NewLoss {
        id: new_id(),
        grant: row.id,
        request: row.request_id,
        mover,
        policy_version: row.policy_version_id,
        rule: &lost.rule,
        sentence: if lost.sentence.is_empty() { &lost.rule } else { &lost.sentence },
        due_at,
    };
    mover::lose(tx, &new, now).await?;
    let called = step_clock::called(tx, row.request_id.into()).await?;
    let until = due_at.map(|at| at.format("%-d %b %Y, %H:%M UTC").to_string());
    if let Some(until) = &until {
        let told = format!("You no longer meet the policy of {}, so your access ends on {until}. {}.", called.role, lost.sentence.trim_end_matches('.'));
        tell(tx, row, &[row.beneficiary_id.into()], &told, now).await?;
    }
    if let Some(owner) = owner.filter(|owner| owner.0 != row.beneficiary_id) {
        let then = until.map_or_else(|| "The policy keeps their access.".to_owned(), |until| format!("Their access ends on {until}."));
        let told = format!("{} no longer meets the policy of {}. {then}", called.beneficiary, called.role);
        tell(tx, row, &[owner], &told, now).await?;
    }
    Ok(())
}

async fn tell(tx: &mut Tx, row: &GrantRow, people: &[PersonId], sentence: &str, now: DateTime<Utc>) -> Result<(), ServiceError> {
    Ok(notice::tell(tx, people, "eligibility", Some(row.request_id.into()), sentence, now).await?)
}

/// Ends the leases of people of `directory` whose grace is over, after asking it once more. Returns how many holders were seen to.
///
/// # Errors
/// When the database fails; a holder of whom the directory says nothing now is looked at again.
pub async fn due(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    let mut done = 0;
    for id in mover::due(&ctx.db, directory, ctx.clock.now(), BATCH).await? {
        let person = PersonId(id);
        let Some(row) = person::by_id(&ctx.db, person).await? else { continue };
        let outcome = match fetch::person(ctx, &row).await {
            // Who left loses it by that.
            Ok(snapshot) if !snapshot.active => Ok(0),
            Ok(snapshot) => evaluate(ctx, &snapshot).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(_) => done += 1,
            Err(ServiceError::Unavailable(why)) => {
                tracing::warn!(person = %id, why, "a grace is over, and the directory does not say whether they meet the policy; the access stays")
            }
            Err(other) => return Err(other),
        }
        mover::resolve_ended(&ctx.db, person, ctx.clock.now()).await?;
        let mut tx = ctx.db.begin().await?;
        let now = ctx.clock.now();
        mover::put_off(&mut tx, person, now, now + SOON).await?;
        commit::commit(tx).await?;
    }
    Ok(done)
}

/// Whether anything is to be held against what somebody is: they hold a live lease, or a loss of theirs is open.
///
/// # Errors
/// When the database fails.
pub async fn holds_anything(ctx: &Ctx, person: PersonId) -> Result<bool, ServiceError> {
    Ok(!mover::held_by(&ctx.db, person).await?.is_empty())
}
