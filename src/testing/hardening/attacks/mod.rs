//! The attacks, grouped by what they attack.

mod claims;
mod header;
mod payload;
mod place;
mod signature;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};

use super::kit::Hardening;
use super::weakness::Weakness;

/// One attack: how it changes a good request that has no credentials yet.
pub(super) struct Attack {
    pub(super) name: String,
    /// The weakness of a service that lets the request through.
    pub(super) weakness: Weakness,
    pub(super) right: Right,
    pub(super) change: Change,
}

type Change = Box<dyn Fn(&mut Request<String>) + Send + Sync>;

/// Which responses are correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// 400, 401 with a challenge, or 403.
    Refusal,
    /// A refusal, or a response that the request is too large.
    RefusalOrTooLarge,
    /// Anything except a success or a server error.
    NoSuccess,
}

/// Returns all attacks, in the order in which they are sent.
pub(super) fn attacks<B>(kit: &Hardening<B>) -> Vec<Attack> {
    let mut list = List::default();
    place::add(&mut list, kit);
    signature::add(&mut list, kit);
    header::add(&mut list, &kit.forge);
    claims::add(&mut list, kit);
    payload::add(&mut list, &kit.forge);
    list.0
}

#[derive(Default)]
struct List(Vec<Attack>);

// === impl List ===

impl List {
    fn change(
        &mut self,
        weakness: Weakness,
        name: impl Into<String>,
        change: impl Fn(&mut Request<String>) + Send + Sync + 'static,
    ) -> &mut Attack {
        let at = self.0.len();
        self.0.push(Attack {
            name: name.into(),
            weakness,
            right: Right::Refusal,
            change: Box::new(change),
        });
        &mut self.0[at]
    }

    /// Adds a request with a token in the right place.
    fn token(&mut self, weakness: Weakness, name: impl Into<String>, token: &str) -> &mut Attack {
        self.authorization(weakness, name, vec![bearer_value(token)])
    }

    fn authorization(
        &mut self,
        weakness: Weakness,
        name: impl Into<String>,
        values: Vec<HeaderValue>,
    ) -> &mut Attack {
        self.change(weakness, name, move |request| {
            for value in &values {
                request.headers_mut().append(AUTHORIZATION, value.clone());
            }
        })
    }
}

/// Returns the value of an `Authorization` header.
pub(super) fn bearer_value(token: &str) -> HeaderValue {
    value(&format!("Bearer {token}"))
}

/// Returns any text as a header value, without the characters that are not allowed in one.
fn value(text: &str) -> HeaderValue {
    let bytes: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte >= b' ' || *byte == b'\t')
        .collect();
    HeaderValue::from_bytes(&bytes).unwrap_or(HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::attacks;
    use crate::keys::Algorithm;
    use crate::testing::{Hardening, TestIssuer};

    #[test]
    fn each_attack_has_a_name_of_its_own() {
        for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::RS256] {
            let issuer = TestIssuer::with_algorithm(algorithm).unwrap();
            let good = issuer.tokens().access("alice").issue().unwrap();
            let attacks = attacks(&Hardening::new(&issuer, good).unwrap());
            assert!(attacks.len() > 350, "only {} attacks", attacks.len());
            let mut names = BTreeSet::new();
            let names_again = attacks.into_iter().map(|attack| attack.name);
            let twice: Vec<_> = names_again
                .filter(|name| !names.insert(name.clone()))
                .collect();
            assert!(twice.is_empty(), "{twice:?}");
        }
    }
}
