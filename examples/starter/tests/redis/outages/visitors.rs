//! [`Visitors`]: the users of a service, and what each of them needs for the next requests.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::smtp::Sink;
use crate::support::{Answer, Client, PASSWORD, Service, Tokens};

/// A generous bound for everything that is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const CAROL: &str = "carol@example.com";

/// Tokens, keys and links, each for one kind of request.
pub(super) struct Visitors {
    /// Reads the profile and the avatar. This session and the next one live as long as the service.
    pub(super) reader: Tokens,
    pub(super) refresher: Tokens,
    pub(super) key: String,         // chapter: api-keys
    pub(super) invalid_key: String, // chapter: api-keys
    pub(super) just_revoked: Tokens,
    pub(super) revoked_elsewhere: Tokens,
    pub(super) leaving: Tokens,
    pub(super) leaving_all: Tokens,
    /// A link for a new password.
    pub(super) link: String,
    /// The number of the fault.
    round: u32,
    /// What is tried, for messages.
    trying: String,
}

// === impl Visitors ===

impl Visitors {
    /// Registers the users while all is well.
    pub(super) async fn register(client: &Client, mail: &Sink) -> Self {
        for email in [ADA, BOB, CAROL] {
            let registered = client.register(email).await;
            assert_eq!(registered.status, StatusCode::ACCEPTED);
        }
        for email in [ADA, CAROL] {
            let body = json!({ "token": link(mail, email, "confirm-email", 1).await });
            let confirmed = client.post("/auth/email/verify", &body).await;
            assert_eq!(confirmed.status, StatusCode::NO_CONTENT);
        }
        let reader = client.login(ADA, PASSWORD).await.tokens();
        // chapter: api-keys {
        let body = json!({ "current_password": PASSWORD, "label": "one" });
        let made = client.post_as(&reader, "/auth/api-keys", &body).await;
        assert_eq!(made.status, StatusCode::CREATED);
        let key = made.json()["key"].as_str().unwrap().to_owned();
        let other = if key.ends_with('A') { "B" } else { "A" };
        let invalid_key = format!("{}{other}", &key[..key.len() - 1]);
        // chapter: api-keys }
        // chapter: avatars {
        let bearer = format!("Bearer {}", reader.access);
        let headers = [("authorization", &*bearer), ("content-type", "image/png")];
        let pixel = include_bytes!("../../api/pixel.png").as_slice();
        let kept = client
            .request(Method::PUT, "/me/avatar", &headers, pixel)
            .await;
        assert_eq!(kept.status, StatusCode::NO_CONTENT, "{kept:?}");
        // chapter: avatars }
        let none = || Tokens {
            access: String::new(),
            refresh: String::new(),
        };
        Self {
            refresher: client.login(ADA, PASSWORD).await.tokens(),
            reader,
            key,         // chapter: api-keys
            invalid_key, // chapter: api-keys
            just_revoked: none(),
            revoked_elsewhere: none(),
            leaving: none(),
            leaving_all: none(),
            link: String::new(),
            round: 0,
            trying: String::new(),
        }
    }

    /// Opens the sessions that the next requests end, and gives the reader a token that nobody has seen yet,
    /// because what is known of a token is remembered for some seconds.
    pub(super) async fn prepare(&mut self, client: &Client, mail: &Sink, trying: String) {
        self.round += 1;
        self.trying = trying;
        self.reader = client.refresh(&self.reader.refresh).await.tokens();
        for tokens in [
            &mut self.just_revoked,
            &mut self.revoked_elsewhere,
            &mut self.leaving,
        ] {
            *tokens = client.login(ADA, PASSWORD).await.tokens();
        }
        self.leaving_all = client.login(BOB, PASSWORD).await.tokens();
        let links = links(mail, CAROL, "reset-password").len();
        let asked = client
            .post("/auth/password/forgot", &json!({ "email": CAROL }))
            .await;
        assert_eq!(asked.status, StatusCode::ACCEPTED);
        self.link = link(mail, CAROL, "reset-password", links + 1).await;
    }

    /// Revokes a token at the service itself, directly before the fault begins, because a process remembers its
    /// own revocations for some seconds.
    pub(super) async fn revoke_here(&self, client: &Client) {
        let answer = client.logout(&self.just_revoked.access).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }

    pub(super) async fn revoke_elsewhere(&self, beside: &Service) {
        let (token, trying) = (&self.revoked_elsewhere.access, &*self.trying);
        eventually(
            [trying, "the logout elsewhere"],
            StatusCode::NO_CONTENT,
            async || beside.logout(token).await,
        )
        .await;
    }

    /// Checks that the service itself has seen the revocation, so that it knows it from now on.
    pub(super) async fn assert_revocation_seen(&self, client: &Client) {
        let answer = client.get("/me", &self.revoked_elsewhere.access).await;
        answer.assert_invalid_token();
    }

    /// Returns an address that is registered during this fault.
    pub(super) fn newcomer(&self) -> String {
        format!("newcomer-{}@example.com", self.round)
    }

    // chapter: sms {
    /// Returns a phone of its own for each fault, because few codes are sent to one phone.
    pub(super) fn phone(&self) -> String {
        format!("+49151123456{:02}", self.round)
    }
    // chapter: sms }

    pub(super) async fn assert_not_ready(&self, client: &Client) {
        let start = Instant::now();
        while ready(client).await.status == StatusCode::OK {
            assert!(start.elapsed() < PATIENCE, "{}", self.trying);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Checks that everything works again, and that the outage has cost nobody a session, a key or a link.
    /// `is_link_used` says whether the link for the new password was used.
    pub(super) async fn assert_recovered(
        &mut self,
        client: &Client,
        refreshed: Option<Tokens>,
        is_link_used: bool,
    ) {
        let (ok, trying) = (StatusCode::OK, &*self.trying.clone());
        eventually([trying, "readiness"], ok, async || ready(client).await).await;
        for tokens in [&self.reader, &self.refresher] {
            let me = async || client.get("/me", &tokens.access).await;
            eventually([trying, "a good token"], ok, me).await;
        }
        let before = refreshed.as_ref().unwrap_or(&self.refresher);
        let refresh = async || client.refresh(&before.refresh).await;
        let after = eventually([trying, "the refresh"], ok, refresh).await;
        self.refresher = after.tokens();
        for tokens in [&self.just_revoked, &self.revoked_elsewhere] {
            let refused = async || client.get("/me", &tokens.access).await;
            let unauthorized = StatusCode::UNAUTHORIZED;
            eventually([trying, "a revoked token"], unauthorized, refused).await;
        }
        let key = async || client.get("/me", &self.key).await; // chapter: api-keys
        eventually([trying, "the API key"], ok, key).await; // chapter: api-keys
        let login = async || client.login(ADA, PASSWORD).await;
        eventually([trying, "the login"], ok, login).await;
        let right = async || client.login(BOB, PASSWORD).await;
        eventually([trying, "the login of somebody else"], ok, right).await;
        if !is_link_used {
            let body = json!({ "token": self.link, "new_password": PASSWORD });
            let reset = async || client.post("/auth/password/reset", &body).await;
            eventually([trying, "the link"], StatusCode::NO_CONTENT, reset).await;
        }
    }

    pub(super) fn rounds(&self) -> usize {
        usize::try_from(self.round).unwrap()
    }

    /// Returns whether the emails that this round has caused have arrived.
    pub(super) fn have_mail(&self, mail: &Sink) -> bool {
        let links_of_ada = links(mail, ADA, "reset-password").len();
        let newcomer = links(mail, &self.newcomer(), "confirm-email").len();
        newcomer > 0 && links_of_ada >= self.rounds()
    }
}

async fn ready(client: &Client) -> Answer {
    client.request(Method::GET, "/readyz", &[], "").await
}

/// Sends a request until it gets this response. Until then, there is only the response for an outage.
async fn eventually(what: [&str; 2], status: StatusCode, send: impl AsyncFn() -> Answer) -> Answer {
    let start = Instant::now();
    loop {
        let answer = send().await;
        if answer.status == status {
            return answer;
        }
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{what:?}: {answer:?}"
        );
        assert!(start.elapsed() < PATIENCE, "{what:?}: {answer:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits for this many emails with a link, and returns the secret of the last one.
async fn link(mail: &Sink, to: &str, purpose: &str, count: usize) -> String {
    let start = Instant::now();
    loop {
        let mut links = links(mail, to, purpose);
        if links.len() >= count {
            return links.pop().unwrap();
        }
        assert!(start.elapsed() < PATIENCE, "no {purpose} to {to}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn links(mail: &Sink, to: &str, purpose: &str) -> Vec<String> {
    let (to, link) = (format!("To: {to}\r\n"), format!("#{purpose}="));
    let letters = mail.letters();
    let letters = letters.iter().filter(|letter| letter.head.contains(&to));
    let letters = letters.filter(|letter| letter.text.contains(&link));
    letters.map(|letter| letter.token(purpose)).collect()
}
