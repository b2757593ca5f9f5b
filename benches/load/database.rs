//! The Postgres that is measured on.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};

use crate::Outcome;

/// Database with the seeded company; never measured on, only copied.
pub const SEEDED: &str = "bench_seeded";
/// The copy that is measured on.
pub const MEASURED: &str = "bench";

/// The superuser's way in.
pub fn superuser() -> Outcome<PgConnectOptions> {
    let url = std::env::var("BENCH_DATABASE_URL").map_err(|_| "BENCH_DATABASE_URL is not set: run script/bench, which starts a Postgres of its own")?;
    Ok(PgConnectOptions::from_str(&url)?)
}

/// A superuser's connection to `database`, with our schema on its path.
pub async fn connect(database: &str) -> Outcome<PgConnection> {
    Ok(PgConnection::connect_with(&superuser()?.database(database).options([("search_path", "countersign")])).await?)
}

/// Whether the seeded company is there already.
pub async fn is_seeded() -> Outcome<bool> {
    let mut maintenance = PgConnection::connect_with(&superuser()?).await?;
    Ok(sqlx::query_scalar("select exists (select 1 from pg_database where datname = $1 and datistemplate)").bind(SEEDED).fetch_one(&mut maintenance).await?)
}

/// A fresh copy of the seeded company to measure on.
pub async fn fresh() -> Outcome<()> {
    let mut maintenance = PgConnection::connect_with(&superuser()?).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("drop database if exists {MEASURED} with (force)"))).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("create database {MEASURED} template {SEEDED} strategy file_copy"))).await?;
    maintenance.execute("checkpoint").await?;
    Ok(())
}

/// Process id of the postmaster, where it runs on this machine.
pub async fn postmaster() -> Outcome<u32> {
    let mut maintenance = PgConnection::connect_with(&superuser()?).await?;
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut maintenance).await?;
    crate::cpu::parent(backend.unsigned_abs()).ok_or_else(|| "Postgres must run on this machine".into())
}
