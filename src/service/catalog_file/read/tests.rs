//! Files that are wrong, and where.

use super::*;
use crate::domain::policy::{Emergency, FieldKind, OnBehalf, Pattern, TextRule, Verdict};
use crate::domain::span::Seconds;
use crate::service::catalog_file::model::SourceEntry;

const GOOD: &str = r#"default_policies = ["standard"]
[[application]]
key = "db"
name = "Orders DB"
owner = "arjun"
[[role]]
application = "db"
key = "reader"
name = "Read-only"
risk = "low"
group = "readers"
[[profile]]
key = "all"
name = "All"
[[profile.allow]]
all = ["department is Data"]
[[procedure]]
key = "manager"
name = "Manager"
[[procedure.step]]
name = "Manager"
time_limit = "3d"
slots = [{ approvals = 1, from = "manager" }]
[[policy]]
key = "standard"
name = "Standard"
profile = "all"
procedure = "manager"
durations = { recommended = "4h", minimum = "15m", maximum = "8h", choices = ["1h", "4h"] }
"#;

#[test]
fn a_good_file_reads_whole() {
    let file = read(GOOD);
    assert_eq!(file.faults, []);
    assert_eq!((file.applications.len(), file.roles.len(), file.policies.len()), (1, 1, 1));
    assert_eq!(file.defaults[0].policy.value, "standard");
    assert_eq!(file.roles[0].group.at, Place { line: 11, column: 9 });
    let policy = &file.policies[0];
    assert_eq!(policy.durations.as_ref().unwrap().choices, [Seconds(3_600), Seconds(14_400)]);
    assert!(policy.justification.required && policy.comment_to_deny && policy.extension.is_none() && !policy.ticket.required);
    assert_eq!((policy.future_start, policy.emergency.as_ref(), &policy.on_behalf), (Some(Seconds(365 * 86_400)), None, &OnBehalf::default()));
    let procedure = &file.procedures[0];
    assert!(procedure.distinct_people && !procedure.reassign && procedure.steps[0].escalation.is_none());
}

/// Everything that a step, a policy and a separation can say besides what a good file must.
const DEEP: &[(&str, &str)] = &[
    (
        "time_limit = \"3d\"\nslots = [{ approvals = 1, from = \"manager\" }]",
        "time_limit = \"3d\"
remind_every = \"1d\"
when = { conditions = [\"reports to ines\"], risk = [\"critical\", \"low\"], longer_than = \"8h\" }
escalate = { to = [\"managers_manager\", \"group:dba\"], time_limit = \"2d\" }
slots = [{ approvals = 1, from = [\"manager\", \"application_owner\"], fallback = \"person:bo\" }]",
    ),
    ("name = \"Manager\"\n[[procedure.step]]", "name = \"Manager\"\nreassign = true\n[[procedure.step]]"),
    (
        "procedure = \"manager\"\n",
        "procedure = \"manager\"
justification = { required = true, minimum = 10, pattern = \".*because.*\", says = \"Say because.\" }
ticket = { required = false, prefix = \"OV-1.\" }
future_start = \"30d\"
extension = { maximum = \"2h\", last_percent = 25, most = 3, procedure = \"manager\" }
on_behalf = { manager = true, owner = true, confirm = true }
emergency = { maximum = \"1h\", review_within = \"1d\" }
",
    ),
    (
        "choices = [\"1h\", \"4h\"] }\n",
        "choices = [\"1h\", \"4h\"] }
[[policy.auto]]
name = \"short\"
then = \"approve\"
all = [\"groups include on-call\"]
risk = \"low\"
at_most = \"2h\"
[[policy.auto]]
name = \"long\"
then = \"deny\"
longer_than = \"6h\"
[[policy.field]]
key = \"change_no\"
label = \"Change\"
help = \"From the calendar.\"
required = true
type = \"number\"
minimum = -5
maximum = 10
[[policy.field]]
key = \"kind\"
label = \"Kind\"
type = \"choice\"
choices = [\"repair\", \"look\"]
[[separation]]
key = \"apart\"
name = \"Apart\"
a = [\"db/reader\"]
b = \"db/writer\"
procedure = \"manager\"
",
    ),
];

#[test]
fn everything_that_a_file_can_say_reads_as_it_is_written() {
    let mut text = GOOD.to_owned();
    for (from, to) in DEEP {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let file = read(&text);
    assert_eq!(file.faults, []);
    let step = &file.procedures[0].steps[0];
    assert!(file.procedures[0].reassign);
    assert_eq!((step.time_limit, step.remind_every), (Some(Seconds(3 * 86_400)), Some(Seconds(86_400))));
    assert_eq!((step.when.risks.as_slice(), step.when.longer_than), (&[Risk::Low, Risk::Critical][..], Some(Seconds(8 * 3_600))));
    assert_eq!(step.when.conditions[0].value.values, ["ines"]);
    let to = step.escalation.as_ref().unwrap();
    assert_eq!(to.sources.iter().map(|source| &source.value).collect::<Vec<_>>(), [&SourceEntry::ManagersManager, &SourceEntry::Group("dba".into())]);
    assert_eq!(to.time_limit, Some(Seconds(2 * 86_400)));
    let asked: Vec<&SourceEntry> = step.slots[0].sources.iter().map(|source| &source.value).collect();
    assert_eq!(asked, [&SourceEntry::Manager, &SourceEntry::ApplicationOwner, &SourceEntry::Person("bo".into())]);
    let policy = &file.policies[0];
    let because = Pattern { expression: ".*because.*".into(), says: "Say because.".into() };
    assert_eq!(policy.justification, TextRule { required: true, minimum: 10, pattern: Some(because) });
    let ticket = policy.ticket.pattern.as_ref().unwrap();
    assert_eq!(ticket.says, "A ticket reference begins with OV-1..");
    assert!(ticket.matches("OV-1.7") && !ticket.matches("OV-127") && !ticket.matches("x OV-1.7"));
    assert_eq!(policy.future_start, Some(Seconds(30 * 86_400)));
    let extension = policy.extension.as_ref().unwrap();
    assert_eq!((extension.maximum, extension.last_percent, extension.most), (Some(Seconds(7_200)), 25, Some(3)));
    assert_eq!(extension.procedure.as_ref().unwrap().value, "manager");
    assert_eq!(policy.on_behalf, OnBehalf { manager: true, owner: true, confirm: true });
    assert_eq!(policy.emergency, Some(Emergency { maximum: Seconds(3_600), review_within: Seconds(86_400) }));
    assert_eq!(
        policy.auto_rules.iter().map(|rule| (rule.name.as_str(), rule.verdict)).collect::<Vec<_>>(),
        [("short", Verdict::Approve), ("long", Verdict::Deny)]
    );
    assert_eq!((policy.auto_rules[0].risks.as_slice(), policy.auto_rules[0].at_most), (&[Risk::Low][..], Some(Seconds(7_200))));
    assert_eq!(policy.fields[0].kind, FieldKind::Number { minimum: Some(-5), maximum: Some(10) });
    assert_eq!(policy.fields[1].kind, FieldKind::Choice { choices: vec!["repair".into(), "look".into()] });
    let rule = &file.separation[0];
    assert_eq!((rule.a[0].value.as_str(), rule.b[0].value.as_str(), rule.procedure.as_ref().unwrap().value.as_str()), ("db/reader", "db/writer", "manager"));
}

#[test]
fn what_is_switched_off_is_off_and_true_has_its_defaults() {
    let with = |more: &str| read(&GOOD.replacen("procedure = \"manager\"\n", &format!("procedure = \"manager\"\n{more}\n"), 1)).policies.remove(0);
    assert_eq!(with("future_start = false").future_start, None);
    assert_eq!(with("extension = false").extension, None);
    let extension = with("extension = true").extension.unwrap();
    assert_eq!((extension.maximum, extension.last_percent, extension.most, extension.procedure), (None, 50, None, None));
}

/// Each: a line to put after `procedure = "manager"` of the policy (line 29), the column, and its fault.
const BAD_POLICY: &[(&str, usize, &str)] = &[
    ("justification = { pattern = \"a(\", says = \"S\" }", 29, "“a(” is no regular expression: unclosed group."),
    ("justification = { pattern = \"a\" }", 29, "A “pattern” needs “says”, the sentence that people read when they do not match it."),
    ("justification = { says = \"S\" }", 26, "“says” belongs to a “pattern”, and there is none."),
    ("ticket = { prefix = \"A\", pattern = \"B\", says = \"S\" }", 21, "Say either “prefix” or “pattern”, not both."),
    ("justification = { prefix = \"A\" }", 19, "A justification has no “prefix”; known are required, minimum, pattern, says."),
    ("future_start = true", 16, "Say how far ahead, like future_start = \"30d\"; or false for not at all."),
    ("extension = { last_percent = 0 }", 30, "“last_percent” must be a whole number from 1 to 100."),
    ("extension = { last_percent = 101 }", 30, "“last_percent” must be a whole number from 1 to 100."),
    ("extension = { maximum = \"9h\" }", 25, "The maximum of an extension, 9 hours, is above the policy's, 8 hours."),
    ("extension = { most = 0 }", 22, "“most” must be a whole number from 1 to 1000."),
    ("extension = \"yes\"", 13, "An extension must be a table of keys and values; this is a text."),
    ("emergency = { maximum = \"9h\", review_within = \"1d\" }", 25, "The maximum of an emergency, 9 hours, is above the policy's, 8 hours."),
    ("emergency = { maximum = \"1h\" }", 13, "An emergency needs “review_within”, like emergency = { maximum = \"1h\", review_within = \"1d\" }."),
    ("on_behalf = { confirm = true }", 13, "An “on_behalf” needs manager = true or owner = true; without it nobody asks for others."),
    ("field = [{ key = \"a\", label = \"A\", type = \"choice\", choices = [\"x\"] }]", 64, "A choice needs at least two “choices”."),
    ("field = [{ key = \"a\", label = \"A\", type = \"choice\", choices = [\"x\", \"x\"] }]", 69, "“x” is listed twice."),
    (
        "field = [{ key = \"a\", label = \"A\", type = \"date\" }, { key = \"a\", label = \"B\", type = \"date\" }]",
        61,
        "There is another field “a” in this policy; keys are used once.",
    ),
    (
        "field = [{ key = \"A b\", label = \"A\", type = \"date\" }]",
        18,
        "“A b” cannot be the key of a field; use up to 63 lower-case letters, digits and underscores, beginning with a letter or digit.",
    ),
    (
        "field = [{ key = \"a\", label = \"A\", type = \"colour\" }]",
        43,
        "“colour” is no type of a field; say \"text\", \"choice\", \"date\", \"number\" or \"yes_no\".",
    ),
    ("field = [{ key = \"a\", label = \"A\", type = \"date\", maximum = 3 }]", 61, "A field of type “date” has no “maximum”."),
    ("field = [{ key = \"a\", label = \"A\", type = \"number\", minimum = 4, maximum = 3 }]", 63, "The minimum, 4, is above the maximum, 3."),
    ("field = [{ key = \"a\", label = \"A\", type = \"text\", maximum = 4001 }]", 61, "“maximum” must be a whole number from 1 to 4000."),
    ("auto = [{ name = \"x\", then = \"maybe\", at_most = \"1h\" }]", 30, "“maybe” is nothing that a rule does; say \"approve\" or \"deny\"."),
    ("auto = [{ name = \"x\", then = \"approve\" }]", 9, "This rule approves everything; say auto_approve = true instead, or limit it."),
    ("auto = [{ name = \"x\", then = \"deny\", all = [] }]", 9, "This rule denies everything; limit it by “all”, “risk”, “at_most” or “longer_than”."),
    ("auto = [{ name = \"x\", then = \"approve\", at_most = \"5m\" }]", 51, "This rule never applies: the shortest that can be asked for is 15 minutes."),
    ("auto = [{ name = \"x\", then = \"deny\", longer_than = \"8h\" }]", 52, "This rule never applies: the longest that can be asked for is 8 hours."),
    (
        "auto = [{ name = \"x\", then = \"deny\", at_most = \"1h\", longer_than = \"2h\" }]",
        48,
        "This rule never applies: nothing is longer than 2 hours and at most 1 hour.",
    ),
    ("auto = [{ name = \"x\", then = \"deny\", risk = \"high\" }]", 45, "“high” is no risk; say \"low\", \"elevated\" or \"critical\"."),
    (
        "auto = [{ name = \"x\", then = \"deny\", risk = \"low\" }, { name = \"x\", then = \"deny\", at_most = \"1h\" }]",
        63,
        "There is another rule “x” in this policy; decisions cite rules by name.",
    ),
];

#[test]
fn every_fault_of_the_depth_of_a_policy_has_its_place() {
    let mut wrong = Vec::new();
    for (line, column, sentence) in BAD_POLICY {
        let text = GOOD.replacen("procedure = \"manager\"\n", &format!("procedure = \"manager\"\n{line}\n"), 1);
        let got: Vec<String> = read(&text).faults.iter().map(ToString::to_string).collect();
        let expected = format!("line 29, column {column}: {sentence}");
        if got != [expected.clone()] {
            wrong.push((expected, got));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_policy_that_asks_nobody_has_nothing_to_skip_and_nothing_to_approve() {
    let with = |more: &str| {
        let text = GOOD.replacen("procedure = \"manager\"\n", &format!("auto_approve = true\n{more}\n"), 1);
        read(&text).faults.into_iter().map(|fault| fault.sentence).collect::<Vec<_>>()
    };
    assert_eq!(
        with("emergency = { maximum = \"1h\", review_within = \"1d\" }"),
        ["This policy asks nobody; there is nothing for an emergency to skip, and nobody to review it."]
    );
    assert_eq!(
        with("auto = [{ name = \"x\", then = \"approve\", at_most = \"1h\" }]"),
        ["This policy asks nobody anyway; only rules that deny make a difference."]
    );
    assert_eq!(with("auto = [{ name = \"x\", then = \"deny\", longer_than = \"1h\" }]"), [""; 0]);
}

/// Each: what to put in place of what in the good file, and the one fault that follows.
const BAD: &[(&str, &str, (usize, usize), &str)] = &[
    ("owner = \"arjun\"\n", "", (2, 1), "An application needs “owner”."),
    ("owner = \"arjun\"", "owner = 3", (5, 9), "“owner” must be a text in quotes; this is a number."),
    ("owner = \"arjun\"", "owner = \"\"", (5, 9), "“owner” must not be empty."),
    (
        "owner = \"arjun\"",
        "owner = \"ar\\u0000jun\"",
        (5, 9),
        "“owner” holds a control character, a line break or a mark that turns the reading direction; take it out.",
    ),
    (
        "owner = \"arjun\"",
        "owner = \"ar\\u202Ejun\"",
        (5, 9),
        "“owner” holds a control character, a line break or a mark that turns the reading direction; take it out.",
    ),
    ("owner = \"arjun\"", "ownr = \"arjun\"\nowner = \"arjun\"", (5, 1), "An application has no “ownr”; did you mean “owner”?"),
    (
        "key = \"db\"",
        "key = \"Orders DB\"",
        (3, 7),
        "“Orders DB” cannot be a key; use up to 63 lower-case letters, digits and dashes, beginning with a letter or digit.",
    ),
    ("risk = \"low\"", "risk = \"tiny\"", (10, 8), "“tiny” is no risk; say \"low\", \"elevated\" or \"critical\"."),
    ("risk = \"low\"", "risk = \"low\"\nmethod = \"workflow\"", (11, 10), "The method “workflow” is not supported yet; leave it out, or say \"idp_group\"."),
    (
        "[[role]]",
        "[[application]]\nkey = \"db\"\nname = \"Twin\"\nowner = \"arjun\"\n[[role]]",
        (7, 7),
        "The application “db” is already described in line 3; keys are used once.",
    ),
    ("[[role]]", "[[rolls]]\n[[role]]", (6, 3), "The file has no “rolls”; did you mean “role”?"),
    (
        "all = [\"department is Data\"]",
        "all = [\"department Data\"]",
        (16, 8),
        "“department Data” is not a condition; write it like \"department is Engineering\", \"title contains Engineer, Architect\", \"groups include sre\", \"reports to LOGIN\" or \"manager exists\".",
    ),
    (
        "all = [\"department is Data\"]",
        "all = [{ attribute = \"department\", operator = \"equals\", values = [\"Data\"] }]",
        (16, 47),
        "There is no operator “equals”; known are is, is_not, in, not_in, contains, starts_with, exists, not_exists, member_of, not_member_of, reports_to.",
    ),
    ("all = [\"department is Data\"]", "any = []", (15, 1), "An allow rule needs “all”, the list of conditions that must hold; all = [] means everybody."),
    ("[[profile.allow]]", "[[profile.deny]]", (13, 7), "A profile needs an allow rule, or nobody could ever ask."),
    (
        "all = [\"department is Data\"]",
        "all = []\n[[profile.deny]]\nall = []",
        (17, 1),
        "A deny rule without conditions keeps everybody out; give it one, or take the role out of the file.",
    ),
    (
        "time_limit = \"3d\"",
        "time_limit = \"three days\"",
        (22, 14),
        "“three days” is not a duration; write it like \"90m\", \"4h\", \"1d12h\" or \"2w\" (at most 100 years).",
    ),
    ("slots = [{ approvals = 1, from = \"manager\" }]", "slots = []", (20, 1), "A step needs slots, like slots = [{ approvals = 1, from = \"manager\" }]."),
    ("approvals = 1", "approvals = 0", (23, 24), "“approvals” must be a whole number from 1 to 20."),
    (
        "from = \"manager\"",
        "from = \"boss\"",
        (23, 34),
        "“boss” is no approver source; say manager, managers_manager, application_owner, role_owner, group:NAME or person:LOGIN.",
    ),
    (
        "[[procedure.step]]\nname = \"Manager\"\ntime_limit = \"3d\"\nslots = [{ approvals = 1, from = \"manager\" }]\n",
        "",
        (18, 7),
        "A procedure needs a step; for a policy that asks nobody say auto_approve = true there.",
    ),
    ("time_limit = \"3d\"", "time_limit = \"3d\"\nremind_every = \"3d\"", (23, 16), "A reminder every 3 days never comes: the step ends after 3 days."),
    (
        "time_limit = \"3d\"",
        "escalate = { to = \"managers_manager\" }",
        (22, 12),
        "An escalation needs the step's “time_limit”: after it the others are asked too.",
    ),
    ("time_limit = \"3d\"", "time_limit = \"3d\"\nescalate = { }", (23, 12), "An escalation needs “to”, like escalate = { to = \"managers_manager\" }."),
    ("time_limit = \"3d\"", "when = {}", (22, 8), "A “when” without conditions, risk or longer_than always holds; leave it out."),
    ("from = \"manager\"", "from = [\"manager\", \"manager\"]", (23, 46), "“manager” is listed twice."),
    ("from = \"manager\"", "from = []", (23, 34), "“from” is an empty list; name one, or leave it out."),
    ("from = \"manager\"", "from = \"manager\", fallback = \"manager\"", (23, 56), "The fallback is asked already; name somebody else, or leave it out."),
    (", from = \"manager\"", "", (23, 10), "A slot needs “from”."),
    (
        "[[role]]",
        "[[separation]]\nkey = \"s\"\nname = \"S\"\na = [\"db/reader\"]\n[[role]]",
        (7, 7),
        "A separation needs “b”, a list of roles like [\"application/role\"].",
    ),
    (
        "[[role]]",
        "[[separation]]\nkey = \"s\"\nname = \"S\"\na = [\"db/reader\", \"db/reader\"]\nb = [\"db/x\"]\n[[role]]",
        (9, 19),
        "“db/reader” is listed twice.",
    ),
    (
        "[[role]]",
        "[[separation]]\nkey = \"s\"\nname = \"S\"\na = [\"db/reader\"]\nb = [\"db/reader\"]\n[[role]]",
        (7, 7),
        "A separation of one role from itself keeps nothing apart; name two.",
    ),
    ("procedure = \"manager\"\n", "", (25, 7), "A policy needs a “procedure”, or auto_approve = true when nobody is to be asked."),
    (
        "procedure = \"manager\"",
        "procedure = \"manager\"\nauto_approve = true",
        (28, 13),
        "Either a procedure approves, or auto_approve = true does; not both.",
    ),
    ("recommended = \"4h\"", "recommended = \"9h\"", (29, 29), "The recommended duration, 9 hours, is above the maximum, 8 hours."),
    ("recommended = \"4h\"", "recommended = \"5m\"", (29, 29), "The recommended duration, 5 minutes, is below the minimum, 15 minutes."),
    ("\"1h\", \"4h\"", "\"1h\", \"1d\"", (29, 85), "The choice, 1 day, is above the maximum, 8 hours."),
    ("minimum = \"15m\"", "minimum = \"9h\"", (29, 45), "The minimum, 9 hours, is above the maximum, 8 hours."),
    ("maximum = \"8h\", ", "", (29, 13), "Durations need a “maximum”."),
    (
        "default_policies = [\"standard\"]",
        "default_policies = [\"standard\", { policy = \"other\", priority = 10 }]",
        (1, 44),
        "“standard” and “other” have the same priority 10; then neither comes first.",
    ),
    ("default_policies = [\"standard\"]", "default_policies = \"standard\"", (1, 20), "“default_policies” must be a list in square brackets; this is a text."),
    ("key = \"db\"", "key = \"db", (3, 10), "This is not TOML: invalid basic string, expected `\"`."),
];

#[test]
fn every_fault_has_its_place_and_says_what_to_do() {
    let mut wrong = Vec::new();
    for (from, to, (line, column), sentence) in BAD {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from} is not in the good file");
        let got: Vec<String> = read(&text).faults.iter().map(ToString::to_string).collect();
        let expected = format!("line {line}, column {column}: {sentence}");
        if !got.contains(&expected) {
            wrong.push((expected, got));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn all_faults_are_told_together_in_the_order_of_the_text() {
    let text =
        GOOD.replace("risk = \"low\"", "risk = \"x\"").replace("from = \"manager\"", "from = \"y\"").replace("\"8h\"", "\"z\"").replace("owner =", "0wner =");
    let faults = read(&text).faults;
    let lines: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
    assert!([2, 5, 10, 23, 29].iter().all(|line| lines.contains(line)), "{faults:#?}");
    assert!(lines.is_sorted());
}

#[test]
fn hostile_files_get_a_clear_answer() {
    let one = |text: &str| read(text).faults.first().map(|fault| fault.sentence.clone()).unwrap_or_default();
    assert_eq!(one(""), "The file describes no application; an empty catalog is not applied.");
    assert_eq!(one(&"#".repeat(super::super::places::LARGEST + 1)), "The file is larger than 1024 kB.");
    assert!(one("\0").starts_with("This is not TOML"));
    assert!(one(&format!("a = {}1{}", "[".repeat(50_000), "]".repeat(50_000))).starts_with("This is not TOML"));
    assert_eq!(one("application = 3"), "“application” must be a list in square brackets; this is a number.");
    assert_eq!(one("application = [3]"), "An application must be a table of keys and values; this is a number.");
    assert!(!read(&"[[application]]\n".repeat(10_000)).faults.is_empty());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_fail(text in ".{0,400}") {
        assert!(!read(&text).faults.is_empty());
    }

    #[test]
    fn a_damaged_file_never_makes_the_reader_fail(cut in 0usize..GOOD.len(), junk in "[\\[\\]{}=\"', a0é\n]{0,8}") {
        let mut text = GOOD.to_owned();
        text.insert_str(cut, &junk);
        for fault in read(&text).faults {
            assert!(fault.line >= 1 && fault.line <= text.lines().count() + 1 && fault.column >= 1);
        }
    }
}
