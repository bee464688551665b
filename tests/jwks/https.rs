//! The built-in client with real servers on loopback: TLS, its limits, and what it refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto};
use tower_jwt_auth::TokenIssuer;
use tower_jwt_auth::TokenVerifier;
use tower_jwt_auth::jwks::{HttpsClient, RemoteJwks};

use crate::provider::{KEYRING, verdict};

/// A server on loopback whose response to each request is what `answer` returns for its path.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    root: Option<String>,
}

type Answer = fn(path: &str, address: SocketAddr) -> String;

impl Server {
    async fn start(tls: bool, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let (acceptor, root) = if tls {
            let (acceptor, root) = certificate();
            (Some(acceptor), Some(root))
        } else {
            (None, None)
        };
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, address, answer, &counted).await;
                            }
                        }
                        None => serve(stream, address, answer, &counted).await,
                    }
                });
            }
        });
        Self {
            address,
            requests,
            root,
        }
    }

    fn url(&self, path: &str) -> String {
        let scheme = if self.root.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A certificate for `localhost`, and the authority that signed it.
pub fn certificate() -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let config = ServerConfig::builder_with_provider(crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    address: SocketAddr,
    answer: Answer,
    requests: &AtomicUsize,
) {
    let mut request = Vec::new();
    while stream
        .read_buf(&mut request)
        .await
        .is_ok_and(|read| read > 0)
    {
        let Some(end) = request.windows(4).position(|part| part == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(request.drain(..end + 4).collect()).unwrap();
        for forbidden in ["cookie:", "authorization:", "referer:"] {
            assert!(!head.to_ascii_lowercase().contains(forbidden), "{head}");
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        requests.fetch_add(1, Ordering::SeqCst);
        let response = answer(&path, address);
        if response.is_empty() {
            std::future::pending::<()>().await;
        }
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn keys() -> String {
    ok(&json!({ "keys": [KEYRING[0].jwk()] }).to_string())
}

/// A provider with metadata, whose issuer has a path.
fn provider(path: &str, address: SocketAddr) -> String {
    let issuer = format!("https://localhost:{}/realms/one", address.port());
    match path {
        "/realms/one/.well-known/openid-configuration" => {
            ok(&json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }).to_string())
        }
        "/realms/one/keys" => keys(),
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
    }
}

fn verifier(keys: &RemoteJwks, issuer: &str) -> TokenVerifier {
    let builder = match keys.issuer() {
        Some(_) => TokenVerifier::builder().remote_jwks(keys),
        None => TokenVerifier::builder().remote_jwks(keys).issuer(issuer),
    };
    builder.audience("api").build().unwrap()
}

/// The response to the first request, and the state in `health` afterwards.
async fn first(keys: &RemoteJwks) -> (String, String) {
    let verifier = verifier(keys, crate::provider::ISSUER);
    let verdict = verdict(&verifier, &KEYRING[0].token).await;
    let error = verifier.health()[0].last_error.clone();
    (verdict, error.unwrap_or_default())
}

#[tokio::test]
async fn keys_are_discovered_and_fetched_over_tls() {
    let server = Server::start(true, provider).await;
    let issuer = server.url("/realms/one");
    let root = server.root.as_deref().unwrap();
    let client = HttpsClient::builder()
        .root_certificates(root)
        .allow_private_network()
        .build()
        .unwrap();
    let keys = RemoteJwks::builder(&issuer)
        .allow_private_network()
        .client(client)
        .build()
        .unwrap();
    let key = KEYRING[0].signing.clone();
    let tokens = TokenIssuer::builder(key)
        .issuer(&issuer)
        .audience("api")
        .build()
        .unwrap();
    let token = tokens.access("alice").issue().unwrap();
    assert_eq!(verdict(&verifier(&keys, &issuer), &token).await, "ok");
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused() {
    let server = Server::start(true, provider).await;
    let other = certificate().1;
    let client = HttpsClient::builder()
        .root_certificates(other)
        .no_system_certificates()
        .allow_private_network()
        .build()
        .unwrap();
    let keys = RemoteJwks::builder_at(server.url("/realms/one/keys"))
        .allow_private_network()
        .client(client)
        .build()
        .unwrap();
    let (verdict, error) = first(&keys).await;
    assert_eq!(verdict, "503");
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_refused() {
    // The text of the address does not show it, so each connection is checked.
    let server = Server::start(true, provider).await;
    let keys = RemoteJwks::builder_at(server.url("/realms/one/keys"))
        .build()
        .unwrap();
    let (verdict, error) = first(&keys).await;
    assert_eq!(verdict, "503");
    assert!(error.contains("allow_private_network()"), "{error}");
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn plain_http_to_this_machine_can_be_allowed() {
    let server = Server::start(false, |_, _| keys()).await;
    let keys = RemoteJwks::builder_at(server.url("/keys"))
        .allow_loopback()
        .build()
        .unwrap();
    assert_eq!(first(&keys).await.0, "ok");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start(false, |path, address| match path {
        "/keys" => format!(
            "HTTP/1.1 302 Found\r\nLocation: http://localhost:{}/there\r\nContent-Length: 0\r\n\r\n",
            address.port()
        ),
        _ => keys(),
    })
    .await;
    let keys = RemoteJwks::builder_at(server.url("/keys"))
        .allow_loopback()
        .build()
        .unwrap();
    let (verdict, error) = first(&keys).await;
    assert_eq!(verdict, "503");
    assert!(
        error.contains("302, a redirect to `http://localhost:"),
        "{error}"
    );
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn an_endless_response_is_cut_off() {
    let server = Server::start(false, |_, _| {
        // Chunked, so that no length announces it.
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            chunk.repeat(9)
        )
    })
    .await;
    let keys = RemoteJwks::builder_at(server.url("/keys"))
        .allow_loopback()
        .build()
        .unwrap();
    let (verdict, error) = first(&keys).await;
    assert_eq!(verdict, "503");
    assert!(error.contains("longer than 524288 bytes"), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_abandoned_after_five_seconds() {
    let server = Server::start(false, |_, _| String::new()).await;
    let keys = RemoteJwks::builder_at(server.url("/keys"))
        .allow_loopback()
        .build()
        .unwrap();
    let start = Instant::now();
    let (verdict, _) = first(&keys).await;
    assert_eq!(verdict, "503");
    // The machine may be busy, but not forever, as the server is.
    let waited = start.elapsed();
    assert!((5..60).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn a_client_without_trusted_roots_does_not_build() {
    let error = HttpsClient::builder()
        .no_system_certificates()
        .build()
        .unwrap_err();
    assert!(
        error.to_string().contains("no certificate to trust"),
        "{error}"
    );
    let error = HttpsClient::builder()
        .root_certificates("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----")
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}
