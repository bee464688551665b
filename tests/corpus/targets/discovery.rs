//! The metadata and the keys of an identity provider: everything is fetched from the provider alone, and an
//! independent reader finds the same keys.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use http::{Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower_jwt_auth::jwks::{BoxError, HttpClient, RemoteJwks};
use tower_jwt_auth::keys::{KeySource as _, KeySourceState};

const ISSUER: &str = "https://idp.example/realm";

/// A provider that responds with the input of the fuzzer.
#[derive(Debug, Clone)]
struct Provider {
    metadata: Arc<[u8]>,
    keys: Arc<[u8]>,
    asked: Arc<Mutex<Vec<Uri>>>,
}

impl HttpClient for Provider {
    async fn send(
        &self,
        request: Request<String>,
        _: usize,
    ) -> Result<Response<Vec<u8>>, BoxError> {
        let uri = request.uri().clone();
        let is_metadata = uri.path().contains("/.well-known/");
        let body = if is_metadata {
            &self.metadata
        } else {
            &self.keys
        };
        let mut response = Response::new(body.to_vec());
        *response.status_mut() = StatusCode::OK;
        self.asked().push(uri);
        Ok(response)
    }
}

// === impl Provider ===

impl Provider {
    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Uri>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

/// Reads the metadata, an empty line, and the keys.
pub(super) fn run(data: &[u8]) {
    let at = data.windows(2).position(|pair| pair == b"\n\n");
    let (metadata, keys) = data.split_at(at.unwrap_or(data.len()));
    let keys = keys.get(2..).unwrap_or_default();
    let provider = Provider {
        metadata: metadata.into(),
        keys: keys.into(),
        asked: Arc::default(),
    };
    let health = RUNTIME.block_on(async {
        let builder = RemoteJwks::builder(ISSUER).client(provider.clone());
        let source = builder.build().unwrap();
        let _ = source.refresh(None).await;
        source.health().unwrap()
    });
    let asked = provider.asked();
    for uri in asked.iter() {
        assert_eq!(uri.scheme_str(), Some("https"), "{uri}");
        let authority = uri.authority().unwrap().as_str().to_ascii_lowercase();
        let (host, port) = authority.split_once(':').unwrap_or((&authority, ""));
        assert_eq!(host, "idp.example", "{uri}");
        assert!(port.is_empty() || port.parse() == Ok(443_u16), "{uri}");
    }
    if health.state != KeySourceState::Fresh {
        assert_eq!(health.keys, 0);
        return;
    }
    // The whole text is UTF-8, even the parts that nobody reads.
    assert!(std::str::from_utf8(metadata).is_ok() && std::str::from_utf8(keys).is_ok());
    let Ok(metadata) = serde_json::from_slice::<Value>(metadata) else {
        return;
    };
    assert_eq!(metadata["issuer"], ISSUER);
    let address: Uri = metadata["jwks_uri"].as_str().unwrap().parse().unwrap();
    assert_eq!(asked.last(), Some(&address));
    // Half of a surrogate pair is valid JSON (RFC 8259 section 8.2), but cannot be a `String`.
    let Ok(keys) = serde_json::from_slice::<Value>(keys) else {
        return;
    };
    let keys = keys["keys"].as_array().unwrap();
    let is_public =
        |key: &&Value| key["kty"].is_string() && key.get("d").is_none() && key["kty"] != "oct";
    let usable = keys.iter().filter(is_public).count();
    assert!((1..=usable).contains(&health.keys), "{health:?}");
}
