//! Random lives of a small company, held against plain arithmetic.
//!
//! [`House`] does with the rules what the services do: it asks them before every act and keeps what they answer. Beside it stands a
//! second account in whole seconds and sets of people (`check.rs`), which knows nothing of the rules; after every second the two must
//! agree.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::act::{Review, may_answer_question, may_ask_question, may_nudge, may_reassign, may_review};
use super::approval::{Answer, Deciding, Next, answer};
use super::condition::Operator;
use super::deadline::{Pause, StepClock, What, due};
use super::decide::{Ask, Outcome, Rules, Standing, decide};
use super::delegation::{Delegation, stand_ins, still_stands_in};
use super::grant::{EndReason, Extended, GrantStatus, Lease, end, extend, span};
use super::id::PersonId;
use super::person::PersonSnapshot;
use super::policy::{AccessPolicy, Durations, Emergency, Extension, Wanted};
use super::request::{RequestStatus, withdraw};
use super::samples::{allow, ask, at, bo, lease_id, policy, someone, when};
use super::slot::{ActingAs, Seat, SlotState, unfillable};
use super::span::Seconds;

mod check;

const PEOPLE: usize = 6;
/// Owns the role, besides whatever else they do.
const OWNER: usize = 5;
const MINIMUM: i64 = 2;
const MAXIMUM: i64 = 20;
const LONGEST_EXTENSION: i64 = 10;
const EXTENSIONS: u32 = 2;
const LONGEST_EMERGENCY: i64 = 5;
const TIME_LIMIT: i64 = 12;
const REMIND_EVERY: i64 = 5;
const ESCALATION_LIMIT: i64 = 6;

#[derive(Clone, Debug)]
enum Act {
    Ask { requester: usize, beneficiary: usize, lasts: i64, later: Option<i64>, extends: Option<Index> },
    Emergency { who: usize, lasts: i64 },
    Review { by: usize, request: Index },
    Approve { by: usize, request: Index, granted: Option<i64> },
    Everybody { first: usize, request: Index },
    Extend { lease: Index, lasts: i64 },
    Decline { lease: Index },
    Deny { by: usize, request: Index, comment: bool },
    Withdraw { by: usize, request: Index },
    AskQuestion { by: usize, request: Index },
    AnswerQuestion { by: usize, request: Index },
    Reassign { by: usize, to: usize, request: Index },
    Nudge { by: usize, request: Index },
    Delegate { by: usize, to: usize, later: i64, lasts: i64 },
    Wait(i64),
    Confirm,
    End { by: usize, lease: Index, revoke: bool },
    Disable(usize),
    Enable(usize),
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Approval { request: usize, by: usize, place: usize, step: usize, slot: usize, granted: Option<i64> },
    Denial { request: usize, by: usize, place: usize, step: usize },
    Question { request: usize, by: usize },
    Answer { request: usize, by: usize },
    Unanswered { request: usize },
    Reminder { request: usize },
    Escalation { request: usize },
    Emergency { request: usize },
    Review { request: usize, by: usize },
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
    clock: StepClock,
    nudged: Option<i64>,
    review: Option<Review>,
    /// The second account: seconds that the open step has waited since it opened or escalated, those of questions aside.
    waited: i64,
    escalated: bool,
}

struct Held {
    lease: Lease,
    request: usize,
    beneficiary: usize,
    declined: bool,
    /// The second account: to begin, begun, how long, ended.
    from: i64,
    begun: Option<i64>,
    lasts: i64,
    ended: Option<i64>,
    extends: Option<usize>,
}

/// How a company has its requests approved.
#[derive(Clone, Debug)]
struct Custom {
    steps: Vec<Vec<SlotState>>,
    distinct_people: bool,
    escalates_to: Vec<PersonId>,
}

struct House {
    now: i64,
    policy: AccessPolicy,
    custom: Custom,
    delegations: Vec<Delegation>,
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
    fn new(custom: Custom) -> Self {
        let mut policy = policy("model", vec![], vec![allow(vec![when("department", Operator::Is, &["Data"])])]);
        policy.durations = Durations { minimum: Seconds(MINIMUM), maximum: Seconds(MAXIMUM), ..policy.durations };
        policy.extension = Some(Extension { maximum: Some(Seconds(LONGEST_EXTENSION)), last_percent: 50, most: Some(EXTENSIONS), procedure: None });
        policy.emergency = Some(Emergency { maximum: Seconds(LONGEST_EMERGENCY), review_within: Seconds(MAXIMUM) });
        policy.procedure = policy.procedure.filter(|_| !custom.steps.is_empty());
        policy.on_behalf.manager = true;
        let people = (0..PEOPLE).map(|n| PersonSnapshot { person: someone(n), ..bo() }).collect();
        Self { now: 0, policy, custom, delegations: vec![], people, requests: vec![], leases: vec![], log: vec![] }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Ask { requester, beneficiary, lasts, later, extends } => self.ask(requester, beneficiary, lasts, later, extends, false),
            Act::Emergency { who, lasts } => self.ask(who, who, lasts, None, None, true),
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
                    self.ask(beneficiary, beneficiary, lasts, None, Some(lease), false);
                }
            }
            Act::Deny { by, request, comment } => self.answer(by, request, &Answer::Deny, comment.then_some("no")),
            Act::Wait(seconds) => (0..seconds).for_each(|_| self.second()),
            Act::Confirm => self.confirm(),
            Act::Disable(who) => self.people[who].active = false,
            Act::Enable(who) => self.people[who].active = true,
            Act::Delegate { by, to, later, lasts } => {
                let starts_at = at(self.now + later);
                let ends_at = at(self.now + later + lasts);
                self.delegations.push(Delegation { person: someone(by), delegate: someone(to), starts_at, ends_at, ended_at: None });
            }
            Act::End { by, lease, revoke } if !self.leases.is_empty() => {
                let lease = recent(lease, self.leases.len());
                if let Ok(reason) = end(&self.leases[lease].lease, someone(by), by == OWNER, revoke) {
                    assert_eq!(reason == EndReason::Returned, by == self.leases[lease].beneficiary && !revoke);
                    self.end(lease);
                }
            }
            Act::Decline { lease } if !self.leases.is_empty() => {
                let lease = recent(lease, self.leases.len());
                self.leases[lease].declined ^= true;
            }
            Act::Withdraw { by, request }
            | Act::Review { by, request }
            | Act::AskQuestion { by, request }
            | Act::AnswerQuestion { by, request }
            | Act::Nudge { by, request }
            | Act::Reassign { by, request, .. }
                if !self.requests.is_empty() =>
            {
                let request = recent(request, self.requests.len());
                self.lapse(request);
                // Whoever can: the first of everybody from `by` on; only to withdraw is for `by` alone.
                let tries = if matches!(act, Act::Withdraw { .. }) { 1 } else { PEOPLE };
                let mut whoever = (by..by + tries).map(|by| by % PEOPLE);
                whoever.any(|by| self.people[by].active && self.beside(&act, by, request));
            }
            _ => {}
        }
    }

    /// What people do with a request besides deciding; whether they may.
    fn beside(&mut self, act: &Act, by: usize, request: usize) -> bool {
        let (now, who) = (at(self.now), someone(by));
        let asked = &mut self.requests[request];
        let deciding = &mut asked.deciding;
        let may = match act {
            Act::Withdraw { .. } => withdraw(deciding.status, deciding.requester, deciding.beneficiary, who),
            Act::Review { .. } => may_review(deciding, who, false, asked.review.as_ref()),
            Act::AskQuestion { .. } => may_ask_question(deciding, who),
            Act::AnswerQuestion { .. } => may_answer_question(deciding, who),
            Act::Nudge { .. } => may_nudge(deciding, who, asked.nudged.map(at), now),
            Act::Reassign { to, .. } => may_reassign(deciding, who, someone(*to), true).map(|(slot, seat)| {
                let asked = &mut deciding.steps[deciding.step_no - 1][slot].asked;
                asked.iter_mut().filter(|seat| seat.person == who).for_each(|seat| seat.ended = true);
                asked.push(seat);
            }),
            _ => unreachable!("done elsewhere"),
        };
        if may.is_err() {
            return false;
        }
        match act {
            Act::Withdraw { .. } => self.close(request, RequestStatus::Withdrawn),
            Act::Review { .. } => {
                asked.review.iter_mut().for_each(|review| review.made = true);
                self.log.push(Entry::Review { request, by });
            }
            Act::AskQuestion { .. } => {
                deciding.status = RequestStatus::NeedsInfo;
                asked.clock.pauses.push(Pause { from: now, until: None });
                self.log.push(Entry::Question { request, by });
            }
            Act::AnswerQuestion { .. } => {
                deciding.status = RequestStatus::Pending;
                asked.clock.pauses.iter_mut().for_each(|pause| _ = pause.until.get_or_insert(now));
                self.log.push(Entry::Answer { request, by });
            }
            Act::Nudge { .. } => asked.nudged = Some(self.now),
            _ => {}
        }
        true
    }

    fn ask(&mut self, mut requester: usize, mut beneficiary: usize, lasts: i64, later: Option<i64>, extends: Option<Index>, emergency: bool) {
        let now = at(self.now);
        let extends = extends.filter(|_| !self.leases.is_empty()).map(|index| recent(index, self.leases.len()));
        if let Some(lease) = extends {
            beneficiary = self.leases[lease].beneficiary;
            requester = beneficiary;
        }
        let owed = |asked: &&Asked| asked.beneficiary == beneficiary && asked.review.as_ref().is_some_and(|review| !review.made);
        let ask = Ask {
            requester: someone(requester),
            beneficiary: someone(beneficiary),
            duration: Some(Seconds(lasts)),
            starts_at: later.map(|l| at(self.now + l)),
            extension: extends.is_some(),
            emergency,
            review_owed: self.requests.iter().any(|asked| owed(&asked)),
            standing: Standing { manages: true, owns: false },
            ..ask()
        };
        let decision = decide(Rules { policies: &[&self.policy], separation: &[] }, &self.people[beneficiary], &ask, now);
        let wants = Wanted {
            duration: ask.duration,
            starts_in: later,
            justification: Some("for the model"),
            ticket_reference: None,
            fields: &BTreeMap::new(),
            extension: ask.extension,
            emergency: emergency.then_some("it cannot wait"),
        };
        let Custom { steps, distinct_people, .. } = self.custom.clone();
        let dead_end = unfillable(&steps, ask.requester, ask.beneficiary, distinct_people);
        if decision.outcome == Outcome::Refused || !self.policy.faults(wants).is_empty() || dead_end.is_some() {
            return;
        }
        if let Some(lease) = extends {
            let held = &self.leases[lease];
            let already = self.leases.iter().any(|other| other.extends == Some(lease) && other.ended.is_none());
            let times = std::iter::successors(held.extends, |before| self.leases[*before].extends).count() as u32;
            if extend(&held.lease, self.policy.extension.as_ref(), Extended { already, times, declined: held.declined }, now).is_err() {
                return;
            }
        }
        let skipped: Vec<PersonId> = steps.iter().flatten().flat_map(|slot| &slot.asked).map(|seat| seat.person).collect();
        let deciding = Deciding {
            requester: ask.requester,
            beneficiary: ask.beneficiary,
            started_by: None,
            status: RequestStatus::Pending,
            step_no: 1,
            steps,
            distinct_people,
            comment_to_deny: true,
            duration: ask.duration,
            granted: None,
            minimum: self.policy.durations.minimum,
        };
        let request = self.requests.len();
        self.requests.push(Asked {
            requester,
            beneficiary,
            lasts,
            later: later.map(|l| self.now + l),
            extends,
            deciding,
            clock: self.clock(),
            nudged: None,
            review: emergency.then_some(Review { reviewers: skipped, made: false }),
            waited: 0,
            escalated: false,
        });
        if emergency {
            self.log.push(Entry::Emergency { request });
        }
        if decision.outcome == Outcome::AutoApproved {
            self.close(request, RequestStatus::Approved);
            self.grant(request);
        } else {
            self.open(request);
        }
    }

    /// The clock of a step that opens now.
    fn clock(&self) -> StepClock {
        StepClock {
            opened_at: at(self.now),
            time_limit: Some(Seconds(TIME_LIMIT)),
            remind_every: Some(Seconds(REMIND_EVERY)),
            escalates: !self.custom.escalates_to.is_empty(),
            escalation_limit: Some(Seconds(ESCALATION_LIMIT)),
            escalated_at: None,
            reminded_at: None,
            pauses: vec![],
        }
    }

    /// The open step asks whom it names, and who stands in for them.
    fn open(&mut self, request: usize) {
        let clock = self.clock();
        let asked = &mut self.requests[request];
        let Deciding { requester, beneficiary, step_no, ref mut steps, .. } = asked.deciding;
        for slot in &mut steps[step_no - 1] {
            let more = stand_ins(&self.delegations, slot, requester, beneficiary, at(self.now));
            slot.asked.extend(more);
        }
        (asked.clock, asked.waited, asked.escalated) = (clock, 0, false);
    }

    /// Delegations that are over end the seats that came of them.
    fn lapse(&mut self, request: usize) {
        for seat in self.requests[request].deciding.steps.iter_mut().flatten().flat_map(|slot| &mut slot.asked) {
            if let (ActingAs::Delegate, Some(away)) = (seat.acting_as, seat.acting_for) {
                seat.ended |= !still_stands_in(&self.delegations, away, seat.person, at(self.now));
            }
        }
    }

    fn answer(&mut self, by: usize, request: Index, given: &Answer, comment: Option<&str>) {
        if self.requests.is_empty() || !self.people[by].active {
            return;
        }
        let request = recent(request, self.requests.len());
        self.lapse(request);
        let asked = &mut self.requests[request];
        let Ok(answered) = answer(&asked.deciding, someone(by), given, comment) else { return };
        let step = asked.deciding.step_no;
        let slot = &mut asked.deciding.steps[step - 1][answered.slot_no - 1];
        let place = number(slot.seat(someone(by)).unwrap().place());
        let Answer::Approve { granted } = given else {
            self.log.push(Entry::Denial { request, by, place, step });
            return self.close(request, RequestStatus::Denied);
        };
        let ask = Ask { requester: asked.deciding.beneficiary, beneficiary: asked.deciding.beneficiary, ..ask() };
        let rules = Rules { policies: &[&self.policy], separation: &[] };
        if decide(rules, &self.people[asked.beneficiary], &ask, at(self.now)).outcome == Outcome::Refused {
            return;
        }
        slot.approved_by.push(someone(by));
        asked.deciding.granted = answered.granted;
        self.log.push(Entry::Approval { request, by, place, step, slot: answered.slot_no, granted: granted.map(|g| g.0) });
        match answered.next {
            Next::Waiting => {}
            Next::Step(next) => {
                asked.deciding.step_no = next;
                self.open(request);
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
            declined: false,
            from: self.now.max(asked.later.unwrap_or(0)).max(until.unwrap_or(0)),
            begun: None,
            lasts: self.granted(request),
            ended: None,
            extends: asked.extends,
        });
        self.log.push(Entry::Grant { lease: self.leases.len() - 1, request });
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
            let asked = &mut self.requests[request];
            asked.waited += i64::from(asked.deciding.status == RequestStatus::Pending);
            while self.requests[request].deciding.status.is_open()
                && let Some(due) = due(&self.requests[request].clock, at(self.now))
            {
                self.due(request, due.what);
            }
        }
        self.check();
    }

    fn due(&mut self, request: usize, what: What) {
        let now = at(self.now);
        let asked = &mut self.requests[request];
        match what {
            What::Remind => {
                asked.clock.reminded_at = Some(now);
                self.log.push(Entry::Reminder { request });
            }
            What::Escalate => {
                asked.clock.escalated_at = Some(now);
                (asked.waited, asked.escalated) = (0, true);
                for slot in asked.deciding.steps[asked.deciding.step_no - 1].iter_mut().filter(|slot| !slot.is_done()) {
                    for person in &self.custom.escalates_to {
                        if slot.seat(*person).is_none() {
                            slot.asked.push(Seat { acting_as: ActingAs::Escalation, ..(*person).into() });
                        }
                    }
                }
                self.log.push(Entry::Escalation { request });
            }
            What::GoOn => {
                asked.deciding.status = RequestStatus::Pending;
                asked.clock.pauses.iter_mut().for_each(|pause| pause.until = pause.until.or(Some(now)));
                self.log.push(Entry::Unanswered { request });
            }
            What::TimeOut => self.close(request, RequestStatus::TimedOut),
        }
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    let who = || 0..PEOPLE;
    let which = any::<Index>;
    let decide = prop_oneof![
        12 => (who(), which(), prop::option::weighted(0.3, 0..MAXIMUM + 3)).prop_map(|(by, request, granted)| Act::Approve { by, request, granted }),
        3 => (who(), which()).prop_map(|(first, request)| Act::Everybody { first, request }),
        2 => (who(), which(), any::<bool>()).prop_map(|(by, request, comment)| Act::Deny { by, request, comment }),
    ];
    let ask = (who(), who(), any::<bool>(), 0..MAXIMUM + 3, prop::option::weighted(0.3, -1i64..10), prop::option::weighted(0.5, which())).prop_map(
        |(requester, beneficiary, own, lasts, later, extends)| Act::Ask {
            requester: if own { beneficiary } else { requester },
            beneficiary,
            lasts,
            later,
            extends,
        },
    );
    let beside = prop_oneof![
        3 => (who(), which()).prop_map(|(by, request)| Act::Withdraw { by, request }),
        3 => (who(), which()).prop_map(|(by, request)| Act::AskQuestion { by, request }),
        6 => (who(), which()).prop_map(|(by, request)| Act::AnswerQuestion { by, request }),
        8 => (who(), who(), which()).prop_map(|(by, to, request)| Act::Reassign { by, to, request }),
        1 => (who(), which()).prop_map(|(by, request)| Act::Nudge { by, request }),
        3 => (who(), who(), 0i64..6, 1i64..30).prop_map(|(by, to, later, lasts)| Act::Delegate { by, to, later, lasts }),
        2 => (who(), 1..LONGEST_EMERGENCY + 2).prop_map(|(who, lasts)| Act::Emergency { who, lasts }),
        2 => (who(), which()).prop_map(|(by, request)| Act::Review { by, request }),
    ];
    let leases = prop_oneof![
        3 => (which(), MINIMUM..=LONGEST_EXTENSION + 1).prop_map(|(lease, lasts)| Act::Extend { lease, lasts }),
        1 => which().prop_map(|lease| Act::Decline { lease }),
        5 => Just(Act::Confirm),
        2 => (who(), which(), any::<bool>()).prop_map(|(by, lease, revoke)| Act::End { by, lease, revoke }),
        1 => who().prop_map(Act::Disable),
        2 => who().prop_map(Act::Enable),
    ];
    prop_oneof![4 => ask, 17 => decide, 12 => beside, 14 => leases, 5 => (1i64..8).prop_map(Act::Wait)]
}

fn any_custom() -> impl Strategy<Value = Custom> {
    let people = |range| prop::sample::subsequence((0..PEOPLE).map(someone).collect::<Vec<_>>(), range);
    let slot = (1u32..=2, people(2..=PEOPLE)).prop_map(|(approvals, asked)| SlotState::asking(approvals, asked));
    let steps = prop::collection::vec(prop::collection::vec(slot, 1..=2), 0..=2);
    (steps, any::<bool>(), people(0..=2)).prop_map(|(steps, distinct_people, escalates_to)| Custom { steps, distinct_people, escalates_to })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_people_do_and_in_whatever_order_the_promises_hold(custom in any_custom(), acts in prop::collection::vec(any_act(), 1..80), anyone in any::<Index>()) {
        let mut house = House::new(custom);
        for act in acts {
            house.act(act);
            house.check();
        }
        // And then questions are answered, and nobody does anything more: all that has begun ends by itself.
        for request in 0..house.requests.len() {
            let by = house.requests[request].beneficiary;
            house.beside(&Act::AnswerQuestion { by, request: anyone }, by, request);
        }
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
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    let mut count = |what: &'static str, more: usize| *reached.entry(what).or_default() += more;
    for _ in 0..1_200 {
        let (custom, acts) = (any_custom(), prop::collection::vec(any_act(), 1..80)).new_tree(&mut runner).unwrap().current();
        let deep = custom.steps.len() > 1;
        let mut house = House::new(custom);
        acts.into_iter().for_each(|act| house.act(act));
        count("grants", house.leases.len());
        count("extensions", house.leases.iter().filter(|held| held.extends.is_some()).count());
        count("grants after two steps", if deep { house.leases.len() } else { 0 });
        count("ends", house.leases.iter().filter(|held| held.ended.is_some()).count());
        for asked in &house.requests {
            let what = match asked.deciding.status {
                RequestStatus::Denied => "denials",
                RequestStatus::TimedOut => "time-outs",
                RequestStatus::Withdrawn => "withdrawals",
                _ => "others",
            };
            count(what, 1);
            count("nudges", usize::from(asked.nudged.is_some()));
            let seats = || asked.deciding.steps.iter().flatten().flat_map(|slot| &slot.asked);
            count("places handed on", seats().filter(|seat| seat.acting_as == ActingAs::Reassigned).count());
        }
        for entry in &house.log {
            match entry {
                Entry::Approval { by, place, .. } if by != place => count("approvals in somebody's place", 1),
                Entry::Answer { .. } => count("questions answered", 1),
                Entry::Unanswered { .. } => count("questions that nobody answered", 1),
                Entry::Reminder { .. } => count("reminders", 1),
                Entry::Escalation { .. } => count("escalations", 1),
                Entry::Emergency { .. } => count("emergencies", 1),
                Entry::Review { .. } => count("reviews", 1),
                _ => {}
            }
        }
    }
    assert!(reached.len() >= 15 && reached.values().all(|count| *count >= 20), "random lives hardly ever come to some of these: {reached:?}");
}
