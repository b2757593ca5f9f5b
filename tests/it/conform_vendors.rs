//! Entra and Google do what every connector must do.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::directory::port::Directory;
use serde_json::{Value, json};

use crate::conformance::{Bench, CROWD, Can, Fault, On, Unknown, conforms};
use crate::graph::{self, Graph};
use crate::scripted::{Reply, Scripted};
use crate::vendor::{Desk, Running, Said, Trick};
use crate::workspace::{self, Workspace, refused};

/// Numbers of people and groups, above those of the crowd.
struct Numbers(AtomicUsize);

impl Numbers {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

struct Tenant {
    running: Running<Graph>,
    directory: Directory,
    numbers: Numbers,
    people: Mutex<HashMap<String, String>>,
    thief: Scripted,
}

fn broken(desk: &Desk, on: On, said: Said) {
    desk.trick(if on == On::Change { "CHANGE" } else { "GET" }, "/", Trick::Say(said), 1);
}

impl Bench for Tenant {
    fn can(&self) -> Can {
        Can { delete: true, make: true, odd_logins: true, says_wait: true, renews: true, next_links: true, empties: true, unknown: Unknown::Refused }
    }

    fn directory(&self) -> &Directory {
        &self.directory
    }

    async fn person(&self, login: &str, name: &str) -> String {
        let graph = &self.running.vendor;
        let known = self.people.lock().unwrap().get(login).cloned().filter(|id| graph.knows(id));
        known.unwrap_or_else(|| {
            let id = graph.user(self.numbers.next(), login, json!({"userPrincipalName": login, "displayName": name}));
            self.people.lock().unwrap().insert(login.into(), id.clone());
            id
        })
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        let id = self.running.vendor.group(self.numbers.next(), name, json!({}));
        members.iter().for_each(|member| self.running.vendor.put(&id, member));
        id
    }

    async fn crowd(&self) -> String {
        let graph = &self.running.vendor;
        let id = graph.group(self.numbers.next(), "crowd", json!({}));
        for number in 1..=CROWD {
            let person = graph.user(number, &format!("crowd-{number}"), json!({}));
            graph.put(&id, &person);
        }
        id
    }

    async fn disable(&self, person: &str) {
        self.running.vendor.set(person, "accountEnabled", Value::Bool(false));
    }

    async fn delete(&self, person: &str) -> bool {
        self.running.vendor.drop_user(person);
        true
    }

    async fn members(&self, group: &str) -> Vec<String> {
        self.running.vendor.members(group)
    }

    fn nobody(&self) -> (String, String) {
        (graph::user_id(999_999), graph::group_id(999_999))
    }

    async fn suffer(&self, fault: Fault) {
        let graph = &self.running.vendor;
        match fault {
            Fault::Busy(on, wait) => {
                let body = json!({"error": {"code": "TooManyRequests", "message": "Too many requests"}});
                broken(&graph.desk, on, Said::new(429, body).with("retry-after", wait));
            }
            Fault::Broken(on) => broken(&graph.desk, on, Said::html(500)),
            Fault::DoneButSilent => graph.desk.trick("CHANGE", "/", Trick::DoAndHang, 1),
            Fault::Expired => graph.desk.expire_tokens(),
            Fault::Elsewhere => graph.links_lead(&format!("{}/v1.0", self.thief.url)),
        }
    }

    fn next_links(&self) -> usize {
        self.running.vendor.desk.calls().iter().filter(|call| call.query.contains_key("$skiptoken")).count()
    }

    fn strays(&self) -> usize {
        // Whoever looked is done with it.
        self.running.vendor.links_lead(&self.running.url);
        self.thief.asked().len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn microsoft_entra_conforms() {
    let running = Graph::held().await;
    running.vendor.page(500);
    let directory = crate::entra::connect_with(&running.url, |settings| settings.reach.timeout = Duration::from_secs(5));
    let thief = Scripted::start(|_| Reply::new(200, json!({"value": []}))).await;
    let numbers = Numbers(AtomicUsize::new(CROWD + 1));
    conforms(&Tenant { running, directory, numbers, people: Mutex::default(), thief }).await;
}

struct Office {
    running: Running<Workspace>,
    directory: Directory,
    numbers: Numbers,
    people: Mutex<HashMap<String, String>>,
}

impl Bench for Office {
    fn can(&self) -> Can {
        Can { delete: true, make: true, odd_logins: false, says_wait: false, renews: true, next_links: false, empties: true, unknown: Unknown::Refused }
    }

    fn directory(&self) -> &Directory {
        &self.directory
    }

    async fn person(&self, login: &str, name: &str) -> String {
        let fake = &self.running.vendor;
        let known = self.people.lock().unwrap().get(login).cloned().filter(|id| fake.knows(id));
        known.unwrap_or_else(|| {
            let id = fake.user(self.numbers.next(), login, json!({"name": {"fullName": name}}));
            self.people.lock().unwrap().insert(login.into(), id.clone());
            id
        })
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        let id = self.running.vendor.group(self.numbers.next(), name);
        members.iter().for_each(|member| self.running.vendor.put(&id, member, "USER", "MEMBER"));
        id
    }

    async fn crowd(&self) -> String {
        let fake = &self.running.vendor;
        let id = fake.group(self.numbers.next(), "crowd");
        for number in 1..=CROWD {
            let person = fake.user(number, &format!("crowd-{number}"), json!({}));
            fake.put(&id, &person, "USER", "MEMBER");
        }
        id
    }

    async fn disable(&self, person: &str) {
        self.running.vendor.set(person, "suspended", Value::Bool(true));
    }

    async fn delete(&self, person: &str) -> bool {
        self.running.vendor.drop_user(person);
        true
    }

    async fn members(&self, group: &str) -> Vec<String> {
        self.running.vendor.members(group)
    }

    fn nobody(&self) -> (String, String) {
        (workspace::user_id(999_999), workspace::group_id(999_999))
    }

    async fn suffer(&self, fault: Fault) {
        let desk = &self.running.vendor.desk;
        match fault {
            Fault::Busy(on, _) => broken(desk, on, refused(403, "userRateLimitExceeded", "Quota exceeded for the user.")),
            Fault::Broken(on) => broken(desk, on, Said::html(500)),
            Fault::DoneButSilent => desk.trick("CHANGE", "/", Trick::DoAndHang, 1),
            Fault::Expired => desk.expire_tokens(),
            Fault::Elsewhere => unreachable!("pages have names, not addresses"),
        }
    }

    fn next_links(&self) -> usize {
        0
    }

    fn strays(&self) -> usize {
        0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_workspace_conforms() {
    // Straight: Google's description has errors of every status, but no body that is not JSON, and an outage has one.
    let running = Workspace::straight().await;
    let directory = crate::google::connect_with(&running.url, |settings| settings.reach.timeout = Duration::from_secs(5));
    let numbers = Numbers(AtomicUsize::new(CROWD + 1));
    conforms(&Office { running, directory, numbers, people: Mutex::default() }).await;
}
