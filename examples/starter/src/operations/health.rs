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

/// How long the database and Redis may take to respond.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long the database counts as writable after a check.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Checks that the database and Redis can be written to. Clones share the result.
///
/// Anybody can ask, and each check writes to the disk. So there is one check at a time, and at most one a
/// second while all is well.
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

/// Returns the routes of the health checks.
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

/// Says that the process is alive.
///
/// It does not ask the database, because a restart would not repair that.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    responses((status = 200, description = "The process is alive", body = Health))
)]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Says whether the database and Redis can be written to.
///
/// A 503 names those that cannot. The log says why.
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
            Err(_) => "no response in time".to_owned(),
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
