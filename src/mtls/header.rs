//! [`ProxyHeader`]: the headers in which proxies pass on the certificate of a client.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};

use super::certificate::ClientCertificate;
use crate::error::ConfigError;
use crate::keys::Thumbprint;
use crate::origin::shown;

/// The header in which a proxy passes on the certificate of a client, for
/// [`ClientCertificates::from_header`](super::ClientCertificates::from_header).
///
/// If the header is missing, occurs twice or cannot be read, the request counts as one without a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyHeader {
    name: HeaderName,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// PEM with percent escapes.
    EscapedPem,
    Xfcc,
}

// === impl ProxyHeader ===

impl ProxyHeader {
    /// Reads the header of this name, with the certificate as PEM with percent escapes: for nginx with
    /// `proxy_set_header X-Client-Cert $ssl_client_escaped_cert;`.
    ///
    /// # Errors
    ///
    /// Fails if `name` is not a header name.
    pub fn escaped_pem(name: impl AsRef<str>) -> Result<Self, ConfigError> {
        let name = name.as_ref();
        match name.parse::<HeaderName>() {
            Ok(name) => Ok(Self {
                name,
                form: Form::EscapedPem,
            }),
            Err(_) => Err(ConfigError::invalid(format!(
                "`{}` is not a header name: write one such as `X-Client-Cert`",
                shown(name)
            ))),
        }
    }

    /// Reads `X-Forwarded-Client-Cert` of Envoy: its `Hash` or its `Cert`. If it has both, they must be of the
    /// same certificate.
    ///
    /// The header must have exactly one element. Configure the proxy to replace the header of the client:
    /// `forward_client_cert_details: SANITIZE_SET`.
    #[must_use]
    pub const fn envoy() -> Self {
        Self {
            name: HeaderName::from_static("x-forwarded-client-cert"),
            form: Form::Xfcc,
        }
    }

    /// Reads `X-Amzn-Mtls-Clientcert-Leaf` of an AWS load balancer in the mode `verify`.
    #[must_use]
    pub const fn aws_verify() -> Self {
        Self {
            name: HeaderName::from_static("x-amzn-mtls-clientcert-leaf"),
            form: Form::EscapedPem,
        }
    }

    /// Reads `X-Amzn-Mtls-Clientcert` of an AWS load balancer in the mode `passthrough`, which does not check
    /// who has signed the certificate. The first certificate of the chain is used.
    #[must_use]
    pub const fn aws_passthrough() -> Self {
        Self {
            name: HeaderName::from_static("x-amzn-mtls-clientcert"),
            form: Form::EscapedPem,
        }
    }

    pub(super) fn read(&self, headers: &HeaderMap) -> Option<ClientCertificate> {
        let mut values = headers.get_all(&self.name).iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            return None;
        }
        match self.form {
            Form::EscapedPem => from_escaped_pem(value),
            Form::Xfcc => from_xfcc(value),
        }
    }
}

fn from_escaped_pem(text: &str) -> Option<ClientCertificate> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = unescaped(text)?;
    let (before, rest) = text.split_once(BEGIN)?;
    let (base64, _) = rest.split_once(END)?;
    if !before.trim().is_empty() {
        return None;
    }
    let base64: String = base64.split_ascii_whitespace().collect();
    ClientCertificate::from_der(STANDARD.decode(base64).ok()?)
}

/// Replaces percent escapes such as `%2B`. A `+` stays as it is.
fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Reads one element, which has pairs such as `Hash=..;Cert="..";Subject=".."`.
fn from_xfcc(text: &str) -> Option<ClientCertificate> {
    let (mut hash, mut certificate) = (None, None);
    for pair in pairs(text)? {
        let (name, value) = pair.split_once('=')?;
        let place = if name.trim().eq_ignore_ascii_case("hash") {
            &mut hash
        } else if name.trim().eq_ignore_ascii_case("cert") {
            &mut certificate
        } else {
            continue;
        };
        let quoted = value.strip_prefix('"');
        let value = quoted.map_or(Some(value), |value| value.strip_suffix('"'))?;
        if place.replace(value).is_some() {
            return None;
        }
    }
    let by_hash = hash.map(from_hex);
    let by_certificate = certificate.map(from_escaped_pem);
    match (by_hash, by_certificate) {
        (Some(one), Some(other)) if one != other => None,
        (Some(found), _) | (None, Some(found)) => found,
        (None, None) => None,
    }
}

/// Splits an element at the semicolons outside of quotes. Returns `None` if there is another element, or a
/// quote that is not closed.
fn pairs(text: &str) -> Option<Vec<&str>> {
    let (mut pairs, mut start, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return None,
            b';' if !is_quoted => {
                pairs.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    pairs.push(text.get(start..)?);
    pairs.retain(|pair| !pair.trim().is_empty());
    (!is_quoted).then_some(pairs)
}

fn from_hex(text: &str) -> Option<ClientCertificate> {
    let mut thumbprint = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, digits) in thumbprint.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(ClientCertificate {
        thumbprint: Thumbprint(thumbprint),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{ClientCertificate, ProxyHeader};

    const HEX: &str = "bff88b5f4aaf2a2cb8af7ed7fdd9b6dd5c4a9dfd25bb4c1d63ef60f2dc3c4d21";

    fn read(header: &ProxyHeader, values: &[&str]) -> Option<ClientCertificate> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header.name.clone(), value.parse().unwrap());
        }
        header.read(&headers)
    }

    /// A certificate whose bytes need `+` and `/` in base64.
    fn expected() -> Option<ClientCertificate> {
        ClientCertificate::from_der([0xfb; 100])
    }

    fn base64() -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode([0xfb; 100])
    }

    #[test]
    fn pem_is_read_with_the_escapes_of_each_proxy() {
        let header = ProxyHeader::escaped_pem("X-Client-Cert").unwrap();
        let base64 = base64();
        let nginx = format!(
            "-----BEGIN%20CERTIFICATE-----%0A{}%0A-----END%20CERTIFICATE-----%0A",
            base64
                .replace('+', "%2B")
                .replace('/', "%2F")
                .replace('=', "%3D")
        );
        let (one, other) = base64.split_at(64);
        let aws = format!(
            "-----BEGIN%20CERTIFICATE-----%0A{one}%0A{other}%0A-----END%20CERTIFICATE-----%0A\
             -----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----%0A"
        );
        assert_eq!(read(&header, &[&nginx]), expected());
        assert_eq!(read(&ProxyHeader::aws_passthrough(), &[&aws]), expected());
        assert_eq!(read(&ProxyHeader::aws_verify(), &[&nginx]), expected());
        for bad in [
            "",
            "%",
            "%2",
            "%zz",
            "%ff",
            "(null)",
            &base64,
            "-----BEGIN%20CERTIFICATE-----%0A-----END%20CERTIFICATE-----",
            "-----BEGIN%20CERTIFICATE-----%0A!!!!%0A-----END%20CERTIFICATE-----",
            &nginx[..nginx.len() - 10],
            &format!("x{nginx}"),
            &nginx.replace("CERTIFICATE", "PRIVATE%20KEY"),
        ] {
            assert_eq!(read(&header, &[bad]), None, "{bad}");
        }
        assert_eq!(read(&header, &[]), None);
        assert_eq!(read(&header, &[&nginx, &nginx]), None);
        assert!(ProxyHeader::escaped_pem("no header").is_err());
    }

    #[test]
    fn envoys_header_is_read_if_it_has_one_element() {
        let header = ProxyHeader::envoy();
        let found = |text: &str| read(&header, &[text]).map(|found| found.thumbprint());
        let thumbprint = found(&format!("Hash={HEX}")).unwrap();
        assert_eq!(thumbprint.len(), 43);
        for good in [
            format!(
                "By=http://frontend.lyft.com;Hash={HEX};Subject=\"/C=US/CN=a, \\\"b\\\"; c\";URI="
            ),
            format!("hash=\"{}\";", HEX.to_uppercase()),
        ] {
            assert_eq!(found(&good).as_ref(), Some(&thumbprint), "{good}");
        }
        let pem = format!(
            "Cert=\"-----BEGIN%20CERTIFICATE-----%0A{}%0A-----END%20CERTIFICATE-----%0A\";DNS=x",
            base64().replace('=', "%3D")
        );
        assert_eq!(read(&header, &[&pem]), expected());
        for bad in [
            String::new(),
            "By=x".into(),
            "Hash=".into(),
            format!("Hash={}", &HEX[1..]),
            format!("Hash={HEX}0"),
            format!("Hash={HEX};Hash={HEX}"),
            format!("Hash={HEX},Hash={HEX}"),
            format!("By=a,Hash={HEX}"),
            format!("Hash={HEX};{pem}"),
            format!("Subject=\"x;Hash={HEX}"),
            format!("Subject=\"Hash={HEX}\""),
            HEX.into(),
        ] {
            assert_eq!(found(&bad), None, "{bad}");
        }
    }
}
