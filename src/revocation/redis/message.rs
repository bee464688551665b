//! The message that publishes a revocation to other nodes: a versioned JSON document, read strictly.

#[cfg(feature = "cache")]
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::clock::unix_micros;
use crate::revocation::{Revocation, RevocationTarget};

/// The largest size of a message: enough for the longest ids that fit into a token, with escapes.
#[cfg(feature = "cache")]
const MAX_BYTES: usize = 64 * 1024;
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    v: u8,
    kind: Kind,
    id: String,
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cutoff: Option<u64>,
    until: u64,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Token,
    Session,
    Subject,
}

pub(super) fn write(revocation: &Revocation) -> Result<String, serde_json::Error> {
    let (kind, id, cutoff) = match revocation.target() {
        RevocationTarget::Token(jti) => (Kind::Token, jti, None),
        RevocationTarget::Session(sid) => (Kind::Session, sid, None),
        RevocationTarget::Subject { subject, cutoff } => (Kind::Subject, subject, Some(*cutoff)),
    };
    serde_json::to_string(&Message {
        v: VERSION,
        kind,
        id: id.clone(),
        iss: revocation.issuer().map(str::to_owned),
        cutoff,
        until: unix_micros(revocation.until()),
    })
}

/// Reads a message. Returns `None` if it is not a complete message of this version.
#[cfg(feature = "cache")]
pub(super) fn read(bytes: &[u8]) -> Option<Revocation> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let message: Message = serde_json::from_slice(bytes).ok()?;
    let until = UNIX_EPOCH.checked_add(Duration::from_micros(message.until))?;
    let issuer = message.iss.as_deref();
    if message.v != VERSION {
        return None;
    }
    match (message.kind, message.cutoff) {
        (Kind::Token, None) => Some(Revocation::token(issuer, message.id, until)),
        (Kind::Session, None) => Some(Revocation::session(issuer, message.id, until)),
        (Kind::Subject, Some(cutoff)) => {
            Some(Revocation::subject_at(issuer, message.id, cutoff, until))
        }
        _ => None,
    }
}

#[cfg(all(test, feature = "cache"))]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{MAX_BYTES, read, write};
    use crate::revocation::Revocation;

    #[test]
    fn each_kind_is_read_as_it_was_written() {
        let until = UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001);
        for revocation in [
            Revocation::token(Some("me"), "t\"\n{}", until),
            Revocation::session(None, "s", until),
            Revocation::session(Some(""), "", until),
            Revocation::subject_at(Some("me"), "alice", 1_600_000_000_123_456, until),
        ] {
            let message = write(&revocation).unwrap();
            assert_eq!(read(message.as_bytes()), Some(revocation), "{message}");
        }
    }

    #[test]
    fn other_text_is_not_a_message() {
        let good = r#"{"v":1,"kind":"token","id":"t","iss":null,"until":5}"#;
        assert!(read(good.as_bytes()).is_some());
        for (part, bad) in [
            (r#""v":1"#, r#""v":2"#),
            (r#""v":1,"#, ""),
            (r#""token""#, r#""subject""#),
            (r#""token""#, r#""other""#),
            (r#""id":"t""#, r#""id":7"#),
            (r#""until":5"#, r#""until":-5"#),
            (r#""until":5"#, r#""until":5,"cutoff":5"#),
            (r#""until":5"#, r#""until":5,"more":5"#),
            ("}", "}}"),
            ("}", ""),
        ] {
            let message = good.replace(part, bad);
            assert_eq!(read(message.as_bytes()), None, "{message}");
        }
        assert_eq!(read(b""), None);
        assert_eq!(read(&[0xff; 9]), None);
        let long = good.replace(r#""t""#, &format!("\"{}\"", "t".repeat(MAX_BYTES)));
        assert_eq!(read(long.as_bytes()), None);
    }
}
