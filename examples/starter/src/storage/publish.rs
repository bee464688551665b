//! [`Publisher`]: keeps a copy of `/.well-known/jwks.json` in the storage.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::Request;
use axum::http::header::CACHE_CONTROL;
use object_store::path::Path;
use tower_jwt_auth::TokenIssuer;
use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::jwks::JwksService;
use tower_service::Service as _;

use super::{Storage, StorageSettings};
use crate::error::Error;

/// How often the keys are checked. A key ring checks its file as often.
const INTERVAL: Duration = Duration::from_secs(10);
/// The same type as at the route, because some clients refuse the type that RFC 7517 registers.
const JSON: &str = "application/json";

/// Writes the public keys to the storage.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    keys: JwksService,
    storage: Storage,
    path: Path,
}

/// The document to publish.
#[derive(PartialEq)]
struct Document {
    text: Bytes,
    cache_control: String,
}

// === impl Publisher ===

impl Publisher {
    /// Sets up publishing. Returns `None` if nothing should be published.
    pub(crate) async fn new(
        tokens: &TokenIssuer,
        storage: &Storage,
        settings: &StorageSettings,
    ) -> Result<Option<Self>, Error> {
        let Some(path) = &settings.publish_jwks else {
            return Ok(None);
        };
        let path = Path::parse(path.trim_start_matches('/'));
        let path = path.map_err(|error| format!("PUBLISH_JWKS: {error}"))?;
        if path.as_ref().is_empty() {
            return Err("PUBLISH_JWKS must be the path of a file".into());
        }
        let published = tokens.key_set().to_jwks();
        if published["keys"].as_array().is_none_or(Vec::is_empty) {
            return Err(
                "PUBLISH_JWKS: the key is a secret, which is never published; set \
                        JWT_KEY_RING_FILE and JWT_ROTATE_KEYS"
                    .into(),
            );
        }
        Ok(Some(Self {
            keys: JwksService::new(tokens),
            storage: storage.clone(),
            path,
        }))
    }

    /// Publishes the keys, and again whenever they change. Tries again after a failure, and never returns.
    pub(crate) async fn keep(&self) {
        let mut published = None;
        loop {
            let document = self.document().await;
            if document.is_some() && document != published {
                match self.put(document.as_ref()).await {
                    Ok(()) => {
                        tracing::info!(path = %self.path, "public keys published");
                        published = document;
                    }
                    Err(error) => {
                        tracing::warn!(path = %self.path, %error, "public keys not published; trying again");
                    }
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn put(&self, document: Option<&Document>) -> Result<(), Error> {
        let document = document.ok_or("there are no public keys")?;
        let (text, cache) = (document.text.clone(), document.cache_control.clone());
        Ok(self.storage.put(&self.path, text, JSON, cache).await?)
    }

    /// Returns the same bytes as the route.
    async fn document(&self) -> Option<Document> {
        let Ok(answer) = self.keys.clone().call(Request::new(())).await;
        let cache_control = answer
            .headers()
            .get(CACHE_CONTROL)?
            .to_str()
            .ok()?
            .to_owned();
        let text = to_bytes(Body::new(answer.into_body()), usize::MAX)
            .await
            .ok()?;
        Some(Document {
            text,
            cache_control,
        })
    }
}

/// Publishes the keys once, for commands that change them. Returns the path, or `None` if keys are not
/// published.
///
/// # Errors
///
/// Fails if the keys, the storage or the path are invalid, or if the storage is unavailable.
pub async fn publish_keys(
    config: &AuthConfig,
    settings: &StorageSettings,
) -> Result<Option<String>, Error> {
    if settings.publish_jwks.is_none() {
        return Ok(None);
    }
    let tokens = config.issuer_builder()?.build()?;
    let storage = Storage::open(settings)?;
    let Some(publisher) = Publisher::new(&tokens, &storage, settings).await? else {
        return Ok(None);
    };
    publisher.put(publisher.document().await.as_ref()).await?;
    Ok(Some(publisher.path.to_string()))
}
