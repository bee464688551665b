//! [`RefusalsOnce`]: how a layer refuses requests, made once and shared by all requests.

use std::sync::{Arc, OnceLock};

use http::HeaderMap;

use crate::challenge::Refusals;
use crate::grpc::GrpcType;

/// Each is made by the first request that needs it, because only a request tells the type of the body
/// and the protocol of the client.
#[derive(Default)]
pub(super) struct RefusalsOnce {
    http: OnceLock<Option<Arc<Refusals>>>,
    grpc: [OnceLock<Arc<Refusals>>; GrpcType::COUNT],
}

// === impl RefusalsOnce ===

impl RefusalsOnce {
    /// Returns how this request is refused, if it is. `make` returns `None` if it is as by default,
    /// which is the same for every request: the headers are not even looked at.
    pub(super) fn for_request(
        &self,
        headers: &HeaderMap,
        make: impl FnOnce() -> Option<Refusals>,
    ) -> Option<Arc<Refusals>> {
        let http = self.http.get_or_init(|| make().map(Arc::new)).as_ref()?;
        let refusals = match GrpcType::of(headers) {
            None => http,
            Some(grpc) => self.grpc[grpc.index()].get_or_init(|| {
                Arc::new(Refusals {
                    grpc: Some(grpc),
                    ..Refusals::clone(http)
                })
            }),
        };
        Some(Arc::clone(refusals))
    }
}
