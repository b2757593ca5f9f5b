//! The LDAP connector against OpenLDAP, which nobody here wrote.

use countersign::clock::Clock;
use countersign::directory::facts::{PersonFacts, ReadError, WriteResult};
use countersign::directory::ldap::{Ldap, Settings};
use countersign::directory::ldap_schema::GroupKind;
use countersign::directory::port::Directory;

use crate::ldap_server::{LdapServer, OPEN, directory};

fn names(person: &PersonFacts) -> Vec<&str> {
    person.groups.iter().map(|group| group.name.as_str()).collect()
}

async fn reference(directory: &Directory, login: &str) -> String {
    directory.find_person("user_name", login).await.unwrap().unwrap_or_else(|| panic!("no {login}")).reference
}

async fn group(directory: &Directory, name: &str) -> String {
    directory.find_group(name).await.unwrap().unwrap_or_else(|| panic!("no {name}")).reference
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_groups_of_openldap_are_read() {
    let server = LdapServer::open();
    let open = directory(&Settings { page_size: 2, ..server.as_open() });

    let alice = open.find_person("user_name", "ALICE").await.unwrap().unwrap();
    let bob = open.find_person("email", "bob@example.org").await.unwrap().unwrap();
    assert_eq!((alice.display_name.as_str(), alice.email.as_deref(), alice.active), ("Alice Archer", Some("alice@example.org"), true));
    assert_eq!(alice.manager, Some(bob.reference.clone()));
    assert_eq!((&alice.attributes["department"], &alice.attributes["title"]), (&vec!["Engineering".to_owned()], &vec!["Engineer".to_owned()]));
    assert_eq!(names(&alice), ["all-staff", "company", "engineers"], "inherited ones too");
    assert_eq!(open.person(&alice.reference).await.unwrap(), Some(alice.clone()));
    assert_eq!(open.find_person("employee_number", "102").await.unwrap(), Some(alice.clone()));
    assert_eq!(server.look(&format!("uid=alice,ou=people,{OPEN}"), "entryUUID"), [alice.reference.as_str()]);
    let dave = open.find_person("user_name", "dave").await.unwrap().unwrap();
    assert_eq!(dave.display_name, "Dave Dole");
    for nobody in ["*", "alice)(uid=*", "alice\\2a", "", " ", "a\0b", "no-such-login"] {
        assert_eq!(open.find_person("user_name", nobody).await, Ok(None), "{nobody:?}");
    }
    assert!(matches!(open.find_person("shoe_size", "44").await, Err(ReadError::Refused(_))));
    assert!(matches!(open.find_person("department", "Engineering").await, Err(ReadError::Several { .. })));
    assert_eq!(open.person("no-such-id").await, Ok(None));
    assert_eq!(open.person("00000000-0000-7000-8000-000000000000").await, Ok(None));
    assert!(matches!(open.person("").await, Err(ReadError::Refused(_))));

    let (mut cursor, mut everyone, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = open.people(cursor).await.unwrap();
        pages += 1;
        everyone.extend(page.items);
        // Other questions in between do not disturb a listing.
        assert!(open.person(&alice.reference).await.unwrap().is_some());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((everyone.len(), pages), (6, 3));
    assert!(everyone.contains(&alice) && everyone.contains(&bob), "a listing says the same as a look: {everyone:#?}");

    let mut listed = Vec::new();
    let mut cursor = None;
    loop {
        let page = open.groups(cursor).await.unwrap();
        listed.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed.len(), 8, "no posixGroup unless the settings say so");
    let engineers = open.find_group("engineers").await.unwrap().unwrap();
    assert!(listed.iter().any(|one| one.reference == engineers.reference && one.description.as_deref() == Some("All engineers") && one.warnings.len() == 1));
    assert_eq!(open.find_group("ENGINEERS").await, Ok(None));
    assert_eq!(open.find_group("engineers)(cn=*").await, Ok(None));
    let facts = open.group(&engineers.reference).await.unwrap().unwrap();
    assert_eq!(facts.members, [alice.reference.clone(), bob.reference.clone()]);
    let staff = open.group(&group(&open, "all-staff").await).await.unwrap().unwrap();
    assert_eq!(staff.nested, std::slice::from_ref(&engineers.reference));
    assert_eq!(staff.members.len(), 2, "who moved away is still in it: {staff:?}");
    assert_eq!(open.group("00000000-0000-7000-8000-000000000000").await, Ok(None));
    assert_eq!(open.group(&alice.reference).await, Ok(None), "a person is no group");
    assert_eq!(open.person(&engineers.reference).await, Ok(None), "a group is no person");

    let company = group(&open, "company").await;
    assert!(!open.is_member(&company, &alice.reference).await.unwrap());
    assert!(open.is_member_inherited(&company, &alice.reference).await.unwrap());
    assert!(open.members_inherited(&company).await.unwrap().unwrap().contains(&alice.reference));
    assert_eq!(open.members_inherited("00000000-0000-7000-8000-000000000000").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_hold_each_other_are_no_trap() {
    let server = LdapServer::open();
    let open = directory(&server.as_open());
    let erin = open.find_person("user_name", "erin").await.unwrap().unwrap();
    assert_eq!(names(&erin), ["circle-a", "circle-b"]);
    let (a, b) = (group(&open, "circle-a").await, group(&open, "circle-b").await);
    assert!(open.is_member_inherited(&b, &erin.reference).await.unwrap() && open.is_member_inherited(&a, &erin.reference).await.unwrap());
    assert_eq!(open.members_inherited(&b).await, Ok(Some(vec![erin.reference.clone()])));
    let listed = open.people(None).await.unwrap().items;
    assert!(listed.contains(&erin));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memberships_of_openldap_are_changed_one_at_a_time() {
    let server = LdapServer::open();
    let open = directory(&server.as_open());
    let (alice, bob, carol, dave) =
        (reference(&open, "alice").await, reference(&open, "bob").await, reference(&open, "carol").await, reference(&open, "dave").await);
    let prod = group(&open, "prod-db").await;
    let prod_dn = format!("cn=prod-db,ou=groups,{OPEN}");
    let bob_dn = format!("uid=bob,ou=people,{OPEN}");

    assert_eq!(open.is_member(&prod, &carol).await, Ok(false));
    assert_eq!(open.add(&prod, &carol).await, WriteResult::Changed);
    assert_eq!(open.add(&prod, &carol).await, WriteResult::AlreadyInState);
    assert_eq!(open.is_member(&prod, &carol).await, Ok(true));
    assert_eq!(server.look(&prod_dn, "member"), [bob_dn.clone(), format!("uid=carol,ou=people,{OPEN}")]);
    // A name with a comma, brackets, a star and two parts.
    assert_eq!(open.add(&prod, &dave).await, WriteResult::Changed);
    assert_eq!(open.is_member(&prod, &dave).await, Ok(true));
    assert_eq!(open.members(&prod).await.unwrap().unwrap().len(), 3);
    assert_eq!(names(&open.person(&dave).await.unwrap().unwrap()), ["prod-db"]);
    for person in [&carol, &dave] {
        assert_eq!(open.remove(&prod, person).await, WriteResult::Changed);
        assert_eq!(open.remove(&prod, person).await, WriteResult::AlreadyInState);
        assert_eq!(open.is_member(&prod, person).await, Ok(false));
    }
    assert_eq!(server.look(&prod_dn, "member"), std::slice::from_ref(&bob_dn));

    let nobody = "00000000-0000-7000-8000-000000000000";
    assert_eq!(open.add(nobody, &alice).await, WriteResult::NotFoundGroup);
    assert_eq!(open.remove(nobody, &alice).await, WriteResult::NotFoundGroup);
    assert_eq!(open.add(&prod, nobody).await, WriteResult::NotFoundUser);
    assert_eq!(open.remove(&prod, nobody).await, WriteResult::NotFoundUser);
    assert_eq!(open.add(&prod, &group(&open, "engineers").await).await, WriteResult::NotFoundUser, "a group is nobody to let in");
    assert!(matches!(open.add("", &alice).await, WriteResult::Transient(_)));
    assert_eq!(open.is_member(nobody, &alice).await, Ok(false));

    // The service account may not write this one (50).
    let locked = group(&open, "locked").await;
    assert!(matches!(open.add(&locked, &alice).await, WriteResult::GroupNotWritable(_)));
    assert_eq!(open.add(&locked, &bob).await, WriteResult::AlreadyInState);
    assert_eq!(open.remove(&locked, &alice).await, WriteResult::AlreadyInState);
    assert!(matches!(open.remove(&locked, &bob).await, WriteResult::GroupNotWritable(_)));
    assert_eq!(server.look(&format!("cn=locked,ou=groups,{OPEN}"), "member"), std::slice::from_ref(&bob_dn));

    // Who moved out of where people are, or stopped to count as one, can still be taken out.
    let frank = directory(&Settings { people: String::new(), ..server.as_open() });
    let frank = reference(&frank, "frank").await;
    let staff = group(&open, "all-staff").await;
    assert!(!open.person(&frank).await.unwrap().unwrap().active);
    assert_eq!(open.is_member(&staff, &frank).await, Ok(true));
    let strict = directory(&Settings { person_filter: "(&(objectClass=inetOrgPerson)(!(uid=frank)))".into(), ..server.as_open() });
    assert_eq!(strict.person(&frank).await, Ok(None));
    assert_eq!(strict.add(&prod, &frank).await, WriteResult::NotFoundUser);
    assert_eq!(strict.remove(&staff, &frank).await, WriteResult::Changed);
    assert_eq!(open.is_member(&staff, &frank).await, Ok(false));

    // Renamed between two questions: the id stays, and the group follows.
    server.change(&format!("dn: uid=alice,ou=people,{OPEN}\nchangetype: modrdn\nnewrdn: uid=alicia\ndeleteoldrdn: 1\n"));
    let engineers = group(&open, "engineers").await;
    assert_eq!(open.is_member(&engineers, &alice).await, Ok(true));
    assert_eq!(open.remove(&engineers, &alice).await, WriteResult::Changed);
    assert_eq!(open.person(&alice).await.unwrap().unwrap().user_name, "alicia");
    server.change(&format!("dn: uid=alicia,ou=people,{OPEN}\nchangetype: delete\n"));
    assert_eq!(open.person(&alice).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_member_leaves_only_when_somebody_stands_in() {
    let server = LdapServer::open();
    let open = directory(&server.as_open());
    let (bob, carol) = (reference(&open, "bob").await, reference(&open, "carol").await);
    let (prod, reviewers) = (group(&open, "prod-db").await, group(&open, "reviewers").await);
    let prod_dn = format!("cn=prod-db,ou=groups,{OPEN}");
    assert!(matches!(open.remove(&prod, &bob).await, WriteResult::GroupNotWritable(why) if why.contains("last member")));
    assert_eq!(server.look(&prod_dn, "member").len(), 1);

    let open = directory(&Settings { placeholder: Some(format!("CN=Nobody, {OPEN}")), ..server.as_open() });
    assert_eq!(open.remove(&prod, &bob).await, WriteResult::Changed);
    assert_eq!(server.look(&prod_dn, "member"), [format!("cn=Nobody,{OPEN}")]);
    assert_eq!(open.members(&prod).await, Ok(Some(vec![])), "who stands in is nobody");
    assert_eq!(open.remove(&prod, &bob).await, WriteResult::AlreadyInState);
    assert_eq!(open.add(&prod, &carol).await, WriteResult::Changed);
    assert_eq!(open.remove(&prod, &carol).await, WriteResult::Changed);
    assert_eq!(open.members(&prod).await, Ok(Some(vec![])));
    assert_eq!(open.remove(&reviewers, &carol).await, WriteResult::Changed);
    assert_eq!(server.look(&format!("cn=reviewers,ou=groups,{OPEN}"), "uniqueMember").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_list_logins_are_changed_too() {
    let server = LdapServer::open();
    let settings = Settings { kinds: vec![GroupKind::Posix], ..server.as_open() };
    let open = directory(&settings);
    let (alice, bob) = (reference(&open, "alice").await, reference(&open, "bob").await);
    let shell = group(&open, "shell").await;
    assert_eq!(open.members(&shell).await, Ok(Some(vec![alice.clone()])));
    assert_eq!(open.add(&shell, &bob).await, WriteResult::Changed);
    assert_eq!(open.add(&shell, &bob).await, WriteResult::AlreadyInState);
    assert_eq!(server.look(&format!("cn=shell,ou=groups,{OPEN}"), "memberUid"), ["alice", "bob"]);
    assert_eq!(names(&open.person(&bob).await.unwrap().unwrap()), ["shell"]);
    for person in [&alice, &bob] {
        assert_eq!(open.remove(&shell, person).await, WriteResult::Changed);
        assert_eq!(open.is_member(&shell, person).await, Ok(false));
    }
    assert_eq!(open.members(&shell).await, Ok(Some(vec![])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_openldap_is_not_active() {
    let server = LdapServer::open();
    let open = directory(&server.as_open());
    assert!(!open.find_person("user_name", "grace").await.unwrap().unwrap().active, "locked for good");
    let carol = reference(&open, "carol").await;
    let change = |ldif: &str| server.change(&format!("dn: uid=carol,ou=people,{OPEN}\nchangetype: {ldif}\n"));
    change("modify\nreplace: pwdAccountLockedTime\npwdAccountLockedTime: 20260101000000Z");
    assert!(open.person(&carol).await.unwrap().unwrap().active, "wrong passwords make nobody leave");
    change(&format!("modrdn\nnewrdn: uid=carol\ndeleteoldrdn: 1\nnewsuperior: ou=former,{OPEN}"));
    assert!(!open.person(&carol).await.unwrap().unwrap().active, "moved away");
    let staff = group(&open, "all-staff").await;
    assert_eq!(open.is_member(&staff, &carol).await, Ok(true));
    assert_eq!(open.remove(&staff, &carol).await, WriteResult::Changed);
    assert!(!open.people(None).await.unwrap().items.iter().any(|person| person.reference == carol));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_lost_never_looks_like_everybody_having_left() {
    let server = LdapServer::open();
    let open = directory(&server.as_open());
    let (bob, prod) = (reference(&open, "bob").await, group(&open, "prod-db").await);
    let blind = directory(&Settings {
        bind: format!("cn=blind,ou=services,{OPEN}"),
        password: countersign::domain::secret::Secret::new("blind-pw"),
        ..server.as_open()
    });
    assert!(blind.person(&bob).await.is_err());
    assert!(blind.is_member(&prod, &bob).await.is_err());
    assert!(matches!(blind.remove(&prod, &bob).await, WriteResult::Transient(_)));
    assert!(blind.people(None).await.is_err());
    let elsewhere = directory(&Settings { people: format!("ou=nowhere,{OPEN}"), groups: format!("ou=nowhere,{OPEN}"), ..server.as_open() });
    assert!(elsewhere.people(None).await.is_err() && elsewhere.groups(None).await.is_err());
    assert!(elsewhere.find_person("user_name", "bob").await.is_err() && elsewhere.find_group("prod-db").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_of_the_connection_says_what_is_missing() {
    let server = LdapServer::open();
    let probe = directory(&server.as_open()).probe().await;
    assert!(probe.works);
    assert_eq!(probe.notes, ["Lists people.", "Lists groups.", "May write members."]);
    let account = |name: &str| Settings {
        bind: format!("cn={name},ou=services,{OPEN}"),
        password: countersign::domain::secret::Secret::new(&format!("{name}-pw")),
        ..server.as_open()
    };
    let reader = directory(&account("reader")).probe().await;
    assert!(reader.works && reader.notes.iter().any(|note| note.contains("no right to write members")), "{reader:?}");
    let blind = directory(&account("blind")).probe().await;
    assert!(!blind.works && blind.notes[0].contains("there is no ou=people"), "{blind:?}");
    let members = server.look(&format!("cn=prod-db,ou=groups,{OPEN}"), "member");
    assert_eq!(members.len(), 1, "a test changes nothing");
    let wrong = directory(&Settings { password: countersign::domain::secret::Secret::new("wrong"), ..server.as_open() });
    let probe = wrong.probe().await;
    assert!(!probe.works && probe.notes == ["The directory refuses our credentials: wrong name or password (result 49)."], "{probe:?}");
    assert!(matches!(wrong.person("00000000-0000-7000-8000-000000000000").await, Err(ReadError::Auth(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_says_who_they_are_before_the_line_is_safe() {
    let server = LdapServer::open();
    let reaches = async |settings: &Settings| directory(settings).find_group("engineers").await;
    assert!(reaches(&server.as_open()).await.unwrap().is_some(), "StartTLS");
    let ldaps = Settings { urls: vec![server.ldaps.clone()], ..server.as_open() };
    assert!(reaches(&ldaps).await.unwrap().is_some(), "ldaps");
    let down = Settings { urls: vec!["ldaps://127.0.0.1:1".into(), server.ldaps.clone()], ..server.as_open() };
    assert!(reaches(&down).await.unwrap().is_some(), "the second server answers");
    for settings in [ldaps, server.as_open()] {
        let unknown = reaches(&Settings { extra_roots: None, ..settings }).await;
        assert!(matches!(&unknown, Err(ReadError::Unreachable(why)) if why.contains("nobody who is trusted")), "{unknown:?}");
    }
    let port = server.url.rsplit(':').next().unwrap();
    // The certificate names localhost and 127.0.0.1.
    let other_name = reaches(&Settings { urls: vec![format!("ldap://127.0.0.2:{port}")], ..server.as_open() }).await;
    assert!(matches!(&other_name, Err(ReadError::Unreachable(why)) if why.contains("does not name")), "{other_name:?}");

    let refused = |settings: Settings| Ldap::new(&settings, Clock::system()).unwrap_err();
    let plain = |url: &str| Settings { urls: vec![url.into()], start_tls: false, ..server.as_open() };
    assert!(refused(plain("ldap://ldap.example.org")).contains("in the clear"));
    assert!(refused(plain("ldap://10.0.0.1")).contains("in the clear"));
    assert!(reaches(&plain(&server.url)).await.unwrap().is_some(), "on this machine only");
    for password in ["", " "] {
        let settings = Settings { password: countersign::domain::secret::Secret::new(password), ..server.as_open() };
        assert!(refused(settings).contains("password"), "a bind without a password succeeds as nobody");
    }
    for url in ["", "ldaps://", "https://x", "ldaps://u:p@x", "ldaps://x/dc=x", "ldapi:///x"] {
        _ = refused(plain(url));
    }
    for wrong in [
        Settings { base: "nonsense".into(), ..server.as_open() },
        Settings { base: String::new(), ..server.as_open() },
        Settings { people: "ou=people,dc=elsewhere".into(), ..server.as_open() },
        Settings { person_filter: "objectClass=person".into(), ..server.as_open() },
        Settings { group_filter: "(".into(), ..server.as_open() },
        Settings { placeholder: Some("nobody".into()), ..server.as_open() },
        Settings { extra_roots: Some("nonsense".into()), ..server.as_open() },
        Settings { attributes: [("user_name".to_owned(), String::new())].into(), ..server.as_open() },
    ] {
        _ = refused(wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_five_thousand_is_read_with_few_questions() {
    let server = LdapServer::open();
    let mut ldif = String::new();
    for number in 0..5_000 {
        ldif.push_str(&format!(
            "dn: uid=p{number:04},ou=people,{OPEN}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: p{number:04}\ncn: Person {number}\nsn: {number}\n\n"
        ));
    }
    ldif.push_str(&format!("dn: cn=everybody,ou=groups,{OPEN}\nchangetype: add\nobjectClass: groupOfNames\ncn: everybody\n"));
    for number in 0..5_000 {
        ldif.push_str(&format!("member: uid=p{number:04},ou=people,{OPEN}\n"));
    }
    ldif.push('\n');
    server.change(&ldif);
    let open = directory(&server.as_open());
    let everybody = group(&open, "everybody").await;
    let began = std::time::Instant::now();
    let members = open.members(&everybody).await.unwrap().unwrap();
    assert_eq!(members.len(), 5_000);
    let took = began.elapsed();
    // 25 searches; 5,000 of them would take longer than this even on this machine alone.
    assert!(took.as_secs() < 5, "{took:?}");
    let one = reference(&open, "p4711").await;
    assert!(members.contains(&one));
    assert_eq!(open.remove(&everybody, &one).await, WriteResult::Changed);
    assert_eq!(open.is_member(&everybody, &one).await, Ok(false));
    assert_eq!(open.members(&everybody).await.unwrap().unwrap().len(), 4_999);

    let (mut cursor, mut count) = (None, 0);
    loop {
        let page = open.people(cursor).await.unwrap();
        count += page.items.iter().filter(|person| names(person) == ["everybody"]).count();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(count, 4_999);
    let small = directory(&Settings { max_answer: 10_000, ..server.as_open() });
    assert!(matches!(small.members(&everybody).await, Err(ReadError::Malformed(why)) if why.contains("larger")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openldap_tells_what_changed() {
    let server = LdapServer::open();
    let open = directory(&server.as_open());
    let begin = open.changes(None).await.unwrap().unwrap();
    assert!(begin.people.is_empty() && begin.groups.is_empty());
    let (alice, prod) = (reference(&open, "alice").await, group(&open, "prod-db").await);
    server.change(&format!("dn: uid=alice,ou=people,{OPEN}\nchangetype: modify\nreplace: title\ntitle: Chief\n"));
    assert_eq!(open.add(&prod, &alice).await, WriteResult::Changed);
    let changes = open.changes(Some(&begin.next)).await.unwrap().unwrap();
    assert!(changes.people.contains(&alice) && changes.groups.contains(&prod) && !changes.more);
    assert!(changes.next >= begin.next);
    assert!(matches!(open.changes(Some("nonsense")).await, Err(ReadError::Expired)));
    let later = open.changes(Some("20990101000000Z")).await.unwrap().unwrap();
    assert!(later.people.is_empty() && later.next == "20990101000000Z");
}
