//! [`KnownHeaders`]: the headers of tokens that were verified. All tokens of one key have the same
//! one, byte for byte, so it is decoded and read once.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::codec::Header;

/// An honest issuer has one header for each key. Where they differ from token to token, there is
/// nothing to gain, and no more are taken.
const MOST: usize = 8;

#[derive(Default)]
pub(super) struct KnownHeaders {
    headers: ArcSwap<Vec<KnownHeader>>,
}

#[derive(Clone)]
pub(super) struct KnownHeader {
    /// As it stands in the token.
    encoded: Box<[u8]>,
    header: Arc<Header<'static>>,
}

// === impl KnownHeaders ===

impl KnownHeaders {
    pub(super) fn load(&self) -> Guard<Arc<Vec<KnownHeader>>> {
        self.headers.load()
    }

    /// Takes the header of a token that was verified: nobody else can add one.
    pub(super) fn add(&self, encoded: &[u8], header: &Header<'_>) {
        if self.headers.load().len() >= MOST {
            return;
        }
        let known = KnownHeader {
            encoded: encoded.into(),
            header: Arc::new(header.to_owned()),
        };
        self.headers.rcu(|headers| {
            let mut headers = Vec::clone(headers);
            if headers.len() < MOST && !headers.iter().any(|other| other.encoded == known.encoded) {
                headers.push(known.clone());
            }
            headers
        });
    }
}

/// What this header says, if it is known.
pub(super) fn find<'h>(
    known: &'h [KnownHeader],
    encoded: &[u8],
) -> Option<&'h Arc<Header<'static>>> {
    let found = known.iter().find(|header| *header.encoded == *encoded)?;
    Some(&found.header)
}
