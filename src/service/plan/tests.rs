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
        ..Resolved::default()
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
            catalog.profiles.push(Latest { id, version_id, retired: false, body });
        }
        Write::Procedure { id, version_id, body, .. } => {
            catalog.procedures.retain(|now| now.id != id);
            catalog.procedures.push(Latest { id, version_id, retired: false, body });
        }
        Write::Policy { id, parts, body } => {
            catalog.policies.retain(|(now, ..)| now.id != id);
            catalog.policies.push((Latest { id, version_id: body.id.0, retired: false, body: *body }, parts));
        }
        Write::Separation { id, procedure_version, body } => {
            catalog.separation.retain(|(now, ..)| now.id != id);
            catalog.separation.push((Latest { id, version_id: body.id, retired: false, body }, procedure_version));
        }
        Write::Retire(what, id) => retired(catalog, what, id, true),
        Write::Restore(what, id) => retired(catalog, what, id, false),
        Write::Bind { id, policy_id, role_id, application_id, priority } => {
            let policy = catalog.policies.iter().find(|(now, ..)| now.id == policy_id).map(|(now, ..)| now.body.key.clone()).unwrap();
            catalog.bindings.push(BindingNow { id, policy, role_id, application_id, priority });
        }
        Write::Unbind(id) => catalog.bindings.retain(|now| now.id != id),
    }
}

fn retired(catalog: &mut Catalog, what: crate::store::catalog_write::Versioned, id: Uuid, to: bool) {
    use crate::store::catalog_write::Versioned;
    let of = match what {
        Versioned::Profile => catalog.profiles.iter_mut().find(|now| now.id == id).map(|now| &mut now.retired),
        Versioned::Procedure => catalog.procedures.iter_mut().find(|now| now.id == id).map(|now| &mut now.retired),
        Versioned::Policy => catalog.policies.iter_mut().find(|(now, _)| now.id == id).map(|(now, _)| &mut now.retired),
        Versioned::Separation => catalog.separation.iter_mut().find(|(now, _)| now.id == id).map(|(now, _)| &mut now.retired),
    };
    *of.unwrap() = to;
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
    for (from, to) in [
        ("department is Data", "department is IT"),
        ("approvals = 2", "approvals = 1"),
        ("\"8h\"", "\"9h\""),
        ("name = \"Standard\"", "name = \"S\""),
        ("name = \"Two\"", "name = \"Two\"\nreassign = true"),
        ("name = \"Manager\"", "name = \"Manager\"\nremind_every = \"1d\""),
        ("name = \"Manager\"", "name = \"Manager\"\nwhen = { risk = [\"low\"] }"),
        ("from = \"manager\"", "from = [\"manager\", \"role_owner\"]"),
        ("\"8h\" }", "\"8h\" }\nfuture_start = false"),
        ("\"8h\" }", "\"8h\" }\nextension = true"),
        ("\"8h\" }", "\"8h\" }\nextension = { procedure = \"two\" }"),
        ("\"8h\" }", "\"8h\" }\nticket = { prefix = \"A\" }"),
        ("\"8h\" }", "\"8h\" }\non_behalf = { owner = true }"),
        ("\"8h\" }", "\"8h\" }\nemergency = { maximum = \"1h\", review_within = \"1d\" }"),
        ("\"8h\" }", "\"8h\" }\nauto = [{ name = \"x\", then = \"deny\", longer_than = \"1h\" }]"),
        ("\"8h\" }", "\"8h\" }\nfield = [{ key = \"x\", label = \"X\", type = \"date\" }]"),
    ] {
        assert_ne!(policy(&FILE.replace(from, to)).digest, plain.digest, "{from}");
    }
}

/// The file with a writer beside the reader, another procedure, and every kind of change that a policy's depth allows.
fn deep() -> String {
    FILE.replace(
        "[[procedure]]\nkey = \"two\"",
        "[[role]]\napplication = \"db\"\nkey = \"writer\"\nname = \"Write\"\nrisk = \"critical\"\ngroup = \"dba\"\n[[procedure]]\nkey = \"boss\"\nname = \"Boss\"\n[[procedure.step]]\nname = \"Boss\"\nslots = [{ from = \"managers_manager\" }]\n[[separation]]\nkey = \"apart\"\nname = \"Read or write\"\na = [\"db/reader\"]\nb = [\"db/writer\"]\nprocedure = \"boss\"\n[[procedure]]\nkey = \"two\"",
    )
}

#[test]
fn the_depth_of_a_policy_shows_in_words() {
    let mut mint = counter();
    let (first, before) = planned(&deep(), &Catalog::default(), &mut mint);
    assert_eq!(first.faults, []);
    let shown = first.to_string();
    assert!(
        shown.contains("Separation of duties\n  + apart v1\n      name: Read or write\n      not together: db/reader\n      with: db/writer\n      exception: with approval by procedure boss v1\n"),
        "{shown}"
    );
    let text = deep()
        .replace("from = \"manager\" }]", "from = [\"manager\", \"role_owner\"] }]\ntime_limit = \"2d\"\nremind_every = \"1d\"\nescalate = { to = \"managers_manager\", time_limit = \"1d\" }\nwhen = { risk = [\"critical\"], longer_than = \"1h\" }")
        .replace("name = \"Two\"", "name = \"Two\"\nreassign = true")
        .replace(
            "maximum = \"8h\" }\n",
            "maximum = \"8h\" }
ticket = { prefix = \"OV-\" }
future_start = false
extension = { maximum = \"2h\", most = 2, procedure = \"boss\" }
on_behalf = { manager = true, confirm = true }
emergency = { maximum = \"1h\", review_within = \"1d\" }
[[policy.auto]]
name = \"quick\"
then = \"approve\"
all = [\"reports to mara\"]
risk = [\"low\"]
at_most = \"1h\"
[[policy.field]]
key = \"kind\"
label = \"Kind\"
type = \"choice\"
choices = [\"repair\", \"look\"]
",
        )
        .replace("b = [\"db/writer\"]\nprocedure = \"boss\"", "b = [\"db/writer\"]");
    let (plan, after) = planned(&text, &before, &mut mint);
    let expected = "\
Approval procedures
  ~ two v1 -> v2
      who is asked: answers in person or through a delegate -> may hand it on
      step 1: Manager: 1 from the manager -> Manager: 1 from the manager (else the role owner), only risk critical, for longer than 1 hour, within 2 days, reminded every 1 day, then also the manager's manager for 1 day more
Access policies
  ~ standard v1 -> v2
      procedure: two v1 -> two v2
      auto rule quick: approve risk low, for at most 1 hour, when reports to mara (new)
      starts ahead: up to 365 days -> no
      ticket: not asked for -> required, matches OV\\-.* (else: A ticket reference begins with OV-.)
      field kind: Kind: one of repair, look, may be left out (new)
      extension: no -> in the last 50 percent of the period, for at most 2 hours, at most 2 in a row, by procedure boss v1
      for others ask: nobody -> managers, and the person confirms
      emergency: no -> at once for at most 1 hour, reviewed within 1 day
Separation of duties
  ~ apart v1 -> v2
      exception: with approval by procedure boss v1 -> none: nobody holds both

0 to add, 3 to change, 0 to retire.
";
    assert_eq!(plan.faults, []);
    assert_eq!(plan.to_string(), expected);
    assert_eq!(planned(&text, &after, &mut mint).0.changes, []);
}

#[test]
fn a_procedure_that_only_an_extension_or_a_separation_names_moves_them_with_it() {
    let mut mint = counter();
    let text = deep().replace("maximum = \"8h\" }\n", "maximum = \"8h\" }\nextension = { procedure = \"boss\" }\n");
    let (_, before) = planned(&text, &Catalog::default(), &mut mint);
    let (plan, after) = planned(&text.replace("name = \"Boss\"", "name = \"Chief\""), &before, &mut mint);
    assert_eq!(plan.changes.iter().map(|change| change.title.as_str()).collect::<Vec<_>>(), ["boss v1 -> v2", "standard v1 -> v2", "apart v1 -> v2"], "{plan}");
    let (policy, parts) = &after.policies[0];
    let boss = after.procedures.iter().find(|now| now.body.key == "boss").unwrap();
    assert_eq!((parts.extension, after.separation[0].1), (Some(boss.version_id), Some(boss.version_id)));
    assert_eq!(policy.body.extension.as_ref().unwrap().procedure.as_ref(), Some(&boss.body));
    assert_eq!(after.separation[0].0.body.procedure.as_ref(), Some(&boss.body));
}

#[test]
fn what_no_file_describes_any_more_is_retired_and_restored_without_a_new_version() {
    let mut mint = counter();
    let (_, before) = planned(&deep(), &Catalog::default(), &mut mint);
    let (plan, without) = planned(FILE, &before, &mut mint);
    let titles = |plan: &Plan| plan.changes.iter().map(|change| (change.mark, change.what, change.title.clone())).collect::<Vec<_>>();
    assert_eq!(
        titles(&plan),
        [(Mark::Retire, "role", "db/writer  Write".into()), (Mark::Retire, "procedure", "boss v1".into()), (Mark::Retire, "separation", "apart v1".into()),]
    );
    assert_eq!(planned(FILE, &without, &mut mint).0.changes, []);
    let (again, back) = planned(&deep(), &without, &mut mint);
    assert_eq!(
        titles(&again),
        [(Mark::Change, "role", "db/writer  Write".into()), (Mark::Add, "procedure", "boss v1".into()), (Mark::Add, "separation", "apart v1".into()),]
    );
    assert_eq!(back, before);
}

#[test]
fn conditional_steps_are_not_held_against_each_other_and_each_is_held_against_the_rest() {
    let step = |name: &str, more: &str| format!("[[procedure.step]]\nname = \"{name}\"\n{more}\nslots = [{{ from = \"person:mara\" }}]\n");
    let with = |steps: String| {
        let text = FILE.replacen("[[procedure.step]]\nname = \"Manager\"", &format!("{steps}[[procedure.step]]\nname = \"Manager\""), 1);
        planned(&text, &Catalog::default(), &mut counter()).0.faults.into_iter().map(|fault| fault.sentence).collect::<Vec<_>>()
    };
    let low = "when = { risk = [\"low\"] }";
    let critical = "when = { risk = [\"critical\"] }";
    assert_eq!(with(step("Low", low) + &step("Critical", critical)), [""; 0], "they exclude each other");
    let data = "when = { conditions = [\"department is Data\"] }";
    let needed = "Nobody could complete step “Data”: whom it asks is needed for another approval of the same request, and one person counts once.";
    assert_eq!(with(step("Always", "") + &step("Data", data)), [needed]);
    let for_role = "Nobody could complete step “Data”: for role db/reader the people it asks are needed for other approvals of the same request, and one person counts once.";
    assert_eq!(with(step("Low", low) + &step("Data", data)), [for_role]);
    assert_eq!(with(step("Critical", critical) + &step("Data", data)), [""; 0], "the role is of low risk");
}

/// Each: what to put in place of what in the deep file, and the sentence of its one fault.
const DEEP_FAULTS: &[(&str, &str, &str)] = &[
    ("b = [\"db/writer\"]", "b = [\"db/writers\"]", "There is no role “db/writers” in this file; did you mean “db/writer”?"),
    ("procedure = \"boss\"", "procedure = \"bos\"", "There is no procedure “bos” in this file; did you mean “boss”?"),
    ("department is Data", "reports to nobody", "There is nobody called “nobody” in directory main."),
    ("department is Data", "reports to oscar", "Person 3 (“oscar”) is disabled in directory main; name somebody who is active."),
    ("maximum = \"8h\" }", "maximum = \"8h\" }\nextension = { procedure = \"bosses\" }", "There is no procedure “bosses” in this file; did you mean “boss”?"),
    (
        "slots = [{ from = \"managers_manager\" }]",
        "time_limit = \"1d\"\nescalate = { to = [\"group:empty\"] }\nslots = [{ from = \"managers_manager\" }]",
        "Step “Boss” escalates to nobody: no group that it names has an active member.",
    ),
    (
        "slots = [{ from = \"managers_manager\" }]",
        "slots = [{ approvals = 2, from = [\"group:empty\", \"group:lonely\"] }]",
        "Nobody could complete step “Boss”: group “lonely” has 1 active member, and 2 approvals are wanted.",
    ),
    (
        "slots = [{ from = \"managers_manager\" }]",
        "slots = [{ from = \"manager\" }]",
        "Nobody could complete step “Boss” of an exception for role db/reader: the people it asks are needed for other steps of procedure “two” and of “boss”, and one person counts once.",
    ),
    (
        "maximum = \"8h\" }",
        "maximum = \"8h\" }\nauto = [{ name = \"x\", then = \"deny\", all = [\"groups include nothing\"] }]",
        "There is no group “nothing” in directory main.",
    ),
    (
        "key = \"two\"\nname = \"Two\"\n[[procedure.step]]",
        "key = \"two\"\nname = \"Two\"\n[[procedure.step]]\nwhen = { conditions = [\"groups include nothing\"] }",
        "There is no group “nothing” in directory main.",
    ),
];

#[test]
fn every_fault_of_the_depth_is_told_once() {
    let mut wrong = Vec::new();
    for (from, to, sentence) in DEEP_FAULTS {
        let text = deep().replacen(from, to, 1);
        assert_ne!(text, deep(), "{from} is not in the file");
        let mut got: Vec<String> = planned(&text, &Catalog::default(), &mut counter()).0.faults.into_iter().map(|fault| fault.sentence).collect();
        got.retain(|other| !other.contains("for role db/writer"));
        if !got.iter().any(|one| one == sentence) {
            wrong.push(((*sentence).to_owned(), got));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_group_that_is_empty_is_passed_over_when_another_source_follows() {
    let text = FILE.replace("from = \"manager\"", "from = [\"manager\", \"group:empty\", \"role_owner\"]");
    assert_eq!(planned(&text, &Catalog::default(), &mut counter()).0.faults, []);
}
