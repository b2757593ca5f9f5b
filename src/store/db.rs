//! The pool, the migrations, the roles, the transactions.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, Postgres, Transaction};

use super::error::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The text of every migration, to hold the database against what they say.
pub fn migrations_text() -> String {
    MIGRATIONS.iter().map(|m| m.sql.as_str()).collect()
}

/// The role that the application signs in as; it owns nothing.
pub const APP_ROLE: &str = "countersign_app";

/// One transaction. Dropped without [`Tx::commit`], it never was.
pub type Tx = Transaction<'static, Postgres>;

/// The application's database, as the application's role. Cloning shares the pool.
#[derive(Clone, Debug)]
pub struct Db {
    pub(crate) pool: PgPool,
}

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The owner's login: migrates, and makes the application's role. None: somebody else migrates.
    pub owner: Option<PgConnectOptions>,
    /// The application's login. None: the owner's server and database, as [`APP_ROLE`] with a random password that only the owner can read.
    pub app: Option<PgConnectOptions>,
    /// Connections of the application at most, at least 2.
    pub max_connections: u32,
}

/// Reads a `postgres://` URL.
///
/// # Errors
/// Says what is wrong with it, without repeating it: it may hold a password.
pub fn parse_url(url: &str) -> Result<PgConnectOptions, StoreError> {
    url.parse().map_err(|_| StoreError::Unfit("this is not a postgres:// URL".into()))
}

/// The owner's options turned into the application's: same server and database, role [`APP_ROLE`].
fn as_app(owner: &PgConnectOptions, password: &str) -> PgConnectOptions {
    owner.clone().username(APP_ROLE).password(password)
}

impl Db {
    /// Migrates (with an owner), makes sure of the application's role, and connects as it.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when the schema is newer than this program or not migrated, when the server's version is not 15 to
    /// 18, or when the application's login owns tables or is a superuser; [`StoreError::Unreachable`] when there is no answer.
    pub async fn connect(settings: &Settings) -> Result<Self, StoreError> {
        let app = match (&settings.owner, &settings.app) {
            (Some(owner), app) => {
                let password = migrate(owner, app.is_none()).await?;
                app.clone().unwrap_or_else(|| as_app(owner, &password.unwrap_or_default()))
            }
            (None, Some(app)) => app.clone(),
            (None, None) => return Err(StoreError::Unfit("no database is configured".into())),
        };
        let app = app
            .options([
                ("search_path", "countersign"),
                ("statement_timeout", "30s"),
                ("idle_in_transaction_session_timeout", "30s"),
                ("timezone", "UTC"),
                ("jit", "off"),
            ])
            .application_name("countersign")
            .statement_cache_capacity(512);
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections.max(2))
            .acquire_timeout(Duration::from_secs(5))
            .test_before_acquire(false)
            .connect_with(app)
            .await?;
        let db = Self { pool };
        db.check_role().await?;
        db.check_schema().await?;
        Ok(db)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] when no connection can be had within 5 seconds.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(self.pool.begin().await?)
    }

    /// The database's clock, and half of the time that asking took.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clock(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(sqlx::query_scalar("select countersign.clock()").fetch_one(&self.pool).await?)
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// That the role we are owns nothing and is no superuser.
    async fn check_role(&self) -> Result<(), StoreError> {
        let (name, superuser, owned): (String, bool, i64) = sqlx::query_as(
            "select current_user::text, (select rolsuper or rolbypassrls or rolcreaterole from pg_roles where rolname = current_user),
               (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'countersign' and pg_has_role(current_user, c.relowner, 'member'))",
        )
        .fetch_one(&self.pool)
        .await?;
        if superuser || owned > 0 {
            return Err(StoreError::Unfit(format!(
                "the application must not run as {name}, which {}: give it a login that is a member of {APP_ROLE} only",
                if superuser { "may change roles" } else { "owns the tables" }
            )));
        }
        Ok(())
    }

    /// Checks that the schema is exactly the one this program knows.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when it is newer, older or not there.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let known: Vec<i64> = MIGRATIONS.iter().map(|m| m.version).collect();
        let there: Result<Vec<i64>, _> =
            sqlx::query_scalar("select version from countersign._sqlx_migrations where success order by version").fetch_all(&self.pool).await;
        let there = there.map_err(|error| match StoreError::from(error) {
            StoreError::Broken(_) => StoreError::Unfit("the schema is not there yet: run `countersign migrate` with the owner's DATABASE_URL".into()),
            other => other,
        })?;
        if let Some(newer) = there.iter().find(|version| !known.contains(version)) {
            return Err(StoreError::Unfit(format!("the schema has migration {newer}, which this program does not know: run a newer countersign")));
        }
        if let Some(missing) = known.iter().find(|version| !there.contains(version)) {
            return Err(StoreError::Unfit(format!("the schema lacks migration {missing}: run `countersign migrate` with the owner's DATABASE_URL")));
        }
        Ok(())
    }
}

/// Brings the schema up to what this program knows, as the owner; with `make_login` also lets [`APP_ROLE`] sign in, and gives its
/// password.
///
/// # Errors
/// [`StoreError::Unfit`] when the schema is newer than this program or the server is not Postgres 15 to 18.
pub async fn migrate(owner: &PgConnectOptions, make_login: bool) -> Result<Option<String>, StoreError> {
    let options = owner
        .clone()
        .options([("search_path", "countersign"), ("timezone", "UTC"), ("client_min_messages", "warning")])
        .application_name("countersign migrate");
    let mut connection = PgConnection::connect_with(&options).await?;
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int").fetch_one(&mut connection).await?;
    if !(150_000..190_000).contains(&version) {
        return Err(StoreError::Unfit(format!("Postgres 15 to 18 is needed; this server says {}", version / 10_000)));
    }
    // One at a time over the whole cluster: roles belong to the cluster.
    sqlx::query("select pg_advisory_lock(7235419)").execute(&mut connection).await?;
    connection.execute("create schema if not exists countersign").await?;
    let outcome = MIGRATIONS.run(&mut connection).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::VersionMissing(version) => {
            StoreError::Unfit(format!("the schema has migration {version}, which this program does not know: run a newer countersign"))
        }
        sqlx::migrate::MigrateError::VersionMismatch(version) => {
            StoreError::Unfit(format!("migration {version} of this schema is not the one this program knows"))
        }
        other => StoreError::Broken(other.to_string()),
    });
    let outcome = match outcome {
        Ok(()) => {
            let readable: bool = sqlx::query_scalar("select has_table_privilege('countersign_app', 'countersign._sqlx_migrations', 'select')")
                .fetch_one(&mut connection)
                .await?;
            if !readable {
                connection.execute("grant select on countersign._sqlx_migrations to countersign_app").await?;
            }
            if make_login { allow_login(&mut connection, owner).await.map(Some) } else { Ok(None) }
        }
        Err(error) => Err(error),
    };
    sqlx::query("select pg_advisory_unlock(7235419)").execute(&mut connection).await?;
    connection.close().await?;
    outcome
}

/// Lets [`APP_ROLE`] sign in with a random password, which every replica reads from a table that only the owner can read.
async fn allow_login(connection: &mut PgConnection, owner: &PgConnectOptions) -> Result<String, StoreError> {
    let random: [u8; 32] = rand::random();
    let fresh: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let password: String = sqlx::query_scalar("with made as (insert into countersign.app_login (password) select $1 where not exists (select 1 from countersign.app_login) returning password) select password from made union all select password from countersign.app_login limit 1")
        .bind(fresh)
        .fetch_one(&mut *connection)
        .await?;
    if PgConnection::connect_with(&as_app(owner, &password)).await.is_ok() {
        return Ok(password); // Another replica, or an earlier start, has done it.
    }
    // `password` is hex of our own making, so it cannot leave its quotes.
    connection.execute(sqlx::AssertSqlSafe(format!("alter role {APP_ROLE} login password '{password}'"))).await?;
    Ok(password)
}
