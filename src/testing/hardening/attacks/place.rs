//! Missing credentials, duplicate credentials, credentials in the wrong place, and ways around the path.

use http::header::{CONTENT_TYPE, COOKIE, HeaderName};
use http::{HeaderValue, Method, Request, Uri};

use super::{List, Right, bearer_value, value};
use crate::testing::hardening::kit::Hardening;
use crate::testing::hardening::weakness::Weakness;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const PARAMETERS: [&str; 5] = ["access_token", "token", "jwt", "auth", "bearer_token"];
const COOKIES: [&str; 8] = [
    "token",
    "access_token",
    "jwt",
    "session",
    "auth",
    "Authorization",
    "__Host-token",
    "__Host-jwt",
];
const TOKEN_HEADERS: [&str; 6] = [
    "x-access-token",
    "x-auth-token",
    "x-jwt-token",
    "x-authorization",
    "x-forwarded-authorization",
    "proxy-authorization",
];
const USER_HEADERS: [&str; 7] = [
    "x-forwarded-user",
    "x-remote-user",
    "remote-user",
    "x-user",
    "x-user-id",
    "x-auth-user",
    "x-webauth-user",
];
const SCHEMES: [&str; 7] = [
    "", "Basic ", "Token ", "JWT ", "DPoP ", "Digest ", "Bearer:",
];

pub(super) fn add<B>(list: &mut List, kit: &Hardening<B>) {
    let good = &kit.forge.good;
    let bad = kit.forge.of_stranger(&[]);
    nothing(list);
    two(list, good, &bad);
    elsewhere(list, good);
    around(list, &bad);
    // A server limits the size of a header before anything else.
    for (name, length) in [("8 KiB", 8 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        let token = "A".repeat(length);
        list.token(
            Weakness::Oversized,
            format!("{name} that are not a token"),
            &token,
        )
        .right = Right::RefusalOrTooLarge;
    }
}

fn nothing(list: &mut List) {
    list.change(Weakness::OpenRoute, "no credentials", |_| {});
    for text in [
        "",
        "Bearer",
        "Bearer ",
        "bearer",
        "Basic",
        "Basic dXNlcjpwYXNz",
        "Negotiate",
    ] {
        let name = format!("`Authorization: {text}` without a token");
        list.authorization(Weakness::OpenRoute, name, vec![value(text)]);
    }
    for text in [
        "x",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "a.b.c.d.e",
        "null",
        "undefined",
        "true",
        "{}",
        "[]",
        "Bearer",
        "=",
        "%00",
        "\u{e9}\u{1F980}",
        "e30.e30.",
        "e30.e30.e30",
        "bnVsbA.bnVsbA.bnVsbA",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9..",
        "' OR '1'='1",
        "../../etc/passwd",
    ] {
        list.token(Weakness::NotAToken, format!("`{text}` as the token"), text);
    }
    let not_text = HeaderValue::from_bytes(b"Bearer \xff\xfe.\x80")
        .unwrap_or(HeaderValue::from_static("Bearer"));
    list.authorization(
        Weakness::NotAToken,
        "bytes that are not UTF-8 as the token",
        vec![not_text],
    );
    for name in USER_HEADERS {
        list.change(
            Weakness::IdentityHeader,
            format!("no token, but `{name}: admin`"),
            move |request| {
                let name = HeaderName::from_static(name);
                request
                    .headers_mut()
                    .insert(name, HeaderValue::from_static("admin"));
            },
        );
    }
}

fn two(list: &mut List, good: &str, bad: &str) {
    let (yes, no) = (bearer_value(good), bearer_value(bad));
    let basic = value("Basic dXNlcjpwYXNz");
    for (name, values) in [
        (
            "a good token, then a forged one",
            vec![yes.clone(), no.clone()],
        ),
        ("a forged token, then a good one", vec![no, yes.clone()]),
        ("a good token twice", vec![yes.clone(), yes.clone()]),
        (
            "a good token, then `Basic`",
            vec![yes.clone(), basic.clone()],
        ),
        ("`Basic`, then a good token", vec![basic, yes]),
    ] {
        let name = format!("two `Authorization` headers: {name}");
        list.authorization(Weakness::TwoTokens, name, values);
    }
    for (name, text) in [
        ("`good bad`", format!("{good} {bad}")),
        ("`bad good`", format!("{bad} {good}")),
        ("`good,bad`", format!("{good},{bad}")),
        ("`good, Bearer bad`", format!("{good}, Bearer {bad}")),
        ("`bad, Bearer good`", format!("{bad}, Bearer {good}")),
        ("`Bearer good`", format!("Bearer {good}")),
    ] {
        let name = format!("two tokens in one header: `Bearer` and {name}");
        list.token(Weakness::TwoTokens, name, &text);
    }
}

fn elsewhere(list: &mut List, good: &str) {
    for scheme in SCHEMES {
        let name = format!("a good token under the scheme `{}`", scheme.trim());
        list.authorization(
            Weakness::Scheme,
            name,
            vec![value(&format!("{scheme}{good}"))],
        );
    }
    for parameter in PARAMETERS {
        let pair = format!("{parameter}={good}");
        let query = pair.clone();
        let name = format!("a good token in the query parameter `{parameter}`");
        list.change(Weakness::TokenInQuery, name, move |request| {
            let joint = if request.uri().query().is_some() {
                '&'
            } else {
                '?'
            };
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str());
            set_path(request, &format!("{path}{joint}{query}"));
        });
        let name = format!("a good token in the form field `{parameter}`");
        let attack = list.change(Weakness::TokenInBody, name, move |request| {
            request.headers_mut().insert(CONTENT_TYPE, FORM);
            request.body_mut().clone_from(&pair);
        });
        // A route that accepts no forms may say so first.
        attack.right = Right::NoSuccess;
    }
    for cookie in COOKIES {
        let pair = value(&format!("{cookie}={good}"));
        let name = format!("a good token in the cookie `{cookie}`");
        list.change(Weakness::TokenInCookie, name, move |request| {
            request.headers_mut().insert(COOKIE, pair.clone());
        });
    }
    for header in TOKEN_HEADERS {
        for prefix in ["", "Bearer "] {
            let text = value(&format!("{prefix}{good}"));
            let name = format!("a good token in the header `{header}`, after `{prefix}`");
            list.change(Weakness::TokenInHeader, name, move |request| {
                request
                    .headers_mut()
                    .insert(HeaderName::from_static(header), text.clone());
            });
        }
    }
}

/// The name of a spelling, and how it writes a path.
type Spelling = (&'static str, fn(&str) -> String);

/// Adds requests for the same route, or for none, in another spelling.
fn around(list: &mut List, bad: &str) {
    let spellings: [Spelling; 6] = [
        ("a slash at the end of the path", |path| format!("{path}/")),
        ("two slashes in the path", |path| format!("/{path}")),
        ("the path in capitals", str::to_uppercase),
        ("an escape in the path", |path| match path.get(1..2) {
            Some(first) => format!("/%{:02x}{}", first.as_bytes()[0], &path[2..]),
            None => path.to_owned(),
        }),
        ("`/./` in the path", |path| format!("/.{path}")),
        ("an unknown path below it", |path| {
            format!("{}/no-such-path-7f3a", path.trim_end_matches('/'))
        }),
    ];
    for token in [None, Some(bearer_value(bad))] {
        let with = if token.is_some() {
            "with a forged token"
        } else {
            "without a token"
        };
        let authorize = move |request: &mut Request<String>| {
            if let Some(value) = &token {
                request
                    .headers_mut()
                    .insert(http::header::AUTHORIZATION, value.clone());
            }
        };
        for (name, spell) in spellings {
            let authorize = authorize.clone();
            let attack = list.change(
                Weakness::Bypass,
                format!("{name}, {with}"),
                move |request| {
                    let path = spell(request.uri().path());
                    set_path(request, &path);
                    authorize(request);
                },
            );
            attack.right = Right::NoSuccess;
        }
        let attack = list.change(Weakness::Bypass, format!("HEAD {with}"), move |request| {
            *request.method_mut() = Method::HEAD;
            authorize(request);
        });
        attack.right = Right::NoSuccess;
    }
}

fn set_path(request: &mut Request<String>, path: &str) {
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
