//! base64url without padding (RFC 7515 section 2), by the widest instructions that the machine has.

use base64::DecodeSliceError;
use base64::Engine as _;

/// Canonical only: padding bits that are not zero are refused (J35).
#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
))]
static ENGINE: std::sync::LazyLock<base64::engine::Simd> = std::sync::LazyLock::new(|| {
    base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD)
});
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
)))]
static ENGINE: base64::engine::GeneralPurpose = base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The bytes behind `text`; none where it is not base64url.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    ENGINE.decode(text).ok()
}

/// The same, in `room`; none as well where it is too small.
pub(super) fn decode_into<'r>(text: &[u8], room: &'r mut [u8]) -> Option<&'r [u8]> {
    let length: Result<usize, DecodeSliceError> = ENGINE.decode_slice(text, room);
    room.get(..length.ok()?)
}

/// Appends `bytes` to `text`.
pub(super) fn encode_to(bytes: &[u8], text: &mut String) {
    ENGINE.encode_string(bytes, text);
}
