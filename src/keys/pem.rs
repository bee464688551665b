//! Says what is wrong with a text that should be a key in PEM (RFC 7468), and how to fix it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::algorithm::Family;
use super::jwk::shown;
use crate::error::ConfigError;
use crate::keys::Algorithm;

/// Which half of a key pair is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Private,
    Public,
}

const BEGIN: &str = "-----BEGIN ";

/// Removes a byte order mark, which the parser would refuse.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Refuses a text that is clearly not the expected key.
///
/// # Errors
///
/// Says what the text is instead, and what to do.
pub(super) fn check(algorithm: Algorithm, text: &[u8], half: Half) -> Result<(), ConfigError> {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    if algorithm.family() == Family::Hmac {
        return Err(problem(
            algorithm,
            "is a PEM document where a secret is expected: choose an algorithm for this kind of key, such \
             as EdDSA, ES256 or RS256",
        ));
    }
    match label(text) {
        None => Err(problem(algorithm, &not_pem(text))),
        Some(label) => {
            check_label(algorithm, text, label, half).map_err(|said| problem(algorithm, &said))?;
            check_form(text, label).map_err(|said| problem(algorithm, said))
        }
    }
}

/// Says what is wrong with a document that has the right label, but that the parser refuses.
pub(super) fn refused(algorithm: Algorithm, text: &[u8], half: Half) -> ConfigError {
    let expected = wrong_kind(algorithm, half == Half::Private);
    match kind(text) {
        Some((found, cure)) => problem(
            algorithm,
            &format!("{expected}, but this is {found}: {cure}"),
        ),
        None => ConfigError::InvalidKey {
            algorithm: algorithm.as_str(),
            reason: expected,
        },
    }
}

/// Returns a better error if the given one only says what kind of key is expected.
pub(super) fn or_refused(
    error: ConfigError,
    algorithm: Algorithm,
    text: &[u8],
    half: Half,
) -> ConfigError {
    match error {
        ConfigError::InvalidKey { reason, .. }
            if reason == wrong_kind(algorithm, half == Half::Private) =>
        {
            refused(algorithm, text, half)
        }
        other => other,
    }
}

/// Refuses a text if the bytes of DER are expected.
pub(super) fn check_is_der(algorithm: Algorithm, bytes: &[u8]) -> Result<(), ConfigError> {
    let text = without_mark(bytes).trim_ascii_start();
    if text.starts_with(BEGIN.as_bytes()) {
        return Err(problem(
            algorithm,
            "is PEM where DER is expected: load it with `from_pem`",
        ));
    }
    if is_encoded_again(text) || text.starts_with(b"MI") || text.starts_with(b"MC") {
        return Err(problem(
            algorithm,
            "is base64 where the bytes of DER are expected: decode it with `base64 -d`",
        ));
    }
    Ok(())
}

fn problem(algorithm: Algorithm, said: &str) -> ConfigError {
    ConfigError::Invalid(format!("the {algorithm} key {said}"))
}

/// Returns the label of the document's first key, such as `PUBLIC KEY`.
fn label(text: &str) -> Option<&str> {
    let mut labels = text.split(BEGIN).skip(1);
    let mut label = || Some(labels.next()?.split("-----").next().unwrap_or_default());
    match label()? {
        // `openssl ecparam -genkey` writes the parameters before the key.
        "EC PARAMETERS" => label().or(Some("EC PARAMETERS")),
        first => Some(first),
    }
}

/// Says what a text without `-----BEGIN` looks like, and what to do.
fn not_pem(text: &str) -> String {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&byte);
    let said = if text.is_empty() {
        "is empty: give the PEM text, from `-----BEGIN` to `-----END ...-----`"
    } else if is_encoded_again(text.as_bytes()) {
        "was base64-encoded once more: decode it with `base64 -d`, and use what comes out"
    } else if text.starts_with('{') {
        "is JSON, not PEM: load it with `from_jwk`"
    } else if text.starts_with("eyJ") && text.matches('.').count() == 2 {
        "is a token, not a key: give the key that signs or verifies tokens"
    } else if text.starts_with("eyJ") {
        "is JSON that was base64-encoded once more: decode it with `base64 -d`, and load what comes out \
         with `from_jwk`"
    } else if ["ssh-", "ecdsa-sha2-", "sk-"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        "is an OpenSSH public key, not PEM: convert it with `ssh-keygen -e -m PKCS8 -f FILE.pub`"
    } else if text.starts_with("http://") || text.starts_with("https://") {
        "is a URL, not a key: keys that are served somewhere are fetched by `jwks::RemoteJwks::builder_at` (a key \
         set) or `TokenVerifierBuilder::discover` (an issuer)"
    } else if text.starts_with('<') {
        "is HTML or XML, not PEM: check where the text comes from"
    } else if looks_like_path(text) {
        "is not PEM but looks like the path of a file: give the text that the file has, or its name in the \
         variable that ends with `_FILE`"
    } else if text.len() > 64 && text.bytes().all(is_base64) {
        "is not PEM: its lines `-----BEGIN ... KEY-----` and `-----END ... KEY-----` are missing, put them \
         around it"
    } else {
        "is not PEM: it must stand between the lines `-----BEGIN ... KEY-----` and \
         `-----END ... KEY-----`"
    };
    said.to_owned()
}

pub(super) fn looks_like_path(text: &str) -> bool {
    let is_rooted = ["/", "./", "../", "~/", "C:\\"]
        .iter()
        .any(|start| text.starts_with(start));
    let has_ending = [".pem", ".key", ".pub", ".crt", ".der", ".p8", ".json"]
        .iter()
        .any(|ending| text.ends_with(ending));
    text.len() < 256 && !text.contains(['\n', '=']) && (is_rooted || has_ending)
}

/// Checks by its label that the document contains the expected kind of key.
fn check_label(algorithm: Algorithm, text: &str, label: &str, half: Half) -> Result<(), String> {
    let new_key = format!(
        "make one with `openssl genpkey -algorithm {}`",
        match algorithm {
            Algorithm::ES256 => "EC -pkeyopt ec_paramgen_curve:P-256",
            Algorithm::ES384 => "EC -pkeyopt ec_paramgen_curve:P-384",
            Algorithm::EdDSA | Algorithm::Ed25519 => "ed25519",
            _ => "RSA -pkeyopt rsa_keygen_bits:3072",
        }
    );
    let is_private = label.ends_with("PRIVATE KEY");
    let said = match label {
        _ if label.starts_with("OPENSSH") || label.starts_with("SSH2") => {
            format!("is an OpenSSH key, which this crate does not read: {new_key}")
        }
        _ if label.starts_with("PGP") => format!("is an OpenPGP key, which signs no tokens: {new_key}"),
        _ if label.contains("CERTIFICATE REQUEST") => {
            "is a certificate request where a key is expected: extract its key with \
             `openssl req -pubkey -noout`"
                .to_owned()
        }
        _ if label.ends_with("CERTIFICATE") && half == Half::Public => {
            "is a certificate where a public key is expected: extract it with \
             `openssl x509 -pubkey -noout`"
                .to_owned()
        }
        _ if label.ends_with("CERTIFICATE") => {
            "is a certificate where a private key is expected: give the key that belongs to it".to_owned()
        }
        _ if is_private && half == Half::Public => {
            "is a private key where a public key is expected: extract it with `openssl pkey -pubout`".to_owned()
        }
        "ENCRYPTED PRIVATE KEY" => encrypted(),
        _ if is_private && text.contains("ENCRYPTED") => encrypted(),
        "EC PRIVATE KEY" => {
            "is in SEC 1 form: convert it with `openssl pkcs8 -topk8 -nocrypt`".to_owned()
        }
        "PUBLIC KEY" | "RSA PUBLIC KEY" if half == Half::Private => {
            "is a public key where a private key is expected: give the private key, which signs".to_owned()
        }
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "PRIVATE KEY" | "RSA PRIVATE KEY" => return Ok(()),
        other => format!(
            "is a PEM document `{}`, which is not a key: expected `{}`",
            shown(other),
            match half {
                Half::Private => "PRIVATE KEY",
                Half::Public => "PUBLIC KEY",
            }
        ),
    };
    Err(said)
}

fn encrypted() -> String {
    "is encrypted: decrypt it with `openssl pkcs8 -topk8 -nocrypt`".to_owned()
}

/// Checks the first and last lines, the line breaks and the base64.
fn check_form(text: &str, label: &str) -> Result<(), &'static str> {
    let (begin, end) = (
        format!("{BEGIN}{label}-----"),
        format!("-----END {label}-----"),
    );
    if !text.contains(&end) {
        return Err("has no line `-----END ...-----` that matches its first line: copy all of it");
    }
    let body = text.split(&begin).nth(1).unwrap_or_default();
    let body = body.split(&end).next().unwrap_or_default();
    if body.contains("\\n") || body.contains("\\r") {
        return Err(
            "has the two characters `\\n` where its line breaks should be: replace them by line breaks",
        );
    }
    if !body.starts_with(['\n', '\r']) {
        return Err(
            "is PEM whose line breaks are lost: keep them, or write each as the two characters `\\n` in a \
             variable of the environment",
        );
    }
    if decoded(body).is_none() {
        return Err(
            "is PEM whose text between the first and the last line is not base64: copy all of it, \
             unchanged",
        );
    }
    Ok(())
}

fn decoded(body: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    STANDARD.decode(&*text).ok().map(Zeroizing::new)
}

/// Returns the kind of key in a document, by the object identifiers in it, and what to do about it.
fn kind(text: &[u8]) -> Option<(&'static str, &'static str)> {
    const OTHER_KEY: &str = "give a key of the right kind";
    const UNSUPPORTED: &str = "this crate does not support it, so use a key of another kind";
    const SET_RSA: &str = "give a key of the right kind, or set the algorithm to the one that it is used \
         with, such as RS256";
    const SET: [&str; 3] = [
        "give a key of the right kind, or set the algorithm to ES256",
        "give a key of the right kind, or set the algorithm to ES384",
        "give a key of the right kind, or set the algorithm to EdDSA",
    ];
    // The curves come first, because each EC key also contains the general identifier of EC keys.
    const KINDS: [(&[u8], &str, &str); 11] = [
        (b"\x2a\x86\x48\xce\x3d\x03\x01\x07", "a P-256 key", SET[0]),
        (b"\x2b\x81\x04\x00\x22", "a P-384 key", SET[1]),
        (b"\x2b\x81\x04\x00\x23", "a P-521 key", UNSUPPORTED),
        (b"\x2b\x81\x04\x00\x0a", "a secp256k1 key", UNSUPPORTED),
        (b"\x06\x03\x2b\x65\x70", "an Ed25519 key", SET[2]),
        (b"\x06\x03\x2b\x65\x71", "an Ed448 key", UNSUPPORTED),
        (
            b"\x06\x03\x2b\x65\x6e",
            "an X25519 key",
            "it encrypts and cannot sign, so use an Ed25519 key",
        ),
        (
            b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a",
            "an RSA key for RSASSA-PSS alone",
            "give an RSA key that is not bound to a padding (`rsaEncryption`)",
        ),
        (
            b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
            "an RSA key",
            SET_RSA,
        ),
        (
            b"\x2a\x86\x48\xce\x3d\x02\x01",
            "an EC key of another curve",
            OTHER_KEY,
        ),
        (b"\x2a\x86\x48\xce\x38\x04\x01", "a DSA key", UNSUPPORTED),
    ];
    let text = std::str::from_utf8(text).ok()?;
    let label = label(text)?;
    if label.starts_with("RSA ") {
        return Some(("an RSA key", SET_RSA));
    }
    let body = text.split(BEGIN).find(|part| part.starts_with(label))?;
    let body = body.split("-----").nth(1)?;
    let der = decoded(body)?;
    // Identifiers are at the beginning. The numbers after them could look like one by chance.
    let head = &der[..der.len().min(48)];
    let has = |id: &[u8]| head.windows(id.len()).any(|window| window == id);
    let (_, found, cure) = KINDS.iter().find(|(id, ..)| has(id))?;
    Some((found, cure))
}

/// Says which kind of key is needed.
pub(super) const fn wrong_kind(algorithm: Algorithm, private: bool) -> &'static str {
    match (algorithm, private) {
        (Algorithm::ES256, true) => "must be a P-256 private key in PKCS #8",
        (Algorithm::ES256, false) => "must be a P-256 public key (SubjectPublicKeyInfo)",
        (Algorithm::ES384, true) => "must be a P-384 private key in PKCS #8",
        (Algorithm::ES384, false) => "must be a P-384 public key (SubjectPublicKeyInfo)",
        (Algorithm::EdDSA | Algorithm::Ed25519, true) => {
            "must be an Ed25519 private key in PKCS #8"
        }
        (Algorithm::EdDSA | Algorithm::Ed25519, false) => {
            "must be an Ed25519 public key (SubjectPublicKeyInfo)"
        }
        (_, true) => "must be an RSA private key in PKCS #8 or PKCS #1",
        (_, false) => "must be an RSA public key (SubjectPublicKeyInfo or PKCS #1)",
    }
}

/// Whether a text is the base64 encoding of a PEM document, by that of `-----BEGIN`.
pub(super) fn is_encoded_again(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"LS0tLS1CRUdJTi")
}
