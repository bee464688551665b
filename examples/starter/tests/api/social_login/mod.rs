//! Login at a provider.

mod github;
mod linking;
mod logins;
mod outages;
mod passwordless;
mod real;
mod refusals;

use axum::http::StatusCode;
use service::Settings;

use crate::support::Answer;
use crate::support::social_login::StandIn;

const EMAIL: &str = "ada@example.com";

/// Two providers that a service is configured with.
struct Providers {
    one: StandIn,
    two: StandIn,
}

// === impl Providers ===

impl Providers {
    async fn start() -> Self {
        Self {
            one: StandIn::start().await,
            two: StandIn::start().await,
        }
    }

    fn configure(&self, settings: &mut Settings) {
        settings.login_providers = vec![self.one.settings("one"), self.two.settings("two")];
    }
}

fn assert_refused(answer: &Answer, status: StatusCode, code: &str) {
    let found = (answer.status, answer.code());
    assert_eq!(found, (status, code.to_owned()), "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

fn assert_bad(answer: &Answer, code: &str) {
    assert_refused(answer, StatusCode::BAD_REQUEST, code);
}

/// Changes one of the parameters of a callback, or removes it if the text is empty.
fn with(
    returned: &[(&'static str, String)],
    name: &str,
    value: &str,
) -> Vec<(&'static str, String)> {
    let mut returned = returned.to_vec();
    for (its, old) in &mut returned {
        if *its == name {
            value.clone_into(old);
        }
    }
    returned.retain(|(_, value)| !value.is_empty());
    returned
}
