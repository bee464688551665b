//! [`Discovery`]: finds the keys and endpoints of a provider by its metadata (OpenID Connect Discovery 1.0,
//! RFC 8414).

use http::{Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;

use super::address::{Address, AddressRules};
use super::client::DynHttpClient;
use super::exchange::{
    ACCEPT_DOCUMENT, FetchError, MAX_BYTES, OPEN_TO_ALL, exchange, request, shown,
};
use super::from_json;

/// Returns the URLs of an issuer's metadata, in the order in which they are tried.
///
/// OpenID Connect Discovery section 4 appends the well-known path to the issuer. RFC 8414 section 3.1 puts it
/// between host and path, which is the same for an issuer without a path.
fn metadata_addresses(issuer: &Address) -> Vec<Uri> {
    let uri = issuer.uri();
    let (scheme, authority) = (
        uri.scheme_str().unwrap_or("https"),
        uri.authority().map_or("", |authority| authority.as_str()),
    );
    let path = uri.path().trim_end_matches('/');
    let origin = format!("{scheme}://{authority}");
    let mut addresses = vec![
        format!("{origin}{path}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    addresses.dedup();
    if path.is_empty() {
        addresses.truncate(2);
    }
    addresses
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// The reason why a response does not give the URL.
#[derive(Debug)]
enum NotMetadata {
    /// The response is something else. The next URL may have the metadata.
    Unreadable(&'static str),
    /// The response is metadata, but must not be trusted.
    Refused(String),
}

/// The member of the metadata that is needed, with the texts of errors.
#[derive(Debug)]
pub(crate) struct Sought {
    /// The name of the member with the URL.
    member: &'static str,
    /// The error if a response does not have the member, and what to do.
    unreadable: &'static str,
    /// What to configure instead if there is no metadata.
    otherwise: &'static str,
    /// What to call if the URL has another origin.
    elsewhere: &'static str,
}

impl Sought {
    pub(super) const KEYS: Self = Self {
        member: "jwks_uri",
        unreadable: "the response is not the metadata of an issuer, which has the strings `issuer` and `jwks_uri`: is \
                     the issuer right? If it serves no metadata, give the URL of its keys to `RemoteJwks::builder_at`",
        otherwise: "give the URL of its keys to `RemoteJwks::builder_at`",
        elsewhere: "call `allow_keys_from(origin)` if that is where its keys are",
    };
    pub(crate) const INTROSPECTION: Self = Self {
        member: "introspection_endpoint",
        unreadable: "the response is not the metadata of an issuer, or lacks the string `introspection_endpoint`: is \
                     the issuer right, and does its server offer introspection? If it serves no metadata, give \
                     the URL of the endpoint to `Introspection::builder_at`",
        otherwise: "give the URL of the endpoint to `Introspection::builder_at`",
        elsewhere: "call `allow_endpoint_at(origin)` if that is where the endpoint is",
    };
}

/// An issuer, and the member of its metadata that is needed.
#[derive(Debug)]
pub(crate) struct Discovery {
    issuer: String,
    home: Address,
    /// Other origins that the URL may have.
    elsewhere: Vec<Address>,
    rules: AddressRules,
    sought: &'static Sought,
}

// === impl Discovery ===

impl Discovery {
    /// Checks the URLs.
    ///
    /// # Errors
    ///
    /// Says which one is wrong, why, and what to do.
    pub(crate) fn new(
        issuer: String,
        elsewhere: &[String],
        rules: AddressRules,
        sought: &'static Sought,
    ) -> Result<Self, String> {
        if issuer.contains('?') {
            return Err(format!(
                "`{}` has a query, which an issuer never has (RFC 8414 section 2): remove the `?` and \
                 what follows it",
                shown(&issuer, 256)
            ));
        }
        let elsewhere = elsewhere.iter().map(|text| Address::parse(text, &rules));
        Ok(Self {
            elsewhere: elsewhere.collect::<Result<_, _>>()?,
            home: Address::parse(&issuer, &rules)?,
            issuer,
            rules,
            sought,
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Fetches the metadata, and returns the URL that it names.
    pub(crate) async fn find(&self, client: &dyn DynHttpClient) -> Result<Address, FetchError> {
        let mut failed = None;
        for uri in metadata_addresses(&self.home) {
            let request = request(Method::GET, &uri, ACCEPT_DOCUMENT);
            let response = match exchange(client, request, MAX_BYTES).await {
                Ok(response) => response,
                // There was no answer, and the next URL is on the same host.
                Err(error) => return Err(failed.unwrap_or(error)),
            };
            if response.status() != StatusCode::OK {
                failed.get_or_insert(FetchError::status(&response, &uri, OPEN_TO_ALL));
                continue;
            }
            match self.read(response.body()) {
                Ok(address) => return Ok(address),
                // Some servers answer every path with an HTML page.
                Err(NotMetadata::Unreadable(what)) => {
                    failed.get_or_insert(FetchError::answer(what, &uri));
                }
                Err(NotMetadata::Refused(what)) => return Err(FetchError::answer(&what, &uri)),
            }
        }
        Err(failed.map_or_else(
            || FetchError::answer("there is no metadata", self.home.uri()),
            |error| error.of_metadata(self.sought.otherwise),
        ))
    }

    /// Reads a metadata document.
    ///
    /// # Errors
    ///
    /// Fails if it is not metadata, if it belongs to another issuer (RFC 8414 section 3.3), or if the URL is
    /// not allowed.
    fn read(&self, body: &[u8]) -> Result<Address, NotMetadata> {
        /// A duplicate of any of these members is an error, even if another one is needed.
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
            jwks_uri: Option<Value>,
            introspection_endpoint: Option<Value>,
        }
        let Sought {
            member,
            unreadable,
            elsewhere,
            ..
        } = self.sought;
        let metadata: Metadata = from_json(body).ok_or_else(|| {
            let start = String::from_utf8_lossy(&body[..body.len().min(64)]);
            NotMetadata::Unreadable(if start.trim_start().starts_with('<') {
                "the response is a page of HTML instead of the issuer's metadata: is the issuer right, and does \
                 its server serve metadata at this URL?"
            } else {
                unreadable
            })
        })?;
        let found = match *member {
            "jwks_uri" => &metadata.jwks_uri,
            _ => &metadata.introspection_endpoint,
        };
        let Some(text) = found.as_ref().and_then(Value::as_str) else {
            return Err(NotMetadata::Unreadable(unreadable));
        };
        if metadata.issuer != self.issuer {
            let bare = |issuer: &str| issuer.trim_end_matches('/').to_owned();
            let cure = if bare(&metadata.issuer) == bare(&self.issuer) {
                "only the slash at the end differs, so configure it exactly as the metadata has it"
            } else {
                "the two must be equal, byte for byte"
            };
            return Err(NotMetadata::Refused(format!(
                "the metadata is of another issuer: expected `{}`, but it says `{}`: {cure}",
                self.issuer,
                shown(&metadata.issuer, 256)
            )));
        }
        let address = Address::parse(text, &self.rules).map_err(|reason| {
            NotMetadata::Refused(format!("the `{member}` of the metadata, {reason}"))
        })?;
        let mut origins = self.elsewhere.iter();
        if !address.has_origin_of(&self.home) && !origins.any(|one| address.has_origin_of(one)) {
            return Err(NotMetadata::Refused(format!(
                "the metadata's `{member}` is `{}`, which has another origin than the issuer: {elsewhere}",
                shown(text, 256)
            )));
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text, &AddressRules::default()).unwrap()
    }

    #[test]
    fn metadata_is_fetched_from_the_urls_of_the_standards() {
        let of = |issuer| -> Vec<String> {
            let addresses = metadata_addresses(&address(issuer));
            addresses.iter().map(Uri::to_string).collect()
        };
        for issuer in ["https://idp.example", "https://idp.example/"] {
            assert_eq!(
                of(issuer),
                [
                    "https://idp.example/.well-known/openid-configuration",
                    "https://idp.example/.well-known/oauth-authorization-server",
                ]
            );
        }
        assert_eq!(
            of("https://idp.example/realms/one"),
            [
                "https://idp.example/realms/one/.well-known/openid-configuration",
                "https://idp.example/.well-known/oauth-authorization-server/realms/one",
                "https://idp.example/.well-known/openid-configuration/realms/one",
            ]
        );
    }

    #[test]
    fn metadata_is_accepted_only_for_its_issuer_and_its_origin() {
        let issuer = "https://idp.example/";
        let elsewhere = ["https://keys.example".to_owned()];
        let rules = AddressRules::default();
        let discovery =
            Discovery::new(issuer.to_owned(), &elsewhere, rules, &Sought::KEYS).unwrap();
        let read = |body: &str| {
            let keys = discovery.read(body.as_bytes());
            keys.map(|keys| keys.uri().to_string())
        };
        let document = |issuer: &str, keys: &str| {
            format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}","more":[1]}}"#)
        };
        assert_eq!(
            read(&document(issuer, "https://idp.example/jwks")).unwrap(),
            "https://idp.example/jwks"
        );
        assert!(read(&document(issuer, "https://keys.example/k")).is_ok());
        for other in [
            "https://idp.example",
            "https://IDP.example/",
            "https://idp.example//",
            "",
        ] {
            assert!(
                read(&document(other, "https://idp.example/jwks")).is_err(),
                "{other}"
            );
        }
        let slash = read(&document("https://idp.example", "https://idp.example/jwks"));
        let Err(NotMetadata::Refused(told)) = slash else {
            panic!("the metadata of another issuer");
        };
        assert!(
            told.contains(
                "expected `https://idp.example/`, but it says `https://idp.example`: only the slash"
            ),
            "{told}"
        );
        for keys in [
            "https://evil.example/jwks",
            "http://idp.example/jwks",
            "https://10.0.0.1/jwks",
            "/jwks",
            "https://idp.example:444/jwks",
            "https://idp.example@evil.example/jwks",
            "",
        ] {
            assert!(read(&document(issuer, keys)).is_err(), "{keys}");
        }
        for broken in ["", "[]", "{}", "null", r#"{"issuer":5,"jwks_uri":"x"}"#] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }
}
