//! Holds the rules against tests.

use std::collections::BTreeMap;

use crate::clock::new_id;
use crate::directory::facts::ReadError;
use crate::domain::decide::{Ask, Decision, Outcome, Standing};
use crate::domain::id::PersonId;
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::{AccessPolicy, Wanted};
use crate::domain::separation::SeparationRule;
use crate::domain::span::Seconds;
use crate::service::catalog_file::places::{Fault, Placed};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::fetch;
use crate::service::resolve::{self, ResolvedStep};
use crate::service::rule_book::{self, RoleRules, RuleBook};
use crate::store::person;

use super::read::{Expect, Test, read};

/// How one test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// What was expected and did not come, each with what came; empty when all is as expected.
    pub differences: Vec<String>,
    /// What came, in a line.
    pub came: String,
}

/// How a file of tests went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong with the catalog file; nothing was tested then.
    pub catalog_faults: Vec<Fault>,
    /// What is wrong with the file of tests; what has a fault was not tested.
    pub faults: Vec<Fault>,
    /// How each went, in the order of the file.
    pub tests: Vec<Tested>,
}

impl Report {
    /// Whether everything was tested and came as expected.
    pub fn is_good(&self) -> bool {
        self.catalog_faults.is_empty() && self.faults.is_empty() && self.tests.iter().all(|test| test.differences.is_empty())
    }
}

/// Holds the rules in force, or those of the catalog file `catalog`, against the tests in `text`. People are read from the directory
/// now, and who would be asked is found as for a request. Nothing is asked for.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory or the database does not answer.
pub async fn run(ctx: &Ctx, text: &str, catalog: Option<&str>) -> Result<Report, ServiceError> {
    let (tests, faults) = read(text);
    let mut report = Report { faults, ..Report::default() };
    let book = match catalog {
        Some(catalog) => {
            let proposed = rule_book::proposed(ctx, catalog).await?;
            report.catalog_faults = proposed.plan.faults;
            proposed.then
        }
        None => rule_book::current(ctx).await?,
    };
    if !report.catalog_faults.is_empty() {
        return Ok(report);
    }
    let mut people = People { ctx, known: BTreeMap::new() };
    for test in &tests {
        match one(&mut people, &book, test).await? {
            Ok(tested) => report.tests.push(tested),
            Err(faults) => report.faults.extend(faults),
        }
    }
    report.faults.sort();
    Ok(report)
}

/// People as the directory describes them now, each asked for once.
struct People<'a> {
    ctx: &'a Ctx,
    known: BTreeMap<String, Option<PersonSnapshot>>,
}

impl People<'_> {
    async fn find(&mut self, login: &Placed<String>, faults: &mut Vec<Fault>) -> Result<Option<PersonSnapshot>, ServiceError> {
        if !self.known.contains_key(&login.value) {
            let found = self.ask(&login.value).await?;
            self.known.insert(login.value.clone(), found);
        }
        let found = self.known.get(&login.value).cloned().flatten();
        if found.is_none() {
            faults.push(Fault::at(login.at, format!("There is not exactly one person called “{}” in the directory.", login.value)));
        }
        Ok(found)
    }

    async fn ask(&self, login: &str) -> Result<Option<PersonSnapshot>, ServiceError> {
        let (key, directory) = self.ctx.directories.home()?;
        let facts = match directory.find_person("user_name", login).await {
            Ok(Some(facts)) => facts,
            Ok(None) | Err(ReadError::Several { .. }) => return Ok(None),
            Err(error) => return Err(ServiceError::Unavailable(format!("{error} Nothing can be tested without it; try again in a moment."))),
        };
        let row = person::by_references(&self.ctx.db, key, std::slice::from_ref(&facts.reference)).await?.pop();
        // Somebody never seen before is nobody's owner or approver yet.
        let id = PersonId(row.map_or_else(new_id, |row| row.id));
        let mut snapshot = fetch::snapshot(id, key, facts, self.ctx.clock.now());
        snapshot.line = fetch::line(self.ctx, &snapshot).await?;
        Ok(Some(snapshot))
    }
}

/// What came of an ask.
struct Came {
    outcome: Expect,
    rule: String,
    policy: Option<String>,
    steps: Vec<String>,
    asks: Vec<String>,
}

async fn one(people: &mut People<'_>, book: &RuleBook, test: &Test) -> Result<Result<Tested, Vec<Fault>>, ServiceError> {
    let mut faults = Vec::new();
    let requester = people.find(&test.person, &mut faults).await?;
    let beneficiary = match &test.on_behalf_of {
        Some(other) => people.find(other, &mut faults).await?,
        None => requester.clone(),
    };
    let mut role_of = |key: &Placed<String>| {
        let rules = book.by_key(&key.value);
        if rules.is_none() {
            faults.push(Fault::at(key.at, format!("There is no role “{}”; write \"application/role\".", key.value)));
        }
        rules
    };
    let rules = role_of(&test.role);
    let mut held: Vec<_> = test.holds.iter().filter_map(&mut role_of).map(|rules| rules.role.id).collect();
    held.sort();
    let (Some(requester), Some(beneficiary), Some(rules), true) = (requester, beneficiary, rules, faults.is_empty()) else { return Ok(Err(faults)) };
    let for_other = requester.person != beneficiary.person;
    let ask = Ask {
        requester: requester.person,
        beneficiary: beneficiary.person,
        role: rules.role.id,
        risk: rules.role.risk,
        duration: None,
        starts_at: None,
        extension: test.extension,
        emergency: test.emergency,
        review_owed: false,
        standing: Standing {
            manages: for_other && beneficiary.line.iter().any(|above| above.reference == requester.reference),
            owns: [rules.role.owner, rules.role.application_owner].contains(&requester.person),
        },
        held,
    };
    let came = decided(people.ctx, rules, &beneficiary, ask, test).await?;
    Ok(Ok(tested(test, &came)))
}

async fn decided(ctx: &Ctx, rules: &RoleRules, person: &PersonSnapshot, mut ask: Ask, test: &Test) -> Result<Came, ServiceError> {
    let now = ctx.clock.now();
    // Who governs does not depend on how long, and says what is recommended.
    let governing = rules.governing(&rules.decide(person, &ask, now)).cloned();
    ask.duration = test.duration.unwrap_or_else(|| governing.as_ref().map(|policy| recommended(policy, &ask)));
    let mut decision = rules.decide(person, &ask, now);
    let mut came =
        Came { outcome: Expect::NotAccepted, rule: String::new(), policy: governing.as_ref().map(|policy| policy.key.clone()), steps: vec![], asks: vec![] };
    if let Some(sentence) = governing.as_ref().filter(|_| decision.outcome != Outcome::Refused).and_then(|policy| unaccepted(policy, &ask)) {
        came.rule = sentence;
        return Ok(came);
    }
    let mut steps = Vec::new();
    if let Some(policy) = governing.as_deref().filter(|_| decision.outcome == Outcome::NeedsApproval) {
        steps = asked(ctx, rules, policy, &decision, person, &ask).await?;
        let separation: Vec<&SeparationRule> = rules.separation.iter().map(|rule| &**rule).collect();
        let distinct = resolve::distinct_people(&decision.steps, policy, &separation);
        if let Some(why) = resolve::dead_end(&steps, distinct, ask.requester, ask.beneficiary) {
            decision.refuse_dead_end(&why, person, now);
            steps.clear();
            came.rule = format!("{}: {why}", decision.deciding_rule);
        }
    }
    if came.rule.is_empty() {
        came.rule = decision.deciding_rule;
    }
    came.outcome = Expect::Decided(decision.outcome);
    came.steps = steps.iter().map(|step| step.name.clone()).collect();
    came.asks = steps.iter().flat_map(|step| &step.slots).flat_map(|slot| &slot.asked).map(|row| row.user_name.clone()).collect();
    came.asks.sort();
    came.asks.dedup();
    Ok(came)
}

fn recommended(policy: &AccessPolicy, ask: &Ask) -> Seconds {
    let most = policy.maximum(ask.extension, ask.emergency);
    policy.durations.recommended.unwrap_or(most).min(most)
}

/// Why the form would not take the length.
fn unaccepted(policy: &AccessPolicy, ask: &Ask) -> Option<String> {
    let reason = ask.emergency.then_some("a reason that is long enough");
    let wanted = Wanted {
        duration: ask.duration,
        starts_in: None,
        justification: None,
        ticket_reference: None,
        fields: &BTreeMap::new(),
        extension: ask.extension,
        emergency: reason,
    };
    policy.faults(wanted).into_iter().find(|fault| fault.field == "duration").map(|fault| fault.sentence)
}

async fn asked(
    ctx: &Ctx,
    rules: &RoleRules,
    policy: &AccessPolicy,
    decision: &Decision,
    person: &PersonSnapshot,
    ask: &Ask,
) -> Result<Vec<ResolvedStep>, ServiceError> {
    let separation: Vec<&SeparationRule> = rules.separation.iter().map(|rule| &**rule).collect();
    let about = resolve::About { role: &rules.role, requester: ask.requester, beneficiary: person, started_by: None, at_hand: &[] };
    resolve::steps(ctx, &decision.steps, policy, &separation, about).await
}

fn tested(test: &Test, came: &Came) -> Tested {
    let mut differences = Vec::new();
    if came.outcome != test.expect {
        differences.push(format!("expected {}, came {} ({})", test.expect.word(), came.outcome.word(), came.rule));
    }
    if let Some(steps) = test.steps.as_ref().filter(|steps| **steps != came.steps) {
        differences.push(format!("expected steps {}, came {}", listed(steps), listed(&came.steps)));
    }
    let missing: Vec<String> = test.asks.iter().filter(|who| !came.asks.contains(&who.value)).map(|who| who.value.clone()).collect();
    if !missing.is_empty() {
        differences.push(format!("expected {} to be asked, came {}", listed(&missing), listed(&came.asks)));
    }
    if let Some(policy) = test.policy.as_ref().filter(|policy| Some(*policy) != came.policy.as_ref()) {
        differences.push(format!("expected policy {policy}, came {}", came.policy.as_deref().unwrap_or("none")));
    }
    if let Some(rule) = test.rule.as_ref().filter(|rule| !came.rule.contains(rule.as_str())) {
        differences.push(format!("expected a rule with “{rule}”, came “{}”", came.rule));
    }
    let steps = if came.steps.is_empty() { String::new() } else { format!("; steps {}; asks {}", listed(&came.steps), listed(&came.asks)) };
    let by = came.policy.as_ref().map(|policy| format!(" by {policy}")).unwrap_or_default();
    let came = format!("{}{by} ({}){steps}", came.outcome.word(), came.rule);
    Tested { name: test.name.value.clone(), line: test.name.at.line, differences, came }
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() { "none".into() } else { texts.join(", ") }
}
