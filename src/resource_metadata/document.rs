//! [`ResourceMetadata`]: the document and its URL.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::ResourceMetadataBuilder;
use crate::names::Names;
use crate::verifier::TokenVerifier;

/// The path at which the metadata of a resource is served: `/.well-known/oauth-protected-resource` (RFC 9728
/// section 3). The path of the resource itself follows it.
pub const WELL_KNOWN_PATH: &str = "/.well-known/oauth-protected-resource";
/// The default time for which clients may cache the document: 300 seconds.
pub const DEFAULT_METADATA_MAX_AGE: Duration = Duration::from_secs(300);

/// The metadata of a protected resource (RFC 9728), as a document and as the service that serves it.
///
/// It is a tower service for requests with any body: pass a clone to axum's `route_service`, with
/// [`path`](Self::path) as the path. It answers GET and HEAD with `Cache-Control` and an `ETag`, OPTIONS with
/// 204, and any other method with 405. Pages of every origin may read it without credentials
/// (`Access-Control-Allow-Origin: *`), and their preflight requests are answered, because clients in a browser
/// need both.
///
/// The document is public, so it belongs on a route that no [`JwtAuthLayer`](crate::JwtAuthLayer) protects.
/// The module has [an example](super).
#[derive(Debug, Clone)]
pub struct ResourceMetadata {
    pub(super) document: Arc<Document>,
}

#[derive(Debug)]
pub(super) struct Document {
    pub(super) resource: String,
    pub(super) path: String,
    pub(super) url: String,
    pub(super) text: String,
    pub(super) etag: Option<HeaderValue>,
    pub(super) cache_control: HeaderValue,
}

/// The URL of a resource's metadata, for
/// [`JwtAuthLayer::resource_metadata`](crate::JwtAuthLayer::resource_metadata). Convert it from a
/// [`ResourceMetadata`], or from the URL at which another service serves the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceMetadataUrl(Box<str>);

// === impl ResourceMetadata ===

impl ResourceMetadata {
    /// Returns the builder of the metadata of a resource whose tokens this verifier accepts.
    ///
    /// `resource` is the resource identifier: the URL that clients are configured with, and for which they
    /// request a token from the authorization server (RFC 8707). It is compared byte by byte:
    /// `https://api.example/mcp/` with a slash is another resource.
    ///
    /// The document names the issuers of the verifier as its `authorization_servers`, in their order, so that
    /// no client is sent to a server whose tokens are refused. Many clients use only the first one.
    pub fn builder(
        resource: impl Into<String>,
        verifier: &TokenVerifier,
    ) -> ResourceMetadataBuilder {
        let issuers = verifier.issuers().into_iter().map(str::to_owned);
        ResourceMetadataBuilder::new(resource.into(), issuers.collect())
    }

    /// Returns the builder of the metadata of a resource whose tokens are not verified by a
    /// [`TokenVerifier`], such as opaque tokens with [introspection](crate::credential). `issuers` are the
    /// issuer identifiers of its authorization servers.
    ///
    /// ```
    /// use tower_jwt_auth::resource_metadata::ResourceMetadata;
    ///
    /// let metadata =
    ///     ResourceMetadata::builder_with_servers("https://api.example", ["https://idp.example"]).build()?;
    /// assert!(metadata.json().contains(r#""authorization_servers":["https://idp.example"]"#));
    /// # Ok::<(), tower_jwt_auth::ConfigError>(())
    /// ```
    pub fn builder_with_servers(
        resource: impl Into<String>,
        issuers: impl Names,
    ) -> ResourceMetadataBuilder {
        ResourceMetadataBuilder::new(resource.into(), Vec::new()).authorization_servers(issuers)
    }

    /// Returns the identifier of the resource, which is the audience of its tokens at authorization
    /// servers that follow RFC 8707.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.document.resource
    }

    /// Returns the path of the document, for a router: the well-known path, then the path of the
    /// resource (RFC 9728 section 3.1).
    ///
    /// If a proxy removes a prefix from the path, the service sees a shorter path: use that one for the
    /// route.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.document.path
    }

    /// Returns the URL of the document, which the challenges name.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.document.url
    }

    /// Returns the document, which is a JSON object.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.document.text
    }
}

// === impl ResourceMetadataUrl ===

impl ResourceMetadataUrl {
    pub(crate) fn into_text(self) -> Box<str> {
        self.0
    }
}

impl From<&ResourceMetadata> for ResourceMetadataUrl {
    fn from(metadata: &ResourceMetadata) -> Self {
        Self(metadata.url().into())
    }
}

impl From<ResourceMetadata> for ResourceMetadataUrl {
    fn from(metadata: ResourceMetadata) -> Self {
        Self::from(&metadata)
    }
}

impl From<&str> for ResourceMetadataUrl {
    fn from(url: &str) -> Self {
        Self(url.into())
    }
}

impl From<String> for ResourceMetadataUrl {
    fn from(url: String) -> Self {
        Self(url.into())
    }
}
