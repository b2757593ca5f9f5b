//! The database as it was at one moment.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::{Executor, FromRow, Postgres};
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::export::{Narrow, Population};

/// One read-only transaction: everything taken from it is of one moment, whatever happens meanwhile. Dropping it closes its connection.
pub struct Snapshot {
    pub(super) connection: PoolConnection<Postgres>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshot")
    }
}

/// Which moment it is.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Frozen {
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
    /// As Postgres names it: which transactions it holds.
    pub snapshot: String,
    /// The newest event in it, by insertion; 0 when there is none.
    pub newest_event: i64,
}

/// How a directory was last read, as the snapshot has it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Reading {
    /// Key of the directory.
    pub directory: String,
    /// The event of its newest full reading that was believed.
    pub sync_event: Option<i64>,
    /// When that was.
    pub synced_at: Option<DateTime<Utc>>,
    /// When it was last asked what had changed.
    pub changes_at: Option<DateTime<Utc>>,
    /// When the last of its groups was compared with the grants.
    pub compared_at: Option<DateTime<Utc>>,
}

impl Snapshot {
    /// Freezes.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn open(db: &Db) -> Result<Self, StoreError> {
        let mut connection = db.pool.acquire().await?;
        // Given up half way, the connection is in the middle of an answer: better closed than read to its end.
        connection.close_on_drop();
        connection.execute("begin isolation level repeatable read, read only").await?;
        // The order comes from an index where it can; a sort would first hold the whole population.
        sqlx::query(
            "select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true), set_config('enable_sort', 'off', true),
               set_config('timezone', 'UTC', true)",
        )
        .execute(&mut *connection)
        .await?;
        Ok(Self { connection })
    }

    /// Which moment it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn frozen(&mut self) -> Result<Frozen, StoreError> {
        Ok(sqlx::query_as("select clock() as at, pg_current_snapshot()::text as snapshot, coalesce((select max(id) from audit_event), 0) as newest_event")
            .fetch_one(&mut *self.connection)
            .await?)
    }

    /// How each directory was last read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn readings(&mut self) -> Result<Vec<Reading>, StoreError> {
        Ok(sqlx::query_as(
            "select d.directory, e.id as sync_event, d.full_at as synced_at, d.changes_at, (select max(g.read_at) from managed_group g where g.directory = d.directory) as compared_at
             from directory_sync d
             left join lateral (select e.id from audit_event e where e.kind = 'directory.synced' and e.data ->> 'directory' = d.directory order by e.id desc limit 1) e on true
             order by d.directory",
        )
        .fetch_all(&mut *self.connection)
        .await?)
    }

    /// Which of these requests are of this moment and left by `narrow`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn requests_of(&mut self, ids: &[Uuid], narrow: Narrow) -> Result<HashSet<Uuid>, StoreError> {
        let found: Vec<Uuid> = sqlx::query_scalar(
            "select id from request where id = any($1) and ($2::uuid is null or application_id = $2) and ($3::uuid is null or role_id = $3)
               and ($4::uuid is null or beneficiary_id = $4 or requester_id = $4)",
        )
        .bind(ids)
        .bind(narrow.application)
        .bind(narrow.role)
        .bind(narrow.person)
        .fetch_all(&mut *self.connection)
        .await?;
        Ok(found.into_iter().collect())
    }

    /// Streams `population`, narrowed, to `take`, as the CSV that Postgres writes: no header, records end in LF, cut anywhere.
    ///
    /// # Errors
    /// When the database fails, or `take` does.
    pub async fn copy<E: From<StoreError>>(
        &mut self,
        population: Population,
        narrow: Narrow,
        mut take: impl AsyncFnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let statement = population.copy(narrow);
        let mut rows = self.connection.copy_out_raw(&statement).await.map_err(StoreError::from)?;
        while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
            take(&row).await?;
        }
        Ok(())
    }
}
