//! Bad responses of a real server on loopback: each is a 503, nothing is cached, and the next good response
//! counts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, Method, Response, Uri};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::credential::{Introspection, IntrospectionBuilder};

use crate::authority::{NOW, active, told, verdict};

#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
}

type Shared = Arc<Mutex<(Answer, Vec<Seen>)>>;

struct Server {
    address: SocketAddr,
    shared: Shared,
    task: JoinHandle<()>,
}

fn json(body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status: 200,
        headers: vec![("content-type", "application/json".into())],
        body: body.into(),
    }
}

fn good() -> Answer {
    json(active().to_string())
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let mut shared = shared.lock().unwrap();
    shared.1.push(Seen {
        method,
        uri,
        headers,
        body,
    });
    let answer = &shared.0;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    response.body(answer.body.clone().into()).unwrap()
}

// === impl Server ===

impl Server {
    async fn start() -> Self {
        let shared = Arc::new(Mutex::new((good(), Vec::new())));
        Self::start_at("127.0.0.1:0".parse().unwrap(), shared).await
    }

    async fn start_at(address: SocketAddr, shared: Shared) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app: Router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            shared,
            task,
        }
    }

    fn set(&self, answer: Answer) {
        self.shared.lock().unwrap().0 = answer;
    }

    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.lock().unwrap().1)
    }

    fn builder(&self, clock: &ManualClock) -> IntrospectionBuilder {
        Introspection::builder_at(format!("http://{}/introspect?realm=a", self.address))
            .allow_loopback()
            .audience("api")
            .clock(clock.clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn bad_answers() -> Vec<(&'static str, Answer)> {
    let good_text = active().to_string();
    let with_type = |media: &str| Answer {
        headers: vec![("content-type", media.into())],
        ..good()
    };
    let status = |status| Answer { status, ..good() };
    let retry = |status| Answer {
        status,
        headers: vec![("retry-after", "3".into())],
        body: Vec::new(),
    };
    let redirect = Answer {
        status: 302,
        headers: vec![("location", "/elsewhere".into())],
        body: Vec::new(),
    };
    let padded = format!("{}{}", good_text, " ".repeat(64 * 1024));
    let nested = format!(
        "{{\"active\":true,\"x\":{}{}}}",
        "[".repeat(64),
        "]".repeat(64)
    );
    vec![
        (
            "a page",
            Answer {
                headers: vec![("content-type", "text/html".into())],
                ..json("<html>")
            },
        ),
        (
            "a page that says it is JSON",
            json("<!doctype html><p>Log in"),
        ),
        ("JSON that says it is a page", with_type("text/html")),
        ("JSON that says it is text", with_type("text/plain")),
        ("a JWT", with_type("application/token-introspection+jwt")),
        ("a redirect", redirect),
        ("201", status(201)),
        (
            "204",
            Answer {
                status: 204,
                headers: Vec::new(),
                body: Vec::new(),
            },
        ),
        ("400", status(400)),
        ("401 for the credentials of the service", status(401)),
        ("403", status(403)),
        ("404", status(404)),
        ("429", retry(429)),
        ("500", status(500)),
        ("503", retry(503)),
        ("too long", json(padded)),
        ("nothing", json("")),
        ("an array", json("[]")),
        ("a text", json("\"active\"")),
        ("null", json("null")),
        ("broken JSON", json(&good_text[..good_text.len() - 1])),
        ("two objects", json(format!("{good_text}{good_text}"))),
        ("not UTF-8", json(*b"{\"active\":true,\"sub\":\"\xff\"}")),
        ("deep nesting", json(nested)),
        ("no `active`", json("{}")),
        ("`active` as a text", json(r#"{"active":"true"}"#)),
        ("`active` as a text, false", json(r#"{"active":"false"}"#)),
        ("`active` as a number", json(r#"{"active":1}"#)),
        ("`active` null", json(r#"{"active":null}"#)),
        ("`active` twice", json(r#"{"active":false,"active":true}"#)),
        (
            "another member twice",
            json(r#"{"active":true,"sub":"a","sub":"b"}"#),
        ),
        (
            "a wrong type",
            json(r#"{"active":true,"aud":"api","exp":"1800000000"}"#),
        ),
    ]
}

#[tokio::test]
async fn each_bad_answer_is_503_and_a_good_one_after_it_counts() {
    let server = Server::start().await;
    for (name, bad) in bad_answers() {
        let clock = ManualClock::at_unix_seconds(NOW);
        let judge = server
            .builder(&clock)
            .client_secret_basic("a", "b")
            .build()
            .unwrap();
        server.set(bad);
        let error = verdict(&judge, "token").await.unwrap_err();
        assert_eq!(error.status(), 503, "{name}: {error:?}");
        let asked: Vec<String> = server
            .take()
            .iter()
            .map(|seen| seen.uri.to_string())
            .collect();
        assert_eq!(
            asked,
            ["/introspect?realm=a"],
            "{name}: once, and nowhere else"
        );
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            !source.contains("realm=a") && source.len() < 400,
            "{name}: {source}"
        );

        // For the requests that ask for the time, which no other does.
        clock.advance(Duration::from_secs(3));
        server.set(good());
        assert_eq!(told(&judge, "token").await, "ok", "{name}");
        assert_eq!(server.take().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn the_request_has_the_form_of_rfc_7662() {
    let server = Server::start().await;
    let clock = ManualClock::at_unix_seconds(NOW);
    let basic = server
        .builder(&clock)
        .client_secret_basic("api:1", "p&s =")
        .build()
        .unwrap();
    assert_eq!(told(&basic, "a/b+c=").await, "ok");
    let [seen] = &server.take()[..] else {
        panic!("one request");
    };
    assert_eq!(seen.method, Method::POST);
    assert_eq!(
        seen.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(seen.headers["accept"], "application/json");
    // `api%3A1:p%26s+%3D`
    let expected = "Basic YXBpJTNBMTpwJTI2cyslM0Q=";
    assert_eq!(seen.headers["authorization"], expected);
    assert_eq!(seen.body, "token=a%2Fb%2Bc%3D&token_type_hint=access_token");

    let post = server
        .builder(&clock)
        .client_secret_post("api", "p&s")
        .build()
        .unwrap();
    assert_eq!(told(&post, "t").await, "ok");
    let seen = server.take().remove(0);
    assert!(!seen.headers.contains_key("authorization"));
    assert!(
        seen.body.ends_with("&client_id=api&client_secret=p%26s"),
        "{}",
        seen.body
    );

    let bearer = server.builder(&clock).bearer_token("own").build().unwrap();
    assert_eq!(told(&bearer, "t").await, "ok");
    assert_eq!(server.take()[0].headers["authorization"], "Bearer own");
}

#[tokio::test]
async fn json_without_a_media_type_or_with_one_of_its_own_is_taken() {
    let server = Server::start().await;
    for headers in [
        vec![],
        vec![("content-type", "application/json; charset=utf-8".to_owned())],
        vec![("content-type", "application/vnd.example+json".to_owned())],
    ] {
        let clock = ManualClock::at_unix_seconds(NOW);
        let judge = server
            .builder(&clock)
            .client_secret_basic("a", "b")
            .build()
            .unwrap();
        server.set(Answer { headers, ..good() });
        assert_eq!(told(&judge, "token").await, "ok");
    }
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back_is_found_again() {
    let server = Server::start().await;
    let clock = ManualClock::at_unix_seconds(NOW);
    let judge = server
        .builder(&clock)
        .client_secret_basic("a", "b")
        .build()
        .unwrap();
    assert_eq!(told(&judge, "one").await, "ok");
    let (address, shared) = (server.address, Arc::clone(&server.shared));
    server.task.abort();
    while !server.task.is_finished() {
        tokio::task::yield_now().await;
    }
    assert_eq!(told(&judge, "two").await, "503 unavailable");
    if cfg!(feature = "cache") {
        assert_eq!(told(&judge, "one").await, "ok");
    }
    let _back = Server::start_at(address, shared).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(told(&judge, "two").await, "ok");
}
