//! Connections that are shared, and given back without a question.
//!
//! sqlx's own pool asks the server for a sign of life each time a connection comes back. On pages of two or three small statements
//! those are as many round trips again. Here a connection whose last statement ended well is simply put back; one that was left in
//! the middle of something is brought to order first, or closed.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgQueryResult, PgRow, PgSeverity, PgStatement, PgTypeInfo};
use sqlx::{Connection, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection is replaced when it is older than this.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The pool. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    options: PgConnectOptions,
    /// One permit for each connection there may be.
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Seat>>,
    open: Arc<AtomicUsize>,
    closed: AtomicBool,
}

/// A connection that one holder at a time has.
type Seat = Arc<tokio::sync::Mutex<Line>>;

struct Line {
    connection: PgConnection,
    since: Instant,
    _counted: Counted,
}

/// Counts a connection for as long as there is one.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("size", &self.size()).field("idle", &self.num_idle()).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of at most `most` connections, the first of which is made at once.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) async fn connect(options: PgConnectOptions, most: u32) -> Result<Self, Error> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(most));
        let pool = Self(Arc::new(Inner { options, permits, idle: Mutex::default(), open: Arc::default(), closed: AtomicBool::new(false) }));
        pool.acquire().await?.settle();
        Ok(pool)
    }

    /// A connection of one's own until it is dropped; [`Lane::settle`] says that its last statement has ended.
    ///
    /// # Errors
    /// [`Error::PoolTimedOut`] after 5 seconds without one, [`Error::PoolClosed`], or why none can be made.
    pub(crate) async fn acquire(&self) -> Result<Lane, Error> {
        let asked = timeout(PATIENCE, async {
            let permit = self.0.permits.clone().acquire_owned().await.map_err(|_| Error::PoolClosed)?;
            // Last in, first out: few connections do most of the work and stay warm.
            let idle = self.idle().pop();
            let seat = match idle {
                Some(seat) => seat,
                None => {
                    let connection = PgConnection::connect_with(&self.0.options).await?;
                    Arc::new(tokio::sync::Mutex::new(Line { connection, since: Instant::now(), _counted: Counted::new(&self.0.open) }))
                }
            };
            let line = seat.clone().lock_owned().await;
            Ok(Lane { line, seat, permit: Some(permit), pool: self.clone(), after: After::InOrder, within: false })
        });
        asked.await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// A transaction.
    ///
    /// # Errors
    /// As [`Pool::acquire`], or when the server does not begin it.
    pub(crate) async fn begin(&self) -> Result<Tx, Error> {
        let mut lane = self.acquire().await?;
        lane.within = true;
        let outcome = lane.execute("begin").await;
        if outcome.is_err() {
            lane.settle_by(&outcome);
        }
        outcome.map(|_| Tx(lane))
    }

    /// How many connections there are.
    pub(crate) fn size(&self) -> u32 {
        u32::try_from(self.0.open.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// How many of them are not in use.
    pub(crate) fn num_idle(&self) -> usize {
        self.idle().len()
    }

    /// Closes every connection that is not in use, and the others as they come back. Nothing more can be asked.
    pub(crate) async fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for seat in idle.into_iter().filter_map(Arc::into_inner) {
            let _ = timeout(PATIENCE, seat.into_inner().connection.close()).await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a connection of that age back, unless its time is over.
    fn keep(&self, seat: Seat, age: Duration) {
        if age < LIFETIME && !self.0.closed.load(Ordering::SeqCst) {
            self.idle().push(seat);
        }
    }
}

/// What happens to a connection when its holder is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It is put back as it is: nothing is under way on it.
    PutBack,
    /// Something may be under way: it is brought to order first.
    InOrder,
    /// It is closed.
    Close,
}

/// One connection of the pool.
pub(crate) struct Lane {
    line: OwnedMutexGuard<Line>,
    seat: Seat,
    permit: Option<OwnedSemaphorePermit>,
    pool: Pool,
    after: After,
    /// A transaction has begun on it.
    within: bool,
}

impl Lane {
    /// Says that the last statement has ended and nothing is under way: the connection may go back as it is.
    pub(crate) fn settle(&mut self) {
        self.after = After::PutBack;
    }

    /// Never goes back to the pool: whatever is under way when it is dropped, the connection is closed.
    pub(crate) fn close_on_drop(mut self) -> Self {
        self.after = After::Close;
        self
    }

    /// Settled by what a statement came to: what the server refused has ended too; a line that broke is of no more use.
    fn settle_by<T>(&mut self, outcome: &Result<T, Error>) {
        self.after = match outcome {
            Ok(_) | Err(Error::RowNotFound | Error::ColumnDecode { .. } | Error::Decode(_) | Error::Encode(_)) => After::PutBack,
            // After FATAL the server has closed the connection.
            Err(Error::Database(refused)) => match refused.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity) {
                Some(PgSeverity::Error) if !self.within => After::PutBack,
                Some(PgSeverity::Error) => After::InOrder,
                _ => After::Close,
            },
            Err(_) => After::Close,
        };
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let (pool, seat, age) = (self.pool.clone(), self.seat.clone(), self.line.since.elapsed());
        match self.after {
            After::Close => {}
            // The lock goes with this lane, in a moment; the next holder waits for it.
            After::PutBack => pool.keep(seat, age),
            After::InOrder => {
                let (permit, within) = (self.permit.take(), self.within);
                let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
                runtime.spawn(async move {
                    let mut line = seat.lock().await;
                    let order = async { if within { line.connection.execute("rollback").await.map(drop) } else { line.connection.ping().await } };
                    let is_in_order = matches!(timeout(PATIENCE, order).await, Ok(Ok(())));
                    drop(line);
                    if is_in_order {
                        pool.keep(seat, age);
                    }
                    drop(permit);
                });
            }
        }
    }
}

impl Deref for Lane {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.line.connection
    }
}

impl DerefMut for Lane {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.line.connection
    }
}

/// One transaction. Dropped without [`Tx::commit`], it never was.
pub struct Tx(Lane);

impl Tx {
    /// Commits: what was written exists from here on.
    ///
    /// # Errors
    /// When the database refuses at the end, and then nothing of it exists; when the connection breaks, nobody knows.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        let outcome = self.0.execute("commit").await;
        self.0.within = false;
        self.0.settle_by(&outcome);
        outcome.map(drop)
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// A statement of its own, on whichever connection is free. Rows are handed on when all of them are there.
impl<'p> Executor<'p> for &'_ Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        let all = async move {
            let mut lane = pool.acquire().await?;
            let outcome: Result<Vec<_>, Error> = lane.fetch_many(query).try_collect().await;
            lane.settle_by(&outcome);
            outcome.map(|items| stream::iter(items.into_iter().map(Ok)))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lane = pool.acquire().await?;
            let outcome = lane.fetch_optional(query).await;
            lane.settle_by(&outcome);
            outcome
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lane = pool.acquire().await?;
            let outcome = lane.prepare_with(sql, parameters).await;
            lane.settle_by(&outcome);
            outcome
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut lane = pool.acquire().await?;
            let outcome = lane.describe(sql).await;
            lane.settle_by(&outcome);
            outcome
        })
    }
}
