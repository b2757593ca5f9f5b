//! Leases over time: alone, overlapping, adjacent and extended.

use proptest::prelude::*;

use super::super::samples::{at, lease_id, someone};
use super::*;

fn lease(status: GrantStatus, starts: i64, lasts: Option<i64>) -> Lease {
    let verified = matches!(status, GrantStatus::Active | GrantStatus::Revoking | GrantStatus::Ended);
    Lease {
        id: lease_id(1),
        beneficiary: someone(1),
        status,
        duration: lasts.map(Seconds),
        starts_at: at(starts),
        ends_at: lasts.map(|lasts| at(starts + lasts)),
        verified_at: verified.then(|| at(starts)),
    }
}

#[test]
fn a_lease_wants_its_membership_from_its_beginning_until_its_end() {
    use GrantStatus::*;
    for (status, now, wants) in [
        (Scheduled, 9, false),
        (Scheduled, 10, true),
        (Provisioning, 10, true),
        (Verifying, 10, true),
        // Still being delivered when its time would have been up: the clock starts when access begins.
        (Provisioning, 500, true),
        (Verifying, 500, true),
        (Active, 9, false),
        (Active, 10, true),
        (Active, 109, true),
        (Active, 110, false),
        (Revoking, 50, false),
        (Ended, 50, false),
        (Failed, 50, false),
    ] {
        assert_eq!(lease(status, 10, Some(100)).wants(at(now)), wants, "{status:?} at {now}");
    }
    assert!(lease(Active, 10, None).wants(at(1_000_000_000)), "without end");
    assert!(!lease(Active, 10, None).is_over(at(1_000_000_000)));
    assert!(lease(Active, 10, Some(100)).is_over(at(110)) && !lease(Active, 10, Some(100)).is_over(at(109)));
    assert!(!lease(Provisioning, 10, Some(100)).is_over(at(500)));
}

#[test]
fn the_clock_of_a_duration_starts_when_access_begins() {
    assert_eq!(lease(GrantStatus::Provisioning, 10, Some(100)).begun(at(70)), (at(70), Some(at(170))));
    assert_eq!(lease(GrantStatus::Provisioning, 10, None).begun(at(70)), (at(70), None));
    assert_eq!(lease(GrantStatus::Scheduled, 10, Some(100)).begun(at(5)), (at(10), Some(at(110))), "never before it was to begin");
    // Put back by hand and found again: that does not make it longer.
    assert_eq!(lease(GrantStatus::Active, 10, Some(100)).begun(at(70)), (at(10), Some(at(110))));
}

#[test]
fn a_span_begins_when_all_it_waits_for_has_come() {
    let d = Some(Seconds(100));
    assert_eq!(span(at(5), d, None, None), (at(5), Some(at(105))));
    assert_eq!(span(at(5), d, Some(at(50)), None), (at(50), Some(at(150))));
    assert_eq!(span(at(5), d, Some(at(1)), None), (at(5), Some(at(105))), "approved after it was to begin");
    assert_eq!(span(at(5), d, None, Some(at(30))), (at(30), Some(at(130))));
    assert_eq!(span(at(5), d, None, Some(at(2))), (at(5), Some(at(105))), "the extended lease is over already");
    assert_eq!(span(at(5), d, Some(at(20)), Some(at(30))), (at(30), Some(at(130))));
    assert_eq!(span(at(5), None, None, Some(at(30))), (at(30), None));
    let last_day = DateTime::<Utc>::MAX_UTC - chrono::Duration::seconds(10);
    assert_eq!(span(at(5), d, Some(last_day), None), (last_day, Some(DateTime::<Utc>::MAX_UTC)), "a limit never turns into none");
}

#[test]
fn holders_return_and_owners_revoke_what_has_not_ended() {
    use GrantStatus::*;
    let (holder, other) = (someone(1), someone(2));
    for (status, _) in GrantStatus::ALL {
        let lease = lease(status, 0, Some(100));
        let live = matches!(status, Scheduled | Provisioning | Verifying | Active);
        assert_eq!(status.is_live(), live);
        for (by, owns, revoke, then) in [
            (holder, false, false, Ok(EndReason::Returned)),
            (holder, true, false, Ok(EndReason::Returned)),
            (holder, false, true, Err(Refusal::NotOwner)),
            (holder, true, true, Ok(EndReason::Revoked)),
            (other, true, true, Ok(EndReason::Revoked)),
            (other, false, true, Err(Refusal::NotOwner)),
            (other, true, false, Err(Refusal::NotHolder)),
            (other, false, false, Err(Refusal::NotHolder)),
        ] {
            assert_eq!(end(&lease, by, owns, revoke), if live { then } else { Err(Refusal::AlreadyEnded) }, "{status:?}");
        }
    }
}

const FRESH: Extended = Extended { already: false, times: 0, declined: false };

/// Extended in the last so many percent of its time.
fn rules(last_percent: u32) -> Extension {
    Extension { maximum: None, last_percent, most: None, procedure: None }
}

#[test]
fn a_lease_is_extended_late_in_its_life_once_and_where_allowed() {
    use GrantStatus::*;
    let active = lease(Active, 0, Some(100));
    let half = rules(50);
    assert_eq!(extend(&active, Some(&half), FRESH, at(50)), Ok(()));
    assert_eq!(extend(&active, Some(&half), FRESH, at(99)), Ok(()));
    let no = |lease: &Lease, rules, extended, now, why: &str| assert_eq!(extend(lease, rules, extended, at(now)), Err(Refusal::NotExtendable(why.into())));
    no(&active, Some(&half), FRESH, 49, "the last 50 % of its time has not begun");
    no(&active, Some(&half), FRESH, 100, "it is not active");
    no(&active, None, FRESH, 50, "its policy does not allow extensions");
    no(&active, Some(&half), Extended { already: true, ..FRESH }, 50, "it has been extended already");
    no(&lease(Active, 0, None), Some(&half), FRESH, 50, "it has no end");
    for status in [Scheduled, Provisioning, Verifying, Revoking, Ended, Failed] {
        no(&lease(status, 0, Some(100)), Some(&half), FRESH, 50, "it is not active");
    }
}

#[test]
fn it_is_extended_in_the_last_part_that_the_policy_names() {
    let active = lease(GrantStatus::Active, 1_000, Some(1_000));
    for (percent, opens) in [(1, 1_990), (10, 1_900), (25, 1_750), (100, 1_000)] {
        assert_eq!(extend(&active, Some(&rules(percent)), FRESH, at(opens)), Ok(()), "{percent} %");
        assert!(extend(&active, Some(&rules(percent)), FRESH, at(opens - 1)).is_err(), "{percent} %");
    }
    // What configuration does not let through does no harm either.
    assert_eq!(extend(&active, Some(&rules(0)), FRESH, at(1_990)), Ok(()));
    assert_eq!(extend(&active, Some(&rules(u32::MAX)), FRESH, at(1_000)), Ok(()));
    let centuries = Lease { ends_at: Some(DateTime::<Utc>::MAX_UTC), ..active };
    assert!(extend(&centuries, Some(&rules(100)), FRESH, at(1_000)).is_ok());
}

#[test]
fn it_is_extended_so_many_times_in_a_row_and_not_against_the_word_of_its_holder() {
    let active = lease(GrantStatus::Active, 0, Some(100));
    let no = |most, extended, why: &str| {
        let rules = Extension { most, ..rules(50) };
        assert_eq!(extend(&active, Some(&rules), extended, at(50)), Err(Refusal::NotExtendable(why.into())));
    };
    no(Some(1), Extended { times: 1, ..FRESH }, "it was extended 1 time in a row, and the policy allows no more");
    no(Some(3), Extended { times: 4, ..FRESH }, "it was extended 3 times in a row, and the policy allows no more");
    no(Some(0), FRESH, "it was extended 0 times in a row, and the policy allows no more");
    no(None, Extended { declined: true, ..FRESH }, "its holder said that it is not to be extended");
    assert_eq!(extend(&active, Some(&Extension { most: Some(3), ..rules(50) }), Extended { times: 2, ..FRESH }, at(50)), Ok(()));
    assert_eq!(extend(&active, Some(&rules(50)), Extended { times: 1_000, ..FRESH }, at(50)), Ok(()), "as often as it is approved");
}

#[test]
fn every_word_of_a_status_reads_back() {
    for (status, word) in GrantStatus::ALL {
        assert_eq!((status.word(), GrantStatus::parse(word)), (word, Some(status)));
    }
    assert_eq!(GrantStatus::parse("paused"), None);
}

/// A lease as time and people treat it: begun `late` seconds after it was to begin, ended early or not.
#[derive(Clone, Debug)]
struct Story {
    starts: i64,
    lasts: Option<i64>,
    late: i64,
    ended: Option<i64>,
}

impl Story {
    /// What the lease's row says at `now`, when every due thing has been done.
    fn row(&self, now: i64) -> Lease {
        let delivering = lease(GrantStatus::Provisioning, self.starts, self.lasts);
        let began = self.starts + self.late;
        let mut row = if now < self.starts {
            lease(GrantStatus::Scheduled, self.starts, self.lasts)
        } else if now < began {
            delivering
        } else {
            let (starts_at, ends_at) = delivering.begun(at(began));
            Lease { status: GrantStatus::Active, starts_at, ends_at, verified_at: Some(at(began)), ..delivering }
        };
        if self.ended.is_some_and(|ended| ended <= now) || row.is_over(at(now)) {
            row.status = GrantStatus::Ended;
        }
        row
    }

    /// Said a second time, in plain numbers: from when it was to begin until its time is up or somebody ends it.
    fn covers(&self, now: i64) -> bool {
        now >= self.starts && self.lasts.is_none_or(|lasts| now < self.starts + self.late + lasts) && self.ended.is_none_or(|ended| now < ended)
    }
}

fn any_story() -> impl Strategy<Value = Story> {
    (0i64..40, prop::option::weighted(0.9, 1i64..30), 0i64..5, prop::option::weighted(0.3, 0i64..60)).prop_map(|(starts, lasts, late, ended)| Story {
        starts,
        lasts,
        late,
        ended,
    })
}

proptest! {
    #[test]
    fn a_membership_is_wanted_exactly_while_some_lease_covers_the_moment(stories in prop::collection::vec(any_story(), 0..6)) {
        for now in -1..110 {
            let leases: Vec<Lease> = stories.iter().map(|story| story.row(now)).collect();
            prop_assert_eq!(wanted(&leases, at(now)), stories.iter().any(|story| story.covers(now)), "at {}", now);
        }
    }

    #[test]
    fn extensions_go_on_without_a_gap_and_not_a_second_longer(first in 2i64..50, more in prop::collection::vec(2i64..50, 1..5), late in 0i64..20) {
        let (starts_at, ends_at) = lease(GrantStatus::Provisioning, 0, Some(first)).begun(at(late));
        let mut chain = vec![Lease { status: GrantStatus::Active, starts_at, ends_at, verified_at: Some(at(late)), ..lease(GrantStatus::Active, 0, Some(first)) }];
        let mut end = late + first;
        for lasts in &more {
            let last = chain.last().unwrap();
            let asked_at = last.starts_at + (last.ends_at.unwrap() - last.starts_at) / 2;
            prop_assert_eq!(extend(last, Some(&rules(50)), FRESH, asked_at), Ok(()));
            let (starts_at, ends_at) = span(asked_at, Some(Seconds(*lasts)), None, last.ends_at);
            prop_assert_eq!(starts_at, at(end));
            end += lasts;
            prop_assert_eq!(ends_at, Some(at(end)));
            // Its beginning finds the member there, so nothing moves.
            chain.push(Lease { id: lease_id(chain.len()), status: GrantStatus::Active, duration: Some(Seconds(*lasts)), starts_at, ends_at, verified_at: Some(starts_at), ..last.clone() });
        }
        for now in late - 1..end + 3 {
            prop_assert_eq!(wanted(&chain, at(now)), (late..end).contains(&now), "at {}", now);
        }
    }

    #[test]
    fn however_late_it_begins_a_lease_lasts_as_long_as_was_approved(lasts in 1i64..1_000, wanted_start in prop::option::of(0i64..500), late in 0i64..1_000, again in 0i64..2_000) {
        let (starts_at, ends_at) = span(at(0), Some(Seconds(lasts)), wanted_start.map(at), None);
        let fresh = Lease { starts_at, ends_at, ..lease(GrantStatus::Provisioning, 0, Some(lasts)) };
        let began = starts_at + chrono::Duration::seconds(late);
        let (starts_at, ends_at) = fresh.begun(began);
        prop_assert_eq!((starts_at, ends_at), (began, Some(began + chrono::Duration::seconds(lasts))));
        let begun = Lease { status: GrantStatus::Active, starts_at, ends_at, verified_at: Some(began), ..fresh };
        prop_assert_eq!(begun.begun(began + chrono::Duration::seconds(again)), (starts_at, ends_at));
    }
}
