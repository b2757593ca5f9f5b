//! Random lives of a small company, held against plain arithmetic.
//!
//! [`House`] does with the rules what the services do: it asks them before every act and keeps what they answer. Beside it stands a
//! second account in whole seconds and sets of people, which knows nothing of the rules; after every second the two must agree.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::approval::{Answer, Deciding, Next, SlotState, answer, unfillable};
use super::condition::Operator;
use super::decide::{Outcome, Rules, decide};
use super::grant::{EndReason, Extended, GrantStatus, Lease, end, extend, span, wanted};
use super::id::PersonId;
use super::person::PersonSnapshot;
use super::policy::{AccessPolicy, Durations, Wanted};
use super::request::{RequestStatus, withdraw};
use super::samples::{allow, ask, at, bo, lease_id, policy, someone, when};
use super::span::Seconds;

const PEOPLE: usize = 6;
/// Owns the role, besides whatever else they do.
const OWNER: usize = 5;
const MINIMUM: i64 = 2;
const MAXIMUM: i64 = 20;
const TIME_LIMIT: i64 = 12;

#[derive(Clone, Debug)]
enum Act {
    Ask { requester: usize, beneficiary: usize, lasts: i64, later: Option<i64>, extends: Option<Index> },
    Approve { by: usize, request: Index, granted: Option<i64> },
    Everybody { first: usize, request: Index },
    Extend { lease: Index, lasts: i64 },
    Deny { by: usize, request: Index, comment: bool },
    Withdraw { by: usize, request: Index },
    Wait(i64),
    Confirm,
    End { by: usize, lease: Index, revoke: bool },
    Disable(usize),
    Enable(usize),
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Approval { request: usize, by: usize, step: usize, slot: usize, granted: Option<i64> },
    Denial { request: usize, by: usize, step: usize },
    Closed { request: usize, status: RequestStatus },
    Grant { lease: usize, request: usize },
    Ended { lease: usize },
}

struct Asked {
    requester: usize,
    beneficiary: usize,
    lasts: i64,
    later: Option<i64>,
    extends: Option<usize>,
    deciding: Deciding,
    due: Option<i64>,
}

struct Held {
    lease: Lease,
    request: usize,
    beneficiary: usize,
    /// The second account: to begin, begun, how long, ended.
    from: i64,
    begun: Option<i64>,
    lasts: i64,
    ended: Option<i64>,
    extends: Option<usize>,
}

struct House {
    now: i64,
    policy: AccessPolicy,
    steps: Vec<Vec<SlotState>>,
    people: Vec<PersonSnapshot>,
    requests: Vec<Asked>,
    leases: Vec<Held>,
    log: Vec<Entry>,
}

/// One of the last five of `count`: what is old has had its time.
fn recent(index: Index, count: usize) -> usize {
    count - 1 - index.index(count.min(5))
}

fn number(id: PersonId) -> usize {
    (0..PEOPLE).find(|n| someone(*n) == id).unwrap()
}

impl House {
    fn new(steps: Vec<Vec<SlotState>>, distinct_people: bool) -> Self {
        let mut policy = policy("model", vec![], vec![allow(vec![when("department", Operator::Is, &["Data"])])]);
        policy.durations = Durations { minimum: Seconds(MINIMUM), maximum: Seconds(MAXIMUM), ..policy.durations };
        policy.procedure = policy.procedure.filter(|_| !steps.is_empty());
        if let Some(procedure) = &mut policy.procedure {
            procedure.distinct_people = distinct_people;
        }
        policy.on_behalf.manager = true;
        let people = (0..PEOPLE).map(|n| PersonSnapshot { person: someone(n), ..bo() }).collect();
        Self { now: 0, policy, steps, people, requests: vec![], leases: vec![], log: vec![] }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Ask { requester, beneficiary, lasts, later, extends } => self.ask(requester, beneficiary, lasts, later, extends),
            Act::Approve { by, request, granted } => self.answer(by, request, &Answer::Approve { granted: granted.map(Seconds) }, None),
            Act::Everybody { first, request } => {
                (first..first + 2 * PEOPLE).for_each(|by| self.answer(by % PEOPLE, request, &Answer::Approve { granted: None }, None));
            }
            Act::Extend { lease, lasts } => {
                let active = |held: &&Held| held.lease.status == GrantStatus::Active;
                if let Some((half, beneficiary)) =
                    self.leases.iter().rfind(active).and_then(|held| Some((held.begun? + (held.lasts + 1) / 2, held.beneficiary)))
                {
                    (self.now..half).for_each(|_| self.second());
                    self.ask(beneficiary, beneficiary, lasts, None, Some(lease));
                }
            }
            Act::Deny { by, request, comment } => self.answer(by, request, &Answer::Deny, comment.then_some("no")),
            Act::Withdraw { by, request } => {
                if self.requests.is_empty() {
                    return;
                }
                let request = recent(request, self.requests.len());
                let asked = &self.requests[request].deciding;
                if withdraw(asked.status, asked.requester, asked.beneficiary, someone(by)).is_ok() {
                    self.close(request, RequestStatus::Withdrawn);
                }
            }
            Act::Wait(seconds) => (0..seconds).for_each(|_| self.second()),
            Act::Confirm => self.confirm(),
            Act::End { by, lease, revoke } => {
                if !self.leases.is_empty() {
                    let lease = recent(lease, self.leases.len());
                    let allowed = end(&self.leases[lease].lease, someone(by), by == OWNER, revoke);
                    if let Ok(reason) = allowed {
                        assert_eq!(reason == EndReason::Returned, by == self.leases[lease].beneficiary && !revoke);
                        self.end(lease);
                    }
                }
            }
            Act::Disable(who) => self.people[who].active = false,
            Act::Enable(who) => self.people[who].active = true,
        }
    }

    fn ask(&mut self, mut requester: usize, mut beneficiary: usize, lasts: i64, later: Option<i64>, extends: Option<Index>) {
        let now = at(self.now);
        let extends = extends.filter(|_| !self.leases.is_empty()).map(|index| recent(index, self.leases.len()));
        if let Some(lease) = extends {
            beneficiary = self.leases[lease].beneficiary;
            requester = beneficiary;
        }
        let ask = super::decide::Ask {
            requester: someone(requester),
            beneficiary: someone(beneficiary),
            standing: super::decide::Standing { manages: true, owns: false },
            duration: Some(Seconds(lasts)),
            starts_at: later.map(|l| at(self.now + l)),
            ..ask()
        };
        let decision = decide(Rules { policies: &[&self.policy], separation: &[] }, &self.people[beneficiary], &ask, now);
        let wants = Wanted {
            duration: ask.duration,
            starts_in: later,
            justification: Some("for the model"),
            ticket_reference: None,
            fields: &BTreeMap::new(),
            extension: extends.is_some(),
            emergency: None,
        };
        let dead_end = unfillable(&self.steps, ask.requester, ask.beneficiary, self.policy.procedure.as_ref().is_none_or(|p| p.distinct_people));
        if decision.outcome == Outcome::Refused || !self.policy.faults(wants).is_empty() || dead_end.is_some() {
            return;
        }
        if let Some(lease) = extends {
            let held = &self.leases[lease];
            let already = self.leases.iter().any(|other| other.extends == Some(lease) && other.ended.is_none());
            if extend(&held.lease, self.policy.extension.as_ref(), Extended { already, ..Extended::default() }, now).is_err() {
                return;
            }
        }
        let deciding = Deciding {
            requester: ask.requester,
            beneficiary: ask.beneficiary,
            status: RequestStatus::Pending,
            step_no: 1,
            steps: self.steps.clone(),
            distinct_people: self.policy.procedure.as_ref().is_none_or(|p| p.distinct_people),
            comment_to_deny: true,
            duration: ask.duration,
            granted: None,
            minimum: self.policy.durations.minimum,
        };
        self.requests.push(Asked { requester, beneficiary, lasts, later: later.map(|l| self.now + l), extends, deciding, due: Some(self.now + TIME_LIMIT) });
        if decision.outcome == Outcome::AutoApproved {
            self.close(self.requests.len() - 1, RequestStatus::Approved);
            self.grant(self.requests.len() - 1);
        }
    }

    fn answer(&mut self, by: usize, request: Index, given: &Answer, comment: Option<&str>) {
        if self.requests.is_empty() || !self.people[by].active {
            return;
        }
        let request = recent(request, self.requests.len());
        let asked = &mut self.requests[request];
        let Ok(answered) = answer(&asked.deciding, someone(by), given, comment) else { return };
        let step = asked.deciding.step_no;
        let Answer::Approve { granted } = given else {
            self.log.push(Entry::Denial { request, by, step });
            return self.close(request, RequestStatus::Denied);
        };
        let ask = super::decide::Ask { requester: asked.deciding.beneficiary, beneficiary: asked.deciding.beneficiary, ..ask() };
        if decide(Rules { policies: &[&self.policy], separation: &[] }, &self.people[asked.beneficiary], &ask, at(self.now)).outcome == Outcome::Refused {
            return;
        }
        asked.deciding.steps[step - 1][answered.slot_no - 1].approved_by.push(someone(by));
        asked.deciding.granted = answered.granted;
        self.log.push(Entry::Approval { request, by, step, slot: answered.slot_no, granted: granted.map(|g| g.0) });
        match answered.next {
            Next::Waiting => {}
            Next::Step(next) => {
                asked.deciding.step_no = next;
                asked.due = Some(self.now + TIME_LIMIT);
            }
            Next::Approved => {
                self.close(request, RequestStatus::Approved);
                self.grant(request);
            }
            Next::Denied => unreachable!("an approval denies nothing"),
        }
    }

    fn close(&mut self, request: usize, status: RequestStatus) {
        self.requests[request].deciding.status = status;
        self.requests[request].due = None;
        self.log.push(Entry::Closed { request, status });
    }

    fn grant(&mut self, request: usize) {
        let asked = &self.requests[request];
        let duration = asked.deciding.granted.or(asked.deciding.duration);
        let extended = asked.extends.map(|lease| &self.leases[lease]);
        let extends_until = extended.and_then(|held| held.ended.map(at).or(held.lease.ends_at));
        let (starts_at, ends_at) = span(at(self.now), duration, asked.later.map(at), extends_until);
        let status = if starts_at > at(self.now) { GrantStatus::Scheduled } else { GrantStatus::Provisioning };
        let until = extended.map(|held| held.ended.unwrap_or(held.begun.unwrap_or(held.from) + held.lasts));
        self.leases.push(Held {
            lease: Lease { id: lease_id(self.leases.len()), beneficiary: asked.deciding.beneficiary, status, duration, starts_at, ends_at, verified_at: None },
            request,
            beneficiary: asked.beneficiary,
            from: self.now.max(asked.later.unwrap_or(0)).max(until.unwrap_or(0)),
            begun: None,
            lasts: self.granted(request),
            ended: None,
            extends: asked.extends,
        });
        self.log.push(Entry::Grant { lease: self.leases.len() - 1, request });
    }

    /// The second account of how long was approved: the least of what was asked for and what any approver chose.
    fn granted(&self, request: usize) -> i64 {
        let chosen = self.log.iter().filter_map(|entry| match entry {
            Entry::Approval { request: of, granted, .. } if *of == request => *granted,
            _ => None,
        });
        chosen.fold(self.requests[request].lasts, i64::min)
    }

    fn end(&mut self, lease: usize) {
        self.leases[lease].lease.status = GrantStatus::Revoking;
        self.leases[lease].ended = Some(self.now);
        self.log.push(Entry::Ended { lease });
    }

    /// The directory confirms everything that is being delivered, and every removal.
    fn confirm(&mut self) {
        for held in &mut self.leases {
            match held.lease.status {
                GrantStatus::Provisioning | GrantStatus::Verifying => {
                    let (starts_at, ends_at) = held.lease.begun(at(self.now));
                    held.lease = Lease { status: GrantStatus::Active, starts_at, ends_at, verified_at: Some(at(self.now)), ..held.lease.clone() };
                    held.begun = Some(self.now);
                }
                GrantStatus::Revoking => held.lease.status = GrantStatus::Ended,
                _ => {}
            }
        }
    }

    /// A second passes, and what is due at its end is done.
    fn second(&mut self) {
        self.now += 1;
        for lease in 0..self.leases.len() {
            let row = &mut self.leases[lease].lease;
            if row.status == GrantStatus::Scheduled && row.starts_at <= at(self.now) {
                row.status = GrantStatus::Provisioning;
            }
            if row.is_over(at(self.now)) {
                self.end(lease);
            }
        }
        for request in 0..self.requests.len() {
            if self.requests[request].due.is_some_and(|due| due <= self.now) {
                self.close(request, RequestStatus::TimedOut);
            }
        }
        self.check();
    }

    fn check(&self) {
        let mut closed: BTreeMap<usize, RequestStatus> = BTreeMap::new();
        let mut approvals: BTreeMap<usize, Vec<(usize, usize, usize)>> = BTreeMap::new();
        let mut ended = Vec::new();
        for entry in &self.log {
            match entry {
                Entry::Approval { request, by, step, .. } | Entry::Denial { request, by, step } => {
                    let asked = &self.requests[*request];
                    assert!(*by != asked.requester && *by != asked.beneficiary, "somebody decided on their own");
                    assert!(self.steps[*step - 1].iter().any(|slot| slot.seat(someone(*by)).is_some()), "somebody decided who was not asked");
                    assert!(!closed.contains_key(request), "somebody decided what was closed");
                    if let Entry::Approval { slot, .. } = entry {
                        approvals.entry(*request).or_default().push((*step, *slot, *by));
                    }
                }
                Entry::Closed { request, status } => assert_eq!(closed.insert(*request, *status), None, "closed stays closed"),
                Entry::Grant { lease, request } => {
                    assert_eq!(closed.get(request), Some(&RequestStatus::Approved), "a grant without an approval before it");
                    self.check_approved(*request, approvals.get(request).map_or(&[], Vec::as_slice));
                    assert_eq!((self.leases[*lease].request, self.leases[*lease].beneficiary), (*request, self.requests[*request].beneficiary));
                }
                Entry::Ended { lease } => {
                    assert!(!ended.contains(lease), "it ended twice");
                    ended.push(*lease);
                }
            }
        }
        for (n, request) in self.requests.iter().enumerate() {
            assert_eq!(closed.get(&n).copied().unwrap_or(RequestStatus::Pending), request.deciding.status);
            assert!(request.due.is_none_or(|due| due > self.now), "open past its limit");
        }
        for (n, held) in self.leases.iter().enumerate() {
            let lease = &held.lease;
            assert_eq!(lease.status.is_live(), !ended.contains(&n), "ended stays ended");
            assert_eq!(lease.duration, Some(Seconds(held.lasts)));
            assert!((MINIMUM..=MAXIMUM).contains(&held.lasts) && held.lasts <= self.requests[held.request].lasts, "longer than policy or ask allow");
            assert_eq!(lease.ends_at, Some(lease.starts_at + chrono::Duration::seconds(held.lasts)));
            assert!(held.begun.is_none_or(|begun| lease.starts_at == at(begun)) && lease.starts_at >= at(held.from));
            assert!(held.begun.is_none_or(|begun| held.ended.unwrap_or(self.now) - begun <= held.lasts), "it outlived its time");
        }
        for person in 0..PEOPLE {
            let leases: Vec<Lease> = self.leases.iter().filter(|held| held.beneficiary == person).map(|held| held.lease.clone()).collect();
            let covered = self.leases.iter().any(|held| {
                let until = held.ended.or(held.begun.map(|begun| begun + held.lasts));
                held.beneficiary == person && held.from <= self.now && until.is_none_or(|until| self.now < until)
            });
            assert_eq!(wanted(&leases, at(self.now)), covered, "person {person} at {}", self.now);
        }
    }

    fn check_approved(&self, request: usize, approvals: &[(usize, usize, usize)]) {
        let distinct = self.requests[request].deciding.distinct_people;
        for (s, step) in self.steps.iter().enumerate() {
            for (l, slot) in step.iter().enumerate() {
                let by: Vec<usize> = approvals.iter().filter(|(step, slot, _)| (*step, *slot) == (s + 1, l + 1)).map(|(_, _, by)| *by).collect();
                assert_eq!(by.len(), slot.approvals as usize, "a slot without its count");
                assert!(by.iter().all(|by| slot.asked.iter().any(|asked| number(asked.person) == *by)));
            }
            let mut people: Vec<usize> = approvals.iter().filter(|(step, ..)| distinct || *step == s + 1).map(|(_, _, by)| *by).collect();
            let count = people.len();
            people.sort_unstable();
            people.dedup();
            assert_eq!(people.len(), count, "one person counted twice");
        }
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    let who = 0..PEOPLE;
    prop_oneof![
        4 => (who.clone(), who.clone(), any::<bool>(), 0..MAXIMUM + 3, prop::option::weighted(0.3, -1i64..10), prop::option::weighted(0.5, any::<Index>()))
            .prop_map(|(requester, beneficiary, own, lasts, later, extends)| Act::Ask { requester: if own { beneficiary } else { requester }, beneficiary, lasts, later, extends }),
        12 => (who.clone(), any::<Index>(), prop::option::weighted(0.3, 0..MAXIMUM + 3)).prop_map(|(by, request, granted)| Act::Approve { by, request, granted }),
        2 => (any::<Index>(), MINIMUM..=MAXIMUM).prop_map(|(lease, lasts)| Act::Extend { lease, lasts }),
        3 => (who.clone(), any::<Index>()).prop_map(|(first, request)| Act::Everybody { first, request }),
        3 => (who.clone(), any::<Index>(), any::<bool>()).prop_map(|(by, request, comment)| Act::Deny { by, request, comment }),
        1 => (who.clone(), any::<Index>()).prop_map(|(by, request)| Act::Withdraw { by, request }),
        5 => (1i64..8).prop_map(Act::Wait),
        5 => Just(Act::Confirm),
        2 => (who.clone(), any::<Index>(), any::<bool>()).prop_map(|(by, lease, revoke)| Act::End { by, lease, revoke }),
        1 => who.clone().prop_map(Act::Disable),
        2 => who.prop_map(Act::Enable),
    ]
}

fn any_steps() -> impl Strategy<Value = Vec<Vec<SlotState>>> {
    let asked = prop::sample::subsequence((0..PEOPLE).map(someone).collect::<Vec<_>>(), 2..=PEOPLE);
    let slot = (1u32..=2, asked).prop_map(|(approvals, asked)| SlotState::asking(approvals, asked));
    prop::collection::vec(prop::collection::vec(slot, 1..=2), 0..=2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_people_do_and_in_whatever_order_the_promises_hold(steps in any_steps(), distinct in any::<bool>(), acts in prop::collection::vec(any_act(), 1..80)) {
        let mut house = House::new(steps, distinct);
        for act in acts {
            house.act(act);
            house.check();
        }
        // And then nobody does anything: all that has begun ends by itself.
        house.confirm();
        (0..3 * MAXIMUM).for_each(|_| {
            house.second();
            house.confirm();
        });
        (0..MAXIMUM).for_each(|_| house.second());
        assert!(house.requests.iter().all(|request| !request.deciding.status.is_open()));
        assert!(house.leases.iter().all(|held| !held.lease.status.is_live()), "something never ends");
    }
}

#[test]
fn random_lives_reach_what_the_promises_are_about() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut grants, mut extended, mut two_steps, mut denied, mut timed_out, mut ended) = (0, 0, 0, 0, 0, 0);
    for _ in 0..400 {
        let (steps, acts) = (any_steps(), prop::collection::vec(any_act(), 1..80)).new_tree(&mut runner).unwrap().current();
        let deep = steps.len() > 1;
        let mut house = House::new(steps, true);
        acts.into_iter().for_each(|act| house.act(act));
        grants += house.leases.len();
        extended += house.leases.iter().filter(|held| held.extends.is_some()).count();
        two_steps += if deep { house.leases.len() } else { 0 };
        let closed = |wanted| house.requests.iter().filter(|request| request.deciding.status == wanted).count();
        denied += closed(RequestStatus::Denied);
        timed_out += closed(RequestStatus::TimedOut);
        ended += house.leases.iter().filter(|held| held.ended.is_some()).count();
    }
    for (what, count) in
        [("grants", grants), ("extensions", extended), ("grants after two steps", two_steps), ("denials", denied), ("time-outs", timed_out), ("ends", ended)]
    {
        assert!(count >= 20, "random lives hardly ever come to {what}: {count}");
    }
}
