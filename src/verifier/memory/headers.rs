//! [`KnownHeaders`]: the headers of tokens that were verified. All tokens of one key have the same header,
//! byte for byte, so it is decoded and parsed only once.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::codec::Header;

/// The most headers that are kept. An issuer normally has one header per key. The oldest one is dropped
/// first.
const MOST: usize = 8;

#[derive(Default)]
pub(super) struct KnownHeaders {
    headers: ArcSwap<Vec<Entry>>,
}

#[derive(Clone)]
struct Entry {
    /// The header as it is encoded in the token.
    encoded: Box<[u8]>,
    header: Arc<Header<'static>>,
}

/// A header that was parsed before. Holding one changes no reference count that other threads use.
pub(in crate::verifier) struct KnownHeader {
    headers: Guard<Arc<Vec<Entry>>>,
    index: usize,
}

// === impl KnownHeaders ===

impl KnownHeaders {
    /// Returns the parsed header if it is known.
    pub(super) fn find(&self, encoded: &[u8]) -> Option<KnownHeader> {
        let headers = self.headers.load();
        let index = headers
            .iter()
            .position(|entry| *entry.encoded == *encoded)?;
        Some(KnownHeader { headers, index })
    }

    pub(super) fn add(&self, encoded: &[u8], header: &Header<'_>) {
        let known = Entry {
            encoded: encoded.into(),
            header: Arc::new(header.to_owned()),
        };
        self.headers.rcu(|headers| {
            let mut headers = Vec::clone(headers);
            if !headers.iter().any(|other| other.encoded == known.encoded) {
                headers.drain(..(headers.len() + 1).saturating_sub(MOST));
                headers.push(known.clone());
            }
            headers
        });
    }
}

// === impl KnownHeader ===

impl KnownHeader {
    /// Returns the object that all tokens of a key share.
    pub(in crate::verifier) fn shared(&self) -> &Arc<Header<'static>> {
        &self.headers[self.index].header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_new_key_replaces_the_oldest_one() {
        let known = KnownHeaders::default();
        for number in 0..20_u8 {
            for _ in 0..3 {
                known.add(&[number], &Header::default());
                assert!(known.find(&[number]).is_some());
                assert!(known.headers.load().len() <= MOST);
            }
        }
        assert!(known.find(&[0]).is_none());
    }
}
