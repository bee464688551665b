//! The origins with which a cookie can be built.

use tower_jwt_auth::refresh_cookie::RefreshCookie;

use super::{OURS, names_the_problem, pair, read};

#[test]
fn an_origin_that_no_browser_sends_is_refused() {
    for origin in [
        "",
        "*",
        "null",
        "app.example",
        "//app.example",
        "https://",
        "https:///",
        "https://app.example/",
        "https://app.example/login",
        "https://app.example?x",
        "https://app.example#x",
        "https://app.example:443",
        "http://localhost:80",
        "https://app.example:",
        "https://app.example:0443",
        "https://app.example:65536",
        "https://app.example:+1",
        "https://App.example",
        "HTTPS://app.example",
        "https://user@app.example",
        "https://*.app.example",
        "https://bücher.example",
        "https://app.example ",
        "https://[::1",
        "https://[0:0:0:0:0:0:0:1]",
        "https://::1",
        "ftp://app.example",
        "chrome-extension://abc",
    ] {
        let built = RefreshCookie::new([OURS, origin]);
        names_the_problem(built, &["is not an origin", "`https://app.example`"]);
    }
    names_the_problem(RefreshCookie::new([""; 0]), &["has no origins"]);
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let local = [
        "http://localhost:3000",
        "http://localhost",
        "http://app.localhost:3000",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
    ];
    assert!(RefreshCookie::new(local).is_ok());
    for origin in [
        "http://app.example",
        "http://192.168.0.7:3000",
        "http://localhost.evil.example",
        "http://xlocalhost",
        "http://127.0.0.1.evil.example",
        "http://[::2]",
    ] {
        names_the_problem(RefreshCookie::new([origin]), &[origin, "plain http"]);
        let built = RefreshCookie::builder([origin]).dangerous_insecure();
        names_the_problem(built.build(), &[origin, "plain http"]);
    }
    let public = ["https://app.example", "https://[2001:db8::1]:8443"];
    assert!(RefreshCookie::new(public).is_ok());
}

#[test]
fn an_insecure_cookie_has_no_prefix_and_is_for_this_machine_only() {
    let cookie = RefreshCookie::builder(["http://localhost:3000"])
        .dangerous_insecure()
        .build()
        .unwrap();
    assert_eq!(cookie.name(), "refresh");
    let clear = "refresh=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict";
    assert_eq!(cookie.clear(), clear);
    let set = cookie.set(&pair()).unwrap();
    assert!(!set.to_str().unwrap().contains("Secure"));
    let ours = ("origin", "http://localhost:3000");
    assert_eq!(read(&cookie, &[ours, ("cookie", "refresh=a.b.c")]), "a.b.c");
    let other = ("origin", "http://localhost:3001");
    let sent = ("cookie", "refresh=a.b.c");
    assert_eq!(read(&cookie, &[other, sent]), "403 cross_origin");

    // The order of the calls makes no difference, and the name keeps its rules.
    let named = RefreshCookie::builder(["http://localhost:3000"])
        .dangerous_insecure()
        .name("__Host-session");
    assert_eq!(named.build().unwrap().name(), "session");
    for origins in [vec![OURS], vec!["http://localhost:3000", OURS]] {
        let built = RefreshCookie::builder(origins).dangerous_insecure();
        names_the_problem(built.build(), &[OURS, "leave `dangerous_insecure` out"]);
    }
}
