//! Finds connections to other machines that would carry secrets unencrypted.

use std::net::IpAddr;
use std::str::FromStr;

use redis::{ConnectionAddr, IntoConnectionInfo};
use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Returns whether what is sent to this host stays on the machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Returns what is wrong with the URL of an HTTP service. An unreadable URL is reported where it is used,
/// here and in the other functions.
pub(crate) fn http(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    if url.scheme() != "http" || is_this_machine(host) {
        return None;
    }
    Some(format!(
        "would be sent unencrypted to {host}: start it with https://"
    ))
}

/// Returns what is wrong with the URL of the database.
pub(crate) fn database(url: &str) -> Option<String> {
    if !url.starts_with("postgres") {
        return None;
    }
    let options = PgConnectOptions::from_str(url).ok()?;
    let host = options.get_host();
    if options.get_socket().is_some() || host.starts_with('/') || is_this_machine(host) {
        return None;
    }
    let danger = match options.get_ssl_mode() {
        PgSslMode::VerifyFull | PgSslMode::VerifyCa => return None,
        PgSslMode::Require => "accepts any certificate for",
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => {
            "may send passwords and hashes unencrypted to"
        }
    };
    Some(format!(
        "{danger} {host}: add ?sslmode=verify-full, and &sslrootcert=FILE if the server's \
         certificate comes from your own authority"
    ))
}

/// Returns what is wrong with the URL of Redis.
pub(crate) fn redis(url: &str) -> Option<String> {
    let info = url.into_connection_info().ok()?;
    match info.addr() {
        ConnectionAddr::Tcp(host, _) if !is_this_machine(host) => Some(format!(
            "would send sessions and the password unencrypted to {host}: start it with rediss://"
        )),
        ConnectionAddr::TcpTls {
            host,
            insecure: true,
            ..
        } => Some(format!(
            "accepts any certificate for {host}: remove #insecure from its end"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine() {
        for host in [
            "127.0.0.1",
            "127.8.9.1",
            "::1",
            "[::1]",
            "localhost",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "0.0.0.0",
            "10.0.0.1",
            "localhost.example.com",
            "mail",
            "127.1",
            "::",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_connection_to_another_machine_needs_a_verified_certificate() {
        for (judge, url, wrong) in [
            (http as fn(&str) -> Option<String>, "http://a.example", true),
            (http, "http://127.0.0.1:8080", false),
            (http, "https://a.example", false),
            (database, "sqlite:x", false),
            (database, "postgres://u:p@db.example/x", true),
            (database, "postgres://u:p@db.example/x?sslmode=prefer", true),
            (
                database,
                "postgres://u:p@db.example/x?sslmode=require",
                true,
            ),
            (
                database,
                "postgres://u:p@db.example/x?sslmode=verify-full",
                false,
            ),
            (
                database,
                "postgres://u:p@db.example/x?sslmode=verify-ca",
                false,
            ),
            (database, "postgres://u:p@localhost/x", false),
            (database, "postgres:///x?host=/run/postgresql", false),
            (database, "postgresql://u:p@10.0.0.1/x", true),
            (redis, "redis://:p@redis.example/", true),
            (redis, "redis://redis.example/", true),
            (redis, "redis://127.0.0.1:6379/", false),
            (redis, "unix:///run/redis.sock", false),
            (redis, "rediss://redis.example/", false),
            (redis, "rediss://redis.example/#insecure", true),
        ] {
            assert_eq!(judge(url).is_some(), wrong, "{url}");
        }
    }
}
