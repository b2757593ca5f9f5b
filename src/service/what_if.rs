//! Decides the requests of a period again under other rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::{StreamExt, pin_mut};
use serde::Serialize;

use crate::domain::decide::{Ask, Decision, Outcome, step_of};
use crate::domain::id::{PersonId, RequestId, RoleId};
use crate::domain::policy::{AccessPolicy, Slot, Wanted};
use crate::domain::separation::SeparationRule;
use crate::store::stored::{self, StoredAsk};

use super::again::{self, Case, Had, Period, Progress};
use super::ask::Inputs;
use super::ctx::Ctx;
use super::error::ServiceError;
use super::rule_book::{RoleRules, RuleBook};

/// What other rules would make of a request, compared with deciding it again under those it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It would be refused, and was not.
    Refused,
    /// It would not be refused, and was.
    Allowed,
    /// It would be approved at once, and went to approvers.
    AutoApproved,
    /// More would be asked: steps are added.
    MoreApprovals,
    /// Fewer would be asked: steps fall away.
    FewerApprovals,
    /// Others would be asked.
    OtherApprovals,
    /// It would have to be asked for otherwise: its length or start is outside the new limits.
    NotAccepted,
    /// The same comes of it, by another policy.
    OtherPolicy,
    /// Nothing changes for it.
    Unchanged,
}

impl Turn {
    /// Every turn, with its word in CSV and its words for people.
    pub const ALL: [(Turn, &'static str, &'static str); 9] = [
        (Self::Refused, "refused", "would be refused"),
        (Self::Allowed, "allowed", "would no longer be refused"),
        (Self::AutoApproved, "auto_approved", "would be auto-approved"),
        (Self::MoreApprovals, "more_approvals", "need another approval"),
        (Self::FewerApprovals, "fewer_approvals", "need fewer approvals"),
        (Self::OtherApprovals, "other_approvals", "ask other approvers"),
        (Self::NotAccepted, "not_accepted", "ask for longer or later than allowed"),
        (Self::OtherPolicy, "other_policy", "are governed by another policy"),
        (Self::Unchanged, "unchanged", "unchanged"),
    ];

    /// The word in CSV and API.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(turn, ..)| *turn == self).map_or("", |(_, word, _)| word)
    }
}

/// How many requests take which turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Counts(pub BTreeMap<Turn, u64>);

impl Counts {
    /// How many take this one.
    pub fn of(&self, turn: Turn) -> u64 {
        self.0.get(&turn).copied().unwrap_or_default()
    }

    /// How many there are in all.
    pub fn all(&self) -> u64 {
        self.0.values().sum()
    }

    fn add(&mut self, turn: Turn) {
        *self.0.entry(turn).or_default() += 1;
    }
}

/// The counts of one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleCounts {
    /// The role.
    pub role: RoleId,
    /// `application/role`; empty when it is not offered any more.
    pub key: String,
    /// Its requests.
    pub counts: Counts,
}

/// A request that would come out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The request.
    pub request: RequestId,
    /// For whom.
    pub beneficiary: PersonId,
    /// Which role.
    pub role: RoleId,
    /// What becomes of it.
    pub turn: Turn,
    /// What the rules it had say: outcome and deciding rule.
    pub then: Arc<str>,
    /// What the other rules say.
    pub now: Arc<str>,
}

/// Requests that would come out otherwise and are kept one by one; past it they are only counted.
pub const MOST_KEPT: usize = 200_000;

/// What other rules would make of the requests of a period.
#[derive(Clone, Debug, Serialize)]
pub struct WhatIf {
    /// From this time on.
    pub from: chrono::DateTime<chrono::Utc>,
    /// Before this time.
    pub to: chrono::DateTime<chrono::Utc>,
    /// All requests.
    pub counts: Counts,
    /// By role, most changed first.
    pub roles: Vec<RoleCounts>,
    /// Each that changes, in order of time; at most [`MOST_KEPT`].
    pub moved: Vec<Moved>,
    /// How many more change and are not in `moved`.
    pub left_out: u64,
    /// Requests whose stored inputs cannot be read; `countersign replay` says why.
    pub unreadable: u64,
}

/// A request judged, off the async threads.
struct Judged {
    request: RequestId,
    beneficiary: PersonId,
    role: RoleId,
    turn: Turn,
    said: Option<(String, String)>,
}

/// Decides the requests made in `period` again under `book`, in memory that the number of changes bounds, on every core. Nothing is
/// asked of the directory: people are as they were when they asked, and roles have the risk that `book` says.
///
/// # Errors
/// When the database fails.
pub async fn what_if(ctx: &Ctx, book: Arc<RuleBook>, period: Period, progress: &Progress) -> Result<WhatIf, ServiceError> {
    progress.of(stored::count(&ctx.db, period).await?.unsigned_abs());
    let rules = book.clone();
    let pages = again::each(ctx, period, move |cases: Vec<Case<StoredAsk>>| cases.iter().map(|case| judge(case, &rules)).collect::<Vec<_>>());
    pin_mut!(pages);
    let mut found = WhatIf { from: period.0, to: period.1, counts: Counts::default(), roles: vec![], moved: vec![], left_out: 0, unreadable: 0 };
    let mut by_role: HashMap<RoleId, Counts> = HashMap::new();
    // Few different things are said of many requests.
    let mut texts: HashMap<String, Arc<str>> = HashMap::new();
    let mut text = |said: String| texts.entry(said).or_insert_with_key(|said| Arc::from(said.as_str())).clone();
    while let Some(page) = pages.next().await {
        let page = page?;
        progress.done(page.len());
        for judged in page {
            let Some(Judged { request, beneficiary, role, turn, said }) = judged else {
                found.unreadable += 1;
                continue;
            };
            found.counts.add(turn);
            by_role.entry(role).or_default().add(turn);
            match said {
                Some((then, now)) if found.moved.len() < MOST_KEPT => {
                    let (then, now) = (text(then), text(now));
                    found.moved.push(Moved { request, beneficiary, role, turn, then, now });
                }
                Some(_) => found.left_out += 1,
                None => {}
            }
        }
    }
    found.roles = by_role
        .into_iter()
        .map(|(role, counts)| RoleCounts { role, key: book.role(role).map(|rules| rules.key.clone()).unwrap_or_default(), counts })
        .collect();
    found.roles.sort_by(|a, b| (b.changed(), &a.key, a.role).cmp(&(a.changed(), &b.key, b.role)));
    Ok(found)
}

impl RoleCounts {
    /// How many of its requests come out otherwise.
    pub fn changed(&self) -> u64 {
        self.counts.all() - self.counts.of(Turn::Unchanged)
    }
}

/// What one side says of a request: its decision, with the rules that it was made under.
struct Side<'a> {
    decision: Decision,
    policies: &'a [Arc<AccessPolicy>],
    separation: &'a [Arc<SeparationRule>],
}

impl Side<'_> {
    fn governing(&self) -> Option<&AccessPolicy> {
        self.policies.iter().find(|policy| Some(policy.id) == self.decision.policy).map(|policy| &**policy)
    }

    /// What each step asks for; nothing when nobody is asked.
    fn asks(&self) -> Vec<&[Slot]> {
        let Some(policy) = self.governing() else { return vec![] };
        if self.decision.outcome != Outcome::NeedsApproval {
            return vec![];
        }
        let separation: Vec<&SeparationRule> = self.separation.iter().map(|rule| &**rule).collect();
        self.decision.steps.iter().filter_map(|planned| step_of(policy, &separation, planned)).map(|(_, step)| step.slots.as_slice()).collect()
    }

    fn said(&self) -> String {
        let by = self.governing().map(|policy| format!(" by {} v{}", policy.key, policy.version)).unwrap_or_default();
        format!("{}{by}: {}", self.decision.outcome.word(), self.decision.deciding_rule)
    }
}

fn judge(case: &Case<StoredAsk>, book: &RuleBook) -> Option<Judged> {
    let (inputs, had) = case.made.as_ref().ok()?;
    let role = RoleId(case.row.role_id);
    let judged = |turn, said| Judged { request: RequestId(case.row.id), beneficiary: PersonId(case.row.beneficiary_id), role, turn, said };
    let rules = book.role(role);
    if rules.is_some_and(|rules| is_same(rules, had, inputs)) {
        return Some(judged(Turn::Unchanged, None));
    }
    let then = Side { decision: had.decide(inputs), policies: &had.policies, separation: &had.separation };
    let Some(rules) = rules else {
        let turn = if then.decision.outcome == Outcome::Refused { Turn::Unchanged } else { Turn::Refused };
        let said = (turn == Turn::Refused).then(|| (then.said(), "refused: the role is not offered".to_owned()));
        return Some(judged(turn, said));
    };
    let ask = Ask { risk: rules.role.risk, ..inputs.ask.clone() };
    let mut now = Side { decision: rules.decide(&inputs.person, &ask, inputs.decided_at), policies: &rules.policies, separation: &rules.separation };
    // Whoever could not be found then, when the same people are asked, is not found now.
    if let Some(why) = &inputs.dead_end
        && now.decision.outcome == Outcome::NeedsApproval
        && undone(&then).asks() == now.asks()
    {
        now.decision.refuse_dead_end(why, &inputs.person, inputs.decided_at);
    }
    let outside = limits(&now, inputs);
    let turn = turn(&then, &now, outside.is_some());
    let said = (turn != Turn::Unchanged).then(|| match outside.filter(|_| turn == Turn::NotAccepted) {
        Some(sentence) => (then.said(), format!("not_accepted: {sentence}")),
        None => (then.said(), now.said()),
    });
    Some(judged(turn, said))
}

/// Whether exactly the same is looked at as then, so that the same comes of it: versions never change.
fn is_same(rules: &RoleRules, had: &Had, inputs: &Inputs) -> bool {
    rules.role.risk == inputs.ask.risk
        && rules.policies.len() == had.policies.len()
        && rules.separation.len() == had.separation.len()
        && rules.policies.iter().zip(&had.policies).all(|(now, then)| now.id == then.id)
        && rules.separation.iter().zip(&had.separation).all(|(now, then)| now.id == then.id)
}

/// What would have been asked, had somebody been there.
fn undone<'a>(refused: &Side<'a>) -> Side<'a> {
    let decision = Decision { outcome: Outcome::NeedsApproval, ..refused.decision.clone() };
    Side { decision, policies: refused.policies, separation: refused.separation }
}

/// Why the governing policy would not take the ask as it is, of its length and start.
fn limits(side: &Side<'_>, inputs: &Inputs) -> Option<String> {
    let policy = side.governing().filter(|_| side.decision.outcome != Outcome::Refused)?;
    let wanted = Wanted {
        duration: inputs.ask.duration,
        starts_in: inputs.ask.starts_at.map(|start| (start - inputs.decided_at).num_seconds()),
        justification: None,
        ticket_reference: None,
        fields: &BTreeMap::new(),
        extension: inputs.ask.extension,
        emergency: None,
    };
    let most = policy.maximum(inputs.ask.extension, inputs.ask.emergency);
    if inputs.ask.emergency && inputs.ask.duration.is_none_or(|asked| asked > most) {
        return Some(format!("The longest is {most}."));
    }
    policy.faults(wanted).into_iter().find(|fault| matches!(fault.field.as_str(), "duration" | "starts_at")).map(|fault| fault.sentence)
}

fn turn(then: &Side<'_>, now: &Side<'_>, outside: bool) -> Turn {
    use Outcome::{AutoApproved, NeedsApproval, Refused};
    match (then.decision.outcome, now.decision.outcome) {
        (Refused, Refused) => Turn::Unchanged,
        // What could not be asked for either is still not had.
        (Refused, _) if outside => Turn::Unchanged,
        (Refused, _) => Turn::Allowed,
        (_, Refused) => Turn::Refused,
        _ if outside => Turn::NotAccepted,
        (NeedsApproval, AutoApproved) => Turn::AutoApproved,
        (AutoApproved, NeedsApproval) => Turn::MoreApprovals,
        (AutoApproved, AutoApproved) => by_policy(then, now),
        (NeedsApproval, NeedsApproval) => {
            let (was, is) = (then.asks(), now.asks());
            if was == is {
                by_policy(then, now)
            } else if holds(&is, &was) {
                Turn::MoreApprovals
            } else if holds(&was, &is) {
                Turn::FewerApprovals
            } else {
                Turn::OtherApprovals
            }
        }
    }
}

fn by_policy(then: &Side<'_>, now: &Side<'_>) -> Turn {
    let key = |side: &Side<'_>| side.governing().map(|policy| policy.key.clone());
    if key(then) == key(now) { Turn::Unchanged } else { Turn::OtherPolicy }
}

/// Whether `all` has every step of `some`, in its order, and more.
fn holds(all: &[&[Slot]], some: &[&[Slot]]) -> bool {
    let mut rest = all.iter();
    all.len() > some.len() && some.iter().all(|step| rest.any(|other| other == step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::ApproverSource;

    #[test]
    fn steps_are_added_only_where_those_there_were_stay_in_their_order() {
        let slot = |source| vec![Slot { approvals: 1, sources: vec![source] }];
        let (manager, owner, above) = (slot(ApproverSource::Manager), slot(ApproverSource::RoleOwner), slot(ApproverSource::ManagersManager));
        let (m, o, a) = (manager.as_slice(), owner.as_slice(), above.as_slice());
        assert!(holds(&[m, o], &[m]) && holds(&[m, a, o], &[m, o]) && holds(&[m], &[]));
        assert!(!holds(&[m], &[m]), "the same is not more");
        assert!(!holds(&[o, m], &[m, o]) && !holds(&[o, m, a], &[m, o]), "another order asks otherwise");
        assert!(!holds(&[m, m], &[m, o]));
    }

    #[test]
    fn every_turn_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<&str> = Turn::ALL
            .iter()
            .map(|(turn, word, _)| {
                assert_eq!(turn.word(), *word);
                *word
            })
            .collect();
        assert_eq!(words.len(), Turn::ALL.len());
        let mut counts = Counts::default();
        [Turn::Refused, Turn::Unchanged, Turn::Refused].into_iter().for_each(|turn| counts.add(turn));
        assert_eq!((counts.of(Turn::Refused), counts.of(Turn::Allowed), counts.all()), (2, 0, 3));
        assert_eq!(serde_json::to_string(&counts).unwrap(), r#"{"refused":2,"unchanged":1}"#);
    }
}
