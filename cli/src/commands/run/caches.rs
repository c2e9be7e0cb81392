//! Caches of earlier runs of a project.
//!
//! They lie below the user's directory for caches, in a directory for each project. Root has its own
//! home for that, whatever HOME says: in the one of the user who called sudo, that user could put links
//! in the way.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use russet_control_plane::{KeptCaches, Removed, bound_kept_caches, remove_kept_caches};

use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::Project;
use crate::render::numbers;

/// Returns the place of a project's caches, which is made where it is not there. What has expired or
/// is beyond the limit is removed.
///
/// # Errors
/// The directory cannot be used, or others may write there.
pub(super) fn open_caches(project: &Project, limit: u64) -> Result<KeptCaches> {
    let all = caches_home()?.join("russet/run");
    let failed = |error| CliError::local(format!("could not use {}", all.display()), error);
    DirBuilder::new().recursive(true).mode(0o700).create(&all).map_err(failed)?;
    check_private(&all)?;
    let now_ms = i64::try_from(numbers::now_ms()).unwrap_or(i64::MAX);
    bound_kept_caches(&all, limit, now_ms).map_err(failed)?;
    Ok(KeptCaches { dir: all.join(project_key(project)), limit })
}

/// Removes the caches of a project.
///
/// # Errors
/// A file cannot be removed.
pub(super) fn clear_caches(kept: &KeptCaches) -> Result<Removed> {
    let failed = |error| CliError::local(format!("could not empty {}", kept.dir.display()), error);
    remove_kept_caches(&kept.dir).map_err(failed)
}

/// Name of a project's directory. Two projects of one name are told apart by their remotes, else by
/// their places.
fn project_key(project: &Project) -> String {
    let place = || project.dir.display().to_string();
    let of = project.revision.remote.clone().unwrap_or_else(place);
    let mut hasher = blake3::Hasher::new();
    for part in [&project.name, &of] {
        hasher.update(&part.len().to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

/// Threat: whoever can write there can put programs into the builds of another user.
fn check_private(dir: &Path) -> Result<()> {
    let failed = |error| CliError::local(format!("could not look at {}", dir.display()), error);
    let metadata = std::fs::symlink_metadata(dir).map_err(failed)?;
    let is_ours = metadata.is_dir() && metadata.uid() == nix::unistd::geteuid().as_raw();
    if is_ours && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    let message = format!("{} is not a directory that you alone may write to", dir.display());
    Err(CliError::new(Exit::Usage, message).hint("delete it, or run with --no-cache"))
}

fn caches_home() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let user = nix::unistd::geteuid();
    let own_home = || nix::unistd::User::from_uid(user).ok().flatten().map(|found| found.dir);
    let home =
        if user.is_root() { own_home() } else { set("HOME").map(PathBuf::from).or_else(own_home) };
    let below = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(below)))
        .filter(|path| path.is_absolute())
        .ok_or_else(|| {
            CliError::new(Exit::Usage, "there is no home directory to keep caches in")
                .hint("name a directory with XDG_CACHE_HOME, or run with --no-cache")
        })
}

#[cfg(test)]
mod tests {
    use super::check_private;

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let of_mode = |mode| {
            std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            check_private(temp.path()).is_ok()
        };
        assert!(of_mode(0o700) && !of_mode(0o777) && !of_mode(0o720));
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(temp.path(), &link).unwrap();
        assert!(check_private(&link).is_err());
    }
}
