//! The SCIM connector against scim2-server, which nobody here wrote.

use countersign::clock::Clock;
use countersign::directory::facts::{ReadError, WriteResult};
use countersign::directory::http::Settings;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::domain::person::GroupRef;

use crate::idp::Server;

fn connect(server: &Server, token: &str) -> Directory {
    Directory::Scim(Scim::new(&Settings::new(&server.url, token), Clock::system()).unwrap())
}

/// What the server itself says about a group, asked without our code.
async fn members_by_hand(server: &Server, group: &str) -> Vec<String> {
    let answer = reqwest::Client::new().get(format!("{}/Groups/{group}", server.url)).bearer_auth("scim-token");
    let answer: serde_json::Value = answer.send().await.unwrap().json().await.unwrap();
    let members = answer["members"].as_array().cloned().unwrap_or_default();
    members.iter().map(|m| m["value"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_groups_of_a_real_server_are_read() {
    let server = Server::scim("scim-token");
    let directory = connect(&server, "scim-token");

    let alice = directory.find_person("user_name", "ALICE").await.unwrap().unwrap();
    let bob = directory.find_person("email", "bob@example.org").await.unwrap().unwrap();
    assert_eq!((alice.display_name.as_str(), alice.email.as_deref()), ("Alice Archer", Some("alice@example.org")));
    assert_eq!(alice.manager, Some(bob.reference.clone()));
    assert_eq!(alice.attributes["department"], ["Engineering"]);
    assert_eq!(alice.attributes["employment_type"], ["Employee"]);
    assert_eq!(alice.groups.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), ["engineers"]);
    assert_eq!(bob.groups.len(), 2);
    assert_eq!(directory.person(&alice.reference).await.unwrap(), Some(alice.clone()));
    assert_eq!(directory.find_person("employee_number", "103").await.unwrap(), Some(alice.clone()));
    assert!(!directory.find_person("user_name", "frank").await.unwrap().unwrap().active);
    assert_eq!(directory.person("no-such-id").await, Ok(None));
    assert_eq!(directory.find_person("user_name", "nobody\" or userName pr or \"").await, Ok(None));

    let everyone = directory.people(None).await.unwrap();
    assert_eq!((everyone.items.len(), everyone.total, everyone.next.is_none()), (6, Some(6), true));
    assert!(everyone.items.contains(&alice) && everyone.items.contains(&bob));
    let groups = directory.groups(None).await.unwrap().items;
    assert_eq!(groups.len(), 5);
    let engineers = directory.find_group("engineers").await.unwrap().unwrap();
    assert!(groups.iter().any(|group| (&group.reference, &group.name) == (&engineers.reference, &engineers.name)));
    assert_eq!(directory.find_group("Engineers ").await, Ok(None));
    assert_eq!(directory.members(&engineers.reference).await.unwrap().unwrap().len(), 2);
    let empty = directory.find_group("nobody-yet").await.unwrap().unwrap();
    assert_eq!(directory.members(&empty.reference).await, Ok(Some(vec![])));
    assert_eq!(directory.members("no-such-group").await, Ok(None));

    let probe = directory.probe().await;
    assert_eq!(probe.notes, ["Lists 6 people.", "Lists 5 groups.", "Searches groups by member.", "May change memberships."]);
    assert!(probe.works);
    let stranger = connect(&server, "wrong");
    assert!(matches!(stranger.person(&alice.reference).await, Err(ReadError::Auth(_))));
    assert!(!stranger.probe().await.works);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memberships_of_a_real_server_are_changed_one_at_a_time() {
    let server = Server::scim("scim-token");
    let directory = connect(&server, "scim-token");
    let alice = directory.find_person("user_name", "alice").await.unwrap().unwrap().reference;
    let bob = directory.find_person("user_name", "bob").await.unwrap().unwrap().reference;
    let GroupRef { reference: group, .. } = directory.find_group("prod-db-readers").await.unwrap().unwrap();

    assert_eq!(directory.is_member(&group, &alice).await, Ok(false));
    for _ in 0..2 {
        assert_eq!(directory.add(&group, &alice).await, WriteResult::Changed);
        assert_eq!(directory.is_member(&group, &alice).await, Ok(true));
        assert_eq!(members_by_hand(&server, &group).await, [bob.clone(), alice.clone()]);
    }
    assert_eq!(directory.person(&alice).await.unwrap().unwrap().groups.len(), 2);
    for _ in 0..2 {
        assert_eq!(directory.remove(&group, &alice).await, WriteResult::Changed);
        assert_eq!(directory.is_member(&group, &alice).await, Ok(false));
        assert_eq!(members_by_hand(&server, &group).await, std::slice::from_ref(&bob));
    }
    assert_eq!(directory.remove(&group, &bob).await, WriteResult::Changed);
    assert!(members_by_hand(&server, &group).await.is_empty());

    assert_eq!(directory.add("no-such-group", &alice).await, WriteResult::NotFoundGroup);
    assert_eq!(directory.remove("no-such-group", &alice).await, WriteResult::NotFoundGroup);
    assert_eq!(directory.is_member("no-such-group", &alice).await, Ok(false));
    assert!(matches!(connect(&server, "wrong").add(&group, &alice).await, WriteResult::Auth(_)));
}
