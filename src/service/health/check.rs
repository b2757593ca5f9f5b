//! Resolves every policy for everybody who may ask.
//!
//! Ten thousand people times two thousand roles are not decided one by one. Roles with the same rules are one lane; in a lane people
//! for whom every condition comes out alike take the same paths; and of a path only who asks and who manages them is looked at anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::decide::PlannedStep;
use crate::domain::id::{PersonId, PolicyVersionId, RoleId};
use crate::domain::policy::AccessPolicy;
use crate::domain::separation::SeparationRule;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::rule_book::{RoleRules, RuleBook};

use super::ask::{Path, paths};
use super::condition::{Conditions, Mask, masked, of_policy, of_separation};
use super::crowd::Crowd;
use super::fill::{Kind, Steps};

/// A step of a policy that some people's requests cannot take, or hardly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The version of the policy.
    pub policy: PolicyVersionId,
    /// Its key.
    pub policy_key: String,
    /// The role.
    pub role: RoleId,
    /// `application/role`.
    pub role_key: String,
    /// The step's name; of a procedure without a step that applies, the procedure's.
    pub step: String,
    /// Which step of which procedure; none when none applies.
    pub planned: Option<PlannedStep>,
    /// What is wrong.
    pub kind: Kind,
    /// How many people who may ask it is wrong for.
    pub people: u32,
    /// One of them.
    pub example: PersonId,
    /// Which of their asks, where it is not all ("for 8 hours").
    pub ask: String,
    /// All of it, for people.
    pub sentence: String,
}

/// Roles with the same rules, and the people and asks seen for them.
struct Lane<'a> {
    rules: &'a RoleRules,
    mask: Mask,
    sites: Vec<Site<'a>>,
}

/// Roles of a lane with the same owners.
struct Site<'a> {
    roles: Vec<&'a RoleRules>,
}

/// What was found for one site: by policy, step and kind, how many people and the first of them.
type Found = BTreeMap<(usize, usize, PolicyVersionId, Option<(String, i32, usize)>, Kind), (u32, u32, String)>;

/// Resolves every policy of `book` for every active person who may ask, with everybody as last seen; on every core.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory cannot say which groups conditions name; otherwise when the database fails.
pub async fn check(ctx: &Ctx, book: Arc<RuleBook>) -> Result<Vec<Finding>, ServiceError> {
    let conditions: Vec<_> = book.roles.iter().flat_map(|rules| rules.policies.iter().flat_map(|policy| of_policy(policy))).collect();
    let exceptions = book.roles.iter().flat_map(|rules| rules.separation.iter().flat_map(|rule| of_separation(rule)));
    let mut distinct: Vec<_> = conditions.into_iter().chain(exceptions).collect();
    distinct.sort_by(|a, b| (&a.attribute, a.operator.word(), &a.values).cmp(&(&b.attribute, b.operator.word(), &b.values)));
    distinct.dedup();
    let crowd = Crowd::load(ctx, &distinct).await?;
    let now = ctx.clock.now();
    tokio::task::spawn_blocking(move || look(&book, &crowd, now))
        .await
        .map_err(|error| ServiceError::Unavailable(format!("The look at who could approve stopped: {error}.")))
}

/// The same of people who are at hand.
pub fn look(book: &RuleBook, crowd: &Crowd, now: DateTime<Utc>) -> Vec<Finding> {
    let mut conditions = Conditions::default();
    let lanes = lanes(book, &mut conditions);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let all = u32::try_from(crowd.people.len()).unwrap_or(u32::MAX);
    let mut found = Found::new();
    std::thread::scope(|scope| {
        let (lanes, conditions) = (&lanes, &conditions);
        // Every so-manieth person to each thread: whoever was hired together is alike, and costs alike.
        let threads: Vec<_> = (0..cores).map(|core| scope.spawn(move || part(lanes, conditions, crowd, (core as u32..all).step_by(cores), now))).collect();
        for thread in threads {
            for (key, (people, example, ask)) in thread.join().unwrap_or_default() {
                let entry = found.entry(key).or_insert_with(|| (0, example, ask.clone()));
                entry.0 += people;
                if example < entry.1 {
                    (entry.1, entry.2) = (example, ask);
                }
            }
        }
    });
    findings(&lanes, crowd, found)
}

fn lanes<'a>(book: &'a RuleBook, conditions: &mut Conditions<'a>) -> Vec<Lane<'a>> {
    let mut lanes: Vec<Lane<'a>> = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    let mut sites: HashMap<_, usize> = HashMap::new();
    for rules in &book.roles {
        let policies: Vec<PolicyVersionId> = rules.policies.iter().map(|policy| policy.id).collect();
        // A separation rule says other things of each role it names.
        let apart = rules.separation.iter().any(|rule| rule.procedure.is_some()).then_some(rules.role.id);
        let lane = *places.entry((policies, rules.role.risk.word(), apart)).or_insert_with(|| {
            let looked_at = rules.policies.iter().flat_map(|policy| of_policy(policy)).chain(rules.separation.iter().flat_map(|rule| of_separation(rule)));
            lanes.push(Lane { rules, mask: conditions.mask(looked_at), sites: vec![] });
            lanes.len() - 1
        });
        let role = &rules.role;
        let site = *sites.entry((lane, role.owner, role.application_owner, &role.directory)).or_insert_with(|| {
            lanes[lane].sites.push(Site { roles: vec![] });
            lanes[lane].sites.len() - 1
        });
        lanes[lane].sites[site].roles.push(rules);
    }
    lanes
}

/// What a worker remembers of a lane.
#[derive(Default)]
struct Memory {
    /// By how the conditions come out: the paths, by their place in `known`.
    paths: HashMap<Box<[u64]>, Vec<usize>>,
    known: Vec<Known>,
    /// By site and path: the people found.
    steps: HashMap<(usize, usize), Steps>,
    /// The steps met so far, each with the policy that asks for it; none where no step applies.
    met: Vec<(PolicyVersionId, Option<PlannedStep>)>,
    /// By site, step met and kind: how many people, the first of them, and the path.
    found: HashMap<(usize, usize, Kind), (u32, u32, usize)>,
}

/// A path, and the places of its steps in `met`.
struct Known {
    path: Path,
    met: Vec<usize>,
}

impl Memory {
    fn learn(&mut self, path: Path) -> usize {
        if let Some(there) = self.known.iter().position(|known| known.path == path) {
            return there;
        }
        let steps: Vec<Option<PlannedStep>> = if path.steps.is_empty() { vec![None] } else { path.steps.iter().cloned().map(Some).collect() };
        let mut met = Vec::with_capacity(steps.len());
        for step in steps {
            let step = (path.policy, step);
            met.push(self.met.iter().position(|there| *there == step).unwrap_or(self.met.len()));
            if met.last() == Some(&self.met.len()) {
                self.met.push(step);
            }
        }
        self.known.push(Known { path, met });
        self.known.len() - 1
    }
}

fn part(lanes: &[Lane<'_>], conditions: &Conditions<'_>, crowd: &Crowd, people: impl Iterator<Item = u32>, now: DateTime<Utc>) -> Found {
    let mut memories: Vec<Memory> = lanes.iter().map(|_| Memory::default()).collect();
    let (mut key, mut once) = (Vec::new(), Vec::new());
    for number in people.filter(|number| crowd.is_active(*number)) {
        let person = &crowd.people[number as usize];
        let bits = conditions.bits(person);
        for (lane, memory) in lanes.iter().zip(&mut memories) {
            masked(&bits, &lane.mask, &mut key);
            if !memory.paths.contains_key(key.as_slice()) {
                let places = paths(lane.rules, person, now).into_iter().map(|path| memory.learn(path)).collect();
                memory.paths.insert(key.as_slice().into(), places);
            }
            let Memory { paths, known, steps, found, .. } = memory;
            let Some(taken) = paths.get(key.as_slice()) else { continue };
            for site in 0..lane.sites.len() {
                // Several asks of one person run into the same step: they are one person.
                once.clear();
                for at in taken {
                    let way = &known[*at];
                    let here = steps.entry((site, *at)).or_insert_with(|| find(&way.path, lane, site, crowd));
                    for (step, kind) in here.faults(crowd, number).iter() {
                        let fault = (site, way.met.get(*step).copied().unwrap_or_default(), *kind);
                        if once.contains(&fault) {
                            continue;
                        }
                        once.push(fault);
                        found.entry(fault).or_insert((0, number, *at)).0 += 1;
                    }
                }
            }
        }
    }
    let mut all = Found::new();
    for (lane, memory) in memories.into_iter().enumerate() {
        for ((site, met, kind), (people, example, path)) in memory.found {
            let (policy, planned) = memory.met[met].clone();
            let planned = planned.map(|planned| (planned.procedure, planned.version, planned.position));
            all.insert((lane, site, policy, planned, kind), (people, example, memory.known[path].path.ask.clone()));
        }
    }
    all
}

/// The people for the steps of `path`, for the roles of one site.
fn find(path: &Path, lane: &Lane<'_>, site: usize, crowd: &Crowd) -> Steps {
    if path.steps.is_empty() {
        return Steps::lacking();
    }
    let role = lane.sites.get(site).and_then(|site| site.roles.first()).map_or(&lane.rules.role, |rules| &rules.role);
    let separation: Vec<&SeparationRule> = lane.rules.separation.iter().map(|rule| &**rule).collect();
    let policy = lane.rules.policies.iter().find(|policy| policy.id == path.policy);
    policy.map_or_else(Steps::none, |policy| Steps::of(&path.steps, policy, &separation, role, crowd))
}

fn findings(lanes: &[Lane<'_>], crowd: &Crowd, found: Found) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ((lane, site, policy_id, planned, kind), (people, example, ask)) in found {
        let lane = &lanes[lane];
        let Some(policy) = lane.rules.policies.iter().find(|policy| policy.id == policy_id) else { continue };
        let planned = planned.map(|(procedure, version, position)| PlannedStep { procedure, version, position });
        let example = &crowd.people[example as usize];
        let (step, whom) = named(policy, lane.rules, planned.as_ref());
        let sentence = sentence(kind, &step, &whom, people, &example.display_name, &ask);
        for rules in &lane.sites[site].roles {
            findings.push(Finding {
                policy: policy_id,
                policy_key: policy.key.clone(),
                role: rules.role.id,
                role_key: rules.key.clone(),
                step: step.clone(),
                planned: planned.clone(),
                kind,
                people,
                example: example.person,
                ask: ask.clone(),
                sentence: sentence.clone(),
            });
        }
    }
    findings.sort_by(|a, b| (a.kind, &a.policy_key, &a.role_key, &a.step).cmp(&(b.kind, &b.policy_key, &b.role_key, &b.step)));
    findings
}

/// The name of a step, and whom it asks.
fn named(policy: &AccessPolicy, rules: &RoleRules, planned: Option<&PlannedStep>) -> (String, String) {
    let separation: Vec<&SeparationRule> = rules.separation.iter().map(|rule| &**rule).collect();
    match planned.and_then(|planned| crate::domain::decide::step_of(policy, &separation, planned)) {
        Some((_, step)) => {
            let count = |slot: &crate::domain::policy::Slot| if slot.approvals > 1 { format!("{} of ", slot.approvals) } else { String::new() };
            let whom: Vec<String> = step.slots.iter().map(|slot| format!("{}{}", count(slot), slot.label())).collect();
            (step.name.clone(), whom.join(" and "))
        }
        None => (policy.procedure.as_ref().map(|procedure| procedure.name.clone()).unwrap_or_else(|| policy.name.clone()), String::new()),
    }
}

fn sentence(kind: Kind, step: &str, whom: &str, people: u32, example: &str, ask: &str) -> String {
    let whose = match people {
        1 => format!("{example} may ask {ask}"),
        n => format!("{n} people may ask, {example} among them ({ask})"),
    };
    match kind {
        Kind::Nobody => format!("{whose}, and nobody is left to take step “{step}”: it asks {whom}."),
        Kind::Unresolvable => format!("{whose}, and no step of “{step}” applies: it is refused."),
        Kind::OnlyTheAsker => format!("{whose}, and only they themselves could take step “{step}”, which asks {whom}; nobody decides on their own request."),
        Kind::SinglePerson => format!("{whose}, and a single person could take step “{step}”: it asks {whom}, and nobody stands in."),
    }
}
