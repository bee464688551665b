//! Avatars: images of users, decoded within limits and encoded again from their pixels.
//!
//! Needs the storage, which belongs to the same chapter. To remove both: `./chapters remove avatars` (see
//! `docs/removing.md`).

mod routes;

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use image::imageops::{FilterType, crop_imm, resize, thumbnail};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbaImage};
use object_store::path::Path;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, RequireToken};
use crate::storage::{Storage, StorageError};

/// The size limit of an upload, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// The accepted formats. The first bytes of an image decide its format, not the header of the request.
const TYPES: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];
const FORMATS: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];

/// The side of the stored square, in pixels.
const SIDE: u32 = 256;
const KEPT_TYPE: &str = "image/png";
/// The longest side of an upload, in pixels. A small file can contain an image that fills the memory.
const MAX_SIDE: u32 = 8192;
const MAX_PIXELS: u64 = 16 * 1024 * 1024;
const MAX_DECODED_BYTES: u64 = 64 * 1024 * 1024;
/// How many images are processed at once.
const AT_ONCE: usize = 2;
/// How long another image waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// The stored avatars. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Avatars {
    storage: Storage,
    working: Arc<Semaphore>,
}

/// Why an image was not stored.
enum NotKept {
    /// It is not an image in an accepted format.
    NoImage,
    /// Too many others are being processed.
    Busy,
    Storage(StorageError),
}

/// Returns the routes of this chapter.
pub(crate) fn routes(token: &RequireToken) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(routes::own, routes::put, routes::delete))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .routes(routes!(routes::of))
        .route_layer(token.clone())
}

// === impl Avatars ===

impl Avatars {
    pub(crate) fn new(storage: Storage) -> Self {
        Self {
            storage,
            working: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Stores the avatar of a user, and replaces the previous one.
    async fn keep(&self, user: &str, sent: Bytes) -> Result<(), NotKept> {
        let permit = timeout(PATIENCE, Arc::clone(&self.working).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or(NotKept::Busy)?;
        let work = move || {
            let _permit = permit; // held to the end, even if the request is dropped
            made_anew(&sent)
        };
        // If the decoder panics, the file was not an image.
        let made = tokio::task::spawn_blocking(work).await.ok().flatten();
        let made = made.ok_or(NotKept::NoImage)?;
        let (path, cache) = (path(user), "private".to_owned());
        let put = self.storage.put(&path, made.into(), KEPT_TYPE, cache);
        put.await.map_err(NotKept::Storage)
    }

    /// Returns the avatar of a user, as PNG.
    pub(crate) async fn of(&self, user: &str) -> Result<Option<Bytes>, StorageError> {
        self.storage.get(&path(user)).await
    }

    pub(crate) async fn remove(&self, user: &str) -> Result<(), StorageError> {
        self.storage.delete(&path(user)).await
    }
}

/// Returns the path of the file, which contains nothing that a user chose.
fn path(user: &str) -> Path {
    Path::from_iter(["avatars", user])
}

/// Encodes only the pixels. Everything else in the file, such as a location or a script, is dropped (OWASP
/// File Upload Cheat Sheet).
fn made_anew(sent: &[u8]) -> Option<Vec<u8>> {
    let mut reader = ImageReader::new(Cursor::new(sent))
        .with_guessed_format()
        .ok()?;
    if !FORMATS.contains(&reader.format()?) {
        return None;
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || decoder.total_bytes() > MAX_DECODED_BYTES {
        return None;
    }
    let orientation = decoder.orientation().ok()?;
    let image = DynamicImage::from_decoder(decoder).ok()?;
    let mut image = DynamicImage::from(square(&image));
    image.apply_orientation(orientation);
    let mut made = Cursor::new(Vec::new());
    image.write_to(&mut made, ImageFormat::Png).ok()?;
    Some(made.into_inner())
}

/// Cuts out the square in the middle, and scales it to the stored size.
///
/// It cuts before it scales, so that nothing larger than the image is made on the way. Scaling an image of
/// 8192 by 1 pixels first, until it fills a square, would take gigabytes.
fn square(image: &DynamicImage) -> RgbaImage {
    let (width, height) = (image.width(), image.height());
    let side = width.min(height);
    let middle = crop_imm(image, (width - side) / 2, (height - side) / 2, side, side);
    // One fast pass brings the image close to the final size. A good filter does the rest.
    let near = if side > 2 * SIDE {
        thumbnail(&*middle, 2 * SIDE, 2 * SIDE)
    } else {
        middle.to_image()
    };
    resize(&near, SIDE, SIDE, FilterType::CatmullRom)
}

#[cfg(test)]
mod tests {
    use image::ColorType;
    use proptest::prelude::*;

    use super::*;

    /// Returns the memory that processing may take. Decoders keep parts of an image, and the result needs a
    /// little more.
    fn most_memory(width: u32, height: u32, color: ColorType) -> u64 {
        let pixels = u64::from(width) * u64::from(height);
        3 * pixels * u64::from(color.bytes_per_pixel()) + 8 * 1024 * 1024
    }

    fn file(width: u32, height: u32, color: ColorType, format: ImageFormat) -> Option<Vec<u8>> {
        let image = DynamicImage::new(width, height, color);
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).ok()?;
        Some(file.into_inner())
    }

    fn made_within(most: u64, file: &[u8]) -> Option<Vec<u8>> {
        let mut made = None;
        let memory = allocation_counter::measure(|| made = made_anew(file));
        assert!(memory.bytes_max < most, "{} bytes", memory.bytes_max);
        made
    }

    #[test]
    fn an_image_one_pixel_high_takes_no_extra_memory() {
        for (width, height) in [(8192, 1), (1, 8192), (8192, 2), (1, 1), (8192, 64)] {
            for color in [ColorType::Rgba16, ColorType::L8, ColorType::Rgb8] {
                let file = file(width, height, color, ImageFormat::Png).unwrap();
                let made = made_within(most_memory(width, height, color), &file);
                let made = image::load_from_memory(&made.unwrap()).unwrap();
                assert_eq!((made.width(), made.height()), (SIDE, SIDE));
            }
        }
    }

    #[test]
    fn the_square_is_cut_from_the_middle_of_the_image() {
        let mut image = RgbaImage::from_pixel(1800, 600, image::Rgba([255, 0, 0, 255]));
        for x in 600..1200 {
            for y in 0..600 {
                image.put_pixel(x, y, image::Rgba([0, 0, 255, 255]));
            }
        }
        let kept = square(&image.into());
        assert!(
            kept.pixels().all(|pixel| pixel[2] > 250),
            "only the blue middle"
        );
    }

    /// Sides in all proportions, small enough for a test.
    fn sides() -> impl Strategy<Value = (u32, u32)> {
        let longest = prop_oneof![1..700_u32, 8000..=8193_u32];
        let sides = longest.prop_flat_map(|long| (Just(long), 1..=(400_000 / long).min(700)));
        (sides, any::<bool>()).prop_map(|((a, b), turned)| if turned { (b, a) } else { (a, b) })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(48)
        })]

        #[test]
        fn memory_is_bounded_for_every_size_color_and_format(
            (width, height) in sides(),
            color in prop::sample::select(vec![
                ColorType::L8, ColorType::La8, ColorType::Rgb8, ColorType::Rgba8,
                ColorType::L16, ColorType::La16, ColorType::Rgb16, ColorType::Rgba16,
            ]),
            format in prop::sample::select(FORMATS.to_vec()),
        ) {
            // No format supports all color types.
            let Some(file) = file(width, height, color, format) else { return Ok(()) };
            let made = made_within(most_memory(width, height, color), &file);
            let fits = width <= MAX_SIDE && height <= MAX_SIDE;
            prop_assert_eq!(made.is_some(), fits);
        }
    }
}
