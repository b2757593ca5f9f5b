//! The Keycloak connector conforms, with Keycloak itself behind it.

use std::time::Duration;

use countersign::clock::Clock;
use countersign::directory::http::encoded;
use countersign::directory::keycloak::{Keycloak, Settings};
use countersign::directory::port::Directory;
use countersign::directory::token::Client;
use countersign::domain::secret::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::conformance::{Bench, CROWD, Can, Fault, Unknown, conforms};
use crate::front::{Front, Setup};
use crate::idp::Server;
use crate::keycloak::Witness;

struct Real {
    witness: Witness,
    front: Front,
    directory: Directory,
}

impl Real {
    async fn start() -> Self {
        let url = &Server::keycloak().0.url;
        // Tokens are asked for with POST.
        let changes = |method: &Method, _: &str| matches!(*method, Method::PUT | Method::DELETE);
        let front = Front::start(Setup { changes, ..Setup::new(url) }).await;
        // Not in a header, which the front would take for a token that can expire.
        let client = Client::SecretPost { id: "directory".into(), secret: Secret::new("directory-secret") };
        let mut settings = Settings::new(&front.origin, "conform", client);
        settings.reach.timeout = Duration::from_secs(5);
        let directory = Directory::Keycloak(Keycloak::new(&settings, Clock::system()).unwrap());
        let witness = Witness::at(url, "conform").await;
        witness.send(Method::POST, "/groups", Some(json!({"name": "crowd"}))).await;
        for from in (0..=CROWD).step_by(1_000) {
            let users: Vec<Value> = (from..(from + 1_000).min(CROWD + 1))
                .map(|number| json!({"username": format!("crowd-{number}"), "enabled": true, "groups": ["/crowd"]}))
                .collect();
            witness.send(Method::POST, "/partialImport", Some(json!({"ifResourceExists": "FAIL", "users": users}))).await;
        }
        Self { witness, front, directory }
    }

    async fn found(&self, query: &str) -> Option<String> {
        self.witness.get(query).await[0]["id"].as_str().map(str::to_owned)
    }
}

impl Bench for Real {
    fn can(&self) -> Can {
        Can { delete: true, make: true, odd_logins: true, says_wait: true, renews: true, next_links: false, empties: true, unknown: Unknown::Refused }
    }

    fn directory(&self) -> &Directory {
        &self.directory
    }

    async fn person(&self, login: &str, name: &str) -> String {
        let query = format!("/users?exact=true&username={}", encoded(login));
        if let Some(person) = self.found(&query).await {
            return person;
        }
        self.witness.send(Method::POST, "/users", Some(json!({"username": login, "firstName": name, "enabled": true}))).await;
        self.found(&query).await.unwrap()
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        let query = format!("/groups?exact=true&search={}", encoded(name));
        if self.found(&query).await.is_none() {
            self.witness.send(Method::POST, "/groups", Some(json!({"name": name}))).await;
        }
        let group = self.found(&query).await.unwrap();
        for person in self.members(&group).await {
            self.witness.send(Method::DELETE, &format!("/users/{person}/groups/{group}"), None).await;
        }
        for person in members {
            self.witness.send(Method::PUT, &format!("/users/{person}/groups/{group}"), None).await;
        }
        group
    }

    async fn crowd(&self) -> String {
        self.found("/groups?exact=true&search=crowd").await.unwrap()
    }

    async fn disable(&self, person: &str) {
        let mut record = self.witness.get(&format!("/users/{person}")).await;
        record["enabled"] = json!(false);
        self.witness.send(Method::PUT, &format!("/users/{person}"), Some(record)).await;
    }

    async fn delete(&self, person: &str) -> bool {
        self.witness.send(Method::DELETE, &format!("/users/{person}"), None).await;
        true
    }

    async fn members(&self, group: &str) -> Vec<String> {
        let listed = self.witness.get(&format!("/groups/{group}/members?max=10000")).await;
        listed.as_array().unwrap().iter().map(|member| member["id"].as_str().unwrap().to_owned()).collect()
    }

    fn nobody(&self) -> (String, String) {
        ("0192f0c1-7e57-7000-8000-0000000000aa".into(), "0192f0c1-7e57-7000-8000-0000000000bb".into())
    }

    async fn suffer(&self, fault: Fault) {
        self.front.suffer(fault);
    }

    fn next_links(&self) -> usize {
        self.front.next_links()
    }

    fn strays(&self) -> usize {
        self.front.strays()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keycloak_conforms() {
    let bench = Real::start().await;
    conforms(&bench).await;
    assert!(bench.front.is_calm(), "every fault was met");
    // Users and groups themselves are never written: one membership at a time is.
    for call in bench.front.calls().iter().filter(|call| call.starts_with("PUT ") || call.starts_with("DELETE ")) {
        let path: Vec<&str> = call.split(['/', ' ']).collect();
        assert!(path.len() == 9 && path[5] == "users" && path[7] == "groups", "{call}");
    }
}
