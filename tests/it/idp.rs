//! Starts and stops the identity servers of `tests/idp`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A running server; dropping it stops it.
pub struct Server {
    pid: String,
    /// Where it answers.
    pub url: String,
}

impl Server {
    /// scim2-server with the people and groups of `scim2-seed.py`.
    pub fn scim(token: &str) -> Self {
        Self::start("scim2-server.sh", &[token])
    }

    /// oidc-provider, with a Countersign at `public_url` as its client.
    pub fn oidc(public_url: &str) -> Self {
        Self::start("oidc-provider.sh", &[public_url])
    }

    /// Canaille, with a Countersign at `public_url` as its client.
    pub fn canaille(public_url: &str) -> Self {
        Self::start("canaille.sh", &[public_url])
    }

    /// Keycloak with the realm of `keycloak-realm.py`, for all tests: it takes long to start and much memory. `site` is the port of a
    /// Countersign that it lets people sign in to, which one test at a time may start. It ends with the tests, which its script watches.
    pub fn keycloak() -> &'static (Self, u16) {
        static ONE: OnceLock<(Server, u16)> = OnceLock::new();
        ONE.get_or_init(|| {
            let site = free_port();
            (Self::start("keycloak.sh", &[&format!("http://127.0.0.1:{site}")]), site)
        })
    }

    fn start(script: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(format!("{}/tests/idp/{script}", env!("CARGO_MANIFEST_DIR")))
            .arg(free_port().to_string())
            .args(arguments)
            .env("IDP_UNTIL", std::process::id().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let pid = said.next().and_then(|line| line.strip_prefix("pid ").map(str::to_owned));
        let url = said.next().and_then(|line| line.split_once(' ').map(|(_, url)| url.to_owned()));
        assert!(child.wait().unwrap().success(), "{script} failed; what it says is above");
        Self { pid: pid.unwrap(), url: url.unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = Command::new("kill").arg(&self.pid).status();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
