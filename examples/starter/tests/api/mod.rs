//! The flows that are the same with every kind of storage, over real HTTP.

mod admin; // chapter: admin
mod api_keys; // chapter: api-keys
mod attempts;
mod bound_logins;
mod bound_tokens;
mod deletion;
mod download;
mod email;
mod email_change;
mod lockout; // chapter: second-factor
mod login;
mod outbox;
mod own_table; // chapter: admin
mod passkeys; // chapter: passkeys
mod password;
mod policy;
mod problems;
mod proof;
mod rate_limit;
mod refresh;
mod register;
mod second_factor; // chapter: second-factor
mod sessions;
mod sms; // chapter: sms
mod smtp;
mod social_login; // chapter: social-login
mod timing;
mod tokens;
mod typed;
mod typed_codes; // chapter: second-factor
mod users; // chapter: admin
