//! [`Metrics`]: the counters for Prometheus. No label contains anything that a user chose.
//!
//! To remove it: `./chapters remove metrics` (see `docs/removing.md`).

mod labels;
mod observe;
mod serve;

pub(crate) use serve::routes;
pub use serve::serve_metrics;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::layer::{Decision, Outcome as DecisionOutcome};
use tower_jwt_auth::password::PasswordError;
use tower_jwt_auth::sessions::SessionEvent;

use labels::{Answer, Event, Outcome, Refusal, Route, Verdict};

/// In seconds, from the cost of a token to the time limit of a request.
const REQUEST_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];
/// In seconds, from a cached token to a request to a store.
const DECISION_BUCKETS: [f64; 8] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.1,
];
/// In seconds, including the time in the queue.
const PASSWORD_BUCKETS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0];

/// The metrics of one service. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<All>);

struct All {
    registry: Registry,
    requests: Family<Answer, Counter>,
    durations: Family<Route, Histogram>,
    in_flight: Gauge,
    refusals: Family<Refusal, Counter>,
    decisions: Family<Verdict, Counter>,
    decision_duration: Histogram,
    events: Family<Event, Counter>,
    passwords: Family<Outcome, Histogram>,
    passwords_waiting: Gauge,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new() -> Self {
        let durations =
            Family::new_with_constructor((|| Histogram::new(REQUEST_BUCKETS)) as fn() -> Histogram);
        let passwords = Family::new_with_constructor(
            (|| Histogram::new(PASSWORD_BUCKETS)) as fn() -> Histogram,
        );
        let mut all = All {
            registry: Registry::default(),
            requests: Family::default(),
            durations,
            in_flight: Gauge::default(),
            refusals: Family::default(),
            decisions: Family::default(),
            decision_duration: Histogram::new(DECISION_BUCKETS),
            events: Family::default(),
            passwords,
            passwords_waiting: Gauge::default(),
        };
        all.registry = all.registered();
        Self(Arc::new(all))
    }

    /// Counts an event of a session.
    pub(crate) fn event(&self, event: &SessionEvent<'_>) {
        let reason = match event {
            SessionEvent::SessionEnded { reason, .. } => reason.as_str(),
            SessionEvent::RefreshConverged { kind, .. } => kind.as_str(),
            _ => "",
        };
        let event = event.name();
        self.0.events.get_or_create(&Event { event, reason }).inc();
    }

    /// Counts a password that is hashed or verified, and measures the time. It counts as waiting until the
    /// work ends, even if the request is dropped.
    pub(crate) async fn password<T>(
        &self,
        work: impl Future<Output = Result<T, PasswordError>>,
    ) -> Result<T, PasswordError> {
        let _waiting = Ongoing::new(&self.0.passwords_waiting);
        let start = Instant::now();
        let done = work.await;
        let outcome = match &done {
            Ok(_) => "done",
            Err(PasswordError::Overloaded { .. }) => "overloaded",
            Err(_) => "refused",
        };
        let took = start.elapsed().as_secs_f64();
        let passwords = self.0.passwords.get_or_create(&Outcome { outcome });
        passwords.observe(took);
        done
    }

    /// Counts a decision of the middleware that verifies tokens.
    pub(crate) fn decided(&self, decision: &Decision<'_>) {
        let labels = Verdict {
            outcome: decision.outcome().as_str(),
            reason: decision.reason(),
            cached: match decision.is_cached() {
                Some(true) => "true",
                Some(false) => "false",
                None => "",
            },
        };
        self.0.decisions.get_or_create(&labels).inc();
        if decision.outcome() != DecisionOutcome::RefusedDownstream {
            self.0
                .decision_duration
                .observe(decision.duration().as_secs_f64());
        }
    }

    fn refused(&self, kind: AuthErrorKind) {
        let kind = kind.as_str();
        self.0.refusals.get_or_create(&Refusal { kind }).inc();
    }

    /// Returns the metrics in the OpenMetrics text format.
    fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

// === impl All ===

impl All {
    fn registered(&self) -> Registry {
        let mut all = Registry::default();
        let (requests, events) = (self.requests.clone(), self.events.clone());
        all.register("http_requests", "Requests that were answered", requests);
        all.register_with_unit(
            "http_request_duration",
            "Time from a request to the head of its response",
            Unit::Seconds,
            self.durations.clone(),
        );
        let in_flight = self.in_flight.clone();
        all.register(
            "http_requests_in_flight",
            "Requests not yet answered",
            in_flight,
        );
        let refusals = self.refusals.clone();
        all.register(
            "auth_refusals",
            "Requests whose token was refused, by reason",
            refusals,
        );
        all.register(
            "auth_decisions",
            "Decisions about requests to routes that need a token",
            self.decisions.clone(),
        );
        all.register_with_unit(
            "auth_decision_duration",
            "Time to judge the token of a request",
            Unit::Seconds,
            self.decision_duration.clone(),
        );
        all.register("session_events", "What happened to sessions", events);
        all.register_with_unit(
            "password_duration",
            "Time to hash or verify a password, and to wait for it",
            Unit::Seconds,
            self.passwords.clone(),
        );
        let waiting = self.passwords_waiting.clone();
        all.register(
            "passwords_in_flight",
            "Passwords that are being hashed or wait to be",
            waiting,
        );
        all
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Something that is under way until this is dropped.
struct Ongoing(Gauge);

// === impl Ongoing ===

impl Ongoing {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.dec();
    }
}
