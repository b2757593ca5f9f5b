//! The binary, started and stopped as an operator would.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::database::MEASURED;
use crate::http::{self, Connection};

/// A server that answers; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to the first 200 of `/readyz`.
    pub ready_after: Duration,
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Server {
    /// Starts the binary on the measured database, with the demo directory of `company`; its own files go to `folder`.
    pub async fn start(folder: &Path, company: &Path) -> Outcome<Self> {
        let binary = std::env::var_os("BENCH_SERVER").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_countersign")), PathBuf::from);
        let address: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        std::fs::create_dir_all(folder)?;
        let log = std::fs::File::create(folder.join("server.log"))?;
        let url = std::env::var("BENCH_DATABASE_URL")?.replacen("/postgres?", &format!("/{MEASURED}?"), 1);
        let began = Instant::now();
        let child = Command::new(binary)
            .args(["--demo", "serve"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATABASE_URL", url)
            .env("COUNTERSIGN_LISTEN", address.to_string())
            .env("COUNTERSIGN_DATA", folder)
            .env("COUNTERSIGN_DEMO__COMPANY", company)
            .env("COUNTERSIGN_DEMO__LISTEN", format!("127.0.0.1:{}", free_port()?))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { child, address, ready_after: Duration::ZERO };
        let request = http::get(address, "/readyz", "");
        loop {
            if let Ok(answer) = Connection::new(address).call(&request).await
                && answer.status == 200
            {
                server.ready_after = began.elapsed();
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server ended with {status}: see {}", folder.join("server.log").display()).into());
            }
            if began.elapsed() > Duration::from_secs(60) {
                return Err(format!("the server was not ready after a minute: see {}", folder.join("server.log").display()).into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it as a service manager does, and waits.
    pub fn stop(mut self) -> Outcome<()> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
