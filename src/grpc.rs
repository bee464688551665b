//! [`GrpcType`]: the content types of gRPC requests, which determine the form of a refusal.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The content type of a gRPC request, and of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GrpcType(usize);

const PREFIX: &[u8] = b"application/grpc";

/// The content types of gRPC over HTTP/2 and gRPC-Web, each with the codecs that clients may require in a
/// response.
const NAMES: [&str; 9] = [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc+json",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web+json",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
    "application/grpc-web-text+json",
];

// === impl GrpcType ===

impl GrpcType {
    /// The number of content types. [`index`](Self::index) is always less.
    pub(crate) const COUNT: usize = NAMES.len();

    /// Returns `None` if the request is not gRPC. Another codec, such as in `application/grpc+thrift`, is
    /// ignored, because a refusal has no message to encode.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.as_bytes();
        if !value.get(..PREFIX.len())?.eq_ignore_ascii_case(PREFIX) {
            return None; // the fast path for most requests
        }
        let before = |separator: u8, text| -> &[u8] {
            <[u8]>::split(text, |byte| *byte == separator)
                .next()
                .unwrap_or_default()
        };
        let name = before(b';', value).trim_ascii();
        let find = |wanted: &[u8]| {
            let position = NAMES
                .iter()
                .position(|known| known.as_bytes().eq_ignore_ascii_case(wanted));
            position.map(Self)
        };
        find(name).or_else(|| find(before(b'+', name)))
    }

    pub(crate) const fn as_str(self) -> &'static str {
        NAMES[self.0]
    }

    pub(crate) const fn index(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{GrpcType, NAMES};

    fn of(content_type: &str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(content_type).unwrap();
        headers.insert("content-type", value);
        GrpcType::of(&headers).map(GrpcType::as_str)
    }

    #[test]
    fn each_content_type_of_grpc_is_answered_with_itself() {
        for name in NAMES {
            assert_eq!(of(name), Some(name));
            assert_eq!(of(&name.to_ascii_uppercase()), Some(name));
            assert_eq!(of(&format!("{name} ; charset=utf-8")), Some(name));
        }
        assert_eq!(of("application/grpc+thrift"), Some("application/grpc"));
        let text = "application/grpc-web-text+thrift";
        assert_eq!(of(text), Some("application/grpc-web-text"));
    }

    #[test]
    fn other_content_types_are_not_grpc() {
        for other in [
            "",
            ";",
            "+",
            "application/grp",
            "application/grpcx",
            "application/grpc-",
            "application/grpc-websocket",
            "application/grpc, application/json",
            "application/json",
            "application/connect+proto",
            "application/proto",
            "text/plain; application/grpc",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(GrpcType::of(&HeaderMap::new()), None);
    }
}
