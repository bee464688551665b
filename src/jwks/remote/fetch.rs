//! [`Fetcher`]: fetches the keys once, with limits.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use tokio::time::Instant;

use super::address::Address;
use super::client::DynHttpClient;
use super::discovery::Discovery;
use super::document::{KeyRules, RemoteKeys};
use super::exchange::{ACCEPT_DOCUMENT, FetchError, MAX_BYTES, OPEN_TO_ALL, exchange, request};

/// The time for which the URL of the keys is cached before the metadata is fetched again.
const METADATA_TTL: Duration = Duration::from_secs(3600);

/// Where the keys are, and how they are fetched.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) client: Arc<dyn DynHttpClient>,
    pub(super) origin: Origin,
    pub(super) keys: KeyRules,
}

/// The configured source of the keys.
#[derive(Debug)]
pub(super) enum Origin {
    /// The metadata of an issuer, which names the URL of the keys.
    Issuer(Discovery),
    /// The URL of the keys.
    Keys(Address),
}

/// What one attempt keeps for the next one.
#[derive(Debug, Default, Clone)]
pub(super) struct Memory {
    /// The URL of the keys according to the metadata, and when that was fetched.
    found: Option<(Address, Instant)>,
    /// The `ETag` of the keys, and their URL.
    tag: Option<(Uri, HeaderValue)>,
}

/// The result of a successful attempt.
pub(super) struct Fetched {
    /// The new keys, or `None` if they have not changed.
    pub(super) keys: Option<RemoteKeys>,
    pub(super) max_age: Option<Duration>,
    pub(super) memory: Memory,
}

// === impl Fetcher ===

impl Fetcher {
    /// Fetches the keys. `known` are the current ones.
    pub(super) async fn fetch(
        &self,
        known: &RemoteKeys,
        memory: Memory,
        now: Instant,
    ) -> Result<Fetched, FetchError> {
        let mut memory = memory;
        let address = match &self.origin {
            Origin::Keys(address) => address.clone(),
            Origin::Issuer(discovery) => self.keys_address(discovery, &mut memory, now).await?,
        };
        let tag = memory
            .tag
            .as_ref()
            .filter(|(uri, _)| uri == address.uri() && known.len() > 0)
            .map(|(_, tag)| tag.clone());
        let conditional = tag.is_some();
        let response = self.get(address.uri(), tag).await?;
        let max_age = max_age(response.headers());
        let keys = match response.status() {
            StatusCode::OK => {
                memory.tag = response
                    .headers()
                    .get(ETAG)
                    .map(|tag| (address.uri().clone(), tag.clone()));
                let read = RemoteKeys::read(response.body(), &self.keys, known);
                Some(read.map_err(|what| FetchError::answer(&what, address.uri()))?)
            }
            StatusCode::NOT_MODIFIED if conditional => None,
            _ => return Err(FetchError::status(&response, address.uri(), OPEN_TO_ALL)),
        };
        Ok(Fetched {
            keys,
            max_age,
            memory,
        })
    }

    /// Returns the URL of the issuer's keys, from its metadata.
    async fn keys_address(
        &self,
        discovery: &Discovery,
        memory: &mut Memory,
        now: Instant,
    ) -> Result<Address, FetchError> {
        if let Some((address, at)) = &memory.found
            && now.saturating_duration_since(*at) < METADATA_TTL
        {
            return Ok(address.clone());
        }
        let address = discovery.find(&*self.client).await?;
        memory.found = Some((address.clone(), now));
        Ok(address)
    }

    async fn get(
        &self,
        uri: &Uri,
        tag: Option<HeaderValue>,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let mut request = request(Method::GET, uri, ACCEPT_DOCUMENT);
        if let Some(tag) = tag {
            request.headers_mut().insert(IF_NONE_MATCH, tag);
        }
        exchange(&*self.client, request, MAX_BYTES).await
    }
}

/// Returns how long an answer stays fresh (RFC 9111 sections 4.2.1 and 4.2.3), or `None` if it does not say.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let directives = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let mut seconds: Option<u64> = None;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if name.eq_ignore_ascii_case("max-age") {
            let value = value.trim().trim_matches('"');
            let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            // A number that is too large counts as the largest one (RFC 9111 section 1.2.2).
            seconds = is_number.then(|| value.parse().unwrap_or(u64::MAX));
        }
    }
    let age = headers
        .get(AGE)
        .and_then(|age| age.to_str().ok()?.trim().parse().ok())
        .unwrap_or(0);
    seconds.map(|seconds| Duration::from_secs(seconds.saturating_sub(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_read_as_in_http_caching() {
        let of = |values: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in values {
                headers.append(*name, HeaderValue::from_static(value));
            }
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("cache-control", "public, max-age=300")]), Some(300));
        assert_eq!(of(&[("cache-control", "MAX-AGE=\"7\", public")]), Some(7));
        assert_eq!(
            of(&[("cache-control", "public"), ("cache-control", "max-age=5")]),
            Some(5)
        );
        assert_eq!(
            of(&[("cache-control", "max-age=300"), ("age", "100")]),
            Some(200)
        );
        assert_eq!(
            of(&[("cache-control", "max-age=300"), ("age", "400")]),
            Some(0)
        );
        for none in ["no-store", "no-cache, max-age=300", "max-age=300, No-Store"] {
            assert_eq!(of(&[("cache-control", none)]), Some(0), "{none}");
        }
        assert_eq!(
            of(&[("cache-control", "max-age=99999999999999999999999")]),
            Some(u64::MAX)
        );
        for broken in [
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1.5",
            "max-age=x",
            "s-maxage=9",
        ] {
            assert_eq!(of(&[("cache-control", broken)]), None, "{broken}");
        }
    }
}
