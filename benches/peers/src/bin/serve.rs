//! Serves one contender on loopback, for a load generator: `cargo run --release --bin serve bare|ours ES256`.

use peers::{ALGORITHMS, Case, Tokens};
use tokio::net::TcpListener;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (who, name) = (arguments.next(), arguments.next());
    let name = name.unwrap_or_else(|| "ES256".to_owned());
    let Some(algorithm) = ALGORITHMS.into_iter().find(|one| one.as_str() == name) else {
        panic!("one of {ALGORITHMS:?}");
    };
    let tokens = Tokens::new(algorithm, 1000);
    let contender = match who.as_deref() {
        Some("bare") => peers::bare_router(),
        Some("ours") => peers::ours(&tokens),
        _ => panic!("usage: serve bare|ours [HS256|RS256|ES256|EdDSA]"),
    };
    // For wrk's script: one `Authorization` value per line.
    for index in 0..1000 {
        let credentials = tokens.credentials(Case::First, index);
        println!("Bearer {}", credentials.expect("a token").token);
    }
    let router = contender.into_router().expect("a router");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:3000").await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
}
