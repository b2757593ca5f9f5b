//! The SCIM connector conforms, with two servers behind it.

use std::time::Duration;

use countersign::clock::Clock;
use countersign::demo::company::Company;
use countersign::demo::serve::{self, Running};
use countersign::directory::http::Settings;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::directory::token::{Client, Credentials, Grant};
use countersign::domain::secret::Secret;
use serde_json::{Value, json};

use crate::conformance::{Bench, CAST, CROWD, Can, Fault, GROUPS, Unknown, conforms};
use crate::front::{Front, Setup};
use crate::idp::Server;

const TOKEN: &str = "scim-token-of-the-tests";

/// A SCIM service, spoken to by hand.
struct Raw {
    base: String,
    client: reqwest::Client,
}

impl Raw {
    fn new(base: &str) -> Self {
        Self { base: base.to_owned(), client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut call = self.client.request(method.parse().unwrap(), format!("{}{path}", self.base)).bearer_auth(TOKEN);
        if let Some(body) = body {
            call = call.header("content-type", "application/scim+json").body(body.to_string());
        }
        let answer = call.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn patch(&self, path: &str, operations: Value) {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        let (status, answer) = self.send("PATCH", path, Some(body)).await;
        assert!((200..300).contains(&status), "{status} {answer}");
    }

    async fn members(&self, group: &str) -> Vec<String> {
        let (status, group) = self.send("GET", &format!("/Groups/{group}"), None).await;
        assert_eq!(status, 200, "{group}");
        group["members"].as_array().into_iter().flatten().map(|member| member["value"].as_str().unwrap().to_owned()).collect()
    }

    async fn find(&self, kind: &str, attribute: &str, value: &str) -> Option<String> {
        let mut url = reqwest::Url::parse(&format!("{}/{kind}", self.base)).unwrap();
        url.query_pairs_mut().append_pair("filter", &format!("{attribute} eq {}", Value::from(value)));
        let answer: Value = self.client.get(url).bearer_auth(TOKEN).send().await.unwrap().json().await.unwrap();
        answer["Resources"].as_array()?.first()?["id"].as_str().map(str::to_owned)
    }
}

/// What both have in common: everything but making and deleting.
struct Common {
    raw: Raw,
    front: Front,
    directory: Directory,
}

impl Common {
    /// `base` is the service; with `renews` tokens are asked for, else one is fixed. A call may take so many seconds.
    async fn new(base: &str, renews: bool, seconds: u64) -> Self {
        let origin = reqwest::Url::parse(base).unwrap().origin().ascii_serialization();
        let setup = Setup { token: renews.then(|| TOKEN.to_owned()), ..Setup::new(&origin) };
        let front = Front::start(setup).await;
        let through = base.replace(&origin, &front.origin);
        let mut settings = Settings::new(&through, TOKEN);
        if renews {
            let client = Client::SecretBasic { id: "us".into(), secret: Secret::new("s") };
            settings.credentials = Credentials::Granted(Grant { endpoint: format!("{}/front/token", front.origin), client, scope: "scim".into() });
        }
        settings.timeout = Duration::from_secs(seconds);
        let directory = Directory::Scim(Scim::new(&settings, Clock::system()).unwrap());
        Self { raw: Raw::new(base), front, directory }
    }
}

/// The demo directory: nobody can be made or deleted there, so the cast is there from the beginning.
struct Demo {
    common: Common,
    running: Running,
    renews: bool,
}

impl Demo {
    async fn start(renews: bool) -> Self {
        let mut company = Company::generated(CROWD + 300, 40);
        for (at, (login, name)) in (0..).zip(CAST) {
            // Spread over the pages.
            let person = &mut company.people[at * 400 + 7];
            (person.user_name, person.name) = (login.to_owned(), name.to_owned());
        }
        let spare = company.groups.len() - GROUPS.len() - 1;
        for (at, name) in (spare..).zip(GROUPS) {
            company.groups[at].name = name.to_owned();
        }
        let crowd = &mut company.groups[spare + GROUPS.len()];
        crowd.name = "crowd".to_owned();
        // All but the first of the cast.
        crowd.members = (0..CROWD + 100).filter(|at| *at != 7).collect();
        let settings = serve::Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            company,
            state: None,
            client_id: "countersign".into(),
            client_secret: "client-secret-of-the-tests".into(),
            redirect_uris: vec!["http://127.0.0.1:9/sign-in/callback".into()],
            post_logout_redirect_uris: vec![],
            scim_token: TOKEN.into(),
        };
        let running = serve::start(settings, Clock::system()).await.unwrap();
        Self { common: Common::new(&running.scim_base(), renews, 3).await, running, renews }
    }
}

impl Bench for Demo {
    fn can(&self) -> Can {
        Can { delete: false, make: false, odd_logins: true, says_wait: true, renews: self.renews, next_links: false, empties: true, unknown: Unknown::Refused }
    }

    fn directory(&self) -> &Directory {
        &self.common.directory
    }

    async fn person(&self, login: &str, _: &str) -> String {
        self.common.raw.find("Users", "userName", login).await.unwrap()
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        let group = self.common.raw.find("Groups", "displayName", name).await.unwrap();
        let members: Vec<Value> = members.iter().map(|member| json!({"value": member})).collect();
        self.common.raw.patch(&format!("/Groups/{group}"), json!([{"op": "replace", "path": "members", "value": members}])).await;
        group
    }

    async fn crowd(&self) -> String {
        self.common.raw.find("Groups", "displayName", "crowd").await.unwrap()
    }

    async fn disable(&self, person: &str) {
        self.common.raw.patch(&format!("/Users/{person}"), json!([{"op": "replace", "path": "active", "value": false}])).await;
    }

    async fn delete(&self, person: &str) -> bool {
        self.common.raw.send("DELETE", &format!("/Users/{person}"), None).await.0 < 300
    }

    async fn members(&self, group: &str) -> Vec<String> {
        self.common.raw.members(group).await
    }

    fn nobody(&self) -> (String, String) {
        let id = "0192f0c1-7e57-7000-8000-000000000000".to_owned();
        (id.clone(), id)
    }

    async fn suffer(&self, fault: Fault) {
        self.common.front.suffer(fault);
    }

    fn next_links(&self) -> usize {
        self.common.front.next_links()
    }

    fn strays(&self) -> usize {
        self.common.front.strays()
    }
}

/// scim2-server, which nobody here wrote.
struct Real {
    common: Common,
    _server: Server,
}

impl Real {
    async fn start() -> Self {
        let server = Server::scim(TOKEN);
        let real = Self { common: Common::new(&server.url, true, 10).await, _server: server };
        // For more than one page.
        for number in 0..230 {
            real.person(&format!("filler-{number}"), "Filler").await;
        }
        real
    }

    async fn made(&self, kind: &str, body: Value) -> String {
        let (status, answer) = self.common.raw.send("POST", kind, Some(body)).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    async fn group_of(&self, name: &str, members: Vec<Value>) -> String {
        if let Some(group) = self.common.raw.find("Groups", "displayName", name).await {
            self.common.raw.patch(&format!("/Groups/{group}"), json!([{"op": "replace", "path": "members", "value": members}])).await;
            return group;
        }
        self.made("/Groups", json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members})).await
    }
}

impl Bench for Real {
    fn can(&self) -> Can {
        // It keeps whatever id it is given as a member.
        Can { delete: true, make: true, odd_logins: true, says_wait: true, renews: true, next_links: false, empties: true, unknown: Unknown::Listed }
    }

    fn directory(&self) -> &Directory {
        &self.common.directory
    }

    async fn person(&self, login: &str, name: &str) -> String {
        if let Some(person) = self.common.raw.find("Users", "userName", login).await {
            return person;
        }
        self.made("/Users", json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": login, "displayName": name, "active": true})).await
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        self.group_of(name, members.iter().map(|member| json!({"value": member, "type": "User"})).collect()).await
    }

    async fn crowd(&self) -> String {
        self.group_of("crowd", (0..CROWD + 1).map(|number| json!({"value": format!("member-{number}"), "type": "User"})).collect()).await
    }

    async fn disable(&self, person: &str) {
        self.common.raw.patch(&format!("/Users/{person}"), json!([{"op": "replace", "path": "active", "value": false}])).await;
    }

    async fn delete(&self, person: &str) -> bool {
        self.common.raw.send("DELETE", &format!("/Users/{person}"), None).await.0 < 300
    }

    async fn members(&self, group: &str) -> Vec<String> {
        self.common.raw.members(group).await
    }

    fn nobody(&self) -> (String, String) {
        ("0192f0c17e57700080000000000000aa".into(), "0192f0c17e57700080000000000000bb".into())
    }

    async fn suffer(&self, fault: Fault) {
        self.common.front.suffer(fault);
    }

    fn next_links(&self) -> usize {
        self.common.front.next_links()
    }

    fn strays(&self) -> usize {
        self.common.front.strays()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_directory_conforms_with_client_credentials() {
    let bench = Demo::start(true).await;
    conforms(&bench).await;
    assert!(bench.common.front.is_calm(), "every fault was met");
    assert!(bench.common.front.tokens() >= 3, "one at first, and one after each expiry");
    assert!(bench.common.front.calls().iter().all(|call| !call.starts_with("DELETE ") && !call.starts_with("PUT ")), "nothing is deleted or overwritten");
    bench.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_directory_conforms_with_a_fixed_token() {
    let bench = Demo::start(false).await;
    conforms(&bench).await;
    assert!(bench.common.front.is_calm(), "every fault was met");
    bench.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_here_wrote_conforms() {
    let bench = Real::start().await;
    conforms(&bench).await;
    assert!(bench.common.front.is_calm(), "every fault was met");
}
