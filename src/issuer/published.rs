//! The keys of a [`TokenIssuer`], as [`JwksService`](crate::jwks::JwksService) publishes them.

use std::time::Duration;

use super::TokenIssuer;
use crate::jwks::{IssuerKeySet, PublishedKeys};
use crate::keys::{KeyRing, KeySet};

impl IssuerKeySet for TokenIssuer {
    fn key_set(&self) -> KeySet {
        Self::key_set(self)
    }

    fn published_for(&self) -> Option<Duration> {
        self.key_ring().and_then(KeyRing::publish_for)
    }
}

impl From<&TokenIssuer> for PublishedKeys {
    fn from(issuer: &TokenIssuer) -> Self {
        match issuer.key_ring() {
            Some(_) => Self::of_issuer(issuer.clone()),
            None => Self::from(issuer.key_set()),
        }
    }
}
