//! The decision, case by case.

use super::super::catalog::Risk;
use super::super::condition::Operator;
use super::super::policy::{AccessPolicy, ApproverSource, AutoRule, Emergency, Extension, OnBehalf, Verdict, When};
use super::super::samples::*;
use super::*;

pub(super) fn decide_ask(policies: &[AccessPolicy], separation: &[SeparationRule], person: &PersonSnapshot, ask: &Ask) -> Decision {
    let (policies, separation): (Vec<_>, Vec<_>) = (policies.iter().collect(), separation.iter().collect());
    decide(Rules { policies: &policies, separation: &separation }, person, ask, at(0))
}

pub(super) fn decide_all(policies: &[AccessPolicy], person: &PersonSnapshot) -> Decision {
    decide_ask(policies, &[], person, &ask())
}

/// The lines of a trace for people: `+` in their favour, `-` not, `!` what counted against them.
pub(super) fn told(decision: &Decision) -> String {
    let lines = decision.trace.iter().map(|line| {
        let mark = if line.passed { '+' } else { '-' };
        let counts = if line.decisive { "!" } else { "" };
        format!("{mark}{counts} {} [{}] {}", line.sentence, line.seen.join(", "), line.rule)
    });
    format!("{} by {}\n{}", decision.outcome.word(), decision.deciding_rule, lines.collect::<Vec<_>>().join("\n"))
}

/// "usual 1, usual 3, pay 1".
pub(super) fn steps(decision: &Decision) -> String {
    decision.steps.iter().map(|step| format!("{} {}", step.procedure, step.position)).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_list_in_the_docs_has_the_points_that_the_code_has() {
    let points = |text: &str, prefix: &str| {
        let numbers: Vec<usize> = text.lines().filter_map(|line| line.trim_start().strip_prefix(prefix)?.split_once(". ")?.0.parse().ok()).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len()), "points in order: {numbers:?}");
        numbers.len()
    };
    let docs = include_str!("../../../docs/rules.md");
    let (_, section) = docs.split_once("## How rules combine").expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let code = points(include_str!("../decide.rs"), "/// ");
    assert!(code > 5);
    assert_eq!(points(section, ""), code, "docs/rules.md and decide() say the same");
}

#[test]
fn without_a_policy_the_ask_is_refused() {
    insta::assert_snapshot!(told(&decide_all(&[], &bo())), @r#"
    refused by no policy is for this person
    + Your account must be active in the directory [true] person is active
    -! A policy of this role must be for you [] a policy is for you
    "#);
}

#[test]
fn a_deny_rule_keeps_out_whoever_it_cannot_rule_out() {
    let mut person = bo();
    let p = [policy("p", vec![], vec![allow(vec![]), deny(vec![when("employment_type", Operator::Is, &["contractor"])])])];
    assert_eq!(decide_all(&p, &person).outcome, Outcome::NeedsApproval, "an employee");
    person.attributes.insert("employment_type".into(), vec!["contractor".into()]);
    assert_eq!(decide_all(&p, &person).outcome, Outcome::Refused);
    person.attributes.clear();
    insta::assert_snapshot!(told(&decide_all(&p, &person)), @r#"
    refused by profile p-profile v2: deny rule 2
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    - Kept out: employment type contractor; the directory does not say yours [] profile p-profile v2: deny rule 2, condition 1
    + Everybody may ask [] profile p-profile v2: allow rule 1
    -! A deny rule applies; it beats every allow rule [] profile p-profile v2: deny rule 2 applies
    "#);
}

#[test]
fn who_governs_must_be_known() {
    let contractors = policy("contractors", vec![when("employment_type", Operator::Is, &["contractor"])], vec![]);
    let policies = [contractors, policy("staff", vec![], vec![allow(vec![])])];
    assert_eq!(decide_all(&policies, &bo()).outcome, Outcome::NeedsApproval);
    let mut person = bo();
    person.attributes.remove("employment_type");
    insta::assert_snapshot!(told(&decide_all(&policies, &person)), @r#"
    refused by policy contractors v3: for whom: cannot be told
    + Your account must be active in the directory [true] person is active
    - Your employment type must be contractor [] policy contractors v3: for whom, condition 1
    -! The directory must say what decides whether policy contractors is for you [] policy contractors v3: for whom: cannot be told
    "#);
    // Nor does what is unknown matter where something else rules the policy out.
    let mut policies = policies;
    policies[0].applies_to.push(when("department", Operator::Is, &["Law"]));
    assert_eq!(decide_all(&policies, &person).policy, Some(policies[1].id));
}

#[test]
fn reporting_to_somebody_counts_at_any_depth() {
    let p = |who: &str| [policy("p", vec![], vec![allow(vec![when("", Operator::ReportsTo, &[who])])])];
    for (who, outcome) in [
        ("mara.voss", Outcome::NeedsApproval),
        ("ines.head", Outcome::NeedsApproval),
        ("r-3", Outcome::NeedsApproval),
        ("R-3", Outcome::Refused),
        ("bo.lind", Outcome::Refused),
    ] {
        assert_eq!(decide_all(&p(who), &bo()).outcome, outcome, "{who}");
    }
    insta::assert_snapshot!(told(&decide_all(&p("kofi.asante"), &bo())), @r#"
    refused by profile p-profile v2: no allow rule applies
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    -! You must report to kofi.asante, directly or through others [mara.voss, ines.head] profile p-profile v2: allow rule 1, condition 1
    "#);
}

#[test]
fn a_conditional_step_is_part_of_it_when_all_that_it_names_holds() {
    let security =
        When { conditions: vec![when("department", Operator::Is, &["Data"])], risks: vec![Risk::Elevated, Risk::Critical], longer_than: Some(Seconds(7_200)) };
    let usual = procedure("usual", vec![step("Manager", When::default(), ApproverSource::Manager), step("Security", security, ApproverSource::RoleOwner)]);
    let p = [AccessPolicy { procedure: Some(usual), ..policy("p", vec![], vec![allow(vec![])]) }];
    let with =
        |risk, duration: Option<i64>, person: &PersonSnapshot| steps(&decide_ask(&p, &[], person, &Ask { risk, duration: duration.map(Seconds), ..ask() }));
    assert_eq!(with(Risk::Critical, Some(7_201), &bo()), "usual 1, usual 2");
    assert_eq!(with(Risk::Critical, None, &bo()), "usual 1, usual 2", "without end is longer than anything");
    assert_eq!(with(Risk::Critical, Some(7_200), &bo()), "usual 1");
    assert_eq!(with(Risk::Low, None, &bo()), "usual 1");
    let mut person = bo();
    person.attributes.insert("department".into(), vec!["Law".into()]);
    assert_eq!(with(Risk::Critical, None, &person), "usual 1");
    person.attributes.clear();
    assert_eq!(with(Risk::Critical, None, &person), "usual 1, usual 2", "what cannot be ruled out is asked");
    insta::assert_snapshot!(told(&decide_ask(&p, &[], &bo(), &Ask { risk: Risk::Elevated, ..ask() })), @r#"
    needs_approval by profile p-profile v2: allow rule 1
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    + Everybody may ask [] profile p-profile v2: allow rule 1
    + department is Data [Data] procedure usual v1: step 2, condition 1
    + Step Security is part of this: for longer than 2 hours, where the risk is elevated or critical and department is Data [] procedure usual v1: step 2
    "#);
}

#[test]
fn a_procedure_of_which_no_step_is_sure_refuses() {
    let only = When { conditions: vec![when("department", Operator::Is, &["Law"])], ..When::default() };
    let p =
        [AccessPolicy { procedure: Some(procedure("usual", vec![step("Law", only, ApproverSource::Manager)])), ..policy("p", vec![], vec![allow(vec![])]) }];
    insta::assert_snapshot!(told(&decide_all(&p, &bo())), @r#"
    refused by procedure usual v1: no step applies
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    + Everybody may ask [] profile p-profile v2: allow rule 1
    - department is Law [Data] procedure usual v1: step 1, condition 1
    + Step Law is left out: where department is Law [] procedure usual v1: step 1
    -! A step of the procedure must be sure to apply, and none is [] procedure usual v1: no step applies
    "#);
    let mut person = bo();
    person.attributes.clear();
    assert_eq!(decide_all(&p, &person).outcome, Outcome::Refused, "to say nothing of one's department does not help");
    person.attributes.insert("department".into(), vec!["Law".into()]);
    assert_eq!(decide_all(&p, &person).outcome, Outcome::NeedsApproval);
    // And the steps that a conflict adds do not make up for it.
    let conflict = [apart("pay", &[0], &[1], Some(procedure("pay", vec![step("Audit", When::default(), ApproverSource::RoleOwner)])))];
    assert_eq!(decide_ask(&p, &conflict, &bo(), &Ask { held: vec![role_id(1)], ..ask() }).outcome, Outcome::Refused);
}

#[test]
fn auto_rules_approve_or_deny_without_asking_and_deny_wins() {
    let on_call =
        AutoRule { risks: vec![Risk::Low], at_most: Some(Seconds(7_200)), ..auto("on-call", Verdict::Approve, vec![when("", Operator::MemberOf, &["sre"])]) };
    let never = AutoRule { longer_than: Some(Seconds(3_600)), ..auto("no interns", Verdict::Deny, vec![when("title", Operator::Contains, &["intern"])]) };
    let mut p = [AccessPolicy { auto_rules: vec![on_call, never], ..policy("p", vec![], vec![allow(vec![])]) }];
    let mut person = bo();
    person.attributes.insert("title".into(), vec!["Engineer".into()]);
    let lasting = |seconds| Ask { duration: Some(Seconds(seconds)), ..ask() };
    insta::assert_snapshot!(told(&decide_ask(&p, &[], &person, &lasting(7_200))), @r#"
    auto_approved by policy p v3: auto rule on-call
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    + Everybody may ask [] profile p-profile v2: allow rule 1
    + is a member of sre [sre] policy p v3: auto rule on-call, condition 1
    + Approved without asking anybody: for at most 2 hours, where the risk is low and is a member of sre [] policy p v3: auto rule on-call
    + title contains intern [Engineer] policy p v3: auto rule no interns, condition 1
    + Denied without asking anybody: for longer than 1 hour, where title contains intern [] policy p v3: auto rule no interns
    "#);
    assert_eq!(decide_ask(&p, &[], &person, &lasting(7_201)).outcome, Outcome::NeedsApproval, "too long");
    assert_eq!(decide_ask(&p, &[], &person, &Ask { risk: Risk::Critical, ..lasting(7_200) }).outcome, Outcome::NeedsApproval, "too risky");
    assert_eq!(decide_ask(&p, &[], &person, &Ask { duration: None, ..ask() }).outcome, Outcome::NeedsApproval, "without end is not at most anything");
    person.attributes.insert("title".into(), vec!["Data intern".into()]);
    insta::assert_snapshot!(told(&decide_ask(&p, &[], &person, &lasting(7_200))), @r#"
    refused by policy p v3: auto rule no interns
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    + Everybody may ask [] profile p-profile v2: allow rule 1
    + is a member of sre [sre] policy p v3: auto rule on-call, condition 1
    + Approved without asking anybody: for at most 2 hours, where the risk is low and is a member of sre [] policy p v3: auto rule on-call
    - title contains intern [Data intern] policy p v3: auto rule no interns, condition 1
    - Denied without asking anybody: for longer than 1 hour, where title contains intern [] policy p v3: auto rule no interns
    -! A rule of the policy denies this without asking anybody [] policy p v3: auto rule no interns applies
    "#);
    assert_eq!(decide_ask(&p, &[], &person, &lasting(3_600)).outcome, Outcome::AutoApproved, "not longer than that");
    person.attributes.remove("title");
    assert_eq!(decide_ask(&p, &[], &person, &lasting(7_200)).outcome, Outcome::Refused, "who may be an intern, for all the directory says");
    person.groups.clear();
    p[0].auto_rules.pop();
    assert_eq!(decide_ask(&p, &[], &person, &lasting(7_200)).outcome, Outcome::NeedsApproval, "who is not on call");
}

#[test]
fn an_emergency_begins_at_once_where_there_is_a_path_and_no_debt() {
    let path = Some(Emergency { maximum: Seconds(3_600), review_within: Seconds(86_400) });
    let p = [AccessPolicy { emergency: path, on_behalf: OnBehalf { manager: true, owner: true, confirm: false }, ..policy("p", vec![], vec![allow(vec![])]) }];
    let urgent = Ask { emergency: true, ..ask() };
    let decision = decide_ask(&p, &[], &bo(), &urgent);
    insta::assert_snapshot!(told(&decision), @r#"
    auto_approved by policy p v3: emergency
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    + Everybody may ask [] profile p-profile v2: allow rule 1
    + The policy must have an emergency path [] policy p v3: emergency
    + An emergency is asked for by oneself, and is no extension [] policy p v3: emergency
    + No review of an earlier emergency may be owed [] policy p v3: emergency
    "#);
    assert_eq!(steps(&decision), "manager 1", "whom it skips is told");
    insta::assert_snapshot!(told(&decide_ask(&p, &[], &bo(), &Ask { review_owed: true, ..urgent.clone() })), @r#"
    refused by policy p v3: emergency
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    + Everybody may ask [] profile p-profile v2: allow rule 1
    + The policy must have an emergency path [] policy p v3: emergency
    + An emergency is asked for by oneself, and is no extension [] policy p v3: emergency
    -! No review of an earlier emergency may be owed [] policy p v3: emergency
    "#);
    let refused = |policies: &[AccessPolicy], ask: Ask| assert_eq!(decide_ask(policies, &[], &bo(), &ask).outcome, Outcome::Refused, "{ask:?}");
    refused(&[AccessPolicy { emergency: None, ..p[0].clone() }], urgent.clone());
    refused(&p, Ask { requester: someone(2), standing: Standing { manages: true, owns: true }, ..urgent.clone() });
    refused(&p, Ask { extension: true, ..urgent.clone() });
    refused(&[AccessPolicy { auto_rules: vec![auto("never", Verdict::Deny, vec![])], ..p[0].clone() }], urgent.clone());
    for exception in [None, Some(procedure("pay", vec![step("Audit", When::default(), ApproverSource::RoleOwner)]))] {
        let apart = [apart("pay", &[0], &[1], exception)];
        assert_eq!(decide_ask(&p, &apart, &bo(), &urgent).outcome, Outcome::AutoApproved, "holding nothing");
        assert_eq!(decide_ask(&p, &apart, &bo(), &Ask { held: vec![role_id(1)], ..urgent.clone() }).outcome, Outcome::Refused, "never with a conflict");
    }
    assert_eq!(decide_ask(&p, &[], &bo(), &Ask { review_owed: true, ..ask() }).outcome, Outcome::NeedsApproval, "the ordinary way stays open");
}

#[test]
fn a_separation_rule_blocks_or_adds_its_steps() {
    let p = [policy("p", vec![], vec![allow(vec![])])];
    let holding = |n| Ask { held: vec![role_id(n)], ..ask() };
    let block = [apart("pay", &[0], &[1], None)];
    insta::assert_snapshot!(told(&decide_ask(&p, &block, &bo(), &holding(1))), @r#"
    refused by separation pay v1
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    + Everybody may ask [] profile p-profile v2: allow rule 1
    -! pay: one person must not hold both [] separation pay v1
    "#);
    assert!(decide_ask(&p, &block, &bo(), &holding(1)).is_separated());
    assert_eq!(decide_ask(&p, &block, &bo(), &holding(2)).outcome, Outcome::NeedsApproval);
    let audit = procedure("audit", vec![step("Audit", When::default(), ApproverSource::ApplicationOwner)]);
    let exception = [apart("pay", &[0], &[1], Some(audit))];
    let decision = decide_ask(&p, &exception, &bo(), &holding(1));
    assert_eq!((decision.outcome, steps(&decision), decision.conflicts.join(", ")), (Outcome::NeedsApproval, "manager 1, audit 1".into(), "pay v1".into()));
    assert!(!decision.is_separated());
    // What would be approved at once is not, when it runs against a rule.
    let at_once = [AccessPolicy { auto_rules: vec![auto("fine", Verdict::Approve, vec![])], ..p[0].clone() }, AccessPolicy { procedure: None, ..p[0].clone() }];
    for policy in at_once {
        let policy = [policy];
        assert_eq!(decide_ask(&policy, &exception, &bo(), &holding(2)).outcome, Outcome::AutoApproved);
        let decision = decide_ask(&policy, &exception, &bo(), &holding(1));
        assert!(decision.outcome == Outcome::NeedsApproval && steps(&decision).ends_with("audit 1"));
    }
    // An exception of which no step applies is none.
    let never = When { longer_than: Some(Seconds(86_400)), ..When::default() };
    let idle = [apart("pay", &[0], &[1], Some(procedure("audit", vec![step("Audit", never, ApproverSource::ApplicationOwner)])))];
    insta::assert_snapshot!(decide_ask(&p, &idle, &bo(), &holding(1)).deciding_rule, @"separation pay v1: no step applies");
}

#[test]
fn an_extension_goes_by_its_own_procedure_where_it_has_one() {
    let again = procedure("again", vec![step("Owner", When::default(), ApproverSource::RoleOwner)]);
    let own = Extension { maximum: None, last_percent: 20, most: Some(1), procedure: Some(again) };
    let p = [AccessPolicy { extension: Some(own.clone()), ..policy("p", vec![], vec![allow(vec![])]) }];
    let extending = Ask { extension: true, ..ask() };
    assert_eq!(steps(&decide_ask(&p, &[], &bo(), &extending)), "again 1");
    assert_eq!(steps(&decide_ask(&p, &[], &bo(), &ask())), "manager 1");
    let same = [AccessPolicy { extension: Some(Extension { procedure: None, ..own }), ..p[0].clone() }];
    assert_eq!(steps(&decide_ask(&same, &[], &bo(), &extending)), "manager 1");
}

#[test]
fn who_asks_for_somebody_else_manages_them_or_owns_the_role_where_the_policy_says_so() {
    for (manager, owner) in [(false, false), (true, false), (false, true), (true, true)] {
        let p = [AccessPolicy { on_behalf: OnBehalf { manager, owner, confirm: true }, ..policy("p", vec![], vec![allow(vec![])]) }];
        for (manages, owns) in [(false, false), (true, false), (false, true), (true, true)] {
            let other = Ask { requester: someone(2), standing: Standing { manages, owns }, ..ask() };
            let lets = manager && manages || owner && owns;
            assert_eq!(decide_ask(&p, &[], &bo(), &other).outcome == Outcome::NeedsApproval, lets, "{manager} {owner} {manages} {owns}");
            assert_eq!(decide_ask(&p, &[], &bo(), &Ask { requester: someone(1), ..other }).outcome, Outcome::NeedsApproval, "for oneself always");
        }
    }
    let p = [policy("p", vec![], vec![allow(vec![])])];
    insta::assert_snapshot!(told(&decide_ask(&p, &[], &bo(), &Ask { requester: someone(2), ..ask() })), @r#"
    refused by policy p v3: for somebody else
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy p v3: for whom
    + Everybody may ask [] profile p-profile v2: allow rule 1
    -! Everybody asks for themselves; this policy lets nobody ask for others [] policy p v3: for somebody else
    "#);
}

#[test]
fn a_person_of_the_wrong_department_reads_why() {
    let policies = [
        policy("contractors", vec![when("employment_type", Operator::Is, &["contractor"])], vec![allow(vec![])]),
        policy(
            "engineers",
            vec![],
            vec![
                allow(vec![when("department", Operator::In, &["Engineering", "Platform"]), when("manager", Operator::Exists, &[])]),
                allow(vec![when("", Operator::MemberOf, &["dba"])]),
                deny(vec![when("title", Operator::Contains, &["intern"])]),
            ],
        ),
    ];
    let mut person = bo();
    person.attributes.insert("title".into(), vec!["Data engineer".into()]);
    insta::assert_snapshot!(told(&decide_all(&policies, &person)), @r#"
    refused by profile engineers-profile v2: no allow rule applies
    + Your account must be active in the directory [true] person is active
    - Your employment type must be contractor [employee] policy contractors v3: for whom, condition 1
    + This policy is for everybody [] policy engineers v3: for whom
    + Kept out: title containing intern [Data engineer] profile engineers-profile v2: deny rule 3, condition 1
    -! You must be in department Engineering or Platform [Data] profile engineers-profile v2: allow rule 1, condition 1
    + You must have a manager [r-2] profile engineers-profile v2: allow rule 1, condition 2
    -! You must be a member of dba [] profile engineers-profile v2: allow rule 2, condition 1
    "#);
}

#[test]
fn a_person_who_is_kept_out_reads_by_which_rule() {
    let rules = vec![allow(vec![when("department", Operator::Is, &["Data"])]), deny(vec![when("", Operator::MemberOf, &["sre", "dba"])])];
    insta::assert_snapshot!(told(&decide_all(&[policy("data", vec![], rules)], &bo())), @r#"
    refused by profile data-profile v2: deny rule 2
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy data v3: for whom
    - Kept out: members of sre or dba [sre] profile data-profile v2: deny rule 2, condition 1
    + You must be in department Data [Data] profile data-profile v2: allow rule 1, condition 1
    -! A deny rule applies; it beats every allow rule [] profile data-profile v2: deny rule 2 applies
    "#);
}

#[test]
fn a_person_who_meets_every_rule_reads_that_too() {
    let mut open = policy("data", vec![when("user_name", Operator::StartsWith, &["bo."])], vec![allow(vec![])]);
    insta::assert_snapshot!(told(&decide_all(std::slice::from_ref(&open), &bo())), @r#"
    needs_approval by profile data-profile v2: allow rule 1
    + Your account must be active in the directory [true] person is active
    + Your user name must start with bo. [bo.lind] policy data v3: for whom, condition 1
    + Everybody may ask [] profile data-profile v2: allow rule 1
    "#);
    open.procedure = None;
    insta::assert_snapshot!(decide_all(&[open], &bo()).deciding_rule, @"profile data-profile v2: allow rule 1; policy data v3 asks nobody");
}

#[test]
fn a_profile_that_lets_nobody_in_says_so() {
    insta::assert_snapshot!(told(&decide_all(&[policy("shut", vec![], vec![])], &bo())), @r#"
    refused by profile shut-profile v2: no allow rule applies
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy shut v3: for whom
    -! An allow rule must let somebody in, and there is none [] profile shut-profile v2
    "#);
}
