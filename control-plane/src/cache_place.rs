//! Place of caches that outlive a control plane (`kept_caches`).

use std::path::PathBuf;

/// Place of the caches of one project, and bound of those of all projects.
#[derive(Clone, Debug)]
pub struct KeptCaches {
    /// Directory of the project; its parent has those of others.
    pub dir: PathBuf,
    /// Most bytes of all projects; the oldest caches go first.
    pub limit: u64,
}
