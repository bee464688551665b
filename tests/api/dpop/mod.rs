//! Tokens that are bound to a key (RFC 9449) or to a client certificate (RFC 8705).

mod careless_stores;
mod certificates;
mod checks;
mod exposed;
mod faults;
mod nonces;
mod outages;
mod presented;
mod replays;
mod routes;
mod sessions;
mod support;
