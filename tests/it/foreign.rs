//! The whole path with servers that nobody here wrote.
//!
//! oidc-provider vouches, scim2-server holds people and groups, and the program is told about both by a file and the environment
//! alone. Who is a member is asked by a client of the test's own.

use reqwest::Method;
use serde_json::Value;
use sqlx::Executor;
use uuid::Uuid;

use crate::client::{Client, Page, Sent};
use crate::idp::{Server as Idp, free_port};
use crate::server::{Server, database_url, eventually, fresh_database, program, root};
use crate::world::MOVABLE_CLOCK;

const TOKEN: &str = "a-token-of-the-directory";

/// What can be asked for there.
const CATALOG: &str = r#"
default_policies = ["short"]

[[application]]
key = "prod-db"
name = "Production database"
description = "Every order."
owner = "erin"

[[role]]
application = "prod-db"
key = "reader"
name = "Reader"
description = "Read every table."
risk = "elevated"
group = "prod-db-readers"

[[profile]]
key = "employees"
name = "Engineering, employees"
[[profile.allow]]
all = ["department is Engineering", "employment_type is not contractor"]

[[procedure]]
key = "manager"
name = "Your manager"
[[procedure.step]]
name = "Manager"
time_limit = "1d"
slots = [{ approvals = 1, from = "manager" }]

[[policy]]
key = "short"
name = "Short access"
profile = "employees"
procedure = "manager"
durations = { recommended = "1h", minimum = "1m", maximum = "8h", choices = ["5m", "1h", "8h"] }
justification = { required = true, minimum = 10 }
"#;

/// The directory, asked over SCIM (RFC 7644) with nothing of Countersign's.
struct Directory(String);

impl Directory {
    async fn get(&self, path: &str, filter: &str) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("{}{path}", self.0)).query(&[("filter", filter)]).bearer_auth(TOKEN).send().await.unwrap();
        let found: Value = answer.error_for_status().unwrap().json().await.unwrap();
        assert_eq!(found["totalResults"], 1, "{found}");
        found["Resources"][0].clone()
    }

    async fn is_member(&self, user_name: &str, group: &str) -> bool {
        let id = self.get("/Users", &format!("userName eq \"{user_name}\"")).await["id"].clone();
        let group = self.get("/Groups", &format!("displayName eq \"{group}\"")).await;
        group["members"].as_array().is_some_and(|members| members.iter().any(|member| member["value"] == id))
    }

    async fn until_member(&self, user_name: &str, is: bool) {
        let group = "prod-db-readers";
        eventually(&format!("{user_name} in {group}: {is}"), || async { (self.is_member(user_name, group).await == is).then_some(()) }).await;
    }
}

/// Signs in at oidc-provider: its form takes a login and any password, then asks for consent.
async fn sign_in(site: &str, login: &str) -> Client {
    let mut client = Client::new(site);
    let page = client.visit(Method::GET, "/sign-in/start", Sent::Nothing).await;
    assert!(!page.url.as_str().starts_with(site), "{} {}", page.url, page.text());
    let consent = client.submit(&page, "form", &[("login", login), ("password", "any")]).await;
    let home = client.submit(&consent, "form", &[]).await;
    assert_eq!((home.url.path(), home.status), ("/", 200), "{}", home.text());
    client
}

async fn sign_out(client: &mut Client, provider: &str) -> Page {
    let goodbye = client.visit(Method::POST, "/sign-out", Sent::Form(Vec::new())).await;
    assert!(goodbye.url.as_str().starts_with(provider), "the provider asks whether to sign out there too: {}", goodbye.url);
    client.submit(&goodbye, "form", &[("logout", "yes")]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_path_works_with_servers_nobody_here_wrote_by_configuration_alone() {
    let port = free_port();
    let site = format!("http://127.0.0.1:{port}");
    let (scim, oidc) = (Idp::scim(TOKEN), Idp::oidc(&site));
    let directory = Directory(scim.url.clone());
    let database = fresh_database().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("countersign.toml");
    let text = format!(
        "[oidc]\nissuer = \"{}\"\nclient_id = \"countersign\"\n\n[directories.staff]\nkind = \"scim\"\nbase_url = \"{}\"\nadministrators_group = \"countersign-administrators\"\nauditors_group = \"countersign-auditors\"\n",
        oidc.url, scim.url
    );
    std::fs::write(&config, text).unwrap();
    std::fs::write(folder.path().join("token"), TOKEN).unwrap();
    std::fs::write(folder.path().join("catalog.toml"), CATALOG).unwrap();
    let (config, database) = (config.to_str().unwrap().to_owned(), (database_url(&database), root(&database).await));
    let token_file = folder.path().join("token");
    let settings = [
        ("COUNTERSIGN_CONFIG", config.as_str()),
        ("DATABASE_URL", database.0.as_str()),
        ("COUNTERSIGN_OIDC__CLIENT_SECRET", "countersign-secret"),
        ("COUNTERSIGN_DIRECTORIES__STAFF__TOKEN_FILE", token_file.to_str().unwrap()),
    ];

    let catalog = folder.path().join("catalog.toml");
    for (command, wanted) in [("plan", "prod-db"), ("apply", "Applied"), ("apply", "already as the file says")] {
        let said = program().args([command, catalog.to_str().unwrap()]).envs(settings).output().unwrap();
        let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success() && out.contains(wanted), "{command}: {out} {error}");
    }
    let mut server = Server::start(port, &[], &settings);
    server.ready().await;
    database.1.execute(MOVABLE_CLOCK).await.unwrap();
    server.at_end = Some(database.1.clone());

    // Asked, approved, given.
    let mut alice = sign_in(&site, "alice").await;
    let found = alice.get("/catalog?q=reader").await;
    assert!(found.text().contains("Production database Reader"), "{}", found.text());
    let role: Uuid = found.body.split("/roles/").find_map(|rest| rest.get(..36)?.parse().ok()).unwrap();
    let form = alice.get(&format!("/roles/{role}/ask")).await;
    assert!(form.text().contains("Bob Builder"), "her manager, whom the directory names, will be asked: {}", form.text());
    let why = [("duration", "3600"), ("justification", "The nightly totals are wrong.")];
    let request = alice.ask(role, &why).await.id();
    assert!(!directory.is_member("alice", "prod-db-readers").await);
    let mut bob = sign_in(&site, "bob").await;
    let queue = bob.get("/queue").await;
    assert!(queue.text().contains("Alice Archer asks for Production database Reader for 1 hour"), "{}", queue.text());
    let approved = bob.approve(request, &[]).await;
    assert!(approved.status == 200 && approved.text().contains("Approved"), "{}", approved.text());
    directory.until_member("alice", true).await;
    eventually("active", || async {
        let page = alice.clone().get("/access").await;
        page.text().contains("left until").then_some(())
    })
    .await;

    // Returned, and gone.
    let grant: Uuid = sqlx::query_scalar("select id from access_grant").fetch_one(&database.1).await.unwrap();
    let returned = alice.send(Method::POST, &format!("/grants/{grant}/return"), Sent::Form(Vec::new())).await;
    assert_eq!(returned.status, 303, "{}", returned.text());
    directory.until_member("alice", false).await;
    eventually("ended", || async {
        let status: String = sqlx::query_scalar("select status from access_grant").fetch_one(&database.1).await.unwrap();
        (status == "ended").then_some(())
    })
    .await;

    // Another browser window that came in by the same sign-in there: who is out in one is out in both, and nobody else is.
    let mut erin = sign_in(&site, "erin").await;
    let mut window = erin.clone();
    window.set_session("");
    let home = window.visit(Method::GET, "/sign-in/start", Sent::Nothing).await;
    assert_eq!((home.url.path(), home.status), ("/", 200), "{} {}", home.url, home.text());
    assert!(window.session() != erin.session() && erin.get("/").await.status == 200);
    sign_out(&mut erin, &oidc.url).await;
    eventually("the other window is out", || async {
        let page = window.clone().get("/").await;
        page.location().starts_with("/sign-in").then_some(())
    })
    .await;
    let sql = "select count(*) from audit_event where kind = 'session.ended' and data ->> 'reason' = 'signed_out_at_provider'";
    assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&database.1).await.unwrap(), 1, "the provider said so, and only of that one");
    assert_eq!(bob.get("/").await.status, 200);

    // Once more, until its time is up.
    let request = alice.ask(role, &[("duration", "300"), why[1]]).await.id();
    bob.approve(request, &[]).await;
    directory.until_member("alice", true).await;
    eventually("active", || async {
        let status: String = sqlx::query_scalar("select status from access_grant where request_id = $1").bind(request).fetch_one(&database.1).await.unwrap();
        (status == "active").then_some(())
    })
    .await;
    sqlx::query("update countersign.test_shift set by = interval '6 minutes'").execute(&database.1).await.unwrap();
    directory.until_member("alice", false).await;

    // Whom the rules refuse, and whom the directory switched off.
    let mut dave = sign_in(&site, "dave").await;
    let refused = dave.get(&format!("/roles/{role}/ask")).await;
    assert!(refused.text().contains("You cannot ask for this role"), "{}", refused.text());
    let mut frank = Client::new(&site);
    let page = frank.visit(Method::GET, "/sign-in/start", Sent::Nothing).await;
    let consent = frank.submit(&page, "form", &[("login", "frank"), ("password", "any")]).await;
    let refused = frank.submit(&consent, "form", &[]).await;
    assert_eq!(refused.status, 403, "{}", refused.text());

    // The auditor takes it away; the administrator sees that all is well.
    let mut carol = sign_in(&site, "carol").await;
    let csv = carol.get("/log/export/grants.csv?mode=raw").await;
    let mut rows = csv::Reader::from_reader(csv.body.as_bytes());
    let reasons = rows.headers().unwrap().iter().position(|name| name == "end_reason").unwrap();
    let mut ended: Vec<String> = rows.records().map(|row| row.unwrap()[reasons].to_owned()).collect();
    ended.sort();
    assert_eq!(ended, ["expired", "returned"]);
    let mut erin = sign_in(&site, "erin").await;
    assert_eq!(erin.get("/admin").await.status, 200);
    let run = carol.send(Method::POST, "/admin/provisioning/run", Sent::Form(Vec::new())).await;
    assert_eq!(run.status, 404, "an auditor is no administrator");

    // Out is out, there too.
    let last = sign_out(&mut alice, &oidc.url).await;
    assert!(last.url.as_str().starts_with(&format!("{site}/signed-out")), "{}", last.url);
    assert!(last.text().contains("You are signed out"), "{}", last.text());
    let again = alice.visit(Method::GET, "/sign-in/start", Sent::Nothing).await;
    assert!(again.url.as_str().starts_with(&oidc.url) && again.body.contains("name=\"login\""), "the provider has forgotten alice, too");
}
