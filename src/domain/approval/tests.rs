//! Who may decide, what it does, and who is enough.

use proptest::prelude::*;

use super::super::samples::someone;
use super::*;

const REQUESTER: usize = 0;
const BENEFICIARY: usize = 1;

fn slot(approvals: u32, asked: &[usize]) -> SlotState {
    SlotState::asking(approvals, asked.iter().map(|n| someone(*n)))
}

/// `delegate` stands in for `away`.
fn stand_in(delegate: usize, away: usize) -> Seat {
    Seat { acting_as: ActingAs::Delegate, acting_for: Some(someone(away)), ..someone(delegate).into() }
}

fn request(steps: Vec<Vec<SlotState>>) -> Deciding {
    Deciding {
        requester: someone(REQUESTER),
        beneficiary: someone(BENEFICIARY),
        started_by: None,
        status: RequestStatus::Pending,
        step_no: 1,
        steps,
        distinct_people: true,
        comment_to_deny: true,
        duration: Some(Seconds(14_400)),
        granted: None,
        minimum: Seconds(900),
    }
}

fn yes(granted: Option<i64>) -> Answer {
    Answer::Approve { granted: granted.map(Seconds) }
}

/// What the database does with an accepted approval.
fn take(request: &mut Deciding, by: PersonId, answered: Answered) {
    request.steps[request.step_no - 1][answered.slot_no - 1].approved_by.push(by);
    request.granted = answered.granted;
    match answered.next {
        Next::Waiting => {}
        Next::Step(next) => request.step_no = next,
        Next::Approved => request.status = RequestStatus::Approved,
        Next::Denied => request.status = RequestStatus::Denied,
    }
}

#[test]
fn nobody_answers_their_own_request() {
    // Even when the configuration asks them, and whatever state the request is in.
    for status in RequestStatus::ALL {
        let own = Deciding { status: status.0, ..request(vec![vec![slot(1, &[REQUESTER, BENEFICIARY, 2])]]) };
        for me in [REQUESTER, BENEFICIARY] {
            assert_eq!(answer(&own, someone(me), &yes(None), None), Err(Refusal::OwnRequest));
            assert_eq!(answer(&own, someone(me), &Answer::Deny, Some("no")), Err(Refusal::OwnRequest));
        }
    }
}

#[test]
fn who_was_not_asked_cannot_answer_and_does_not_learn_how_it_stands() {
    for status in RequestStatus::ALL {
        let others = Deciding { status: status.0, ..request(vec![vec![slot(1, &[2])]]) };
        assert_eq!(may_answer(&others, someone(3)), Err(Refusal::NotAsked));
    }
}

#[test]
fn a_closed_request_takes_no_answer() {
    for (status, word) in RequestStatus::ALL.into_iter().filter(|(status, _)| *status != RequestStatus::Pending) {
        let closed = Deciding { status, ..request(vec![vec![slot(1, &[2])]]) };
        let why = match status {
            RequestStatus::Submitted => Refusal::Unconfirmed,
            RequestStatus::NeedsInfo => Refusal::QuestionOpen,
            _ => Refusal::Closed(word),
        };
        assert_eq!(answer(&closed, someone(2), &yes(None), None), Err(why.clone()));
        let denied = answer(&closed, someone(2), &Answer::Deny, Some("why"));
        match status {
            RequestStatus::NeedsInfo => assert_eq!(denied.map(|answered| answered.next), Ok(Next::Denied), "a denial need not wait for an answer"),
            _ => assert_eq!(denied, Err(why)),
        }
    }
    insta::assert_snapshot!(Refusal::Closed(RequestStatus::TimedOut.word()), @"This request is already timed out; nothing was changed.");
}

#[test]
fn one_person_counts_once() {
    let mut twice = request(vec![vec![slot(2, &[2, 3])], vec![slot(1, &[2, 4])]]);
    let answered = answer(&twice, someone(2), &yes(None), None).unwrap();
    assert_eq!(answered, Answered { slot_no: 1, slot_done: false, next: Next::Waiting, granted: Some(Seconds(14_400)) });
    take(&mut twice, someone(2), answered);
    assert_eq!(answer(&twice, someone(2), &yes(None), None), Err(Refusal::AlreadyDecided));
    assert_eq!(answer(&twice, someone(2), &Answer::Deny, Some("after all")), Err(Refusal::AlreadyDecided));
    let answered = answer(&twice, someone(3), &yes(None), None).unwrap();
    assert_eq!((answered.slot_done, answered.next), (true, Next::Step(2)));
    take(&mut twice, someone(3), answered);
    assert_eq!(answer(&twice, someone(2), &yes(None), None), Err(Refusal::AlreadyDecided), "in another step too");
    assert_eq!(answer(&twice, someone(3), &yes(None), None), Err(Refusal::AlreadyDecided));
    assert_eq!(answer(&twice, someone(4), &yes(None), None).unwrap().next, Next::Approved);
    twice.distinct_people = false;
    assert_eq!(answer(&twice, someone(2), &yes(None), None).unwrap().next, Next::Approved, "unless the procedure says otherwise");
}

#[test]
fn a_step_is_done_when_each_slot_has_its_count_in_any_order() {
    // Two of the DBAs (2, 3, 4) and one of security (5).
    for order in [[2, 3, 5], [5, 4, 2], [3, 5, 4]] {
        let mut step = request(vec![vec![slot(2, &[2, 3, 4]), slot(1, &[5])]]);
        for (i, person) in order.into_iter().enumerate() {
            let answered = answer(&step, someone(person), &yes(None), None).unwrap();
            assert_eq!(answered.next, if i == 2 { Next::Approved } else { Next::Waiting }, "{order:?}");
            take(&mut step, someone(person), answered);
        }
    }
}

#[test]
fn a_slot_that_is_full_asks_no_more() {
    let mut step = request(vec![vec![slot(1, &[2, 3]), slot(1, &[4])]]);
    let answered = answer(&step, someone(2), &yes(None), None).unwrap();
    take(&mut step, someone(2), answered);
    assert_eq!(answer(&step, someone(3), &yes(None), None), Err(Refusal::MovedOn));
}

#[test]
fn who_is_asked_at_a_later_step_waits() {
    let two = request(vec![vec![slot(1, &[2])], vec![slot(1, &[3])]]);
    assert_eq!(answer(&two, someone(3), &yes(None), None), Err(Refusal::NotYet));
    for step_no in [0, 3, usize::MAX] {
        assert_eq!(may_answer(&Deciding { step_no, ..two.clone() }, someone(2)), Err(Refusal::MovedOn), "there is no step {step_no}");
    }
}

#[test]
fn an_approver_may_only_shorten() {
    let asked = request(vec![vec![slot(2, &[2, 3])], vec![slot(1, &[4])]]);
    let refused = |granted, why| assert_eq!(answer(&asked, someone(2), &yes(Some(granted)), None), Err(why));
    refused(14_401, Refusal::LongerThanAsked(Seconds(14_400)));
    refused(899, Refusal::ShorterThanAllowed(Seconds(900)));
    refused(0, Refusal::ShorterThanAllowed(Seconds(900)));
    refused(-1, Refusal::ShorterThanAllowed(Seconds(900)));
    for (granted, kept) in [(None, 14_400), (Some(14_400), 14_400), (Some(900), 900)] {
        assert_eq!(answer(&asked, someone(2), &yes(granted), None).unwrap().granted, Some(Seconds(kept)));
    }
    let shortened = Deciding { granted: Some(Seconds(3_600)), ..asked.clone() };
    for (granted, kept) in [(None, 3_600), (Some(7_200), 3_600), (Some(1_800), 1_800)] {
        assert_eq!(answer(&shortened, someone(2), &yes(granted), None).unwrap().granted, Some(Seconds(kept)), "nobody undoes what another shortened");
    }
    let endless = Deciding { duration: None, ..asked };
    assert_eq!(answer(&endless, someone(2), &yes(None), None).unwrap().granted, None);
    assert_eq!(answer(&endless, someone(2), &yes(Some(900)), None).unwrap().granted, Some(Seconds(900)));
}

#[test]
fn one_denial_ends_it_and_says_why_where_the_policy_wants_it() {
    let asked = request(vec![vec![slot(2, &[2, 3])], vec![slot(1, &[4])]]);
    for nothing in [None, Some(""), Some(" \t\n")] {
        assert_eq!(answer(&asked, someone(2), &Answer::Deny, nothing), Err(Refusal::ReasonRequired));
    }
    assert_eq!(answer(&asked, someone(2), &Answer::Deny, Some("not now")).unwrap().next, Next::Denied);
    let lenient = Deciding { comment_to_deny: false, ..asked };
    assert_eq!(answer(&lenient, someone(3), &Answer::Deny, None).unwrap().next, Next::Denied);
}

#[test]
fn who_may_fill_two_slots_fills_the_one_where_others_lack() {
    // 2 is asked as a DBA and as security; only 2 is security.
    let mut step = request(vec![vec![slot(1, &[2, 3]), slot(1, &[2])]]);
    let answered = answer(&step, someone(2), &yes(None), None).unwrap();
    assert_eq!((answered.slot_no, answered.next), (2, Next::Waiting));
    take(&mut step, someone(2), answered);
    assert_eq!(answer(&step, someone(3), &yes(None), None).unwrap().next, Next::Approved);
}

#[test]
fn who_alone_can_approve_later_is_not_used_up_before() {
    let two = request(vec![vec![slot(1, &[2, 3])], vec![slot(1, &[2])]]);
    assert_eq!(answer(&two, someone(2), &yes(None), None), Err(Refusal::NeededElsewhere));
    assert_eq!(answer(&two, someone(2), &Answer::Deny, Some("never")).unwrap().next, Next::Denied, "a denial needs nobody else");
    assert_eq!(answer(&two, someone(3), &yes(None), None).unwrap().next, Next::Step(2));
    let again = Deciding { distinct_people: false, ..two };
    assert_eq!(answer(&again, someone(2), &yes(None), None).unwrap().next, Next::Step(2), "one person may decide in both steps here");
    // Where nobody is enough anyway, nobody is held back.
    let stuck = request(vec![vec![slot(1, &[2, 3])], vec![slot(2, &[2])]]);
    assert_eq!(answer(&stuck, someone(2), &yes(None), None).unwrap().next, Next::Step(2));
}

#[test]
fn who_handed_it_on_is_no_longer_asked() {
    let mut one = request(vec![vec![slot(1, &[2, 3])], vec![slot(1, &[4])]]);
    one.steps[0][0].asked[0].ended = true;
    assert_eq!(answer(&one, someone(2), &yes(None), None), Err(Refusal::NoLongerAsked));
    assert_eq!(answer(&one, someone(2), &Answer::Deny, Some("no")), Err(Refusal::NoLongerAsked));
    assert_eq!(answer(&one, someone(3), &yes(None), None).unwrap().next, Next::Step(2));
    one.steps[1][0].asked.push(someone(2).into());
    assert_eq!(answer(&one, someone(2), &yes(None), None), Err(Refusal::NotYet), "but asked at a later step");
}

#[test]
fn a_delegate_decides_in_the_place_of_who_is_away_and_one_of_them_counts() {
    for (first, second) in [(2, 3), (3, 2)] {
        // Two of 2, 3 for 2, and 4.
        let mut two = request(vec![vec![slot(2, &[2, 4])]]);
        two.steps[0][0].asked.push(stand_in(3, 2));
        let answered = answer(&two, someone(first), &yes(None), None).unwrap();
        take(&mut two, someone(first), answered);
        assert_eq!(answer(&two, someone(second), &yes(None), None), Err(Refusal::PlaceTaken));
        assert_eq!(answer(&two, someone(second), &Answer::Deny, Some("no")), Err(Refusal::PlaceTaken));
        assert_eq!(answer(&two, someone(4), &yes(None), None).unwrap().next, Next::Approved);
    }
    // In another slot, or a later step, the other one still counts.
    let mut later = request(vec![vec![slot(1, &[2])], vec![slot(1, &[2])]]);
    later.steps[0][0].asked.push(stand_in(3, 2));
    assert_eq!(answer(&later, someone(2), &yes(None), None), Err(Refusal::NeededElsewhere));
    let answered = answer(&later, someone(3), &yes(None), None).unwrap();
    take(&mut later, someone(3), answered);
    assert_eq!(answer(&later, someone(2), &yes(None), None).unwrap().next, Next::Approved);
}

#[test]
fn nobody_decides_in_the_place_of_who_made_the_request_or_whom_it_is_for() {
    for own in [REQUESTER, BENEFICIARY] {
        let mut one = request(vec![vec![slot(1, &[2])]]);
        one.steps[0][0].asked.push(stand_in(3, own));
        for given in [yes(None), Answer::Deny] {
            assert_eq!(answer(&one, someone(3), &given, Some("why")), Err(Refusal::InPlaceOfOwn));
        }
        // Asked in their own name in another slot as well, they answer there.
        one.steps[0].push(slot(1, &[3]));
        assert_eq!(answer(&one, someone(3), &yes(None), None).unwrap().slot_no, 2);
        // And the other way round: who is asked here may be away, and the requester stand in for them.
        let mut reversed = request(vec![vec![slot(1, &[2])]]);
        reversed.steps[0][0].asked.push(stand_in(own, 2));
        assert_eq!(answer(&reversed, someone(own), &yes(None), None), Err(Refusal::OwnRequest));
    }
}

#[test]
fn whom_a_step_escalates_to_counts_besides_those_asked_first() {
    let mut step = request(vec![vec![slot(2, &[2])]]);
    assert_eq!(unfillable(&step.steps, step.requester, step.beneficiary, true), Some((1, 1)));
    step.steps[0][0].asked.push(Seat { acting_as: ActingAs::Escalation, ..someone(3).into() });
    assert_eq!(unfillable(&step.steps, step.requester, step.beneficiary, true), None);
    for (by, next) in [(3, Next::Waiting), (2, Next::Approved)] {
        let answered = answer(&step, someone(by), &yes(None), None).unwrap();
        assert_eq!(answered.next, next);
        take(&mut step, someone(by), answered);
    }
}

fn any_steps() -> impl Strategy<Value = Vec<Vec<SlotState>>> {
    let seats = (prop::sample::subsequence((0..8usize).collect::<Vec<_>>(), 0..=6), prop::collection::vec((0..24usize, prop::bool::weighted(0.1)), 6));
    let slot = (1u32..=2, seats).prop_map(|(approvals, (asked, acting))| {
        let mut slot = slot(approvals, &asked);
        // A third stand in for somebody.
        for (seat, (away, ended)) in slot.asked.iter_mut().zip(acting) {
            let stands_in = away < 8 && someone(away) != seat.person;
            *seat = Seat { acting_for: stands_in.then(|| someone(away)), ended, ..seat.clone() };
            seat.acting_as = if stands_in { ActingAs::Delegate } else { ActingAs::Own };
        }
        slot
    });
    prop::collection::vec(prop::collection::vec(slot, 1..=2), 1..=3)
}

/// Every way to seat people: the first slot, counted in order, up to which no way exists.
fn brute_force(steps: &[Vec<SlotState>], distinct_people: bool) -> Option<(usize, usize)> {
    /// Step, slot, person, place.
    type Used = (usize, *const SlotState, PersonId, PersonId);
    fn fits(seats: &[(usize, &SlotState)], used: &mut Vec<Used>, distinct: bool) -> bool {
        let Some(((step, slot), rest)) = seats.split_first() else { return true };
        let partial = |p: PersonId| p == someone(REQUESTER) || p == someone(BENEFICIARY);
        slot.asked.iter().filter(|seat| !seat.ended && !partial(seat.person) && !seat.acting_for.is_some_and(partial)).any(|seat| {
            let place = seat.acting_for.unwrap_or(seat.person);
            let here = *slot as *const SlotState;
            if used.iter().any(|(s, other, p, taken)| (*p == seat.person && (distinct || s == step)) || (*other == here && *taken == place)) {
                return false;
            }
            used.push((*step, here, seat.person, place));
            let fitted = fits(rest, used, distinct);
            used.pop();
            fitted
        })
    }
    let mut seats = Vec::new();
    for (s, step) in steps.iter().enumerate() {
        for (l, slot) in step.iter().enumerate() {
            seats.extend((0..slot.approvals).map(|_| (s, slot)));
            if !fits(&seats, &mut Vec::new(), distinct_people) {
                return Some((s + 1, l + 1));
            }
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn people_enough_are_found_exactly_when_trying_every_way_finds_them(steps in any_steps(), distinct in any::<bool>()) {
        prop_assert_eq!(unfillable(&steps, someone(REQUESTER), someone(BENEFICIARY), distinct), brute_force(&steps, distinct));
    }

    #[test]
    fn what_could_be_approved_when_it_was_asked_for_can_be_approved_in_whatever_order_people_come(
        (steps, distinct) in (any_steps(), any::<bool>())
            .prop_filter("somebody could approve", |(steps, distinct)| unfillable(steps, someone(REQUESTER), someone(BENEFICIARY), *distinct).is_none()),
        arrivals in prop::collection::vec(0..8usize, 0..60),
    ) {
        let mut request = Deciding { distinct_people: distinct, ..request(steps) };
        // Whoever happens to come first, then everybody round by round: nobody finds it stuck.
        let rounds = (0..20).flat_map(|_| 0..8usize);
        for person in arrivals.into_iter().chain(rounds) {
            if request.status == RequestStatus::Pending && let Ok(answered) = answer(&request, someone(person), &yes(None), None) {
                take(&mut request, someone(person), answered);
            }
        }
        prop_assert_eq!(request.status, RequestStatus::Approved, "{:?}", request);
    }

    #[test]
    fn approved_means_that_every_slot_has_its_count_of_people_who_were_asked_and_are_not_oneself(
        steps in any_steps(), distinct in any::<bool>(), arrivals in prop::collection::vec((0..8usize, prop::option::of(0i64..20_000)), 0..40),
    ) {
        let mut request = Deciding { distinct_people: distinct, ..request(steps) };
        for (person, granted) in arrivals {
            let before = request.clone();
            let Ok(answered) = answer(&request, someone(person), &yes(granted), None) else { continue };
            prop_assert_eq!(before.status, RequestStatus::Pending);
            take(&mut request, someone(person), answered);
            let kept = request.granted.unwrap();
            prop_assert!(kept <= before.granted.unwrap_or(Seconds(14_400)) && kept >= Seconds(900) && granted.is_none_or(|g| kept <= Seconds(g)));
            let filled = &request.steps[before.step_no - 1][answered.slot_no - 1];
            prop_assert_eq!(answered.slot_done, filled.is_done());
            prop_assert_eq!(answered.next != Next::Waiting, request.steps[before.step_no - 1].iter().all(SlotState::is_done));
        }
        let mut all = Vec::new();
        for (s, step) in request.steps.iter().enumerate() {
            let mut here = Vec::new();
            for slot in step {
                prop_assert!(slot.approved_by.len() <= slot.approvals as usize);
                let seats: Vec<&Seat> = slot.approved_by.iter().map(|p| slot.seat(*p).expect("who was asked")).collect();
                prop_assert!(seats.iter().all(|seat| !seat.ended && seat.is_impartial(someone(REQUESTER), someone(BENEFICIARY))));
                let mut places: Vec<_> = seats.iter().map(|seat| seat.place()).collect();
                places.sort();
                places.dedup();
                prop_assert_eq!(places.len(), seats.len(), "one place counted twice");
                here.extend(slot.approved_by.iter().copied());
            }
            prop_assert!(s < request.step_no || here.is_empty(), "nobody approves ahead of time");
            all.push(here);
        }
        let mut seen = if distinct { vec![all.concat()] } else { all };
        for people in &mut seen {
            let count = people.len();
            people.sort();
            people.dedup();
            prop_assert_eq!(people.len(), count, "somebody counted twice");
        }
        let done = request.steps.iter().flatten().all(SlotState::is_done);
        prop_assert_eq!(request.status == RequestStatus::Approved, done);
    }
}
