//! A service that verifies HS256 tokens by hand, correctly except for one flaw.

use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use http::header::{AUTHORIZATION, COOKIE, WWW_AUTHENTICATE};
use http::{Method, Request, Response};
use serde_json::{Value, json};
use sha2::Sha256;
use tower::service_fn;
use tower::util::BoxCloneSyncService;
use tower_jwt_auth::testing::Hardening;
use tower_jwt_auth::{SigningKey, TokenIssuer, TokenVerifier, VerifyingKey};

use crate::support::{NOW, SECRET, builder, claims, signed};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    AcceptsUnsigned,
    NeverVerifies,
    SkipsUnknownAlgorithms,
    KeyFromHeader,
    KeyFromPath,
    IgnoresCrit,
    FirstDuplicateCounts,
    NoExp,
    ExpIsOptional,
    ExpAsTextPasses,
    NoNbf,
    NoIat,
    NoIss,
    IssByItsStart,
    NoAud,
    AudByItsPart,
    NoType,
    OnlyHeaderTyp,
    OnlyClaimType,
    AnyBase64,
    FirstOfTwoHeaders,
    AnyScheme,
    ReadsQuery,
    ReadsForm,
    ReadsCookie,
    ReadsOtherHeader,
    TrustsUserHeader,
    ForgottenRoute,
    OpenToHead,
    OpenWithSlash,
    FailsOnGarbage,
    NoChallenge,
    Redirects,
    HidesAs404,
    AnyLength,
    LimitsRate,
}

pub(super) type Service = BoxCloneSyncService<Request<String>, Response<String>, Infallible>;

/// Serves `/orders`, and for the flaw of a forgotten route also `/late`.
pub(super) fn service(flaw: Flaw) -> Service {
    let count = Arc::new(AtomicUsize::new(0));
    Service::new(service_fn(move |request: Request<String>| {
        let busy = flaw == Flaw::LimitsRate && count.fetch_add(1, Ordering::Relaxed) > 20;
        let answer = if busy { 429 } else { answer(flaw, &request) };
        let mut response = Response::builder().status(answer);
        if answer == 401 && flaw != Flaw::NoChallenge {
            response = response.header(WWW_AUTHENTICATE, "Basic realm=\"x\", Bearer realm=\"api\"");
        }
        std::future::ready(Ok(response.body(String::new()).unwrap()))
    }))
}

pub(super) fn kit() -> Hardening<String> {
    let token = signed(r#"{"alg":"HS256","typ":"at+jwt","kid":"k1"}"#, claims(""));
    let key = SigningKey::hs256(SECRET).unwrap();
    let kit = Hardening::with_key(&key, token).unwrap();
    kit.body(|text| text).route(Method::GET, "/orders")
}

fn answer(flaw: Flaw, request: &Request<String>) -> u16 {
    let is_head = request.method() == Method::HEAD;
    let refused = match flaw {
        Flaw::Redirects => 302,
        Flaw::HidesAs404 => 404,
        _ => 401,
    };
    match request.uri().path() {
        "/late" if flaw == Flaw::ForgottenRoute => return 200,
        "/orders/" if flaw == Flaw::OpenWithSlash => return 200,
        "/orders" | "/late" => {}
        _ => return 404,
    }
    if flaw == Flaw::OpenToHead && is_head {
        return 200;
    }
    if flaw == Flaw::TrustsUserHeader && request.headers().contains_key("x-forwarded-user") {
        return 200;
    }
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() && flaw != Flaw::FirstOfTwoHeaders {
        return 400;
    }
    let header = first.and_then(|value| value.to_str().ok());
    let token = match header.and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.to_owned()),
        Some((_, token)) if flaw == Flaw::AnyScheme => Some(token.to_owned()),
        _ => elsewhere(flaw, request),
    };
    match token {
        Some(token) if is_good(flaw, &token) == Some(true) => 200,
        Some(token) if flaw == Flaw::FailsOnGarbage && token.split('.').count() != 3 => 500,
        _ => refused,
    }
}

fn elsewhere(flaw: Flaw, request: &Request<String>) -> Option<String> {
    let headers = request.headers();
    let text = match flaw {
        Flaw::ReadsQuery => request.uri().query()?,
        Flaw::ReadsForm => request.body(),
        Flaw::ReadsCookie => headers.get(COOKIE)?.to_str().ok()?,
        Flaw::ReadsOtherHeader => {
            return Some(headers.get("x-access-token")?.to_str().ok()?.to_owned());
        }
        _ => return None,
    };
    let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let (_, token) = pairs.find(|(name, _)| matches!(*name, "token" | "access_token"))?;
    Some(token.to_owned())
}

fn is_good(flaw: Flaw, token: &str) -> Option<bool> {
    if token.len() > 8192 && !is_oversized(flaw, token) {
        return None;
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return None;
    };
    let decode = |part: &str| {
        let part = if flaw == Flaw::AnyBase64 {
            part.trim_end_matches('=')
        } else {
            part
        };
        URL_SAFE_NO_PAD.decode(part).ok()
    };
    let message = &token[..header.len() + 1 + claims.len()];
    let message = message.replace('=', "");
    let (header, signature) = (decode(header)?, decode(signature)?);
    let header: Value = serde_json::from_slice(&header).ok()?;
    if header.get("crit").is_some() && flaw != Flaw::IgnoresCrit {
        return None;
    }
    if !signature_is_good(flaw, &header, &message, &signature, token) {
        return None;
    }
    if header["typ"] != "at+jwt" && !matches!(flaw, Flaw::NoType | Flaw::OnlyClaimType) {
        return None;
    }
    let claims = decode(claims)?;
    let claims: Value = match flaw {
        Flaw::FirstDuplicateCounts => first_counts(std::str::from_utf8(&claims).ok()?)?,
        _ if is_oversized(flaw, token) => return Some(true),
        _ => serde_json::from_slice(&claims).ok()?,
    };
    Some(claims_are_good(flaw, &claims))
}

/// A token whose length is the flaw: it is accepted without a check.
fn is_oversized(flaw: Flaw, token: &str) -> bool {
    flaw == Flaw::AnyLength && token.len() > 20_000
}

fn signature_is_good(
    flaw: Flaw,
    header: &Value,
    message: &str,
    signature: &[u8],
    token: &str,
) -> bool {
    let alg = header["alg"].as_str().unwrap_or_default();
    let mut secret = SECRET.to_vec();
    match flaw {
        Flaw::AcceptsUnsigned if alg.eq_ignore_ascii_case("none") => return true,
        Flaw::SkipsUnknownAlgorithms if !matches!(alg, "HS256" | "none" | "") => return true,
        Flaw::NeverVerifies => return true,
        _ if is_oversized(flaw, token) => return true,
        Flaw::KeyFromHeader if header["jwk"]["kty"] == "EC" => {
            return by_key(&header["jwk"], token);
        }
        Flaw::KeyFromPath if header["kid"] != "k1" => {
            let kid = header["kid"].as_str().unwrap_or("none");
            match fs::read(format!("/etc/{kid}")) {
                Ok(read) => secret = read,
                Err(_) => return false,
            }
        }
        _ => {}
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    mac.update(message.as_bytes());
    alg == "HS256" && mac.verify_slice(signature).is_ok()
}

/// Returns whether the key in the token verifies it.
fn by_key(jwk: &Value, token: &str) -> bool {
    let Ok(key) = VerifyingKey::from_jwk(&jwk.to_string()) else {
        return false;
    };
    let verifier = TokenVerifier::builder().keys(key.with_key_id("k1").unwrap());
    let verifier = verifier
        .issuer("me")
        .audience("api")
        .clock(builder().1)
        .build();
    verifier.unwrap().verify_local(token).is_ok()
}

/// Parses the claims so that the first of two equal names counts.
fn first_counts(claims: &str) -> Option<Value> {
    let mut first: Value = serde_json::from_str(claims).ok()?;
    for name in ["exp", "aud", "iss"] {
        let mark = format!("\"{name}\":");
        if claims.matches(&mark).count() > 1 {
            let after = claims.split(&mark).nth(1)?;
            let value = after.split([',', '}']).next()?;
            first[name] = serde_json::from_str(value).ok()?;
        }
    }
    Some(first)
}

fn claims_are_good(flaw: Flaw, claims: &Value) -> bool {
    let time = |name: &str| match &claims[name] {
        Value::String(_) if flaw == Flaw::ExpAsTextPasses && name == "exp" => Some(f64::MAX),
        value => value.as_f64(),
    };
    let now = NOW as f64;
    let exp = match (time("exp"), flaw) {
        (_, Flaw::NoExp) => true,
        (None, Flaw::ExpIsOptional) => claims.get("exp").is_none_or(Value::is_null),
        (exp, _) => exp.is_some_and(|exp| exp > now),
    };
    let nbf = claims.get("nbf").is_none() || time("nbf").is_some_and(|nbf| nbf <= now + 30.0);
    let iat = time("iat").is_some_and(|iat| iat <= now + 30.0);
    let text = |name: &str| claims[name].as_str().unwrap_or_default();
    let iss = match flaw {
        Flaw::NoIss => true,
        Flaw::IssByItsStart => text("iss").starts_with("me"),
        _ => claims["iss"] == "me",
    };
    let audiences = match &claims["aud"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    let aud = audiences.iter().any(|aud| match flaw {
        Flaw::AudByItsPart => aud.as_str().is_some_and(|aud| aud.contains("api")),
        _ => *aud == json!("api"),
    });
    exp && (nbf || flaw == Flaw::NoNbf)
        && (iat || flaw == Flaw::NoIat)
        && iss
        && (aud || flaw == Flaw::NoAud)
        && (claims["type"] == "access" || matches!(flaw, Flaw::NoType | Flaw::OnlyHeaderTyp))
        && claims["sub"].is_string()
}

/// A service with an ES256 key that uses the algorithm from the token: its public key is an HMAC secret, too.
pub(super) fn confused(tokens: &TokenIssuer, public_key: Vec<u8>) -> Service {
    let verifier = tokens.verifier();
    Service::new(service_fn(move |request: Request<String>| {
        let value = request.headers().get(AUTHORIZATION);
        let token = value.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let only_one = request.headers().get_all(AUTHORIZATION).iter().count() == 1;
        let is_mac = |token: &str| {
            let (message, signature) = token.rsplit_once('.')?;
            let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
            let header: Value = serde_json::from_slice(&header).ok()?;
            let mut mac = Hmac::<Sha256>::new_from_slice(&public_key).unwrap();
            mac.update(message.as_bytes());
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            Some(header["alg"] == "HS256" && mac.verify_slice(&signature).is_ok())
        };
        let passes = token.is_some_and(|token| {
            only_one && (is_mac(token) == Some(true) || verifier.verify_local(token).is_ok())
        });
        let response = Response::builder().header(WWW_AUTHENTICATE, "Bearer");
        let response = response.status(if passes { 200 } else { 401 });
        std::future::ready(Ok(response.body(String::new()).unwrap()))
    }))
}
