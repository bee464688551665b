//! What surrounds the API: for operators, for browsers, for services that verify our tokens, and for the machine.

mod avatars; // chapter: avatars
// chapter: page {
#[allow(dead_code)] // which of it is used depends on the chapters
#[cfg(unix)]
mod browser;
// chapter: page }
mod cloud; // chapter: avatars
mod cookies;
mod cors;
mod headers;
mod keys;
mod mail_tls;
mod metrics; // chapter: metrics
mod openapi;
// chapter: page {
#[cfg(unix)]
mod page;
// chapter: page }
mod production;
mod publishing; // chapter: avatars
mod ready;
#[cfg(unix)]
mod robust;
#[allow(dead_code, unused_imports, unused_macros)] // the other tests use the rest of it
#[path = "../support/mod.rs"]
mod support;

use service::MetricsPlace; // chapter: metrics
use service::{Operations, Origin};
use support::{Place, Service};

/// Starts a service with these settings about where it runs.
async fn start(operations: Operations) -> Service {
    Service::start_with(Place::sqlite(), |settings| settings.operations = operations).await
}

fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap()
}

/// Settings as in production, with everything turned on that can be.
fn everything() -> Operations {
    Operations {
        public_url: Some(origin("https://auth.example.com")),
        cors_origins: vec![
            origin("https://app.example.com"),
            origin("http://localhost:5173"),
        ],
        metrics: MetricsPlace::Main, // chapter: metrics
    }
}
