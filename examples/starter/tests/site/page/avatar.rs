//! The avatar on the page.

use std::time::Duration;

use fantoccini::Locator;
use serde_json::json;

use crate::avatars::picture;
use crate::browser::{Browser, WAIT, address, register};
use crate::start;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_uploads_and_removes_an_avatar() {
    let service = start(Default::default()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    register(&browser, "ada@example.com").await;
    browser.says("#no-picture", "A").await;
    let file = service.place.folder.path().join("me.png");
    for (bytes, ends) in [(b"no picture".to_vec(), false), (picture(), true)] {
        std::fs::write(&file, bytes).unwrap();
        let field = browser
            .page
            .find(Locator::Css("#picture-file"))
            .await
            .unwrap();
        field.send_keys(file.to_str().unwrap()).await.unwrap();
        if ends {
            browser.shows("#picture").await;
        } else {
            browser
                .says("#picture-notice", "cannot read that picture")
                .await;
        }
    }
    // The image is displayed, so the page's policy allows it.
    let drawn =
        "const it = document.querySelector('#picture'); return it.complete && it.naturalWidth";
    let deadline = tokio::time::Instant::now() + WAIT;
    while browser.script(drawn, &[]).await != json!(256) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    browser.picture("picture").await;
    browser.click("#picture-remove").await;
    browser.shows("#no-picture").await;
    browser.close().await;
}
