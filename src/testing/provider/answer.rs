//! [`TestAnswer`]: how a test provider responds.

use std::time::Duration;

/// How a [`TestProvider`](super::TestProvider) responds to requests for its metadata and keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TestAnswer {
    /// It sends what was requested.
    #[default]
    Good,
    /// It sends what was requested, after this time.
    Slow(Duration),
    /// It sends this status and an error page.
    Status(u16),
    /// It sends 200 and an HTML page, as a captive portal or a proxy does.
    Html,
    /// It sends a redirect to this address.
    Redirect(String),
    /// It sends JSON that is cut off in the middle.
    CutOff,
    /// It sends more than a client reads.
    TooLong,
    /// It sends nothing: the connection stays open until another answer is set or the provider is dropped.
    Silence,
    /// It closes the connection at once, as if the provider were down.
    Closed,
}

// === impl TestAnswer ===

impl TestAnswer {
    /// Returns the response to a request for this document, or `None` if there is none.
    pub(super) fn response(&self, document: &str, cache_control: Option<&str>) -> Option<String> {
        let caching =
            cache_control.map_or_else(String::new, |value| format!("Cache-Control: {value}\r\n"));
        let with = |status: &str, kind: &str, body: &str| {
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{caching}Content-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            )
        };
        const JSON: &str = "application/json";
        const HTML: &str = "text/html";
        const PAGE: &str = "<!doctype html><title>Not now</title>";
        Some(match self {
            Self::Good | Self::Slow(_) => with("200 OK", JSON, document),
            Self::Status(status) => with(&format!("{status} Told"), HTML, PAGE),
            Self::Html => with("200 OK", HTML, PAGE),
            Self::Redirect(to) => format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ),
            Self::CutOff => {
                let half = document.len() / 2;
                with("200 OK", JSON, document.get(..half).unwrap_or_default())
            }
            Self::TooLong => with("200 OK", JSON, &" ".repeat(1024 * 1024)),
            Self::Silence | Self::Closed => return None,
        })
    }
}
