//! `GET /healthz` and `GET /readyz`: whether to restart us, and whether to send us requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::error::with_causes;
use crate::problem::Problem;
use crate::{App, Database};

/// How long each of what we need may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long the database counts as writable.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// When the database was last found to be writable; clones share it.
///
/// Anybody can ask, and each look writes to the disk: so there is one at a time, and one a second where all is
/// well.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<Mutex<Option<Instant>>>);

// === impl Readiness ===

impl Readiness {
    async fn database(&self, database: &Database) -> sqlx::Result<()> {
        let mut last = self.0.lock().await;
        if last.is_some_and(|last| last.elapsed() < GOOD_FOR) {
            return Ok(());
        }
        *last = None;
        database.check_writable().await?;
        *last = Some(Instant::now());
        Ok(())
    }
}

/// The process is alive. It does not ask the database: restarting us would not mend that.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    responses((status = 200, description = "The process is alive"))
)]
pub(crate) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The database and Redis can be written to. A 503 names those that cannot; the log says why.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    responses((status = 200, description = "The database and Redis can be written to"))
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let database = async {
        app.readiness
            .database(&app.database)
            .await
            .map_err(|error| with_causes(&error))
    };
    let redis = async {
        app.revocations
            .ping()
            .await
            .map_err(|error| with_causes(&error))
    };
    let (database, redis) = tokio::join!(timeout(TIMEOUT, database), timeout(TIMEOUT, redis));
    let mut missing = Vec::new();
    for (name, answer) in [("database", database), ("redis", redis)] {
        let error = match answer {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error,
            Err(_) => "it does not answer in time".to_owned(),
        };
        tracing::warn!(name, error, "not ready");
        missing.push(name);
    }
    if missing.is_empty() {
        return Ok(Json(json!({ "status": "ready" })));
    }
    let detail = format!("Not ready: {}.", missing.join(", "));
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Err(Problem::new(status, "not_ready", detail))
}
