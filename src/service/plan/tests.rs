//! Plans over files, without database or directory.

use super::*;
use crate::domain::id::PersonId;
use crate::service::catalog_file::resolve::{Found, FoundGroup, FoundPerson};

const FILE: &str = r#"default_policies = ["standard"]
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
all = ["department is Data", "groups include readers"]
[[procedure]]
key = "two"
name = "Two"
[[procedure.step]]
name = "Manager"
slots = [{ approvals = 1, from = "manager" }]
[[procedure.step]]
name = "Administrators"
slots = [{ approvals = 2, from = "group:dba" }]
[[policy]]
key = "standard"
name = "Standard"
profile = "all"
procedure = "two"
durations = { recommended = "4h", maximum = "8h" }
"#;

fn person(number: u128, active: bool) -> Found<FoundPerson> {
    let id = PersonId(Uuid::from_u128(number));
    Found::One(FoundPerson { id, reference: format!("p{number}"), name: format!("Person {number}"), active })
}

fn group(name: &str, approvers: &[&str]) -> Found<FoundGroup> {
    let approvers = approvers.iter().map(|reference| (*reference).to_owned()).collect();
    Found::One(FoundGroup { reference: format!("g-{name}"), name: name.into(), read_only: None, approvers })
}

fn company() -> Resolved {
    let people = [("arjun", person(1, true)), ("mara", person(2, true)), ("oscar", person(3, false)), ("twin", Found::Several)];
    let sealed = FoundGroup { reference: "g-sealed".into(), name: "sealed".into(), read_only: Some("a rule fills it".into()), approvers: vec![] };
    let groups = [
        ("readers", group("readers", &[])),
        ("dba", group("dba", &["p4", "p5"])),
        ("lonely", group("lonely", &["p4"])),
        ("empty", group("empty", &[])),
        ("double", Found::Several),
        ("sealed", Found::One(sealed)),
    ];
    Resolved {
        directory: "main".into(),
        people: people.into_iter().map(|(login, found)| (login.to_owned(), found)).collect(),
        groups: groups.into_iter().map(|(name, found)| (name.to_owned(), found)).collect(),
        newcomers: vec![],
    }
}

/// A plan of `text` against `current`, and what the catalog is after it.
fn planned(text: &str, current: &Catalog, mint: &mut dyn FnMut() -> Uuid) -> (Plan, Catalog) {
    let plan = plan(&read(text), current, &company(), mint);
    let mut after = current.clone();
    for write in plan.writes.clone() {
        done(&mut after, write);
    }
    (plan, after)
}

fn done(catalog: &mut Catalog, write: Write) {
    use crate::store::catalog::{BindingNow, Latest};
    match write {
        Write::Application(row) => {
            catalog.applications.retain(|now| now.id != row.id);
            catalog.applications.push(row);
        }
        Write::Role(row) => {
            catalog.roles.retain(|now| now.id != row.id);
            catalog.roles.push(row);
        }
        Write::RetireApplication(id) => catalog.applications.iter_mut().filter(|now| now.id == id).for_each(|now| now.retired = true),
        Write::RetireRole(id) => catalog.roles.iter_mut().filter(|now| now.id == id).for_each(|now| now.retired = true),
        Write::Profile { id, version_id, body, .. } => {
            catalog.profiles.retain(|now| now.id != id);
            catalog.profiles.push(Latest { id, version_id, body });
        }
        Write::Procedure { id, version_id, body, .. } => {
            catalog.procedures.retain(|now| now.id != id);
            catalog.procedures.push(Latest { id, version_id, body });
        }
        Write::Policy { id, profile_version, procedure_version, body } => {
            catalog.policies.retain(|(now, ..)| now.id != id);
            catalog.policies.push((Latest { id, version_id: body.id.0, body: *body }, profile_version, procedure_version));
        }
        Write::Bind { id, policy_id, role_id, application_id, priority } => {
            let policy = catalog.policies.iter().find(|(now, ..)| now.id == policy_id).map(|(now, ..)| now.body.key.clone()).unwrap();
            catalog.bindings.push(BindingNow { id, policy, role_id, application_id, priority });
        }
        Write::Unbind(id) => catalog.bindings.retain(|now| now.id != id),
    }
}

fn counter() -> impl FnMut() -> Uuid {
    let mut last = 1_000;
    move || {
        last += 1;
        Uuid::from_u128(last)
    }
}

#[test]
fn a_new_catalog_is_all_additions_and_the_second_time_nothing_changes() {
    let mut mint = counter();
    let (first, after) = planned(FILE, &Catalog::default(), &mut mint);
    assert_eq!(first.faults, []);
    assert_eq!(first.changes.iter().filter(|change| change.mark == Mark::Add).count(), 6, "{first}");
    let (second, same) = planned(FILE, &after, &mut mint);
    assert_eq!((second.changes, second.writes), (vec![], vec![]));
    assert_eq!(same, after);
}

#[test]
fn a_diff_reads_like_this() {
    let mut mint = counter();
    let (_, before) = planned(FILE, &Catalog::default(), &mut mint);
    let text = FILE
        .replace("risk = \"low\"", "risk = \"elevated\"\nowner = \"mara\"\npolicies = [\"standard\"]")
        .replace("department is Data", "department in Data, IT")
        .replace("recommended = \"4h\", ", "");
    let (plan, after) = planned(&text, &before, &mut mint);
    let expected = "\
Roles
  ~ db/reader  Read-only
      owner: arjun -> mara
      policies: those of its application -> standard (10)
      risk: low -> elevated
Access profiles
  ~ all v1 -> v2
      rule 1: allow when department is Data and groups include readers -> allow when department in Data, IT and groups include readers
Access policies
  ~ standard v1 -> v2
      profile: all v1 -> all v2
      recommended: 4 hours -> nothing
      choices: 4 hours, 8 hours -> 8 hours

0 to add, 3 to change, 0 to retire.
";
    assert_eq!(plan.to_string(), expected);
    assert_eq!(
        plan.lines()[0],
        "~ role db/reader  Read-only: owner: arjun -> mara; policies: those of its application -> standard (10); risk: low -> elevated"
    );
    assert_eq!(planned(&text, &after, &mut mint).0.to_string(), "Nothing to change: the catalog is as the file says.\n");
}

#[test]
fn a_policy_gets_a_version_only_when_it_or_what_it_stands_on_changes() {
    let mut mint = counter();
    let (_, before) = planned(FILE, &Catalog::default(), &mut mint);
    let versions = |catalog: &Catalog| {
        let (profile, procedure, policy) = (&catalog.profiles[0].body, &catalog.procedures[0].body, &catalog.policies[0].0.body);
        (profile.version, procedure.version, policy.version)
    };
    let change = |from: &str, to: &str, mint: &mut dyn FnMut() -> Uuid| versions(&planned(&FILE.replace(from, to), &before, mint).1);
    assert_eq!(versions(&before), (1, 1, 1));
    assert_eq!(change("name = \"Read-only\"", "name = \"Reading\"", &mut mint), (1, 1, 1));
    assert_eq!(change("maximum = \"8h\"", "maximum = \"9h\"", &mut mint), (1, 1, 2));
    assert_eq!(change("name = \"Administrators\"", "name = \"Admins\"", &mut mint), (1, 2, 2));
    assert_eq!(change("department is Data", "department is IT", &mut mint), (2, 1, 2));
}

#[test]
fn what_is_gone_from_the_file_is_retired_and_comes_back_as_it_was() {
    let mut mint = counter();
    let more = format!(
        "{FILE}[[application]]\nkey = \"wiki\"\nname = \"Wiki\"\nowner = \"mara\"\npolicies = [\"standard\"]\n[[role]]\napplication = \"wiki\"\nkey = \"editor\"\nname = \"Editor\"\nrisk = \"low\"\ngroup = \"dba\"\n"
    );
    let (_, before) = planned(&more, &Catalog::default(), &mut mint);
    let (plan, retired) = planned(FILE, &before, &mut mint);
    assert!(plan.to_string().contains("- wiki  Wiki\n      no longer offered, with all its roles\n"), "{plan}");
    assert!(plan.to_string().contains("- wiki/editor  Editor\n"), "{plan}");
    assert_eq!(retired.bindings.len(), 1, "only the default policy is left");
    assert_eq!(planned(FILE, &retired, &mut mint).0.changes, []);
    let (again, back) = planned(&more, &retired, &mut mint);
    assert!(again.to_string().contains("offered again"), "{again}");
    assert!(back.roles.iter().all(|role| !role.retired) && back.roles.len() == 2);
    assert_eq!(planned(&more, &back, &mut mint).0.changes, []);
}

#[test]
fn a_login_that_went_to_somebody_else_shows() {
    let mut mint = counter();
    let (_, before) = planned(FILE, &Catalog::default(), &mut mint);
    let mut moved = company();
    moved.people.insert("arjun".into(), person(99, true));
    let plan = plan(&read(FILE), &before, &moved, &mut mint);
    assert!(plan.to_string().contains("owner: arjun is somebody else now"), "{plan}");
    assert!(plan.writes.iter().any(|write| matches!(write, Write::Application(row) if row.owner_id == Uuid::from_u128(99))));
}

/// Each: what to put in place of what, where the fault is, and its sentence.
const FAULTS: &[(&str, &str, (usize, usize), &str)] = &[
    ("\"arjun\"", "\"nobody\"", (5, 9), "There is nobody called “nobody” in directory main."),
    ("\"arjun\"", "\"oscar\"", (5, 9), "Person 3 (“oscar”) is disabled in directory main; name somebody who is active."),
    ("\"arjun\"", "\"twin\"", (5, 9), "Several people in directory main are called “twin”; a login must name one."),
    ("group = \"readers\"", "group = \"nothing\"", (11, 9), "There is no group “nothing” in directory main."),
    (
        "group = \"readers\"",
        "group = \"double\"",
        (11, 9),
        "Several groups in directory main are called “double”; write the reference of the one that is meant.",
    ),
    ("group = \"readers\"", "group = \"sealed\"", (11, 9), "Membership of group “sealed” cannot be changed: a rule fills it."),
    ("group = \"readers\"", "group = \"readers\"\ndirectory = \"other\"", (12, 13), "There is no directory “other”; the one that is connected is “main”."),
    ("groups include readers", "groups include nothing", (16, 30), "There is no group “nothing” in directory main."),
    ("application = \"db\"", "application = \"dbs\"", (7, 15), "There is no application “dbs” in this file; did you mean “db”?"),
    ("profile = \"all\"", "profile = \"some\"", (29, 11), "There is no profile “some” in this file."),
    ("procedure = \"two\"", "procedure = \"twa\"", (30, 13), "There is no procedure “twa” in this file; did you mean “two”?"),
    ("[\"standard\"]", "[\"strange\"]", (1, 21), "There is no policy “strange” in this file."),
    ("default_policies = [\"standard\"]\n", "\n", (8, 7), "No policy governs “reader”; name one here, at its application, or in default_policies."),
    (
        "default_policies = [\"standard\"]\n",
        "default_policies = [\"standard\", \"late\"]\n[[policy]]\nkey = \"late\"\nname = \"L\"\nprofile = \"all\"\nauto_approve = true\ndurations = { maximum = \"1h\" }\n",
        (1, 33),
        "“late” is never reached: “standard” comes before it and is for everybody. Put it first.",
    ),
    ("group:dba", "group:empty", (25, 34), "Nobody could complete step “Administrators”: group “empty” has no active member."),
    ("group:dba", "group:lonely", (25, 34), "Nobody could complete step “Administrators”: group “lonely” has 1 active member, and 2 approvals are wanted."),
    ("group:dba", "role_owner", (25, 34), "Nobody could complete step “Administrators”: 2 approvals are wanted from one person."),
    (
        "approvals = 2, from = \"group:dba\"",
        "from = \"manager\"",
        (25, 19),
        "Nobody could complete step “Administrators”: whom it asks is needed for another approval of the same request, and one person counts once.",
    ),
    (
        "from = \"manager\"",
        "from = \"manager\", fallback = \"group:empty\"",
        (22, 56),
        "Nobody could complete step “Manager” where the fallback stands in: its fallback, group “empty”, has 0 of the 1 active members it needs.",
    ),
    ("from = \"manager\"", "from = \"person:oscar\"", (22, 34), "Person 3 (“oscar”) is disabled in directory main; name somebody who is active."),
];

#[test]
fn every_fault_that_the_directory_tells_has_its_place() {
    let mut wrong = Vec::new();
    for (from, to, (line, column), sentence) in FAULTS {
        let text = FILE.replacen(from, to, 1);
        assert_ne!(text, FILE, "{from} is not in the file");
        let got: Vec<String> = planned(&text, &Catalog::default(), &mut counter()).0.faults.iter().map(ToString::to_string).collect();
        let expected = format!("line {line}, column {column}: {sentence}");
        if !got.contains(&expected) {
            wrong.push((expected, got));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn owners_who_are_needed_twice_are_found_for_the_role_it_concerns() {
    let text = FILE
        .replace("approvals = 1, from = \"manager\"", "from = \"application_owner\"")
        .replace("approvals = 2, from = \"group:dba\"", "from = \"role_owner\"");
    let (plan, _) = planned(&text, &Catalog::default(), &mut counter());
    let expected = "Nobody could complete step “Administrators”: for role db/reader the people it asks are needed for other approvals of the same request, and one person counts once.";
    assert_eq!(plan.faults.iter().map(|fault| fault.sentence.as_str()).collect::<Vec<_>>(), [expected]);
    let other = text.replace("risk = \"low\"", "risk = \"low\"\nowner = \"mara\"");
    assert_eq!(planned(&other, &Catalog::default(), &mut counter()).0.faults, []);
    let twice = text.replace("name = \"Two\"", "name = \"Two\"\ndistinct_people = false");
    assert_eq!(planned(&twice, &Catalog::default(), &mut counter()).0.faults, []);
}

#[test]
fn the_digest_is_of_everything_a_version_says() {
    let policy = |text: &str| {
        let (plan, _) = planned(text, &Catalog::default(), &mut counter());
        plan.writes.into_iter().find_map(|write| if let Write::Policy { body, .. } = write { Some(*body) } else { None }).unwrap()
    };
    use crate::service::catalog_file::compare::policy_digest;
    let plain = policy(FILE);
    assert_eq!(policy_digest(&plain).unwrap(), plain.digest);
    for (from, to) in
        [("department is Data", "department is IT"), ("approvals = 2", "approvals = 1"), ("\"8h\"", "\"9h\""), ("name = \"Standard\"", "name = \"S\"")]
    {
        assert_ne!(policy(&FILE.replace(from, to)).digest, plain.digest, "{from}");
    }
}
