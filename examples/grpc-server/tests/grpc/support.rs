//! A server on its own port, the issuer of its tokens, and a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use grpc_server::proto::orders_client::OrdersClient;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{
    MemoryRevocations, Revocation, RevocationChanges, RevocationQuery, RevocationStore,
};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};

/// Revocations that can be unavailable.
#[derive(Debug)]
struct Store {
    record: MemoryRevocations,
    is_down: AtomicBool,
}

impl RevocationStore for Store {
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        self.record.revoke(revocations).await
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::new("no route to host"));
        }
        self.record.is_revoked(query).await
    }

    fn changes(&self) -> RevocationChanges {
        self.record.changes()
    }
}

pub struct Service {
    pub address: SocketAddr,
    pub tokens: TokenIssuer,
    pub clock: ManualClock,
    store: Arc<Store>,
    /// The server ends when this value is dropped.
    _stop: oneshot::Sender<()>,
}

impl Service {
    pub async fn start() -> Self {
        let clock = ManualClock::at_now();
        let store = Arc::new(Store {
            record: MemoryRevocations::with_clock(clock.clone()),
            is_down: AtomicBool::new(false),
        });
        let tokens = issuer(&clock)
            .revocation(Arc::clone(&store))
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = grpc_server::serve(listener, tokens.verifier(), async {
            let _ = stopped.await;
        });
        tokio::spawn(served);
        Self {
            address,
            tokens,
            clock,
            store,
            _stop: stop,
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }

    pub async fn orders(&self) -> OrdersClient<Channel> {
        OrdersClient::new(self.endpoint().connect().await.unwrap())
    }

    /// Returns a valid token of alice without scopes.
    pub fn token(&self) -> String {
        self.tokens.access("alice").issue().unwrap()
    }

    /// Returns a token of the same form that is signed with another key.
    pub fn forged(&self) -> String {
        let other = issuer(&self.clock).build().unwrap();
        other.access("alice").issue().unwrap()
    }

    pub async fn revoke(&self, token: &str) {
        let token = self.tokens.verifier().verify(token).await.unwrap();
        let revocation = token.revocation().unwrap();
        self.store.revoke(&[revocation]).await.unwrap();
    }

    pub fn lose_the_store(&self) {
        self.store.is_down.store(true, Ordering::SeqCst);
    }
}

fn issuer(clock: &ManualClock) -> tower_jwt_auth::issuer::TokenIssuerBuilder {
    TokenIssuer::builder(SigningKey::generate(Algorithm::ES256).unwrap())
        .issuer("https://issuer.example")
        .audience("orders")
        .clock(clock.clone())
}

/// A call with this bearer token.
pub fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// Returns a value in the metadata of a status, or an empty text.
pub fn metadata<'s>(status: &'s Status, name: &str) -> &'s str {
    value(status.metadata(), name)
}

fn value<'m>(metadata: &'m MetadataMap, name: &str) -> &'m str {
    let value = metadata.get(name).map(|value| value.to_str().unwrap());
    value.unwrap_or_default()
}
