//! What Postgres alone does: `pgbench` and `COPY`.

use std::process::Stdio;
use std::time::Instant;

use countersign::store::db::APP_ROLE;
use countersign::store::export::Population;
use sqlx::Executor;
use tokio::process::Command;

use crate::Outcome;
use crate::database::{self, MEASURED};
use crate::served;

/// How many at once: where the bars are.
pub const CONCURRENCY: usize = 16;

/// A floor.
#[derive(Clone, Debug)]
pub struct Floor {
    /// The load it lies under.
    pub name: &'static str,
    /// Per second: transactions, or rows of an export.
    pub rate: f64,
    /// How it was measured.
    pub command: String,
}

/// In this order: what submit leaves open is what approve approves.
const SCRIPTS: [(&str, &str); 7] = [
    ("queue page", "queue.sql"),
    ("my access page", "access.sql"),
    ("catalog search", "catalog.sql"),
    ("log page, newest", "log.sql"),
    ("log page, deep", "log_deep.sql"),
    ("submit", "submit.sql"),
    ("approve", "approve.sql"),
];

/// Measures every floor on a fresh copy of the company.
pub async fn measure(seconds: f64) -> Outcome<Vec<Floor>> {
    database::fresh().await?;
    served::sign_in().await?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/floor");
    let mut connection = database::connect(MEASURED).await?;
    connection.execute(sqlx::AssertSqlSafe(std::fs::read_to_string(format!("{folder}/prepare.sql"))?)).await?;
    let options = database::superuser()?;
    let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
    let mut floors = Vec::new();
    for (name, script) in SCRIPTS {
        let path = format!("{folder}/{script}");
        if name == "approve" {
            connection.execute(sqlx::AssertSqlSafe(std::fs::read_to_string(format!("{folder}/prepare_answers.sql"))?)).await?;
        }
        let time = (seconds.ceil() as u64).to_string();
        let clients = CONCURRENCY.to_string();
        let arguments = ["-n", "-M", "prepared", "-c", &clients, "-j", "1", "-T", &time, "-f", &path, MEASURED];
        let output = Command::new(std::env::var("BENCH_PGBENCH").unwrap_or_else(|_| "pgbench".into()))
            .args(["-h", &host, "-U", APP_ROLE])
            .args(arguments)
            .env("PGOPTIONS", "-c search_path=countersign -c timezone=UTC -c jit=off")
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")).and_then(|rest| rest.split(' ').next()).and_then(|rate| rate.parse().ok());
        match rate {
            Some(rate) if output.status.success() => {
                floors.push(Floor { name, rate, command: format!("pgbench -n -M prepared -c {clients} -j 1 -T {time} -f benches/floor/{script}") });
            }
            _ => println!("floor of {name}: {}{text}", String::from_utf8_lossy(&output.stderr)),
        }
    }
    for (name, population) in
        [("events", Population::Events), ("requests", Population::Requests), ("approvals", Population::Approvals), ("grants", Population::Grants)]
    {
        let statement = population
            .statement()
            .replace("$1", "timestamptz '-infinity'")
            .replace("$2", "timestamptz 'infinity'")
            .replace("$3", "null::uuid")
            .replace("$4", "null::uuid")
            .replace("$5", "null::uuid");
        floors.push(copy(&host, name, &format!("({statement})"), "the statement of the same file").await?);
    }
    floors.push(copy(&host, "the table of events", "audit_event", "audit_event").await?);
    Ok(floors)
}

async fn copy(host: &str, name: &'static str, what: &str, said: &str) -> Outcome<Floor> {
    let began = Instant::now();
    let mut child = Command::new(std::env::var("BENCH_PSQL").unwrap_or_else(|_| "psql".into()))
        .args(["-h", host, "-U", "postgres", "-d", MEASURED, "-q", "-c", &format!("copy {what} to stdout (format csv)")])
        .env("PGOPTIONS", "-c search_path=countersign -c timezone=UTC -c jit=off -c enable_sort=off")
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()?;
    let mut rows = 0_usize;
    if let Some(mut out) = child.stdout.take() {
        use tokio::io::AsyncReadExt;
        let mut piece = vec![0; 256 * 1024];
        loop {
            let read = out.read(&mut piece).await?;
            if read == 0 {
                break;
            }
            rows += piece[..read].iter().filter(|byte| **byte == b'\n').count();
        }
    }
    child.wait().await?;
    Ok(Floor { name, rate: rows as f64 / began.elapsed().as_secs_f64(), command: format!("psql -c 'copy ({said}) to stdout (format csv)'") })
}
