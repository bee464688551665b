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
    /// The same for requests that use DPoP.
    http_dpop: OnceLock<Arc<Refusals>>,
    grpc: [OnceLock<Arc<Refusals>>; GrpcType::COUNT],
    grpc_dpop: [OnceLock<Arc<Refusals>>; GrpcType::COUNT],
}

// === impl RefusalsOnce ===

impl RefusalsOnce {
    /// Returns how this request is refused, if it is. `make` returns `None` if it is as by default,
    /// which is the same for every request: the headers are not even looked at.
    pub(super) fn for_request(
        &self,
        headers: &HeaderMap,
        uses_dpop: bool,
        make: impl FnOnce() -> Option<Refusals>,
    ) -> Option<Arc<Refusals>> {
        let http = self.http.get_or_init(|| make().map(Arc::new)).as_ref()?;
        let grpc = GrpcType::of(headers);
        let place = match (grpc, uses_dpop) {
            (None, false) => return Some(Arc::clone(http)),
            (None, true) => &self.http_dpop,
            (Some(grpc), false) => &self.grpc[grpc.index()],
            (Some(grpc), true) => &self.grpc_dpop[grpc.index()],
        };
        let refusals = place.get_or_init(|| {
            let mut refusals = Refusals::clone(http);
            refusals.grpc = grpc;
            if let Some(dpop) = &mut refusals.challenge.dpop {
                dpop.is_used = uses_dpop;
            }
            Arc::new(refusals)
        });
        Some(Arc::clone(refusals))
    }
}
