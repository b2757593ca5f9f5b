//! Numbers for Prometheus, at an address of their own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::service::ctx::Ctx;
use crate::service::look::work::{self, Work};
use crate::web::error::Failure;

/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct On {
    route: String,
}

/// Counts of what this process answered. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    answers: Family<Answered, Counter>,
    seconds: Family<On, Histogram, fn() -> Histogram>,
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        let answers = Family::<Answered, Counter>::default();
        let seconds = Family::<On, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let mut registry = Registry::with_prefix("countersign");
        registry.register("http_requests", "Requests answered, by route template and status", answers.clone());
        registry.register_with_unit(
            "http_request_duration",
            "From the request's first line to the answer's head, by route template",
            Unit::Seconds,
            seconds.clone(),
        );
        Self(Arc::new(Counts { answers, seconds, registry }))
    }
}

impl Metrics {
    /// Counts one answer. `route` is a template of ours, never a path that somebody sent.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.0.answers.get_or_create(&Answered { method: method.to_owned(), route: route.to_owned(), status }).inc();
        self.0.seconds.get_or_create(&On { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    /// Everything as text, as Prometheus and OpenMetrics read it; without `measures` only what this process counted itself.
    fn text(&self, measures: Option<&Work>) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode_registry(&mut out, &self.0.registry)?;
        text::encode_registry(&mut out, &work(measures))?;
        text::encode_eof(&mut out)?;
        Ok(out)
    }
}

/// The work as metrics of one moment.
fn work(measures: Option<&Work>) -> Registry {
    let mut registry = Registry::with_prefix("countersign");
    registry.register("database_up", "1 when the database answered for these metrics", ConstGauge::new(i64::from(measures.is_some())));
    let Some(measures) = measures else { return registry };
    for what in ["request", "grant", "target"] {
        let states: Family<[(&'static str, &'static str); 1], prometheus_client::metrics::gauge::Gauge> = Family::default();
        for (_, state, count) in measures.states.iter().filter(|(of, ..)| *of == what) {
            states.get_or_create(&[("state", *state)]).set(*count);
        }
        let help = match what {
            "request" => "Open requests by state",
            "grant" => "Live grants by state",
            _ => "Memberships that somebody is due to look at, by what is owed",
        };
        registry.register(format!("{what}s"), help, states);
    }
    registry.register_with_unit(
        "oldest_owed_removal_age",
        "How long the oldest removal has been owed; 0 when none is",
        Unit::Seconds,
        ConstGauge::new(measures.oldest_removal_s),
    );
    if let Some(silent) = measures.worker_silent_s {
        registry.register_with_unit("worker_heartbeat_age", "Since a worker was last heard of", Unit::Seconds, ConstGauge::new(silent));
    }
    let ages: Family<[(&'static str, String); 1], prometheus_client::metrics::gauge::Gauge<f64, std::sync::atomic::AtomicU64>> = Family::default();
    for (name, age) in &measures.timetable_s {
        ages.get_or_create(&[("entry", name.clone())]).set(*age);
    }
    registry.register_with_unit("timetable_success_age", "Since a periodic entry last went well", Unit::Seconds, ages);
    let readings: Family<[(&'static str, String); 2], prometheus_client::metrics::gauge::Gauge> = Family::default();
    for (directory, ended) in &measures.syncs {
        for outcome in ["complete", "failed", "shrunk"] {
            readings.get_or_create(&[("directory", directory.clone()), ("outcome", outcome.to_owned())]).set(i64::from(ended == outcome));
        }
    }
    registry.register("directory_reading", "How the last full reading of a directory ended: 1 for its outcome", readings);
    registry.register("leavers_open", "People who left and of whom something is still open", ConstGauge::new(measures.leavers));
    registry.register("drifts_open", "Open differences between groups and grants", ConstGauge::new(measures.drifts));
    registry.register("events", "Events of the log, ids that were never used included", ConstCounter::new(measures.events.unsigned_abs()));
    let connections: Family<[(&'static str, &'static str); 1], prometheus_client::metrics::gauge::Gauge> = Family::default();
    let (all, idle) = (i64::from(measures.connections.0), measures.connections.1 as i64);
    connections.get_or_create(&[("state", "idle")]).set(idle);
    connections.get_or_create(&[("state", "busy")]).set((all - idle).max(0));
    registry.register("database_connections", "Connections of this process's pool", connections);
    registry
}

/// What is served at the metrics' own address: `/metrics` and nothing else.
pub fn router(ctx: Ctx, metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state((ctx, metrics))
}

/// `GET /metrics`. A database that is down is told in the metrics, not by failing.
async fn scrape(State((ctx, metrics)): State<(Ctx, Metrics)>) -> Response {
    let measured = match work::work(&ctx).await {
        Ok(measured) => Some(measured),
        Err(error) => {
            tracing::warn!(%error, "the metrics are without what the database tells");
            None
        }
    };
    match metrics.text(measured.as_ref()) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(error) => Failure::broken(&error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Work {
        Work {
            states: vec![("request", "pending", 3), ("grant", "active", 5), ("target", "remove_failing", 0)],
            oldest_removal_s: 1.5,
            worker_silent_s: Some(0.25),
            timetable_s: vec![("sync:main".into(), 12.0)],
            syncs: vec![("main".into(), "shrunk".into())],
            leavers: 3,
            drifts: 2,
            events: 77,
            connections: (4, 3),
        }
    }

    #[test]
    fn what_was_answered_and_what_is_owed_reads_as_openmetrics() {
        let metrics = Metrics::default();
        metrics.answered("GET", "/requests/{id}", 200, Duration::from_millis(3));
        metrics.answered("GET", "/requests/{id}", 404, Duration::from_millis(30));
        let text = metrics.text(Some(&sample())).unwrap();
        for line in [
            "countersign_http_requests_total{method=\"GET\",route=\"/requests/{id}\",status=\"200\"} 1",
            "countersign_http_request_duration_seconds_bucket{le=\"0.005\",route=\"/requests/{id}\"} 1",
            "countersign_http_request_duration_seconds_count{route=\"/requests/{id}\"} 2",
            "countersign_requests{state=\"pending\"} 3",
            "countersign_grants{state=\"active\"} 5",
            "countersign_targets{state=\"remove_failing\"} 0",
            "countersign_oldest_owed_removal_age_seconds 1.5",
            "countersign_worker_heartbeat_age_seconds 0.25",
            "countersign_timetable_success_age_seconds{entry=\"sync:main\"} 12.0",
            "countersign_events_total 77",
            "countersign_directory_reading{directory=\"main\",outcome=\"shrunk\"} 1",
            "countersign_directory_reading{directory=\"main\",outcome=\"complete\"} 0",
            "countersign_leavers_open 3",
            "countersign_database_connections{state=\"busy\"} 1",
            "countersign_database_up 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn without_a_database_the_metrics_say_so() {
        let text = Metrics::default().text(None).unwrap();
        assert!(text.contains("countersign_database_up 0") && !text.contains("worker_heartbeat"));
    }
}
