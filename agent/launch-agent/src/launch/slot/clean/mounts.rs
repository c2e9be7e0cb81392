//! Taking down what is mounted in a slot's directories, whoever mounted it.
//!
//! A job mounts disk images below its home, and so do services for it as somebody else (the Metal
//! toolchain of Xcode 26). Nothing that is mounted there can be deleted, and a helper that looks at a
//! file system whose server has stopped never ends. So it goes first, and as root.

use std::path::PathBuf;

use crate::launch::slot::info::SlotInfo;

/// Takes down what is mounted in the slot's directories. What cannot be is in the helper's way, and
/// is named then.
pub(super) async fn detach_mounts(info: &SlotInfo) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let paths = &info.dir.paths;
    // The kernel names mounts without the links on the way, which are root's.
    let Ok(root) = paths.root.canonicalize() else { return };
    let own = [&paths.home, &paths.work, &paths.tmp, &paths.spool];
    let dirs: Vec<PathBuf> =
        own.iter().filter_map(|dir| Some(root.join(dir.file_name()?))).collect();
    let detached = tokio::task::spawn_blocking(move || russet_platform::detach_below(&dirs)).await;
    for (path, result) in detached.unwrap_or_default() {
        let (slot, path) = (info.number, path.display());
        match result {
            Ok(()) => tracing::info!(slot, %path, "detached what was mounted in a slot"),
            Err(error) => {
                tracing::warn!(slot, %path, %error, "could not detach what is mounted in a slot");
            }
        }
    }
}
