//! Decides stored requests again, on every core.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt, stream};
use uuid::Uuid;

use crate::domain::decide::{Decision, Rules, decide};
use crate::domain::id::PolicyVersionId;
use crate::domain::policy::AccessPolicy;
use crate::domain::separation::SeparationRule;
use crate::store::error::StoreError;
use crate::store::stored::{self, Mark, StoredAsk, StoredDecision};

use super::ask::{Cited, Inputs};
use super::ctx::Ctx;
use super::error::ServiceError;

/// How many stored requests are handled together. A few of these are in memory at a time, however long the period.
const PAGE: i64 = 500;

/// From a moment on, and before another.
pub type Period = (DateTime<Utc>, DateTime<Utc>);

/// How far a run is, to look at from elsewhere. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<(AtomicU64, AtomicU64)>);

impl Progress {
    /// How many are done, and of how many in all.
    pub fn seen(&self) -> (u64, u64) {
        (self.0.0.load(Ordering::Relaxed), self.0.1.load(Ordering::Relaxed))
    }

    /// Says of how many.
    pub fn of(&self, all: u64) {
        self.0.1.store(all, Ordering::Relaxed);
    }

    /// Says that so many more are done.
    pub fn done(&self, more: usize) {
        self.0.0.fetch_add(more as u64, Ordering::Relaxed);
    }
}

/// A row that tells what a decision was made from.
pub trait Stored: Send + Sync + Sized + 'static {
    /// What it was made from.
    fn ask(&self) -> &StoredAsk;
    /// A page of them.
    fn page(ctx: &Ctx, period: Period, after: Option<Mark>) -> impl Future<Output = Result<Vec<Self>, ServiceError>> + Send;
}

impl Stored for StoredAsk {
    fn ask(&self) -> &StoredAsk {
        self
    }

    async fn page(ctx: &Ctx, period: Period, after: Option<Mark>) -> Result<Vec<Self>, ServiceError> {
        Ok(stored::asks(&ctx.db, period, after, PAGE).await?)
    }
}

impl Stored for StoredDecision {
    fn ask(&self) -> &StoredAsk {
        &self.ask
    }

    async fn page(ctx: &Ctx, period: Period, after: Option<Mark>) -> Result<Vec<Self>, ServiceError> {
        Ok(stored::decisions(&ctx.db, period, after, PAGE).await?)
    }
}

/// The rules that a stored decision was made under.
#[derive(Clone, Debug)]
pub struct Had {
    /// The policies, in the order in which they were tried.
    pub policies: Vec<Arc<AccessPolicy>>,
    /// The separation rules.
    pub separation: Vec<Arc<SeparationRule>>,
}

impl Had {
    /// Decides as it was decided then; a dead end that was found then is one again.
    pub fn decide(&self, inputs: &Inputs) -> Decision {
        let policies: Vec<&AccessPolicy> = self.policies.iter().map(|policy| &**policy).collect();
        let separation: Vec<&SeparationRule> = self.separation.iter().map(|rule| &**rule).collect();
        let mut decision = decide(Rules { policies: &policies, separation: &separation }, &inputs.person, &inputs.ask, inputs.decided_at);
        if let Some(why) = &inputs.dead_end {
            decision.refuse_dead_end(why, &inputs.person, inputs.decided_at);
        }
        decision
    }
}

/// A stored row with everything that is needed to decide again, or why that cannot be had.
#[derive(Debug)]
pub struct Case<S> {
    /// As stored.
    pub row: S,
    /// What it was made from and under, or what is wrong with it.
    pub made: Result<(Inputs, Arc<Had>), String>,
}

/// What was cited: ids of policies, ids of separation rules.
type Citation = (Vec<Uuid>, Vec<Uuid>);

/// The stored requests of `period` in order of time, in constant memory: each page is parsed and given to `work` off the async
/// threads, as many pages at a time as there are cores, and what `work` makes of them comes back in order.
pub fn each<S: Stored, T: Send + 'static>(
    ctx: &Ctx,
    period: Period,
    work: impl Fn(Vec<Case<S>>) -> T + Clone + Send + 'static,
) -> impl Stream<Item = Result<T, ServiceError>> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let pages = stream::try_unfold((ctx.clone(), Some(None)), move |(ctx, after)| async move {
        let Some(after) = after else { return Ok(None) };
        let rows = S::page(&ctx, period, after).await?;
        let Some(last) = rows.last().map(|row| (row.ask().created_at, row.ask().id)) else { return Ok(None) };
        let next = (rows.len() as i64 == PAGE).then_some(Some(last));
        Ok::<_, ServiceError>(Some((rows, (ctx, next))))
    });
    let ctx = ctx.clone();
    pages
        .map(move |rows| {
            let (ctx, work) = (ctx.clone(), work.clone());
            // A task of its own, so that it goes on while the next page is read.
            let task = tokio::spawn(async move {
                let parsed = off(move || parse(rows?)).await??;
                let had = had(&ctx, &parsed).await?;
                off(move || work(cases(parsed, &had))).await
            });
            async move { task.await.unwrap_or_else(|error| Err(ServiceError::Unavailable(format!("Deciding again stopped: {error}.")))) }
        })
        .buffered(cores + 1)
}

/// Runs `work` off the async threads.
async fn off<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ServiceError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ServiceError::Unavailable(format!("Deciding again stopped: {error}.")))
}

/// A stored request with what it was decided from, or why that cannot be read.
type Read<S> = (S, Result<Inputs, String>);

fn parse<S: Stored>(rows: Vec<S>) -> Result<Vec<Read<S>>, ServiceError> {
    let read = |text: &str| serde_json::from_str::<Inputs>(text).map_err(|error| format!("its inputs cannot be read: {error}"));
    Ok(rows
        .into_iter()
        .map(|row| {
            let inputs = read(&row.ask().inputs);
            (row, inputs)
        })
        .collect())
}

fn citation(inputs: &Inputs) -> Citation {
    let ids = |cited: &[Cited]| cited.iter().map(|cited| cited.id).collect();
    (ids(&inputs.policies), ids(&inputs.separation))
}

/// The bodies of everything that `parsed` cites, each list once.
async fn had<S>(ctx: &Ctx, parsed: &[(S, Result<Inputs, String>)]) -> Result<HashMap<Citation, Result<Arc<Had>, String>>, ServiceError> {
    let mut lists = HashMap::new();
    for inputs in parsed.iter().filter_map(|(_, inputs)| inputs.as_ref().ok()) {
        let cited = citation(inputs);
        if lists.contains_key(&cited) {
            continue;
        }
        let ids: Vec<PolicyVersionId> = cited.0.iter().copied().map(PolicyVersionId).collect();
        let policies = ctx.policies.versions(&ctx.db, &ids).await;
        let separation = ctx.separation.versions(&ctx.db, &cited.1).await;
        // A version that is not there is a fault of what is stored; no answer is none of it.
        let had = match (policies, separation) {
            (Ok(policies), Ok(separation)) => Ok(Arc::new(Had { policies, separation })),
            (Err(StoreError::Broken(why)), _) | (_, Err(StoreError::Broken(why))) => Err(format!("what it cites cannot be had: {why}")),
            (Err(error), _) | (_, Err(error)) => return Err(error.into()),
        };
        lists.insert(cited, had);
    }
    Ok(lists)
}

fn cases<S>(parsed: Vec<(S, Result<Inputs, String>)>, had: &HashMap<Citation, Result<Arc<Had>, String>>) -> Vec<Case<S>> {
    let with = |inputs: Inputs| match had.get(&citation(&inputs)) {
        Some(Ok(had)) => Ok((inputs, had.clone())),
        Some(Err(why)) => Err(why.clone()),
        None => Err("what it cites was not looked up".to_owned()),
    };
    parsed.into_iter().map(|(row, inputs)| Case { row, made: inputs.and_then(with) }).collect()
}
