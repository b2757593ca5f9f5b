//! Who may do what with a request in which state.

use proptest::prelude::*;

use super::super::samples::{at, someone};
use super::super::slot::SlotState;
use super::*;

/// Everybody who has to do with the request of the matrix, or not, and the number of each.
const PEOPLE: [(&str, usize); 14] = [
    ("requester", 0),
    ("beneficiary", 1),
    ("asked now", 2),
    ("asked later", 3),
    ("decided before", 4),
    ("handed it on", 5),
    ("delegate", 6),
    ("delegate of the requester", 7),
    ("escalated to", 8),
    ("skipped in the emergency", 9),
    ("owner", 10),
    ("administrator", 11),
    ("auditor", 12),
    ("stranger", 13),
];

fn seat(person: usize, acting_as: ActingAs, acting_for: Option<usize>) -> Seat {
    Seat { acting_as, acting_for: acting_for.map(someone), ..someone(person).into() }
}

/// Three steps, the second open. An emergency when it is approved.
fn acting(status: RequestStatus) -> Acting {
    let first = SlotState { approved_by: vec![someone(4)], ..SlotState::asking(1, [someone(4)]) };
    let mut second = SlotState::asking(2, [someone(2), someone(5), someone(20)]);
    second.asked[1].ended = true;
    second.asked.extend([seat(6, ActingAs::Delegate, Some(20)), seat(7, ActingAs::Delegate, Some(0)), seat(8, ActingAs::Escalation, None)]);
    let deciding = Deciding {
        requester: someone(0),
        beneficiary: someone(1),
        started_by: None,
        status,
        step_no: 2,
        steps: vec![vec![first], vec![second], vec![SlotState::asking(1, [someone(3)])]],
        distinct_people: true,
        comment_to_deny: false,
        duration: Some(Seconds(3_600)),
        granted: None,
        minimum: Seconds(60),
    };
    let review = (status == RequestStatus::Approved).then(|| Review { reviewers: vec![someone(9)], made: false });
    Acting { deciding, reassign: true, nudged_at: None, changed: false, review }
}

fn doer(person: usize) -> Doer {
    Doer::Person { id: someone(person), oversees: person == 10 || person == 11 }
}

/// One table for every status, every person and every act: `yes`, or the id of the refusal. What is evaluated again is a request
/// whose rules have changed; everything else is one whose rules have not.
#[test]
fn who_may_do_what_in_which_state() {
    let mut table = String::new();
    let columns = [
        "approve",
        "deny",
        "withdraw",
        "ask question",
        "answer question",
        "reassign",
        "nudge",
        "confirm",
        "escalate",
        "note sign-off",
        "re-evaluate",
        "review",
    ];
    let line = |who: &str, cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:<19}")).collect();
        format!("{who:<26}{}", cells.join("")).trim_end().to_owned() + "\n"
    };
    for (status, word) in RequestStatus::ALL {
        table += &line(&word.to_uppercase(), columns.map(Into::into).into());
        let everybody = PEOPLE.map(|(who, number)| (who, doer(number))).into_iter().chain([("the clock", Doer::Clock)]);
        for (who, by) in everybody {
            let cell = |act| {
                let request = Acting { changed: act == Act::Reevaluate, ..acting(status) };
                may(act, &request, by, at(0)).map_or_else(|refusal| refusal.id().to_owned(), |()| "yes".into())
            };
            table += &line(who, Act::ALL.into_iter().map(cell).collect());
        }
    }
    insta::assert_snapshot!(table, @r#"
    SUBMITTED                 approve            deny               withdraw           ask question       answer question    reassign           nudge              confirm            escalate           note sign-off      re-evaluate        review
    requester                 own-request        own-request        yes                own-request        no-question        own-request        unconfirmed        not-beneficiary    only-the-clock     yes                yes                own-request
    beneficiary               own-request        own-request        yes                own-request        no-question        own-request        unconfirmed        yes                only-the-clock     yes                yes                own-request
    asked now                 unconfirmed        unconfirmed        not-yours          unconfirmed        not-party          unconfirmed        not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    asked later               unconfirmed        unconfirmed        not-yours          unconfirmed        not-party          unconfirmed        not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    decided before            unconfirmed        unconfirmed        not-yours          unconfirmed        not-party          unconfirmed        not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    handed it on              no-longer-asked    no-longer-asked    not-yours          no-longer-asked    not-party          no-longer-asked    not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    delegate                  unconfirmed        unconfirmed        not-yours          unconfirmed        not-party          unconfirmed        not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    delegate of the requester unconfirmed        unconfirmed        not-yours          unconfirmed        not-party          unconfirmed        not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    escalated to              unconfirmed        unconfirmed        not-yours          unconfirmed        not-party          unconfirmed        not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    skipped in the emergency  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    owner                     not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    administrator             not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    auditor                   not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    stranger                  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    the clock                 not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       unconfirmed        not-involved       not-involved       not-involved
    PENDING                   approve            deny               withdraw           ask question       answer question    reassign           nudge              confirm            escalate           note sign-off      re-evaluate        review
    requester                 own-request        own-request        yes                own-request        no-question        own-request        yes                not-beneficiary    only-the-clock     yes                yes                own-request
    beneficiary               own-request        own-request        yes                own-request        no-question        own-request        yes                nothing-to-confirm only-the-clock     yes                yes                own-request
    asked now                 yes                yes                not-yours          yes                not-party          yes                not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    asked later               not-yet            not-yet            not-yours          not-yet            not-party          not-yet            not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    decided before            already-decided    already-decided    not-yours          already-decided    not-party          already-decided    not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    handed it on              no-longer-asked    no-longer-asked    not-yours          no-longer-asked    not-party          no-longer-asked    not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    delegate                  yes                yes                not-yours          yes                not-party          yes                not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    delegate of the requester in-place-of-own    in-place-of-own    not-yours          in-place-of-own    not-party          in-place-of-own    not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    escalated to              yes                yes                not-yours          yes                not-party          yes                not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    skipped in the emergency  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    owner                     not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    administrator             not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    auditor                   not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    stranger                  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    the clock                 not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       yes                not-involved       not-involved       not-involved
    NEEDS_INFO                approve            deny               withdraw           ask question       answer question    reassign           nudge              confirm            escalate           note sign-off      re-evaluate        review
    requester                 own-request        own-request        yes                own-request        yes                own-request        question-open      not-beneficiary    only-the-clock     yes                yes                own-request
    beneficiary               own-request        own-request        yes                own-request        yes                own-request        question-open      nothing-to-confirm only-the-clock     yes                yes                own-request
    asked now                 question-open      yes                not-yours          question-open      not-party          question-open      not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    asked later               question-open      not-yet            not-yours          question-open      not-party          question-open      not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    decided before            question-open      already-decided    not-yours          question-open      not-party          question-open      not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    handed it on              no-longer-asked    no-longer-asked    not-yours          no-longer-asked    not-party          no-longer-asked    not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    delegate                  question-open      yes                not-yours          question-open      not-party          question-open      not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    delegate of the requester question-open      in-place-of-own    not-yours          question-open      not-party          question-open      not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    escalated to              question-open      yes                not-yours          question-open      not-party          question-open      not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    skipped in the emergency  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    owner                     not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    administrator             not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     yes                yes                no-review-owed
    auditor                   not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    stranger                  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    the clock                 not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       question-open      not-involved       not-involved       not-involved
    APPROVED                  approve            deny               withdraw           ask question       answer question    reassign           nudge              confirm            escalate           note sign-off      re-evaluate        review
    requester                 own-request        own-request        closed             own-request        closed             own-request        closed             not-beneficiary    only-the-clock     closed             closed             own-request
    beneficiary               own-request        own-request        closed             own-request        closed             own-request        closed             closed             only-the-clock     closed             closed             own-request
    asked now                 closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             not-reviewer
    asked later               closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             not-reviewer
    decided before            closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             not-reviewer
    handed it on              no-longer-asked    no-longer-asked    not-yours          no-longer-asked    not-party          no-longer-asked    not-party          not-beneficiary    only-the-clock     closed             closed             not-reviewer
    delegate                  closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             not-reviewer
    delegate of the requester closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             not-reviewer
    escalated to              closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             not-reviewer
    skipped in the emergency  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       yes
    owner                     not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             not-reviewer
    administrator             not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             not-reviewer
    auditor                   not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       not-reviewer
    stranger                  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       not-reviewer
    the clock                 not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       closed             not-involved       not-involved       not-involved
    DENIED                    approve            deny               withdraw           ask question       answer question    reassign           nudge              confirm            escalate           note sign-off      re-evaluate        review
    requester                 own-request        own-request        closed             own-request        closed             own-request        closed             not-beneficiary    only-the-clock     closed             closed             own-request
    beneficiary               own-request        own-request        closed             own-request        closed             own-request        closed             closed             only-the-clock     closed             closed             own-request
    asked now                 closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    asked later               closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    decided before            closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    handed it on              no-longer-asked    no-longer-asked    not-yours          no-longer-asked    not-party          no-longer-asked    not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    delegate                  closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    delegate of the requester closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    escalated to              closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    skipped in the emergency  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    owner                     not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    administrator             not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    auditor                   not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    stranger                  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    the clock                 not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       closed             not-involved       not-involved       not-involved
    WITHDRAWN                 approve            deny               withdraw           ask question       answer question    reassign           nudge              confirm            escalate           note sign-off      re-evaluate        review
    requester                 own-request        own-request        closed             own-request        closed             own-request        closed             not-beneficiary    only-the-clock     closed             closed             own-request
    beneficiary               own-request        own-request        closed             own-request        closed             own-request        closed             closed             only-the-clock     closed             closed             own-request
    asked now                 closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    asked later               closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    decided before            closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    handed it on              no-longer-asked    no-longer-asked    not-yours          no-longer-asked    not-party          no-longer-asked    not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    delegate                  closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    delegate of the requester closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    escalated to              closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    skipped in the emergency  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    owner                     not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    administrator             not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    auditor                   not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    stranger                  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    the clock                 not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       closed             not-involved       not-involved       not-involved
    TIMED_OUT                 approve            deny               withdraw           ask question       answer question    reassign           nudge              confirm            escalate           note sign-off      re-evaluate        review
    requester                 own-request        own-request        closed             own-request        closed             own-request        closed             not-beneficiary    only-the-clock     closed             closed             own-request
    beneficiary               own-request        own-request        closed             own-request        closed             own-request        closed             closed             only-the-clock     closed             closed             own-request
    asked now                 closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    asked later               closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    decided before            closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    handed it on              no-longer-asked    no-longer-asked    not-yours          no-longer-asked    not-party          no-longer-asked    not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    delegate                  closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    delegate of the requester closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    escalated to              closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    skipped in the emergency  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    owner                     not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    administrator             not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    auditor                   not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    stranger                  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    the clock                 not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       closed             not-involved       not-involved       not-involved
    REFUSED                   approve            deny               withdraw           ask question       answer question    reassign           nudge              confirm            escalate           note sign-off      re-evaluate        review
    requester                 own-request        own-request        closed             own-request        closed             own-request        closed             not-beneficiary    only-the-clock     closed             closed             own-request
    beneficiary               own-request        own-request        closed             own-request        closed             own-request        closed             closed             only-the-clock     closed             closed             own-request
    asked now                 closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    asked later               closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    decided before            closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    handed it on              no-longer-asked    no-longer-asked    not-yours          no-longer-asked    not-party          no-longer-asked    not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    delegate                  closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    delegate of the requester closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    escalated to              closed             closed             not-yours          closed             not-party          closed             not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    skipped in the emergency  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    owner                     not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    administrator             not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     closed             closed             no-review-owed
    auditor                   not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    stranger                  not-asked          not-asked          not-yours          not-asked          not-party          not-asked          not-party          not-beneficiary    only-the-clock     not-involved       not-involved       no-review-owed
    the clock                 not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       not-involved       closed             not-involved       not-involved       not-involved
    "#);
}

#[test]
fn only_who_is_asked_now_decides_and_only_while_it_is_open() {
    for (status, _) in RequestStatus::ALL {
        for (who, number) in PEOPLE {
            for act in [Act::Approve, Act::Deny, Act::AskQuestion, Act::Reassign] {
                // A denial need not wait for the answer to a question.
                let open = status == RequestStatus::Pending || (status == RequestStatus::NeedsInfo && act == Act::Deny);
                let lets = open && ["asked now", "delegate", "escalated to"].contains(&who);
                assert_eq!(may(act, &acting(status), doer(number), at(0)).is_ok(), lets, "{act:?} by {who}, {status:?}");
            }
        }
    }
}

#[test]
fn what_changed_since_is_evaluated_again_before_it_is_approved() {
    let changed = Acting { changed: true, ..acting(RequestStatus::Pending) };
    assert_eq!(may(Act::Approve, &changed, doer(2), at(0)), Err(Refusal::RulesChanged));
    assert_eq!(may(Act::Deny, &changed, doer(2), at(0)), Ok(()));
    assert_eq!(may(Act::Reevaluate, &changed, doer(2), at(0)), Ok(()));
    assert_eq!(may(Act::Approve, &changed, doer(13), at(0)), Err(Refusal::NotAsked), "who was not asked learns nothing of it");
    assert_eq!(may(Act::Reevaluate, &acting(RequestStatus::Pending), doer(2), at(0)), Err(Refusal::NothingChanged));
}

#[test]
fn a_nudge_is_possible_once_in_four_hours() {
    let nudged = |ago: i64| Acting { nudged_at: Some(at(-ago)), ..acting(RequestStatus::Pending) };
    let nudge = |request: &Acting| may(Act::Nudge, request, doer(0), at(0));
    assert_eq!(nudge(&acting(RequestStatus::Pending)), Ok(()));
    assert_eq!(nudge(&nudged(4 * 3_600)), Ok(()));
    assert_eq!(nudge(&nudged(4 * 3_600 - 1)), Err(Refusal::NudgedLately(Seconds(60))), "to the minute, and never too early");
    assert_eq!(nudge(&nudged(0)), Err(Refusal::NudgedLately(NUDGE_EVERY)));
    insta::assert_snapshot!(nudge(&nudged(3_600)).unwrap_err(), @"Those who are asked were nudged less than 4 hours ago; you can do it again in 3 hours.");
}

#[test]
fn a_review_is_made_once_and_by_who_was_skipped() {
    let emergency = acting(RequestStatus::Approved);
    assert_eq!(may(Act::ReviewEmergency, &emergency, doer(9), at(0)), Ok(()));
    let made = Acting { review: emergency.review.clone().map(|review| Review { made: true, ..review }), ..emergency.clone() };
    assert_eq!(may(Act::ReviewEmergency, &made, doer(9), at(0)), Err(Refusal::AlreadyReviewed));
    assert_eq!(may(Act::ReviewEmergency, &made, doer(10), at(0)), Err(Refusal::NotReviewer));
    let own = Acting { review: Some(Review { reviewers: vec![someone(0), someone(1)], made: false }), ..emergency };
    for me in [0, 1] {
        assert_eq!(may(Act::ReviewEmergency, &own, doer(me), at(0)), Err(Refusal::OwnRequest));
    }
}

#[test]
fn when_everybody_who_was_skipped_has_left_whoever_oversees_the_request_reviews() {
    let left = Acting { review: Some(Review { reviewers: vec![], made: false }), ..acting(RequestStatus::Approved) };
    for overseer in [10, 11] {
        assert_eq!(may(Act::ReviewEmergency, &left, doer(overseer), at(0)), Ok(()));
    }
    assert_eq!(may(Act::ReviewEmergency, &left, doer(9), at(0)), Err(Refusal::NotReviewer), "who left does not come back by the back door");
    let mine = |person| Doer::Person { id: someone(person), oversees: true };
    for party in [0, 1] {
        assert_eq!(may(Act::ReviewEmergency, &left, mine(party), at(0)), Err(Refusal::OwnRequest), "an owner does not review their own either");
    }
    let own = Acting { review: Some(Review { reviewers: vec![someone(1)], made: false }), ..left.clone() };
    assert_eq!(may(Act::ReviewEmergency, &own, doer(10), at(0)), Ok(()), "of whom only the one who took it is left, nobody is");
    let made = Acting { review: Some(Review { reviewers: vec![], made: true }), ..left };
    assert_eq!(may(Act::ReviewEmergency, &made, doer(10), at(0)), Err(Refusal::AlreadyReviewed));
}

#[test]
fn a_place_is_handed_on_to_somebody_fresh_and_impartial_where_the_procedure_lets_it() {
    let request = acting(RequestStatus::Pending).deciding;
    let hand_on = |by, to| may_reassign(&request, someone(by), someone(to), true);
    assert_eq!(hand_on(2, 13), Ok((0, seat(13, ActingAs::Reassigned, Some(2)))));
    assert_eq!(hand_on(6, 13), Ok((0, seat(13, ActingAs::Reassigned, Some(20)))), "a delegate hands on the place of who is away");
    assert_eq!(may_reassign(&request, someone(2), someone(13), false), Err(Refusal::NotReassignable));
    for (to, why) in [
        (0, Refusal::ReassignToOwn),
        (1, Refusal::ReassignToOwn),
        (2, Refusal::AskedAlready),
        (20, Refusal::AskedAlready),
        (6, Refusal::AskedAlready),
        (5, Refusal::AskedAlready),
        (4, Refusal::AskedAlready),
    ] {
        assert_eq!(hand_on(2, to), Err(why), "to {to}");
    }
    // Who is the only one at a later step is not used up here, unless others are enough here.
    assert!(hand_on(2, 3).is_ok());
    let mut tight = request.clone();
    tight.steps[1] = vec![SlotState::asking(1, [someone(2)])];
    assert_eq!(may_reassign(&tight, someone(2), someone(3), true), Err(Refusal::LeavesTooFew));
    assert_eq!(hand_on(3, 13), Err(Refusal::NotYet));
    assert_eq!(hand_on(13, 14), Err(Refusal::NotAsked));
    let again = Deciding { distinct_people: false, ..tight };
    assert!(may_reassign(&again, someone(2), someone(3), true).is_ok(), "one person may decide in both steps here");
    assert!(may_reassign(&again, someone(2), someone(4), true).is_ok());
}

#[test]
fn whoever_a_place_is_handed_on_to_shares_it_with_the_delegate() {
    let mut request = acting(RequestStatus::Pending).deciding;
    request.steps[1][0].asked.push(seat(30, ActingAs::Delegate, Some(2)));
    let (slot, new) = may_reassign(&request, someone(2), someone(13), true).unwrap();
    request.steps[1][slot].asked[0].ended = true;
    request.steps[1][slot].asked.push(new);
    assert_eq!(may_answer(&request, someone(2)), Err(Refusal::NoLongerAsked));
    request.steps[1][slot].approved_by.push(someone(30));
    assert_eq!(may_answer(&request, someone(13)), Err(Refusal::PlaceTaken));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Handing on, in whatever way, neither makes a voice more nor leaves the request stuck.
    #[test]
    fn handing_on_never_makes_it_stuck_or_a_place_count_twice(
        steps in prop::collection::vec(prop::collection::vec((1u32..=2, prop::sample::subsequence((2..9usize).collect::<Vec<_>>(), 1..=5)), 1..=2), 1..=2),
        moves in prop::collection::vec((2..9usize, 0..11usize), 0..12), distinct in any::<bool>(),
    ) {
        let mut request = Deciding { step_no: 1, distinct_people: distinct, ..acting(RequestStatus::Pending).deciding };
        request.steps = steps.iter().map(|step| step.iter().map(|(n, asked)| SlotState::asking(*n, asked.iter().map(|p| someone(*p)))).collect()).collect();
        let stuck = open_seats(&request, None);
        let places = |request: &Deciding| {
            let mut all: Vec<Vec<PersonId>> = request.steps.iter().flatten().map(|slot| slot.asked.iter().filter(|seat| !seat.ended).map(Seat::place).collect()).collect();
            all.iter_mut().for_each(|slot| slot.sort());
            all
        };
        let before = places(&request);
        for (by, to) in moves {
            let Ok((slot, new)) = may_reassign(&request, someone(by), someone(to), true) else { continue };
            prop_assert!(to > 1);
            let step = &mut request.steps[0][slot];
            step.asked.iter_mut().filter(|seat| seat.person == someone(by)).for_each(|seat| seat.ended = true);
            step.asked.push(new);
            prop_assert_eq!(places(&request), before.clone());
            prop_assert!(stuck.is_some() || open_seats(&request, None).is_none(), "stuck");
        }
    }
}
