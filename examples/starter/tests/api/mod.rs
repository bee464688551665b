//! The flows that are the same wherever the service keeps what it has, over real HTTP.

mod login;
mod problems;
mod refresh;
mod register;
mod sessions;
mod tokens;
mod users;
