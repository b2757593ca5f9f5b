//! Files that are wrong, and where.

use super::*;

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
    assert!(policy.justification_required && policy.comment_to_deny && !policy.extension && !policy.ticket_required);
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
        "“department Data” is not a condition; write it like \"department is Engineering\", \"title contains Engineer, Architect\", \"groups include sre\" or \"manager exists\".",
    ),
    (
        "all = [\"department is Data\"]",
        "all = [{ attribute = \"department\", operator = \"equals\", values = [\"Data\"] }]",
        (16, 47),
        "There is no operator “equals”; known are is, is_not, in, not_in, contains, starts_with, exists, not_exists, member_of, not_member_of.",
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
