//! The key of a browser: somebody who copies everything else gets nothing.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Browser, address, log_in, register};
use crate::start;
use crate::support::key_holder::KeyHolder;
use crate::support::{Answer, PASSWORD, Place, Service};

const EMAIL: &str = "ada@example.com";
const OTHER: &str = "eve@example.com";

/// Records what the page sends from now on, as a program on the way would.
const RECORD: &str = "window.sent = []; \
     const real = window.fetch; \
     window.fetch = (path, options) => { \
         window.sent.push({ path: String(path), ...options?.headers }); \
         return real(path, options); \
     };";
/// Makes the browser refuse to store anything.
const KEEP_NOTHING: &str =
    "IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); };";

/// Runs the body of an asynchronous function, and returns its result.
async fn run(browser: &Browser, body: &str) -> Value {
    let script = format!(
        "const done = arguments[0]; \
         (async () => {{ {body} }})().then(done, (error) => done(`${{error.name}}: ${{error.message}}`));"
    );
    let run = browser.page.execute_async(&script, Vec::new());
    run.await.unwrap()
}

/// Returns what the page has last sent to this path.
async fn last_sent(browser: &Browser, path: &str) -> Value {
    let sent = browser.script("return window.sent", &[]).await;
    let mut sent = sent.as_array().unwrap().iter().rev();
    let last = sent.find(|one| one["path"] == path);
    last.unwrap_or_else(|| panic!("nothing was sent to {path}"))
        .clone()
}

/// Returns all cookies of the browser.
async fn cookies(browser: &Browser) -> String {
    let cookies = browser.page.get_all_cookies().await.unwrap();
    let cookies: Vec<_> = cookies
        .iter()
        .map(|cookie| format!("{}={}", cookie.name(), cookie.value()))
        .collect();
    assert!(cookies.len() >= 2, "{cookies:?}");
    cookies.join("; ")
}

/// Somebody who copies everything but the key.
struct Thief<'a> {
    service: &'a Service,
    /// A key of the thief's own.
    key: KeyHolder,
}

// === impl Thief ===

impl Thief<'_> {
    async fn get(&self, scheme: &str, token: &str, proof: Option<&str>) -> Answer {
        let authorization = format!("{scheme} {token}");
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(proof.map(|proof| ("dpop", proof)));
        let (method, path) = (Method::GET, "/me");
        self.service.request(method, path, &headers, "").await
    }

    /// Refreshes as the page does, with these cookies.
    async fn refresh(&self, cookies: &str, proof: Option<&str>) -> Answer {
        let origin = format!("http://{}", self.service.address());
        let mut headers = vec![
            ("cookie", cookies),
            ("token-transport", "cookie"),
            ("origin", origin.as_str()),
        ];
        headers.extend(proof.map(|proof| ("dpop", proof)));
        let (method, path) = (Method::POST, "/auth/refresh");
        self.service.request(method, path, &headers, "").await
    }
}

#[track_caller]
fn assert_refused(answer: &Answer, status: StatusCode) {
    assert_eq!(answer.status, status, "{:?}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_copies_all_cookies_and_tokens_has_nothing() {
    let service = start(Default::default()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    register(&browser, EMAIL).await;
    browser.says("#sessions", "Bound to this browser").await;
    browser.picture("bound").await;
    browser.script(RECORD, &[]).await;
    browser.click("#call-me").await;
    browser.says("#answer", "200 – it worked").await;
    let sent = last_sent(&browser, "/me").await;
    let (scheme, token) = sent["Authorization"]
        .as_str()
        .unwrap()
        .split_once(' ')
        .unwrap();
    assert_eq!(scheme, "DPoP");
    let proof = sent["DPoP"].as_str().unwrap();

    let thief = Thief {
        service: &service,
        key: KeyHolder::new(),
    };
    thief.key.log_in(&service, "nobody@example.com").await; // learns the nonce
    let own = thief.key.proof(&Method::GET, "/me", Some(token));
    for (scheme, proof) in [
        ("Bearer", None),
        ("Bearer", Some(proof)),
        ("DPoP", None),
        ("DPoP", Some(proof)),
        ("DPoP", Some(&*own)),
    ] {
        let answer = thief.get(scheme, token, proof).await;
        assert_refused(&answer, StatusCode::UNAUTHORIZED);
    }
    let stolen = cookies(&browser).await;
    for proof in [None, Some(proof)] {
        let answer = thief.refresh(&stolen, proof).await;
        assert_refused(&answer, StatusCode::BAD_REQUEST);
        assert_eq!(answer.code(), "invalid_dpop_proof");
        assert_eq!(answer.header("set-cookie"), "");
    }
    // The page goes on, and its proof of that is good once.
    browser.click("#refresh").await;
    browser.says("#notice", "a new access token").await;
    let sent = last_sent(&browser, "/auth/refresh").await;
    let stolen = cookies(&browser).await;
    let proof = sent["DPoP"].as_str().unwrap();
    let answer = thief.refresh(&stolen, Some(proof)).await;
    assert_refused(&answer, StatusCode::BAD_REQUEST);
    browser.page.refresh().await.unwrap();
    browser.is_logged_in(EMAIL).await;
    browser.click("#call-me").await;
    browser.says("#answer", "200 – it worked").await;

    // Not even a script in the page gets the key.
    let key = "const opening = indexedDB.open('dpop'); \
         await new Promise((done) => { opening.onsuccess = done; }); \
         const entry = opening.result.transaction('keys').objectStore('keys').get('browser'); \
         await new Promise((done) => { entry.onsuccess = done; }); \
         opening.result.close(); \
         const { privateKey } = entry.result.keys;";
    for format in ["pkcs8", "jwk"] {
        let export = format!("{key} return await crypto.subtle.exportKey('{format}', privateKey);");
        let told = run(&browser, &export).await;
        let told = told.as_str().expect("an error");
        assert!(told.starts_with("InvalidAccessError"), "{told}");
    }

    // Whoever tries with another key gives the theft away, and the session ends.
    let stolen = cookies(&browser).await;
    let own = thief.key.proof(&Method::POST, "/auth/refresh", None);
    let answer = thief.refresh(&stolen, Some(&own)).await;
    answer.assert_invalid_grant();
    browser.click("#call-me").await;
    browser
        .says(
            "#entry-notice",
            "Your session has ended. Please log in again",
        )
        .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_has_lost_its_key_asks_to_log_in_again() {
    let service = start(Default::default()).await;
    let page = address(&service);
    let Some(browser) = Browser::open(&page, 1200, false).await else {
        return;
    };
    register(&browser, EMAIL).await;
    browser.says("#sessions", "Bound to this browser").await;
    let forget = "const gone = indexedDB.deleteDatabase('dpop'); \
         await new Promise((done, failed) => { gone.onsuccess = done; gone.onerror = failed; });";
    assert_eq!(run(&browser, forget).await, Value::Null);
    let lost = "bound to a key that this browser no longer has";
    browser.page.refresh().await.unwrap();
    browser.says("#entry-notice", lost).await;
    browser.picture("lost-key").await;

    // A key that is made for a login that fails is not taken for that of the session.
    browser.set("#email", EMAIL).await;
    browser.set("#password", "wrong").await;
    browser.click("[type=submit]").await;
    browser
        .says("#entry-notice", "Wrong email address or password")
        .await;
    browser.page.refresh().await.unwrap();
    browser.says("#entry-notice", lost).await;
    let open = "SELECT count(*) FROM jwt_sessions WHERE ended_at IS NULL";
    let open = sqlx::query_scalar::<_, i64>(open)
        .fetch_one(&mut service.database().await)
        .await;
    assert_eq!(open.unwrap(), 1, "nothing looks like a theft");

    log_in(&browser, EMAIL).await;
    browser.says("#sessions", "Bound to this browser").await;
    browser
        .says("#sessions", "Bound to a key of its device")
        .await;
    browser.page.refresh().await.unwrap();
    browser.is_logged_in(EMAIL).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_and_people_share_the_key_of_the_browser() {
    let service = start(Default::default()).await;
    let page = address(&service);
    let Some(browser) = Browser::open(&page, 1200, false).await else {
        return;
    };
    // Logins that begin at once get one key.
    let both = "const { keyForLogin } = await import('/assets/dpop.js'); \
         const keys = await Promise.all([keyForLogin(), keyForLogin(), keyForLogin()]); \
         const texts = await Promise.all(keys.map(async ({ publicKey }) => \
             JSON.stringify(await crypto.subtle.exportKey('jwk', publicKey)))); \
         return new Set(texts).size;";
    assert_eq!(run(&browser, both).await, json!(1));

    service.register(OTHER).await;
    register(&browser, EMAIL).await;
    browser.says("#claims", "jkt").await;
    let claims = "return document.querySelector('#claims').innerText.match(/\"jkt\":\"[^\"]+/)[0]";
    let key = browser.script(claims, &[]).await;
    let first = browser.page.window().await.unwrap();
    let second = browser.page.new_window(true).await.unwrap().handle;
    browser.page.switch_to_window(second.clone()).await.unwrap();
    browser.page.goto(&page).await.unwrap();
    browser.is_logged_in(EMAIL).await;
    for window in [&first, &second, &first] {
        browser.page.switch_to_window(window.clone()).await.unwrap();
        browser.click("#refresh").await;
        browser.says("#notice", "a new access token").await;
        browser.click("#call-me").await;
        browser.says("#answer", "200 – it worked").await;
    }
    // Somebody else logs in, in the other tab.
    browser.page.switch_to_window(second).await.unwrap();
    browser.click("#logout").await;
    browser
        .says("#entry-notice", "You are logged out here")
        .await;
    log_in(&browser, OTHER).await;
    browser.says("#claims", "jkt").await;
    assert_eq!(browser.script(claims, &[]).await, key);
    browser.page.switch_to_window(first).await.unwrap();
    browser.page.refresh().await.unwrap();
    browser.is_logged_in(OTHER).await;
    browser.says("#sessions", "Bound to this browser").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_keeps_no_keys_logs_in_without_one() {
    let service = start(Default::default()).await;
    let page = address(&service);
    let Some(browser) = Browser::open(&page, 1200, false).await else {
        return;
    };
    browser.shows("#entry").await;
    browser.script(KEEP_NOTHING, &[]).await;
    register(&browser, EMAIL).await;
    browser.says("#sessions", "This session").await;
    let sessions = browser.text("#sessions").await;
    assert!(!sessions.contains("Bound"), "{sessions}");
    browser.click("#refresh").await;
    browser.says("#notice", "a new access token").await;
    browser.page.refresh().await.unwrap();
    browser.is_logged_in(EMAIL).await;
    // With a key, the same browser logs in with it.
    browser.click("#logout").await;
    browser
        .says("#entry-notice", "You are logged out here")
        .await;
    log_in(&browser, EMAIL).await;
    browser.says("#sessions", "Bound to this browser").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_turned_off_the_page_makes_no_key() {
    let service = Service::start_with(Place::sqlite(), |settings| {
        settings.sessions.dpop = false;
    })
    .await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    register(&browser, EMAIL).await;
    browser.script(RECORD, &[]).await;
    browser.click("#call-me").await;
    browser.says("#answer", "200 – it worked").await;
    let sent = last_sent(&browser, "/me").await;
    assert!(
        sent["Authorization"]
            .as_str()
            .unwrap()
            .starts_with("Bearer ")
    );
    assert_eq!(sent["DPoP"], Value::Null);
    let databases = "return (await indexedDB.databases()).length;";
    assert_eq!(run(&browser, databases).await, json!(0));
    let sessions = browser.text("#sessions").await;
    assert!(!sessions.contains("Bound"), "{sessions}");
    browser.page.refresh().await.unwrap();
    browser.is_logged_in(EMAIL).await;
    let other = service.login(EMAIL, PASSWORD).await.tokens();
    service.assert_good(&other).await;
    browser.close().await;
}
