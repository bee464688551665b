//! Avatars: what is stored of an image, who can see it, and what is refused.

use std::io::Cursor;

use axum::http::{Method, StatusCode};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, Rgb, RgbImage};

use crate::start;
use crate::support::{Answer, Client, Place, Service, Tokens};

const RED: Rgb<u8> = Rgb([255, 0, 0]);
const BLUE: Rgb<u8> = Rgb([0, 0, 255]);

/// An image whose left half is red, and whose right half is blue.
fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { RED } else { BLUE })
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) async fn put(client: &Client, user: &Tokens, kind: &str, bytes: Vec<u8>) -> Answer {
    let bearer = format!("Bearer {}", user.access);
    let headers = [("authorization", &*bearer), ("content-type", kind)];
    client
        .request(Method::PUT, "/me/avatar", &headers, bytes)
        .await
}

pub(crate) async fn get(client: &Client, user: &Tokens, path: &str, etag: &str) -> Answer {
    let bearer = format!("Bearer {}", user.access);
    let headers = [("authorization", &*bearer), ("if-none-match", etag)];
    client.fetch(Method::GET, path, &headers).await
}

pub(crate) fn picture() -> Vec<u8> {
    encoded(halves(600, 400), ImageFormat::Png)
}

fn shown(answer: &Answer) -> RgbImage {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.header("content-type"), "image/png");
    let image = image::load_from_memory_with_format(&answer.body, ImageFormat::Png);
    image.unwrap().to_rgb8()
}

fn id(user: &Tokens) -> String {
    user.claims()["sub"].as_str().unwrap().to_owned()
}

async fn refused(service: &Service, user: &Tokens, kind: &str, bytes: Vec<u8>) -> (u16, String) {
    let answer = put(service, user, kind, bytes).await;
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn an_avatar_is_stored_as_a_square_without_metadata() {
    let service = start(Default::default()).await;
    let (ada, bob) = (
        service.user("ada@a.de").await,
        service.user("bob@a.de").await,
    );
    let none = get(&service, &ada, "/me/avatar", "").await;
    assert_eq!(
        (none.status, none.code().as_str()),
        (StatusCode::NOT_FOUND, "not_found")
    );
    for (kind, format) in [
        ("image/png", ImageFormat::Png),
        ("image/jpeg", ImageFormat::Jpeg),
        ("image/webp", ImageFormat::WebP),
    ] {
        let mut sent = encoded(halves(600, 400), format);
        sent.extend(b"<script>alert(1)</script>"); // image decoders ignore it
        let kept = put(&service, &ada, kind, sent).await;
        assert_eq!(kept.status, StatusCode::NO_CONTENT, "{kind}: {kept:?}");
        let answer = get(&service, &ada, "/me/avatar", "").await;
        let image = shown(&answer);
        assert_eq!(image.dimensions(), (256, 256), "{kind}");
        let [left, right] = [*image.get_pixel(20, 128), *image.get_pixel(236, 128)];
        assert!(left[0] > 200 && left[2] < 60, "{left:?}");
        assert!(right[2] > 200 && right[0] < 60, "{right:?}");
        assert!(!answer.body.windows(7).any(|part| part == b"<script"));
    }
    let answer = get(&service, &bob, &format!("/users/{}/avatar", id(&ada)), "").await;
    shown(&answer);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("content-security-policy").contains("sandbox"));
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let again = get(&service, &ada, "/me/avatar", answer.header("etag")).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert!(again.body.is_empty());
    for _ in 0..2 {
        let removed = service
            .send(Method::DELETE, "/me/avatar", &ada.access)
            .await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT);
    }
    let gone = get(&service, &ada, "/me/avatar", answer.header("etag")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_photo_is_upright_and_does_not_tell_its_location() {
    let service = start(Default::default()).await;
    let ada = service.user("ada@a.de").await;
    // TIFF, big endian, one entry: the orientation is 6, a quarter turn clockwise.
    let exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut sent = Vec::new();
    let mut encoder = JpegEncoder::new(&mut sent);
    encoder.set_exif_metadata(exif.to_vec()).unwrap();
    let image = halves(600, 400);
    encoder
        .write_image(image.as_raw(), 600, 400, ExtendedColorType::Rgb8)
        .unwrap();
    assert!(sent.windows(4).any(|part| part == b"Exif"));
    put(&service, &ada, "image/jpeg", sent).await;
    let answer = get(&service, &ada, "/me/avatar", "").await;
    let image = shown(&answer);
    let [top, bottom] = [*image.get_pixel(128, 20), *image.get_pixel(128, 236)];
    assert!(top[0] > 200 && bottom[2] > 200, "{top:?} {bottom:?}");
    assert!(
        !answer
            .body
            .windows(4)
            .any(|part| part.eq_ignore_ascii_case(b"exif"))
    );
}

#[tokio::test]
async fn an_invalid_image_is_refused_and_the_old_avatar_stays() {
    let service = start(Default::default()).await;
    let ada = service.user("ada@a.de").await;
    let good = picture();
    put(&service, &ada, "image/png", good.clone()).await;
    let no_image = (422, "invalid_image".to_owned());
    let (png, half) = ("image/png", good[..good.len() / 2].to_vec());
    assert_eq!(
        refused(&service, &ada, png, b"no picture".to_vec()).await,
        no_image
    );
    assert_eq!(refused(&service, &ada, png, half).await, no_image);
    assert_eq!(refused(&service, &ada, png, Vec::new()).await, no_image);
    // Small files with many pixels: a side that is too long, and too many bytes when decoded.
    let bombs: [DynamicImage; 3] = [
        GrayImage::new(9000, 9000).into(),
        RgbImage::new(6000, 6000).into(),
        GrayImage::new(1, 9000).into(),
    ];
    for bomb in bombs {
        let bomb = encoded(bomb, ImageFormat::Png);
        assert!(bomb.len() < 1024 * 1024, "{} bytes", bomb.len());
        assert_eq!(refused(&service, &ada, png, bomb).await, no_image);
    }
    let gif = b"GIF89a\x01\0\x01\0\0\0\0;".to_vec();
    assert_eq!(refused(&service, &ada, png, gif.clone()).await, no_image);
    let wrong_type = (415, "unsupported_media_type".to_owned());
    assert_eq!(refused(&service, &ada, "image/gif", gif).await, wrong_type);
    assert_eq!(
        refused(&service, &ada, "image/svg+xml", good.clone()).await,
        wrong_type
    );
    let large = vec![0; 1024 * 1024 + 1];
    let too_large = (413, "too_large".to_owned());
    assert_eq!(refused(&service, &ada, png, large).await, too_large);
    shown(&get(&service, &ada, "/me/avatar", "").await);
}

#[tokio::test]
async fn avatars_are_visible_to_users_with_a_token() {
    let service = start(Default::default()).await;
    let (ada, bob) = (
        service.user("ada@a.de").await,
        service.user("bob@a.de").await,
    );
    put(&service, &ada, "image/png", picture()).await;
    let path = format!("/users/{}/avatar", id(&ada));
    let stranger = service.fetch(Method::GET, &path, &[]).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    for path in [
        "/users/unknown/avatar",
        "/users/..%2f..%2fmail/avatar",
        "/users/%00/avatar",
    ] {
        let answer = get(&service, &bob, path, "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    // chapter: admin {
    let ada_id = id(&ada);
    assert!(
        service
            .app
            .users()
            .grant(
                &service::Email::parse("bob@a.de").unwrap(),
                service::ADMIN_SCOPE
            )
            .await
            .unwrap()
    );
    let bob = service
        .login("bob@a.de", crate::support::PASSWORD)
        .await
        .tokens();
    let disable = format!("/admin/users/{ada_id}/disable");
    let disabled = service.send(Method::POST, &disable, &bob.access).await;
    assert!(disabled.status.is_success(), "{disabled:?}");
    assert_eq!(
        get(&service, &bob, &path, "").await.status,
        StatusCode::NOT_FOUND
    );
    // chapter: admin }
}

#[tokio::test]
async fn uploads_of_avatars_are_rate_limited() {
    let limit = std::num::NonZeroU32::new(3);
    let place = Place::sqlite();
    let service = Service::start_with(place, |settings| settings.rate_limit = limit).await;
    let ada = service.user("ada@a.de").await;
    for _ in 0..3 {
        let kept = put(&service, &ada, "image/png", picture()).await;
        assert_eq!(kept.status, StatusCode::NO_CONTENT);
    }
    let more = put(&service, &ada, "image/png", picture()).await;
    assert_eq!(more.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!more.header("retry-after").is_empty());
    for _ in 0..5 {
        shown(&get(&service, &ada, "/me/avatar", "").await);
    }
}

/// Replaces the folder with a file.
#[tokio::test]
async fn an_unavailable_storage_logs_nobody_out() {
    let service = start(Default::default()).await;
    let ada = service.user("ada@a.de").await;
    put(&service, &ada, "image/png", picture()).await;
    let folder = service.place.folder.path().join("storage");
    let aside = folder.with_extension("aside");
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    put(&service, &ada, "image/png", picture())
        .await
        .assert_unavailable();
    let answer = get(&service, &ada, "/me/avatar", "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    service.assert_good(&ada).await;
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    shown(&get(&service, &ada, "/me/avatar", "").await);
}
