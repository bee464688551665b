//! Users download everything that is stored about them.

use axum::http::StatusCode;

use super::deletion::{EMAIL, NEW, id, user_with_everything};
use crate::support::started;

/// Whoever adds a table with rows about users will find this test, and the download.
#[tokio::test]
async fn the_download_has_all_stored_data_and_no_secrets() {
    let service = started!();
    let (ada, keys, _) = user_with_everything(&service).await;
    let answer = service.get("/auth/account/download", &ada.access).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let file = "attachment; filename=\"account.json\"";
    assert_eq!(answer.header("content-disposition"), file);
    let json = answer.json();
    assert_eq!(json["account"]["id"], id(&ada));
    assert_eq!(json["account"]["email"], EMAIL);
    assert_eq!(json["account"]["email_verified"], true);
    assert_eq!(json["sessions"][0]["id"], ada.claims()["sid"]);
    assert_eq!(json["email_change"]["new_email"], NEW);
    assert_eq!(json["api_keys"][0]["label"], "backup"); // chapter: api-keys
    // chapter: second-factor {
    assert_eq!(json["recovery_codes_left"], 10);
    let factors = json["second_factors"].as_array().unwrap();
    let factor = |kind| {
        factors
            .iter()
            .find(|factor| factor["kind"] == kind)
            .unwrap()
    };
    assert_eq!(factor("totp")["confirmed"], true);
    assert!(factor("totp")["phone"].is_null());
    // chapter: sms {
    assert_eq!(factor("sms")["phone"], "+4915112345678");
    assert_eq!(factor("sms")["confirmed"], false);
    // chapter: sms }
    // chapter: second-factor }
    // chapter: avatars {
    let avatar = json["avatar"].as_str().unwrap();
    assert!(avatar.starts_with("iVBORw0KGgo"), "a PNG file");
    // chapter: avatars }
    let places = json["places"].as_array().unwrap();
    assert!(
        places.iter().any(|place| place["place"] == "127.0.0.1"),
        "{places:?}"
    );

    // Contains nothing that could be used to log in.
    let mut database = service.database().await;
    let mut secrets = vec![ada.access.clone(), ada.refresh.clone()];
    secrets.extend(keys);
    for query in [
        "SELECT password_hash FROM users",
        "SELECT digest FROM one_time_tokens",
        "SELECT coalesce(new_link, old_link) FROM email_changes",
        "SELECT secret FROM second_factors WHERE kind = 'totp'", // chapter: second-factor
        "SELECT digest FROM recovery_codes",                     // chapter: second-factor
        "SELECT hash FROM sms_codes",                            // chapter: sms
        "SELECT secret_digest FROM jwt_api_keys",                // chapter: api-keys
    ] {
        let rows: Vec<String> = sqlx::query_scalar(query)
            .fetch_all(&mut database)
            .await
            .unwrap();
        assert!(!rows.is_empty(), "{query}");
        secrets.extend(rows);
    }
    for secret in secrets {
        assert!(!answer.text().contains(&secret), "{secret}");
    }
}
