//! [`RefusalsOnce`]: how a layer refuses requests, built once and shared by all requests.

use std::sync::{Arc, OnceLock};

use http::HeaderMap;

use crate::challenge::Refusals;
use crate::grpc::GrpcType;

/// The ways in which a layer refuses requests. Each is built by the first request that needs it, because the
/// type of the body and the protocol of the client are not known before.
#[derive(Default)]
pub(super) struct RefusalsOnce {
    http: OnceLock<Option<Arc<Refusals>>>,
    /// For requests that use DPoP.
    http_dpop: OnceLock<Arc<Refusals>>,
    grpc: [OnceLock<Arc<Refusals>>; GrpcType::COUNT],
    grpc_dpop: [OnceLock<Arc<Refusals>>; GrpcType::COUNT],
}

// === impl RefusalsOnce ===

impl RefusalsOnce {
    /// Returns how this request would be refused. `make` returns `None` for the default way, which is the
    /// same for every request, so the headers are not read.
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
