//! Who stands in for whom, and when.

use chrono::{DateTime, Utc};

use super::id::PersonId;
use super::slot::{ActingAs, Seat, SlotState};

/// Somebody stands in while somebody is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// Who is away.
    pub person: PersonId,
    /// Who stands in.
    pub delegate: PersonId,
    /// From when, itself included.
    pub starts_at: DateTime<Utc>,
    /// Until when, itself not included.
    pub ends_at: DateTime<Utc>,
    /// When it was ended before its time.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Delegation {
    /// Whether it is in force at `at`. One to oneself never is.
    pub fn is_in_force(&self, at: DateTime<Utc>) -> bool {
        self.person != self.delegate && self.starts_at <= at && at < self.ends_at && self.ended_at.is_none_or(|ended| at < ended)
    }
}

/// Who stands in for `person` at `at`: of several delegations in force the one that began last, whatever order they come in. One hop:
/// a delegate who is away too has nobody in their stead for this, so that no circle can arise.
pub fn delegate_of(delegations: &[Delegation], person: PersonId, at: DateTime<Utc>) -> Option<PersonId> {
    let theirs = delegations.iter().filter(|delegation| delegation.person == person && delegation.is_in_force(at));
    theirs.max_by_key(|delegation| (delegation.starts_at, delegation.delegate)).map(|delegation| delegation.delegate)
}

/// Whether `delegate` still stands in for `person` at `at`; when not, their seats as delegate are over.
pub fn still_stands_in(delegations: &[Delegation], person: PersonId, delegate: PersonId, at: DateTime<Utc>) -> bool {
    delegations.iter().any(|delegation| (delegation.person, delegation.delegate) == (person, delegate) && delegation.is_in_force(at))
}

/// The seats that delegates take in a slot that is assigned at `at`, besides those it has: one for each person asked who is away,
/// if their delegate is neither requester nor beneficiary, nor asked here already. Nobody stands in for a delegate, nor for whoever
/// may not decide themselves.
pub fn stand_ins(delegations: &[Delegation], slot: &SlotState, requester: PersonId, beneficiary: PersonId, at: DateTime<Utc>) -> Vec<Seat> {
    let mut seats: Vec<Seat> = Vec::new();
    for seat in slot.asked.iter().filter(|seat| !seat.ended && seat.acting_as != ActingAs::Delegate) {
        let Some(delegate) = delegate_of(delegations, seat.person, at) else { continue };
        let stand_in = Seat { acting_as: ActingAs::Delegate, acting_for: Some(seat.place()), ..delegate.into() };
        let fair = seat.is_impartial(requester, beneficiary) && stand_in.is_impartial(requester, beneficiary);
        if fair && slot.seat(delegate).is_none() && seats.iter().all(|other| other.person != delegate) {
            seats.push(stand_in);
        }
    }
    seats
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{at, someone};
    use super::*;

    fn away(person: usize, delegate: usize, from: i64, until: i64) -> Delegation {
        Delegation { person: someone(person), delegate: someone(delegate), starts_at: at(from), ends_at: at(until), ended_at: None }
    }

    #[test]
    fn a_delegation_is_in_force_from_its_beginning_until_its_end() {
        let delegations = [away(1, 2, 10, 20)];
        for (now, who) in [(9, None), (10, Some(2)), (19, Some(2)), (20, None)] {
            assert_eq!(delegate_of(&delegations, someone(1), at(now)), who.map(someone), "at {now}");
            assert_eq!(still_stands_in(&delegations, someone(1), someone(2), at(now)), who.is_some());
        }
        let ended = [Delegation { ended_at: Some(at(15)), ..away(1, 2, 10, 20) }];
        assert_eq!(delegate_of(&ended, someone(1), at(14)), Some(someone(2)));
        assert_eq!(delegate_of(&ended, someone(1), at(15)), None, "ended before its time");
        assert_eq!(delegate_of(&delegations, someone(2), at(15)), None, "it does not work backwards");
        assert_eq!(delegate_of(&[away(1, 1, 10, 20)], someone(1), at(15)), None, "nor to oneself");
    }

    #[test]
    fn a_delegates_own_delegation_does_not_pass_on() {
        let chain = [away(1, 2, 0, 99), away(2, 3, 0, 99), away(3, 1, 0, 99)];
        assert_eq!(delegate_of(&chain, someone(1), at(5)), Some(someone(2)));
        let slot = SlotState::asking(1, [someone(1)]);
        let seats = stand_ins(&chain, &slot, someone(8), someone(9), at(5));
        assert_eq!(seats, [Seat { acting_as: ActingAs::Delegate, acting_for: Some(someone(1)), ..someone(2).into() }]);
        let full = SlotState { asked: [slot.asked.clone(), seats].concat(), ..slot };
        assert_eq!(stand_ins(&chain, &full, someone(8), someone(9), at(5)), [], "asked again, nobody comes besides");
    }

    #[test]
    fn the_delegation_that_began_last_counts_whatever_the_order() {
        let mut delegations = vec![away(1, 2, 0, 99), away(1, 3, 5, 50), away(1, 4, 60, 99)];
        for _ in 0..2 {
            for (now, who) in [(4, 2), (5, 3), (55, 2), (60, 4)] {
                assert_eq!(delegate_of(&delegations, someone(1), at(now)), Some(someone(who)), "at {now}");
            }
            delegations.reverse();
        }
    }

    #[test]
    fn nobody_stands_in_who_made_the_request_or_whom_it_is_for_or_for_them() {
        let slot = SlotState::asking(1, [someone(1)]);
        let delegations = [away(1, 2, 0, 99)];
        let seats = |requester, beneficiary| stand_ins(&delegations, &slot, someone(requester), someone(beneficiary), at(5)).len();
        assert_eq!((seats(8, 9), seats(2, 9), seats(8, 2), seats(1, 9), seats(8, 1)), (1, 0, 0, 0, 0));
        let asked_already = SlotState::asking(1, [someone(1), someone(2)]);
        assert_eq!(stand_ins(&delegations, &asked_already, someone(8), someone(9), at(5)), []);
        let two = [away(1, 2, 0, 99), away(3, 2, 0, 99)];
        assert_eq!(stand_ins(&two, &SlotState::asking(2, [someone(1), someone(3)]), someone(8), someone(9), at(5)).len(), 1, "one person sits once");
    }

    proptest! {
        #[test]
        fn whatever_the_delegations_those_who_stand_in_are_fresh_and_impartial_and_one_hop_away(
            delegations in prop::collection::vec((0..6usize, 0..6usize, 0i64..50, 1i64..50), 0..12), asked in prop::sample::subsequence((0..6usize).collect::<Vec<_>>(), 0..=6),
        ) {
            let delegations: Vec<_> = delegations.into_iter().map(|(person, delegate, from, lasts)| away(person, delegate, from, from + lasts)).collect();
            let slot = SlotState::asking(1, asked.iter().map(|n| someone(*n)));
            let seats = stand_ins(&delegations, &slot, someone(0), someone(1), at(25));
            for seat in &seats {
                prop_assert!(slot.seat(seat.person).is_none());
                prop_assert!(seat.is_impartial(someone(0), someone(1)));
                prop_assert_eq!(slot.seat(seat.place()).map(|own| own.acting_as), Some(ActingAs::Own));
                prop_assert!(still_stands_in(&delegations, seat.place(), seat.person, at(25)));
            }
            let mut people: Vec<_> = seats.iter().map(|seat| seat.person).collect();
            people.sort();
            people.dedup();
            prop_assert_eq!(people.len(), seats.len());
        }
    }
}
