//! Packing a bundle before it is sent.
//!
//! It is packed whole first: the size of an artifact is said before its bytes, and a try that
//! failed is begun anew.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::NamedTempFile;

use super::collect::File;
use super::send::{SendError, wait_with_notice};
use crate::bundle;
use crate::task::journal::StepOutput;

/// Stops a packing thread when nobody waits for it any more: the task was canceled.
#[derive(Debug, Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Packs a bundle into a new file in `directory` that is removed when it is dropped.
pub(super) async fn pack_bundle(
    directory: &Path,
    output: &StepOutput,
    file: &File,
) -> Result<NamedTempFile, SendError> {
    let failed = |why: &dyn std::fmt::Display| SendError::File(format!("could not pack it: {why}"));
    let archive = tempfile::Builder::new()
        .prefix(".russet-bundle-")
        .tempfile_in(directory)
        .map_err(|error| failed(&error))?;
    let target = archive.as_file().try_clone().map_err(|error| failed(&error))?;
    let source = file.path.clone();
    // Without secrets, like the name of the archive.
    let own = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = bundle::bundle_name(&file.name).map_or(own, str::to_owned);
    let stop = StopOnDrop::default();
    let is_stopped = Arc::clone(&stop.0);
    let packing =
        tokio::task::spawn_blocking(move || bundle::pack(&source, &name, &target, &is_stopped));
    let told = || output.say(&format!("  {}: packing …", file.name));
    let packed = wait_with_notice(packing, told).await.map_err(|error| failed(&error))?;
    for note in packed.map_err(|error| failed(&error))? {
        output.say(&format!("note: {note}"));
    }
    Ok(archive)
}
