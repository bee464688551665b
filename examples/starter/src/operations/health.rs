//! `GET /healthz` and `GET /readyz`: whether to restart the service, and whether to send it requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::database::Database;
use crate::error::with_causes;
use crate::problem::Problem;
use crate::sessions::stores::Revocations;

/// How long the database and Redis may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long the database counts as writable.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Whether the database and Redis can be written to; clones share what was found.
///
/// Anybody can ask, and each look writes to the disk: so there is one at a time, and one a second where
/// all is well.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    database: Database,
    revocations: Revocations,
    /// When the database was last found to be writable.
    writable: Arc<Mutex<Option<Instant>>>,
}

#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Returns the routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
}

// === impl Readiness ===

impl Readiness {
    pub(crate) fn new(database: &Database, revocations: &Revocations) -> Self {
        Self {
            database: database.clone(),
            revocations: revocations.clone(),
            writable: Arc::default(),
        }
    }

    async fn check_database(&self) -> sqlx::Result<()> {
        let mut last = self.writable.lock().await;
        if last.is_some_and(|last| last.elapsed() < GOOD_FOR) {
            return Ok(());
        }
        *last = None;
        self.database.check_writable().await?;
        *last = Some(Instant::now());
        Ok(())
    }
}

/// The process is alive. It does not ask the database: a restart would not mend that.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    responses((status = 200, description = "The process is alive", body = Health))
)]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// The database and Redis can be written to. A 503 names those that cannot; the log says why.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    responses((status = 200, description = "The database and Redis can be written to", body = Health))
)]
async fn readyz(State(readiness): State<Readiness>) -> Result<Json<Health>, Problem> {
    let database = async {
        let checked = readiness.check_database().await;
        checked.map_err(|error| with_causes(&error))
    };
    let redis = async {
        let answered = readiness.revocations.ping().await;
        answered.map_err(|error| with_causes(&error))
    };
    let (database, redis) = tokio::join!(timeout(TIMEOUT, database), timeout(TIMEOUT, redis));
    let mut missing = Vec::new();
    for (name, answer) in [("database", database), ("redis", redis)] {
        let error = match answer {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error,
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(name, error, "not ready");
        missing.push(name);
    }
    if missing.is_empty() {
        return Ok(Json(Health { status: "ready" }));
    }
    let detail = format!("Not ready: {}.", missing.join(", "));
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Err(Problem::new(status, "not_ready", detail))
}
