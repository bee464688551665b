//! [`Avatars`]: pictures of users, made anew from what they send.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use object_store::path::Path;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::storage::{Storage, StorageError};

/// As large as a picture may be that is sent.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;
/// What may be sent; what it is, its first bytes say, and not the header of the request.
pub(crate) const TYPES: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];
const FORMATS: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];

/// What is kept: a square of so many pixels, as PNG.
const SIDE: u32 = 256;
pub(crate) const KEPT_TYPE: &str = "image/png";
/// A small file can stand for a picture that fills the memory.
const MAX_SIDE: u32 = 8192;
const MAX_DECODED_BYTES: u64 = 64 * 1024 * 1024;
/// How many pictures are worked on at once.
const AT_ONCE: usize = 2;
/// How long another one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the pictures are. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Avatars {
    storage: Storage,
    working: Arc<Semaphore>,
}

/// Why a picture was not kept.
pub(crate) enum NotKept {
    /// It is no picture, or none that is taken.
    NoImage,
    /// Too many others are worked on.
    Busy,
    Storage(StorageError),
}

// === impl Avatars ===

impl Avatars {
    pub(crate) fn new(storage: Storage) -> Self {
        Self {
            storage,
            working: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Keeps the picture of a user, in place of one that there was.
    pub(crate) async fn keep(&self, user: &str, sent: Bytes) -> Result<(), NotKept> {
        let permit = timeout(PATIENCE, Arc::clone(&self.working).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or(NotKept::Busy)?;
        let work = move || {
            let _permit = permit; // held to the end, also if nobody waits for it any more
            made_anew(&sent)
        };
        // A decoder that panics has met no picture.
        let made = tokio::task::spawn_blocking(work).await.ok().flatten();
        let made = made.ok_or(NotKept::NoImage)?;
        let (path, cache) = (path(user), "private".to_owned());
        let put = self.storage.put(&path, made.into(), KEPT_TYPE, cache);
        put.await.map_err(NotKept::Storage)
    }

    /// The picture of a user, as PNG.
    pub(crate) async fn of(&self, user: &str) -> Result<Option<Bytes>, StorageError> {
        self.storage.get(&path(user)).await
    }

    pub(crate) async fn remove(&self, user: &str) -> Result<(), StorageError> {
        self.storage.delete(&path(user)).await
    }
}

/// The name of the file is ours, and nothing that a user chose.
fn path(user: &str) -> Path {
    Path::from_iter(["avatars", user])
}

/// Its pixels alone: what else is in the file, such as where it was taken, or a script, is not kept
/// (OWASP, File Upload Cheat Sheet).
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
    if decoder.total_bytes() > MAX_DECODED_BYTES {
        return None;
    }
    let orientation = decoder.orientation().ok()?;
    let mut image = DynamicImage::from_decoder(decoder).ok()?;
    image = image.resize_to_fill(SIDE, SIDE, FilterType::CatmullRom);
    image.apply_orientation(orientation);
    let mut made = Cursor::new(Vec::new());
    image
        .to_rgba8()
        .write_to(&mut made, ImageFormat::Png)
        .ok()?;
    Some(made.into_inner())
}
