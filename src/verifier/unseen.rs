//! Without the feature `cache` no token is remembered: nothing here can be made.

use std::sync::Arc;

use super::single::Keys;
use super::verified::VerifiedToken;
use crate::codec::{Header, Registered};
use crate::error::AuthError;
use crate::keys::VerifyingKey;

pub(super) enum SeenTokens {}

pub(super) enum Note {}

// === impl SeenTokens ===

impl SeenTokens {
    pub(super) fn judge(
        &self,
        _: &[u8],
        _: &Keys,
        _: impl FnOnce(Option<&str>, &Registered<'_>, &str) -> Result<(), AuthError>,
    ) -> Option<Result<VerifiedToken, AuthError>> {
        match *self {}
    }

    pub(super) fn wants(&self, _: &[u8], _: &VerifyingKey) -> Option<VerifyingKey> {
        match *self {}
    }

    pub(super) fn note(
        &self,
        _: VerifyingKey,
        _: &Arc<Header<'static>>,
        _: &Registered<'_>,
        _: &str,
        _: f64,
    ) -> Note {
        match *self {}
    }

    pub(super) fn keep(&self, _: &[u8], _: Note, _: &VerifiedToken) {
        match *self {}
    }
}
