//! The second account, which knows nothing of the rules.

use std::collections::{BTreeMap, BTreeSet};

use super::super::grant::wanted;
use super::*;

/// Step, slot, who, in whose place.
type Approved = (usize, usize, usize, usize);

impl House {
    /// How long was approved: the least of what was asked for and what any approver chose.
    pub(super) fn granted(&self, request: usize) -> i64 {
        let chosen = self.log.iter().filter_map(|entry| match entry {
            Entry::Approval { request: of, granted, .. } if *of == request => *granted,
            _ => None,
        });
        chosen.fold(self.requests[request].lasts, i64::min)
    }

    pub(super) fn check(&self) {
        let mut closed: BTreeMap<usize, RequestStatus> = BTreeMap::new();
        let mut approvals: BTreeMap<usize, Vec<Approved>> = BTreeMap::new();
        let (mut questions, mut emergencies, mut debts) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let mut ended = Vec::new();
        for entry in &self.log {
            let own = |request: &usize, who: &usize| [self.requests[*request].requester, self.requests[*request].beneficiary].contains(who);
            match entry {
                Entry::Approval { request, by, place, step, .. } | Entry::Denial { request, by, place, step } => {
                    assert!(!own(request, by), "somebody decided on their own");
                    assert!(!own(request, place), "somebody decided in the place of who asked or gets it");
                    let slots = &self.requests[*request].deciding.steps[*step - 1];
                    assert!(slots.iter().any(|slot| slot.asked.iter().any(|seat| seat.person == someone(*by))), "somebody decided who was not asked");
                    let named = self.custom.steps[*step - 1].iter().flat_map(|slot| &slot.asked).map(|seat| seat.person);
                    let could: Vec<PersonId> = named.chain(self.custom.escalates_to.iter().copied()).collect();
                    assert!(could.contains(&someone(*place)), "the place of somebody whom neither the step nor its escalation names");
                    assert!(!closed.contains_key(request), "somebody decided what was closed");
                    let denial = matches!(entry, Entry::Denial { .. });
                    assert!(denial || !questions.contains(request), "somebody approved while a question was open");
                    if let Entry::Approval { slot, .. } = entry {
                        approvals.entry(*request).or_default().push((*step, *slot, *by, *place));
                    }
                }
                Entry::Question { request, by } => assert!(!own(request, by) && !closed.contains_key(request) && questions.insert(*request)),
                Entry::Answer { request, by } => assert!(own(request, by) && questions.remove(request), "an answer without a question, or of somebody else"),
                Entry::Unanswered { request } => assert!(!closed.contains_key(request) && questions.remove(request), "a question that was not open ended"),
                Entry::Reminder { request } | Entry::Escalation { request } => {
                    assert!(!closed.contains_key(request) && !questions.contains(request), "by the clock while it stood still");
                }
                Entry::Emergency { request } => {
                    let asked = &self.requests[*request];
                    assert_eq!(asked.requester, asked.beneficiary, "an emergency of somebody else");
                    assert_eq!(debts.insert(asked.beneficiary, *request), None, "a second emergency while a review is owed");
                    emergencies.insert(*request);
                }
                Entry::Review { request, by } => {
                    assert!(!own(request, by), "somebody reviewed their own emergency");
                    assert_eq!(debts.remove(&self.requests[*request].beneficiary), Some(*request), "a review of nothing");
                }
                Entry::Closed { request, status } => {
                    let by_people = [RequestStatus::Withdrawn, RequestStatus::Denied].contains(status);
                    assert!(by_people || !questions.contains(request), "closed by {status:?} while a question was open");
                    questions.remove(request);
                    assert_eq!(closed.insert(*request, *status), None, "closed stays closed");
                }
                Entry::Grant { lease, request } => {
                    assert_eq!(closed.get(request), Some(&RequestStatus::Approved), "a grant without an approval before it");
                    if !emergencies.contains(request) {
                        self.check_approved(*request, approvals.get(request).map_or(&[], Vec::as_slice));
                    }
                    assert_eq!((self.leases[*lease].request, self.leases[*lease].beneficiary), (*request, self.requests[*request].beneficiary));
                }
                Entry::Ended { lease } => {
                    assert!(!ended.contains(lease), "it ended twice");
                    ended.push(*lease);
                }
            }
        }
        for (n, request) in self.requests.iter().enumerate() {
            let open = if questions.contains(&n) { RequestStatus::NeedsInfo } else { RequestStatus::Pending };
            assert_eq!(closed.get(&n).copied().unwrap_or(open), request.deciding.status);
            let limit = if request.escalated { ESCALATION_LIMIT } else { TIME_LIMIT };
            assert!(!request.deciding.status.is_open() || request.waited < limit, "open past its limit");
            let owed = request.review.as_ref().is_some_and(|review| !review.made);
            assert_eq!(owed, debts.get(&request.beneficiary) == Some(&n), "an emergency leaves its review owed until it is made");
            if closed.get(&n) == Some(&RequestStatus::TimedOut) {
                assert!(self.log.contains(&Entry::Escalation { request: n }) || !request.clock.escalates, "timed out before it escalated");
            }
        }
        for (n, held) in self.leases.iter().enumerate() {
            self.check_lease(held, ended.contains(&n), emergencies.contains(&held.request));
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

    fn check_lease(&self, held: &Held, ended: bool, emergency: bool) {
        let lease = &held.lease;
        assert_eq!(lease.status.is_live(), !ended, "ended stays ended");
        assert_eq!(lease.duration, Some(Seconds(held.lasts)));
        let longest = match held.extends {
            _ if emergency => LONGEST_EMERGENCY,
            Some(_) => LONGEST_EXTENSION,
            None => MAXIMUM,
        };
        assert!((MINIMUM..=longest).contains(&held.lasts) && held.lasts <= self.requests[held.request].lasts, "longer than policy or ask allow");
        assert_eq!(lease.ends_at, Some(lease.starts_at + chrono::Duration::seconds(held.lasts)));
        assert!(held.begun.is_none_or(|begun| lease.starts_at == at(begun)) && lease.starts_at >= at(held.from));
        assert!(held.begun.is_none_or(|begun| held.ended.unwrap_or(self.now) - begun <= held.lasts), "it outlived its time");
        let mut row = 0;
        let mut before = held.extends;
        while let Some(lease) = before {
            row += 1;
            before = self.leases[lease].extends;
        }
        assert!(row <= EXTENSIONS as usize, "extended more often than the policy allows");
    }

    fn check_approved(&self, request: usize, approvals: &[Approved]) {
        let twice = |mut all: Vec<usize>| {
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            all.len() < count
        };
        for (s, step) in self.custom.steps.iter().enumerate() {
            for (l, slot) in step.iter().enumerate() {
                let here = || approvals.iter().filter(|(step, slot, ..)| (*step, *slot) == (s + 1, l + 1));
                assert_eq!(here().count(), slot.approvals as usize, "a slot without its count");
                assert!(!twice(here().map(|(.., place)| *place).collect()), "somebody and who stood in for them counted both");
            }
            let distinct = self.custom.distinct_people;
            let people = approvals.iter().filter(|(step, ..)| distinct || *step == s + 1).map(|(_, _, by, _)| *by).collect();
            assert!(!twice(people), "one person counted twice in request {request}");
        }
    }
}
