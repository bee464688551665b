//! The part of an OpenID provider that an API uses: its metadata and its keys, on loopback.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::json;
use tower_jwt_auth::issuer::TokenRequest;
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};

pub(crate) struct Provider {
    address: SocketAddr,
    /// Connections are refused until it starts.
    listener: Option<TcpListener>,
    key: SigningKey,
    tokens: TokenIssuer,
}

// === impl Provider ===

impl Provider {
    /// Creates a provider that responds.
    pub(crate) fn start(audience: &str) -> Self {
        let mut provider = Self::bound(audience);
        provider.listen();
        provider
    }

    /// Creates a provider that has an address, but does not respond yet.
    pub(crate) fn down(audience: &str) -> Self {
        let mut provider = Self::bound(audience);
        provider.listener = None;
        provider
    }

    fn bound(audience: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let tokens = TokenIssuer::builder(key.clone()).issuer(format!("http://{address}"));
        Self {
            address,
            listener: Some(listener),
            key,
            tokens: tokens.audience(audience).build().unwrap(),
        }
    }

    /// Responds from now on, until the process ends.
    pub(crate) fn listen(&mut self) {
        let listener = self.listener.take();
        let listener = listener.unwrap_or_else(|| TcpListener::bind(self.address).unwrap());
        let issuer = self.issuer();
        let metadata = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")}).to_string();
        let keys = KeySet::from(self.key.verifying_key()).to_jwks().to_string();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                answer(stream, &metadata, &keys);
            }
        });
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns an access token in the form of RFC 9068, to be given scopes and roles.
    pub(crate) fn token(&self) -> TokenRequest<'_> {
        self.tokens.access("alice").claim("client_id", "demo")
    }
}

/// Sends one response per connection.
fn answer(mut stream: TcpStream, metadata: &str, keys: &str) {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let (status, body) = match head.split(|byte| *byte == b' ').nth(1) {
        Some(b"/.well-known/openid-configuration") => ("200 OK", metadata),
        Some(b"/jwks") => ("200 OK", keys),
        _ => ("404 Not Found", ""),
    };
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes());
}
