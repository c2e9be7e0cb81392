//! Storing what people look at.
#![expect(clippy::unused_async, reason = "not there yet")]
use super::context::{Context, StepEnd};
use super::spool::StepLog;
use std::sync::Arc;
pub(crate) async fn store(
    _context: &Arc<Context>,
    _log: &Arc<StepLog>,
    _path: &str,
    _destination: Option<&str>,
) -> StepEnd {
    StepEnd::failed("not there yet")
}
