//! Cloning sets into the home, before the steps.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{Mode, fstatat, mkdirat};

use super::copy::{Copied, Copier, CopyError, Direction};
use super::sets::OpenSet;
use crate::task::clean::files;
use russet_text::format_size as size;

/// Time limit of all of it. A task does without what takes longer.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(300);

/// Time limit of taking back what was cloned half.
const UNDO_TIMEOUT: Duration = Duration::from_secs(60);

/// Clones all sets into a home, and returns what there is to say about it. What fails is taken back:
/// half a cache is worse than none. Sets are not locked any more afterwards.
pub(crate) fn restore_sets(sets: &mut [OpenSet], home: &Path, stopped: &AtomicBool) -> Vec<String> {
    let until = Instant::now() + RESTORE_TIMEOUT;
    let mut said = Vec::new();
    for set in sets {
        let Some(from) = set.from.take() else {
            said.extend(
                set.paths.iter().map(|path| format!("~/{}: nothing is kept", path.display())),
            );
            continue;
        };
        for path in &set.paths {
            let mut copier = Copier::new(Direction::Home, u64::MAX, until, stopped);
            let began = Instant::now();
            let text = match restore_path(&mut copier, &from, home, path) {
                Ok(true) => describe(&copier.copied, began.elapsed()),
                Ok(false) => "nothing is kept".to_owned(),
                Err(error) => {
                    take_back(home, path);
                    format!("warning: it is left out: {error}")
                }
            };
            said.push(format!("~/{}: {text}", path.display()));
        }
    }
    said
}

/// Describes a copy for people.
pub(super) fn describe(copied: &Copied, took: Duration) -> String {
    let Copied { entries, bytes, left_out, cloned } = *copied;
    let how = if cloned > 0 { "cloned" } else { "copied" };
    let mut text = format!(
        "{how} {entries} entries, {}, in {}",
        size(bytes),
        russet_text::format_duration(took)
    );
    if left_out > 0 {
        text.push_str(&format!("; {left_out} were left out"));
    }
    text
}

/// Clones one path. False: it is not in the set.
fn restore_path(
    copier: &mut Copier<'_>,
    from: &OwnedFd,
    home: &Path,
    path: &Path,
) -> Result<bool, CopyError> {
    let failed = |source: io::Error| CopyError::File { path: path.display().to_string(), source };
    let Some((source, name)) =
        enter(from.try_clone().map_err(failed)?, path, None).map_err(failed)?
    else {
        return Ok(false);
    };
    match fstatat(&source, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if files::is_directory(&stat) => {}
        _ => return Ok(false),
    }
    let home = files::open_directory(AT_FDCWD, home).map_err(|error| failed(error.into()))?;
    let target = enter(home, path, Some(Mode::S_IRWXU)).map_err(failed)?;
    let Some((target, _)) = target else { return Ok(false) };
    copier.copy_entry(&source, &name, &target, 0)?;
    Ok(true)
}

/// Opens the directory that a path lies in, name by name and through no link, and makes those that
/// are missing where `make` says how. `None`: one is not there.
pub(super) fn enter(
    top: OwnedFd,
    path: &Path,
    make: Option<Mode>,
) -> io::Result<Option<(OwnedFd, CString)>> {
    let mut at = top;
    let mut names: Vec<CString> = Vec::new();
    for part in path {
        names.push(CString::new(part.as_bytes())?);
    }
    let Some(last) = names.pop() else { return Ok(None) };
    for name in names {
        if let Some(mode) = make {
            match mkdirat(&at, name.as_c_str(), mode) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        at = match files::open_directory(&at, name.as_c_str()) {
            Ok(next) => next,
            Err(Errno::ENOENT) => return Ok(None),
            // A link or a file is no directory of the home's.
            Err(Errno::ENOTDIR | Errno::ELOOP) if make.is_none() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
    }
    Ok(Some((at, last)))
}

/// Removes what was cloned into a home.
fn take_back(home: &Path, path: &Path) {
    let removed = files::open_directory(AT_FDCWD, home).map_err(io::Error::from).and_then(|home| {
        let Some((dir, name)) = enter(home, path, None)? else { return Ok(0) };
        let stat = fstatat(&dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        files::remove_entry(&dir, &name, &stat, Instant::now() + UNDO_TIMEOUT)
    });
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "half of a kept directory stays");
    }
}
