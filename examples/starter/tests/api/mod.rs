//! The flows that are the same wherever the service keeps what it has, over real HTTP.

mod admin;
mod attempts;
mod email;
mod lockout;
mod login;
mod outbox;
mod own_table;
mod password;
mod policy;
mod problems;
mod proof;
mod rate_limit;
mod refresh;
mod register;
mod second_factor;
mod sessions;
mod sms;
mod smtp;
mod timing;
mod tokens;
mod typed;
mod users;
