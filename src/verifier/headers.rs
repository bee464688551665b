//! [`KnownHeaders`]: the headers of tokens that were verified. All tokens of one key have the same
//! one, byte for byte, so it is decoded and read once.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::codec::Header;

/// An honest issuer has one header for each key. Of more, the oldest goes.
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
        let known = KnownHeader {
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

/// What this header says, if it is known.
pub(super) fn find<'h>(
    known: &'h [KnownHeader],
    encoded: &[u8],
) -> Option<&'h Arc<Header<'static>>> {
    let found = known.iter().find(|header| *header.encoded == *encoded)?;
    Some(&found.header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_header_gives_way_to_that_of_a_new_key() {
        let known = KnownHeaders::default();
        for number in 0..20_u8 {
            for _ in 0..3 {
                known.add(&[number], &Header::default());
                let known = known.load();
                assert!(find(&known, &[number]).is_some());
                assert!(known.len() <= MOST);
            }
        }
        assert!(find(&known.load(), &[0]).is_none());
    }
}
