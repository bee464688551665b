//! Real TLS with client certificates: a rustls server passes the certificate of each connection to the layer,
//! and a token that is bound to one is worthless over any other connection.
#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::routing::get;
use axum::serve::{IncomingStream, Listener};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower::ServiceBuilder;
use tower_jwt_auth::mtls::{ClientCertificate, ClientCertificates};
use tower_jwt_auth::{Algorithm, JwtAuthLayer, SigningKey, TokenIssuer, VerifiedToken};

/// Accepts TLS connections, with and without a client certificate.
struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

/// The certificate of a connection, if its client has one.
#[derive(Clone)]
struct Peer(Option<ClientCertificate>);

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // One handshake at a time is enough for a test.
            if let Ok((stream, address)) = self.tcp.accept().await
                && let Ok(stream) = self.tls.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let (_, connection) = stream.io().get_ref();
        let certificates = connection.peer_certificates();
        let first = certificates.and_then(|certificates| certificates.first());
        Self(first.and_then(ClientCertificate::from_der))
    }
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn identity(authority: &Issuer, name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    (certificate.der().clone(), key)
}

fn roots(authority: &Issuer) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    Arc::new(roots)
}

async fn start(authority: &Issuer, tokens: &TokenIssuer) -> SocketAddr {
    let provider = Arc::new(crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots(authority), provider.clone());
    let clients = clients.allow_unauthenticated().build().unwrap();
    let (certificate, key) = identity(authority, "localhost");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TlsListener {
        tcp: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        tls: TlsAcceptor::from(Arc::new(config)),
    };
    let address = listener.local_addr().unwrap();
    let auth = JwtAuthLayer::new(tokens.verifier())
        .client_certificates(ClientCertificates::from_connection());
    let who = async |token: VerifiedToken| token.binding().as_str();
    let app = Router::new().route("/", get(who)).layer(
        ServiceBuilder::new()
            .map_request(|mut request: axum::extract::Request| {
                let peer = request.extensions().get::<ConnectInfo<Peer>>().cloned();
                if let Some(ConnectInfo(Peer(Some(certificate)))) = peer {
                    request.extensions_mut().insert(certificate);
                }
                request
            })
            .layer(auth),
    );
    let app = app.into_make_service_with_connect_info::<Peer>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Returns the status line and the body of `GET /` with a token, over a new connection.
async fn ask(
    authority: &Issuer,
    address: SocketAddr,
    client: Option<&Identity>,
    token: &str,
) -> (String, String) {
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(authority));
    let config = match client {
        Some((certificate, key)) => config
            .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
            .unwrap(),
        None => config.with_no_client_auth(),
    };
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes without a close notification has still responded.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap().to_owned();
    (status, body.to_owned())
}

#[tokio::test]
async fn a_stolen_token_is_worthless_without_the_certificate() {
    let authority = authority();
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let tokens = TokenIssuer::builder(key).issuer("me").audience("api");
    let tokens = tokens.build().unwrap();
    let address = start(&authority, &tokens).await;
    let alice = identity(&authority, "alice");
    let mallory = identity(&authority, "mallory");

    let certificate = ClientCertificate::from_der(&alice.0).unwrap();
    let bound = tokens.access("alice").client_certificate(&certificate);
    let bound = bound.issue().unwrap();
    let unbound = tokens.access("alice").issue().unwrap();

    for (client, token, expected) in [
        (Some(&alice), &bound, Ok("certificate")),
        (Some(&mallory), &bound, Err(())),
        (None, &bound, Err(())),
        (Some(&mallory), &unbound, Ok("none")),
        (None, &unbound, Ok("none")),
    ] {
        let (status, body) = ask(&authority, address, client, token).await;
        match expected {
            Ok(binding) => {
                assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", binding));
            }
            Err(()) => assert_eq!(status, "HTTP/1.1 401 Unauthorized"),
        }
    }
}
