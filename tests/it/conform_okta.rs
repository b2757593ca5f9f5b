//! The Okta connector conforms, with a fake behind Prism.

use std::time::Duration;

use countersign::directory::port::Directory;
use reqwest::Method;
use serde_json::json;

use crate::conformance::{Bench, CAST, CROWD, Can, Fault, On, Unknown, conforms};
use crate::okta_fake::{Fake, Trouble, connect, error, group_id, user_id};
use crate::scripted::{Reply, Scripted};

struct Okta {
    fake: Fake,
    directory: Directory,
    elsewhere: Scripted,
}

impl Okta {
    fn busy(&self, seconds: u64) -> Trouble {
        let reset = self.fake.now().timestamp() + i64::try_from(seconds).unwrap();
        Trouble::Say(429, vec![("x-rate-limit-remaining", "0".into()), ("x-rate-limit-reset", reset.to_string())], error("E0000047"))
    }
}

impl Bench for Okta {
    fn can(&self) -> Can {
        Can { delete: true, make: true, odd_logins: true, says_wait: true, renews: true, next_links: true, empties: true, unknown: Unknown::Refused }
    }

    fn directory(&self) -> &Directory {
        &self.directory
    }

    async fn person(&self, login: &str, name: &str) -> String {
        // A login may be anything; an address may not.
        let profile = json!({"login": login, "displayName": name, "email": "somebody@example.org"});
        self.fake.by_login(login).unwrap_or_else(|| self.fake.person(login, "ACTIVE", profile))
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        self.fake.group(name, "OKTA_GROUP", members)
    }

    async fn crowd(&self) -> String {
        let people: Vec<String> = (0..CROWD).map(|n| self.fake.person(&format!("crowd-{n}"), "ACTIVE", json!({}))).collect();
        self.fake.group("crowd", "OKTA_GROUP", &people.iter().map(String::as_str).collect::<Vec<_>>())
    }

    async fn disable(&self, person: &str) {
        self.fake.set_status(person, "SUSPENDED");
    }

    async fn delete(&self, person: &str) -> bool {
        self.fake.delete_person(person);
        true
    }

    async fn members(&self, group: &str) -> Vec<String> {
        self.fake.members(group)
    }

    fn nobody(&self) -> (String, String) {
        (user_id(999_999), group_id(999_999))
    }

    async fn suffer(&self, fault: Fault) {
        let broken = Trouble::Say(500, vec![], "<html>Oops</html>".into());
        match fault {
            Fault::Busy(On::Change, seconds) => self.fake.trouble_changing(self.busy(seconds)),
            Fault::Busy(On::Question, seconds) => self.fake.trouble(Method::GET, "/api/v1/", 1, self.busy(seconds)),
            Fault::Broken(On::Change) => self.fake.trouble_changing(broken),
            Fault::Broken(On::Question) => self.fake.trouble(Method::GET, "/api/v1/", 1, broken),
            Fault::DoneButSilent => self.fake.trouble_changing(Trouble::DoneThenHang),
            Fault::Expired => self.fake.forget_tokens(),
            Fault::Elsewhere => self.fake.trouble(Method::GET, "/api/v1/users?", 1, Trouble::NextAt(format!("{}/api/v1/users?after=1", self.elsewhere.url))),
        }
    }

    fn next_links(&self) -> usize {
        self.fake.next_links()
    }

    fn strays(&self) -> usize {
        self.elsewhere.asked().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn okta_conforms() {
    let fake = Fake::start();
    let mut settings = fake.app_settings();
    settings.http.timeout = Duration::from_secs(4);
    settings.patience = Duration::ZERO;
    assert_eq!(CAST.len(), 10);
    let bench = Okta { directory: connect(&settings), fake, elsewhere: Scripted::start(|_| Reply::new(200, "[]")).await };
    conforms(&bench).await;
}
