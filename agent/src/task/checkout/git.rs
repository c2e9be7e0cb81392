//! A git repository, at a commit.

#![expect(clippy::unused_async, reason = "not there yet")]
use std::path::Path;
use std::sync::Arc;

use crate::task::context::Context;
use crate::task::spool::StepLog;

/// Names to be on after the checkout.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "git is next")]
pub(super) struct Names<'a> {
    pub(super) branch: Option<&'a str>,
    pub(super) tag: Option<&'a str>,
}

pub(super) async fn run(
    _context: &Context,
    _log: &Arc<StepLog>,
    _url: &str,
    _revision: &str,
    _names: Names<'_>,
    _target: &Path,
) -> Result<(), String> {
    Err("git is not there yet".to_owned())
}
