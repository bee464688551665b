//! Tokens that are bound to a key (RFC 9449) or to a client certificate (RFC 8705).

mod certificates;
mod checks;
mod exposed;
mod faults;
mod faulty_stores;
mod nonces;
mod outages;
mod presented;
mod replays;
mod routes;
mod sessions;
mod support;
