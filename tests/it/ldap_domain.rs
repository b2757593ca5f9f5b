//! The LDAP connector against Samba as Active Directory.
//!
//! Needs root, for Samba's ports are fixed; without it these tests fail, they do not pass by.

use countersign::directory::facts::{PersonFacts, ReadError, WriteResult};
use countersign::directory::ldap::Settings;
use countersign::directory::port::Directory;
use countersign::domain::secret::Secret;

use crate::ldap_server::{DOMAIN, LdapServer, directory};

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
async fn people_and_groups_of_a_domain_are_read() {
    let server = LdapServer::domain();
    let domain = directory(&server.as_domain());
    let alice = domain.find_person("user_name", "ALICE").await.unwrap().unwrap();
    let bob = domain.find_person("email", "bob@example.org").await.unwrap().unwrap();
    assert_eq!((alice.display_name.as_str(), alice.active, alice.manager.as_ref()), ("Alice Archer", true, Some(&bob.reference)));
    assert_eq!(alice.attributes["department"], ["Engineering"]);
    assert_eq!(alice.attributes["employment_type"], ["Employee"]);
    assert_eq!(bob.attributes["organization"], ["Example"]);
    assert_eq!(domain.find_person("user_principal_name", "alice@ad.example.org").await.unwrap(), Some(alice.clone()));
    assert_eq!(domain.find_person("employee_number", "102").await.unwrap(), Some(alice.clone()));
    assert_eq!(domain.person(&alice.reference).await.unwrap(), Some(alice.clone()));
    // The primary group, and what that is in, too.
    let of_alice = ["Domain Users", "Users", "all-staff", "company", "engineers"];
    assert_eq!(names(&alice), of_alice);
    assert_eq!(domain.find_person("user_name", "dave").await.unwrap().unwrap().display_name, "Dave Dole, Jr.");
    assert!(!domain.find_person("user_name", "frank").await.unwrap().unwrap().active, "switched off");
    assert_eq!(domain.find_person("user_name", "*").await, Ok(None));
    assert_eq!(domain.person("00000000-0000-7000-8000-000000000000").await, Ok(None));
    assert_eq!(domain.person("no-such-id").await, Ok(None));
    let whole = directory(&Settings { people: String::new(), ..server.as_domain() });
    let gustav = reference(&whole, "gustav").await;
    assert!(whole.person(&gustav).await.unwrap().unwrap().active && !domain.person(&gustav).await.unwrap().unwrap().active, "moved away");

    let (mut cursor, mut count) = (None, 0);
    loop {
        let page = domain.people(cursor).await.unwrap();
        count += page.items.len();
        if let Some(listed) = page.items.iter().find(|person| person.reference == alice.reference) {
            assert_eq!(listed, &alice, "a listing says the same as a look");
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    // Another test may have somebody stay for a moment.
    assert!((5_005..=5_006).contains(&count), "{count}");

    let mut groups = Vec::new();
    let mut cursor = None;
    loop {
        let page = domain.groups(cursor).await.unwrap();
        groups.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let listed = |name: &str| groups.iter().find(|group| group.name == name).unwrap();
    assert!(listed("engineers").read_only.is_none() && listed("engineers").warnings.is_empty(), "{:?}", listed("engineers"));
    assert!(listed("newsletter").warnings[0].contains("distribution"));
    assert!(listed("Domain Admins").read_only.as_ref().unwrap().contains("no right"), "{:?}", listed("Domain Admins"));
    assert!(listed("Domain Admins").warnings.iter().any(|warning| warning.contains("administrator")), "{:?}", listed("Domain Admins"));
    assert!(listed("Domain Users").warnings.iter().any(|warning| warning.contains("primary")));

    let staff = domain.group(&group(&domain, "all-staff").await).await.unwrap().unwrap();
    assert_eq!((staff.members.len(), staff.nested.as_slice()), (2, &[listed("engineers").reference.clone()][..]), "who is switched off stays in it");
    let company = group(&domain, "company").await;
    assert_eq!(domain.is_member(&company, &alice.reference).await, Ok(false));
    assert_eq!(domain.is_member_inherited(&company, &alice.reference).await, Ok(true));
    let inside = domain.members_inherited(&staff.reference).await.unwrap().unwrap();
    assert_eq!(inside.len(), 4, "alice, bob, carol, frank");
    // Through the primary group of a group inside: everybody.
    assert!(domain.members_inherited(&company).await.unwrap().unwrap().len() > 5_000);
    assert_eq!(domain.members_inherited("00000000-0000-7000-8000-000000000000").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memberships_of_a_domain_are_changed_one_at_a_time() {
    let server = LdapServer::domain();
    let domain = directory(&server.as_domain());
    let (bob, carol, dave) = (reference(&domain, "bob").await, reference(&domain, "carol").await, reference(&domain, "dave").await);
    let prod = group(&domain, "prod-db").await;
    let prod_dn = format!("CN=prod-db,OU=Groups,{DOMAIN}");
    let before = server.look(&prod_dn, "member");
    assert_eq!(before, [format!("CN=Bob Builder,OU=People,{DOMAIN}")]);
    for person in [&carol, &dave] {
        assert_eq!(domain.add(&prod, person).await, WriteResult::Changed);
        assert_eq!(domain.add(&prod, person).await, WriteResult::AlreadyInState, "68");
        assert_eq!(domain.is_member(&prod, person).await, Ok(true));
    }
    assert_eq!(server.look(&prod_dn, "member").len(), 3);
    for person in [&carol, &dave] {
        assert_eq!(domain.remove(&prod, person).await, WriteResult::Changed);
        assert_eq!(domain.remove(&prod, person).await, WriteResult::AlreadyInState, "53, which means many things");
        assert_eq!(domain.is_member(&prod, person).await, Ok(false));
    }
    // Here a group may be empty.
    assert_eq!(domain.remove(&prod, &bob).await, WriteResult::Changed);
    assert_eq!(domain.members(&prod).await, Ok(Some(vec![])));
    assert_eq!(domain.add(&prod, &bob).await, WriteResult::Changed);
    assert_eq!(server.look(&prod_dn, "member"), before);

    let nobody = "00000000-0000-7000-8000-000000000000";
    assert_eq!(domain.add(nobody, &bob).await, WriteResult::NotFoundGroup);
    assert_eq!(domain.remove(nobody, &bob).await, WriteResult::NotFoundGroup);
    assert_eq!(domain.add(&prod, nobody).await, WriteResult::NotFoundUser);
    assert_eq!(domain.remove(&prod, nobody).await, WriteResult::NotFoundUser);

    let users = group(&domain, "Domain Users").await;
    assert_eq!(domain.is_member(&users, &bob).await, Ok(true), "by primary group");
    assert_eq!(domain.add(&users, &bob).await, WriteResult::AlreadyInState);
    assert!(matches!(domain.remove(&users, &bob).await, WriteResult::GroupNotWritable(why) if why.contains("primary")));
    let admins = group(&domain, "Domain Admins").await;
    assert!(matches!(domain.add(&admins, &bob).await, WriteResult::GroupNotWritable(_)));
    let reader = directory(&Settings { bind: "reader@ad.example.org".into(), password: Secret::new("Reader-pw-1"), ..server.as_domain() });
    assert!(matches!(reader.add(&prod, &carol).await, WriteResult::GroupNotWritable(_)));
    assert!(matches!(reader.remove(&prod, &bob).await, WriteResult::GroupNotWritable(_)));
    assert_eq!(server.look(&prod_dn, "member"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_moved_out_of_the_base_is_nobody_here_and_is_taken_out_of_groups_all_the_same() {
    let server = LdapServer::domain();
    for (dn, what) in [
        ("OU=Unit", "objectClass: organizationalUnit"),
        ("OU=Outside", "objectClass: organizationalUnit"),
        ("CN=Eve Mover,OU=Unit", "objectClass: user\nsAMAccountName: eve.mover"),
        ("CN=Stan Stay,OU=Unit", "objectClass: user\nsAMAccountName: stan.stay"),
    ] {
        server.change(&format!("dn: {dn},{DOMAIN}\nchangetype: add\n{what}\n"));
    }
    let members = format!("member: CN=Eve Mover,OU=Unit,{DOMAIN}\nmember: CN=Stan Stay,OU=Unit,{DOMAIN}");
    for name in ["unit-db", "unit-logs"] {
        server.change(&format!("dn: CN={name},OU=Unit,{DOMAIN}\nchangetype: add\nobjectClass: group\nsAMAccountName: {name}\n{members}\n"));
    }
    let unit = directory(&Settings {
        base: format!("OU=Unit,{DOMAIN}"),
        people: String::new(),
        groups: String::new(),
        bind: "administrator@ad.example.org".into(),
        password: Secret::new("Admin-pw-1"),
        ..server.as_domain()
    });
    let (eve, db, logs) = (reference(&unit, "eve.mover").await, group(&unit, "unit-db").await, group(&unit, "unit-logs").await);
    let moved = |rdn: &str| format!("dn: {rdn},OU=Unit,{DOMAIN}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\nnewsuperior: OU=Outside,{DOMAIN}\n");
    server.change(&moved("CN=Eve Mover"));
    assert_eq!(unit.person(&eve).await, Ok(None), "who left the base has left");
    assert_eq!(unit.is_member(&db, &eve).await, Ok(true), "and is still in the group");
    assert_eq!(unit.add(&logs, &eve).await, WriteResult::NotFoundUser, "nobody is let in from there");
    assert_eq!(unit.remove(&db, &eve).await, WriteResult::Changed);
    assert_eq!(unit.is_member(&db, &eve).await, Ok(false));
    assert_eq!(server.look(&format!("CN=unit-db,OU=Unit,{DOMAIN}"), "member"), [format!("CN=Stan Stay,OU=Unit,{DOMAIN}")]);
    // A group that was moved away still has its members, and is not called empty or gone.
    server.change(&moved("CN=unit-logs"));
    assert!(unit.is_member(&logs, &eve).await.is_err());
    assert!(!matches!(unit.remove(&logs, &eve).await, WriteResult::NotFoundGroup | WriteResult::Changed | WriteResult::AlreadyInState));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_tells_five_thousand_members_range_by_range() {
    let server = LdapServer::domain();
    let domain = directory(&server.as_domain());
    let everybody = group(&domain, "everybody").await;
    let members = domain.members(&everybody).await.unwrap().unwrap();
    let distinct: std::collections::BTreeSet<&String> = members.iter().collect();
    assert_eq!((members.len(), distinct.len()), (5_000, 5_000));
    let one = reference(&domain, "p4711").await;
    assert!(members.contains(&one));
    assert_eq!(domain.is_member(&everybody, &one).await, Ok(true));
    assert_eq!(domain.remove(&everybody, &one).await, WriteResult::Changed);
    assert_eq!(domain.members(&everybody).await.unwrap().unwrap().len(), 4_999);
    assert_eq!(domain.add(&everybody, &one).await, WriteResult::Changed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_tells_what_changed_and_who_is_gone() {
    let server = LdapServer::domain();
    let domain = directory(&server.as_domain());
    server.change(&format!("dn: CN=Short Stay,OU=People,{DOMAIN}\nchangetype: add\nobjectClass: user\nsAMAccountName: short\nuserAccountControl: 544\n"));
    let short = reference(&domain, "short").await;
    let begin = domain.changes(None).await.unwrap().unwrap();
    let admin = directory(&Settings { bind: "administrator@ad.example.org".into(), password: Secret::new("Admin-pw-1"), ..server.as_domain() });
    server.change(&format!("dn: CN=Short Stay,OU=People,{DOMAIN}\nchangetype: modify\nreplace: title\ntitle: Chief\n"));
    let changes = domain.changes(Some(&begin.next)).await.unwrap().unwrap();
    assert!(changes.people.contains(&short), "{changes:?}");
    server.change(&format!("dn: CN=Short Stay,OU=People,{DOMAIN}\nchangetype: delete\n"));
    let gone = admin.changes(Some(&changes.next)).await.unwrap().unwrap();
    assert!(gone.people.contains(&short), "with the right to see deleted records: {gone:?}");
    assert_eq!(domain.person(&short).await, Ok(None));
    assert!(matches!(domain.changes(Some("1 CN=another controller")).await, Err(ReadError::Expired)));
    assert!(matches!(domain.changes(Some("nonsense")).await, Err(ReadError::Expired)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_says_what_the_service_account_may() {
    let server = LdapServer::domain();
    let probe = directory(&Settings { groups: format!("OU=Groups,{DOMAIN}"), ..server.as_domain() }).probe().await;
    assert!(probe.works && probe.notes.iter().any(|note| note == "May write members."), "{probe:?}");
    let reader = Settings { bind: "reader@ad.example.org".into(), password: Secret::new("Reader-pw-1"), ..server.as_domain() };
    let probe = directory(&reader).probe().await;
    assert!(probe.works && probe.notes.iter().any(|note| note.contains("no right to write")), "{probe:?}");
    let probe = directory(&Settings { password: Secret::new("wrong"), ..reader }).probe().await;
    assert!(!probe.works && probe.notes[0].contains("wrong name or password"), "{probe:?}");
    let plain = Settings { urls: vec!["ldap://127.0.0.1".into()], start_tls: false, ..server.as_domain() };
    let probe = directory(&plain).probe().await;
    assert!(!probe.works && probe.notes[0].contains("wants an encrypted connection"), "{probe:?}");
    let start_tls = Settings { urls: vec!["ldap://localhost".into()], ..server.as_domain() };
    assert!(directory(&start_tls).find_group("engineers").await.unwrap().is_some());
}
