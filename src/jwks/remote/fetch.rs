//! [`Fetcher`]: one attempt, from nothing to keys, within the limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use tokio::time::{Instant, timeout};

use super::address::{Address, AddressRules};
use super::client::{BoxError, DynHttpClient};
use super::discovery::{NotMetadata, keys_address, metadata_addresses, shown};
use super::document::{KeyRules, RemoteKeys};

/// The longest document that is read. The largest that providers serve have some 20 KiB.
const MAX_BYTES: usize = 512 * 1024;
/// How long a request may take, the connection included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an address of the keys is believed before the metadata is read again.
const METADATA_TTL: Duration = Duration::from_secs(3600);

/// Where keys come from, and how they are fetched.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) client: Arc<dyn DynHttpClient>,
    pub(super) origin: Origin,
    pub(super) addresses: AddressRules,
    pub(super) keys: KeyRules,
}

/// What was configured.
#[derive(Debug)]
pub(super) enum Origin {
    /// The metadata of an issuer says where.
    Issuer {
        issuer: String,
        home: Address,
        /// Other origins that its keys may have.
        elsewhere: Vec<Address>,
    },
    /// Here.
    Keys(Address),
}

/// What one attempt leaves for the next.
#[derive(Debug, Default, Clone)]
pub(super) struct Memory {
    /// Where the metadata said that the keys are, and when.
    found: Option<(Address, Instant)>,
    /// The version of the keys, and where it was.
    tag: Option<(Uri, HeaderValue)>,
}

/// What a good attempt brought.
pub(super) struct Fetched {
    /// None where they are the same as before.
    pub(super) keys: Option<RemoteKeys>,
    pub(super) max_age: Option<Duration>,
    pub(super) memory: Memory,
}

/// Why an attempt failed: for logs and health pages, with no secret in it.
#[derive(Debug)]
pub(super) struct FetchError {
    what: String,
    source: Option<BoxError>,
}

// === impl Fetcher ===

impl Fetcher {
    /// Fetches the keys; `known` are those of before.
    pub(super) async fn fetch(
        &self,
        known: &RemoteKeys,
        memory: Memory,
        now: Instant,
    ) -> Result<Fetched, FetchError> {
        let mut memory = memory;
        let address = match &self.origin {
            Origin::Keys(address) => address.clone(),
            Origin::Issuer { .. } => self.keys_address(&mut memory, now).await?,
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
                Some(read.map_err(|what| FetchError::new(&what, address.uri()))?)
            }
            StatusCode::NOT_MODIFIED if conditional => None,
            _ => return Err(FetchError::status(&response, address.uri())),
        };
        Ok(Fetched {
            keys,
            max_age,
            memory,
        })
    }

    /// Where the issuer's keys are, by its metadata.
    async fn keys_address(&self, memory: &mut Memory, now: Instant) -> Result<Address, FetchError> {
        let Origin::Issuer {
            issuer,
            home,
            elsewhere,
        } = &self.origin
        else {
            return Err(FetchError::new("there is no issuer", &Uri::default()));
        };
        if let Some((address, at)) = &memory.found
            && now.saturating_duration_since(*at) < METADATA_TTL
        {
            return Ok(address.clone());
        }
        let mut failed = None;
        for uri in metadata_addresses(home) {
            let response = match self.get(&uri, None).await {
                Ok(response) => response,
                // Nobody answers: the next address is on the same host.
                Err(error) => return Err(failed.unwrap_or(error)),
            };
            if response.status() != StatusCode::OK {
                failed.get_or_insert(FetchError::status(&response, &uri));
                continue;
            }
            let found = keys_address(response.body(), issuer, home, elsewhere, self.addresses);
            let address = match found {
                Ok(address) => address,
                // Some servers answer every path with a page.
                Err(NotMetadata::Unreadable(what)) => {
                    failed.get_or_insert(FetchError::new(what, &uri));
                    continue;
                }
                Err(NotMetadata::Refused(what)) => return Err(FetchError::new(&what, &uri)),
            };
            memory.found = Some((address.clone(), now));
            return Ok(address);
        }
        Err(failed.map_or_else(
            || FetchError::new("there is no metadata", home.uri()),
            FetchError::of_metadata,
        ))
    }

    async fn get(
        &self,
        uri: &Uri,
        tag: Option<HeaderValue>,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        const AGENT: &str = concat!("tower-jwt-auth/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::new(());
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, application/jwk-set+json"),
        );
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(tag) = tag {
            headers.insert(IF_NONE_MATCH, tag);
        }
        match timeout(REQUEST_TIMEOUT, self.client.get(request, MAX_BYTES)).await {
            Ok(Ok(response)) if response.body().len() > MAX_BYTES => {
                Err(FetchError::new("the answer is too long", uri))
            }
            Ok(Ok(response)) => Ok(response),
            Ok(Err(source)) => {
                let error = FetchError::new("there was no answer", uri);
                Err(error.with_source(source))
            }
            Err(_) => Err(FetchError::new("there was no answer within 5 seconds", uri)),
        }
    }
}

/// For how long an answer counts as new (RFC 9111 sections 4.2.1 and 4.2.3), if it says.
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
            // A number that is too large is as large as can be (RFC 9111 section 1.2.2).
            seconds = is_number.then(|| value.parse().unwrap_or(u64::MAX));
        }
    }
    let age = headers
        .get(AGE)
        .and_then(|age| age.to_str().ok()?.trim().parse().ok())
        .unwrap_or(0);
    seconds.map(|seconds| Duration::from_secs(seconds.saturating_sub(age)))
}

// === impl FetchError ===

impl FetchError {
    fn new(what: &str, uri: &Uri) -> Self {
        // A query may hold what should not be in a log.
        let (host, path) = (uri.authority().map_or("", |a| a.as_str()), uri.path());
        Self {
            what: format!("{what} ({host}{path})"),
            source: None,
        }
    }

    fn status(response: &Response<Vec<u8>>, uri: &Uri) -> Self {
        let status = response.status();
        let location = response.headers().get(LOCATION);
        let more = match location.and_then(|location| location.to_str().ok()) {
            Some(location) if status.is_redirection() => format!(
                ", a redirect to `{}`, and redirects are not followed: configure the final address",
                shown(location.split('?').next().unwrap_or_default(), 256)
            ),
            _ if status == StatusCode::NOT_MODIFIED => {
                ", though nothing was asked that could be unchanged".to_owned()
            }
            _ if status.is_redirection() => ", and redirects are not followed".to_owned(),
            _ if matches!(status.as_u16(), 401 | 403) => {
                ": keys and metadata must be readable without credentials".to_owned()
            }
            _ => String::new(),
        };
        Self::new(&format!("the answer was {}{more}", status.as_u16()), uri)
    }

    /// Nothing at the places where metadata can be.
    fn of_metadata(self) -> Self {
        Self {
            what: format!(
                "the issuer's metadata was not found: {}; check the issuer, or give the address of its keys to \
                 `RemoteJwks::builder_at`",
                self.what
            ),
            source: self.source,
        }
    }

    fn with_source(mut self, source: BoxError) -> Self {
        self.source = Some(source);
        self
    }

    /// The error and what caused it, in one line.
    pub(super) fn chain(&self) -> String {
        use std::error::Error as _;

        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            source = error.source();
        }
        text
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(&**source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_read_as_http_caching_has_it() {
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
