//! Which pages may use the cookie, and how it is found among others.

use http::HeaderValue;
use tower_jwt_auth::refresh_cookie::{RefreshCookie, RefreshCookieError};

use super::{OURS, cookie, read, verdict};
use crate::support::request;

#[test]
fn the_token_is_read_for_our_own_pages() {
    let ours = ("origin", OURS);
    for line in [
        "__Host-refresh=a.b.c",
        "theme=dark; __Host-refresh=a.b.c; lang=en",
        "theme=dark;__Host-refresh=a.b.c;lang=en",
        " __Host-refresh=a.b.c ",
        "__Host-refresh=; __Host-refresh=a.b.c",
    ] {
        assert_eq!(
            read(&cookie(), &[ours, ("cookie", line)]),
            "a.b.c",
            "{line}"
        );
    }
    // HTTP/2 sends cookies in several lines (RFC 9113 section 8.2.3).
    let lines = [ours, ("cookie", "a=b"), ("cookie", "__Host-refresh=a.b.c")];
    assert_eq!(read(&cookie(), &lines), "a.b.c");
    // A value may contain `=`: only the first one ends the name.
    let line = ("cookie", "__Host-refresh=a=b==");
    assert_eq!(read(&cookie(), &[ours, line]), "a=b==");
}

#[test]
fn a_request_without_the_cookie_is_not_an_error() {
    for line in [
        "",
        "theme=dark",
        "refresh=a.b.c",
        "__Host-refresh",
        "__Host-refresh=",
        "__host-refresh=a.b.c",
        "__HOST-REFRESH=a.b.c",
        "__Host-refresh2=a.b.c",
        "x__Host-refresh=a.b.c",
        "__Host-refresh =a.b.c",
        "=__Host-refresh=a.b.c",
        "x=__Host-refresh=a.b.c",
        "$Path=/__Host-refresh=a.b.c",
    ] {
        for origin in [OURS, "https://evil.example"] {
            let headers = [("origin", origin), ("cookie", line)];
            assert_eq!(read(&cookie(), &headers), "none", "{line}");
        }
    }
    assert_eq!(read(&cookie(), &[]), "none");
}

#[test]
fn unicode_whitespace_around_a_cookie_name_is_not_trimmed() {
    // Some servers trim these characters, and would mistake a planted cookie for one with the protected
    // prefix.
    for space in ["\u{a0}", "\u{85}", "\u{2000}", "\u{3000}", "\u{feff}"] {
        let line = format!("{space}__Host-refresh=a.b.c");
        let mut headers = request(&[("origin", OURS)]).headers().clone();
        headers.insert("cookie", HeaderValue::from_bytes(line.as_bytes()).unwrap());
        assert_eq!(verdict(&cookie(), &headers), "none", "{space:?}");
    }
}

#[test]
fn cookies_of_others_may_be_in_any_encoding() {
    let mut headers = request(&[("origin", OURS)]).headers().clone();
    let line = b"lang=fran\xe7ais; __Host-refresh=a.b.c; x=\xff\xfe";
    headers.insert("cookie", HeaderValue::from_bytes(line).unwrap());
    assert_eq!(verdict(&cookie(), &headers), "a.b.c");

    let line = b"__Host-refresh=\xff\xfe";
    headers.insert("cookie", HeaderValue::from_bytes(line).unwrap());
    assert_eq!(verdict(&cookie(), &headers), "none");
}

#[test]
fn two_cookies_of_the_name_are_refused_unless_they_are_equal() {
    let ours = ("origin", OURS);
    let two = "__Host-refresh=a.b.c; __Host-refresh=d.e.f";
    let same = "__Host-refresh=a.b.c; x=y; __Host-refresh=a.b.c";
    assert_eq!(
        read(&cookie(), &[ours, ("cookie", two)]),
        "400 invalid_request"
    );
    assert_eq!(read(&cookie(), &[ours, ("cookie", same)]), "a.b.c");
    let line = ("cookie", "__Host-refresh=a.b.c");
    assert_eq!(read(&cookie(), &[ours, line, line]), "a.b.c");
    // A foreign page learns nothing about the cookies.
    let theirs = ("origin", "https://evil.example");
    assert_eq!(
        read(&cookie(), &[theirs, ("cookie", two)]),
        "403 cross_origin"
    );
}

#[test]
fn a_request_of_a_foreign_page_is_refused() {
    let sent = ("cookie", "__Host-refresh=a.b.c");
    let cookie = RefreshCookie::new([OURS, "https://admin.example:8443"]).unwrap();
    for origin in [OURS, "https://admin.example:8443"] {
        assert_eq!(read(&cookie, &[sent, ("origin", origin)]), "a.b.c");
    }
    for origin in [
        "https://evil.example",
        "null",
        "",
        "*",
        "http://app.example",
        "https://app.example/",
        "https://app.example:443",
        "https://app.example:8443",
        "https://admin.example",
        "https://admin.example:844",
        "https://admin.example:84430",
        "https://APP.example",
        "HTTPS://app.example",
        "https://app.example.",
        "https://app.example.evil.example",
        "https://app.exampleevil",
        "https://app.exampl",
        "https://xapp.example",
        "https://x.app.example",
        "https://app.example@evil.example",
        "https://evil.example/https://app.example",
        "https://app.example https://evil.example",
        "https://app.example, https://app.example",
        "app.example",
        "//app.example",
    ] {
        let headers = [sent, ("origin", origin)];
        assert_eq!(read(&cookie, &headers), "403 cross_origin", "{origin}");
    }
    for origins in [[OURS, OURS], [OURS, "null"], ["https://evil.example", OURS]] {
        let headers = origins.map(|origin| ("origin", origin));
        let headers = [[sent].as_slice(), &headers].concat();
        assert_eq!(read(&cookie, &headers), "403 cross_origin", "{origins:?}");
    }
    let mut headers = request(&[sent]).headers().clone();
    let odd = HeaderValue::from_bytes(b"https://app.example\xff").unwrap();
    headers.insert("origin", odd);
    assert_eq!(verdict(&cookie, &headers), "403 cross_origin");
}

#[test]
fn a_request_without_origin_is_refused() {
    let sent = ("cookie", "__Host-refresh=a.b.c");
    let error = cookie().read(request(&[sent]).headers()).unwrap_err();
    assert_eq!(error, RefreshCookieError::MissingOrigin);
    assert_eq!(error.status(), 403);
    // These headers do not prove the origin as `Origin` does.
    for other in [
        ("referer", "https://app.example/"),
        ("host", "app.example"),
        ("sec-fetch-site", "same-origin"),
        ("x-forwarded-host", "app.example"),
    ] {
        assert_eq!(read(&cookie(), &[sent, other]), "403 cross_origin");
    }
}

#[test]
fn sec_fetch_site_counts_if_it_is_sent() {
    let sent = [("cookie", "__Host-refresh=a.b.c"), ("origin", OURS)];
    let site = |sites: &[&str]| {
        let sites = sites.iter().map(|site| ("sec-fetch-site", *site));
        read(
            &cookie(),
            &sent.into_iter().chain(sites).collect::<Vec<_>>(),
        )
    };
    for own in ["same-origin", "same-site"] {
        assert_eq!(site(&[own]), "a.b.c");
    }
    for other in ["cross-site", "none", "", "Same-Origin", "same-origin, x"] {
        assert_eq!(site(&[other]), "403 cross_origin", "{other}");
    }
    assert_eq!(site(&["same-origin", "same-origin"]), "403 cross_origin");
    assert_eq!(site(&["same-origin", "cross-site"]), "403 cross_origin");
}

#[test]
fn the_origin_can_be_checked_without_a_cookie() {
    let check = |headers: &[(&str, &str)]| cookie().check_origin(request(headers).headers());
    assert_eq!(check(&[("origin", OURS)]), Ok(()));
    assert_eq!(check(&[]), Err(RefreshCookieError::MissingOrigin));
    let theirs = check(&[("origin", "https://evil.example")]);
    assert_eq!(theirs, Err(RefreshCookieError::CrossOrigin));
    let cross = check(&[("origin", OURS), ("sec-fetch-site", "cross-site")]);
    assert_eq!(cross, Err(RefreshCookieError::CrossOrigin));
}
