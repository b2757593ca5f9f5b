//! The real program with servers that nobody here wrote.

use reqwest::Method;
use sqlx::{Executor, PgPool};
use uuid::Uuid;

use crate::client::{Client, Sent};
use crate::server::{Server, database_url, eventually, fresh_database, program, root};
use crate::world::MOVABLE_CLOCK;

/// An installation with a catalog.
pub struct Installation {
    _server: Server,
    /// Its database as a superuser.
    pub database: PgPool,
    _folder: tempfile::TempDir,
}

impl Installation {
    /// Starts one at `port` with this settings file, these secrets and this catalog.
    pub async fn start(port: u16, config: &str, secrets: &[(&str, &str)], catalog: &str) -> Self {
        let (database, folder) = (fresh_database().await, tempfile::tempdir().unwrap());
        let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (config_file, catalog_file, url) = (place("countersign.toml"), place("catalog.toml"), database_url(&database));
        std::fs::write(&config_file, config).unwrap();
        std::fs::write(&catalog_file, catalog).unwrap();
        let own = [("COUNTERSIGN_CONFIG", config_file.as_str()), ("DATABASE_URL", url.as_str())];
        let settings: Vec<_> = own.iter().chain(secrets).copied().collect();
        let said = program().args(["apply", &catalog_file]).envs(settings.iter().copied()).output().unwrap();
        let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success() && out.contains("Applied"), "{out} {error}");
        let mut server = Server::start(port, &[], &settings);
        server.ready().await;
        let database = root(&database).await;
        database.execute(MOVABLE_CLOCK).await.unwrap();
        server.at_end = Some(database.clone());
        Self { _server: server, database, _folder: folder }
    }

    /// The role that a search in the catalog finds.
    pub async fn role(&self, client: &mut Client, query: &str) -> Uuid {
        let found = client.get(&format!("/catalog?q={query}")).await;
        found.body.split("/roles/").find_map(|rest| rest.get(..36)?.parse().ok()).unwrap_or_else(|| panic!("no {query}: {}", found.text()))
    }

    /// Waits until the grant of a request has this status.
    pub async fn grant_is(&self, request: Uuid, status: &str) {
        eventually(&format!("the grant is {status}"), || async {
            let sql = "select status from access_grant where request_id = $1";
            let now: Option<String> = sqlx::query_scalar(sql).bind(request).fetch_optional(&self.database).await.unwrap();
            now.filter(|now| now == status)
        })
        .await;
    }

    /// Moves its clock forward.
    pub async fn minutes_pass(&self, minutes: i32) {
        sqlx::query("update countersign.test_shift set by = by + make_interval(mins => $1)").bind(minutes).execute(&self.database).await.unwrap();
    }

    /// How many sessions ended because the provider said so.
    pub async fn ended_by_provider(&self) -> i64 {
        let sql = "select count(*) from audit_event where kind = 'session.ended' and data ->> 'reason' = 'signed_out_at_provider'";
        sqlx::query_scalar(sql).fetch_one(&self.database).await.unwrap()
    }
}

/// Gives back what a request brought.
pub async fn give_back(client: &mut Client, installation: &Installation, request: Uuid) {
    let grant: Uuid = sqlx::query_scalar("select id from access_grant where request_id = $1").bind(request).fetch_one(&installation.database).await.unwrap();
    let returned = client.send(Method::POST, &format!("/grants/{grant}/return"), Sent::Form(Vec::new())).await;
    assert_eq!(returned.status, 303, "{}", returned.text());
}
