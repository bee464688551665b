//! Where a provider says that its keys are: OpenID Connect Discovery 1.0, RFC 8414.

use http::Uri;
use serde::Deserialize;

use super::address::{Address, AddressRules};

/// The addresses of an issuer's metadata, in the order in which they are tried.
///
/// OpenID Connect Discovery section 4 appends the well-known path to the issuer; RFC 8414 section
/// 3.1 puts it between host and path, which for an issuer without a path is the same place.
pub(super) fn metadata_addresses(issuer: &Address) -> Vec<Uri> {
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

/// Why an answer tells no address.
#[derive(Debug)]
pub(super) enum NotMetadata {
    /// It is something else; the next place may have it.
    Unreadable(&'static str),
    /// It is what was sought, and not to be believed.
    Refused(String),
}

/// A text of the provider's as it may stand in a log.
pub(super) fn shown(text: &str, most: usize) -> String {
    text.chars()
        .take(most)
        .flat_map(char::escape_default)
        .take(most)
        .collect()
}

/// Reads a metadata document, and gives the address of the keys.
///
/// # Errors
///
/// It is none, it is another issuer's (RFC 8414 section 3.3), or its keys are where they may not be.
pub(super) fn keys_address(
    body: &[u8],
    issuer: &str,
    home: &Address,
    elsewhere: &[Address],
    rules: AddressRules,
) -> Result<Address, NotMetadata> {
    #[derive(Deserialize)]
    struct Metadata {
        issuer: String,
        jwks_uri: String,
    }
    let metadata: Metadata = serde_json::from_slice(body).map_err(|_| {
        let start = String::from_utf8_lossy(&body[..body.len().min(64)]);
        NotMetadata::Unreadable(if start.trim_start().starts_with('<') {
            "the answer is a page of HTML instead of the issuer's metadata: is the issuer right, and does \
             its server serve metadata at this address?"
        } else {
            "the answer is not the metadata of an issuer, which has the texts `issuer` and `jwks_uri`: is \
             the issuer right? If it serves no metadata, give the address of its keys to `RemoteJwks::builder_at`"
        })
    })?;
    if metadata.issuer != issuer {
        let bare = |issuer: &str| issuer.trim_end_matches('/').to_owned();
        let cure = if bare(&metadata.issuer) == bare(issuer) {
            "only the slash at the end differs, so configure it exactly as the metadata has it"
        } else {
            "the two must be equal, byte for byte"
        };
        return Err(NotMetadata::Refused(format!(
            "the metadata is of another issuer: expected `{issuer}`, but it says `{}`: {cure}",
            shown(&metadata.issuer, 256)
        )));
    }
    let keys = Address::parse(&metadata.jwks_uri, rules).map_err(|reason| {
        NotMetadata::Refused(format!("the `jwks_uri` of the metadata, {reason}"))
    })?;
    let allowed = keys.has_origin_of(home) || elsewhere.iter().any(|one| keys.has_origin_of(one));
    if !allowed {
        return Err(NotMetadata::Refused(format!(
            "the metadata's `jwks_uri` is `{}`, which has another origin than the issuer: call \
             `allow_keys_from(origin)` if that is where its keys are",
            shown(&metadata.jwks_uri, 256)
        )));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text, AddressRules::default()).unwrap()
    }

    #[test]
    fn metadata_is_sought_where_the_standards_say() {
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
    fn metadata_counts_for_its_own_issuer_only_and_keys_stay_at_home() {
        let issuer = "https://idp.example/";
        let elsewhere = [address("https://keys.example")];
        let read = |body: &str| {
            let home = address(issuer);
            keys_address(
                body.as_bytes(),
                issuer,
                &home,
                &elsewhere,
                AddressRules::default(),
            )
            .map(|keys| keys.uri().to_string())
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
