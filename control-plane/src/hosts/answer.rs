//! Answer of a host.

use axum::http::HeaderMap;

/// Answer of a host, whatever its status is.
#[derive(Debug)]
pub(super) struct HostAnswer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}
