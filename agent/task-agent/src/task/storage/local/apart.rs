//! Copies that are cloned into place: directories that `archive` wrote down.
//!
//! Nobody looks through one before it is used, so it is used only where it can be nothing but
//! whole: it has its name, that of the archive, once everything is written, and only in the boot
//! that wrote it, since a loss of power may keep a name and lose what it is of.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::LazyLock;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat, mkdirat, stat};

use super::room::{FREE_BYTES, free_bytes};
use super::{Draft, Kind, Local, file_name, mark_used, remove_copy};
use crate::archive::Recorder;
use crate::task::clean::files;

/// Suffix of the directories' names: the boot, and the form of their contents.
static SUFFIX: LazyLock<String> = LazyLock::new(|| {
    let boot = blake3::hash(russet_platform::boot_id().as_bytes()).to_hex();
    format!("-1-{}", boot.chars().take(16).collect::<String>())
});

/// The name for an archive, in this boot.
pub(super) fn directory_name(blake3: &str) -> Option<CString> {
    file_name(blake3)?;
    CString::new(format!("{blake3}{}", *SUFFIX)).ok()
}

/// Returns true if a name is one of another boot.
pub(super) fn is_of_another_boot(name: &CStr) -> bool {
    let Ok(name) = name.to_str() else { return false };
    let hash = name.split('-').next().unwrap_or_default();
    file_name(hash).is_some() && name.len() > hash.len() && !name.ends_with(&*SUFFIX)
}

impl Local {
    /// The copy of an archive that can be cloned into place.
    pub(in crate::task::storage) fn apart(&self, blake3: &str) -> Option<OwnedFd> {
        let copy =
            files::open_directory(self.dir.as_ref()?, directory_name(blake3)?.as_c_str()).ok()?;
        mark_used(&copy);
        Some(copy)
    }

    /// Removes it: it is not what it should be.
    pub(in crate::task::storage) fn remove_apart(&self, blake3: &str) {
        if let (Some(dir), Some(name)) = (&self.dir, directory_name(blake3)) {
            remove_copy(dir, &name);
        }
    }

    /// Begins one, of what is about to be unpacked into `target`. `None` where it would be of no
    /// use: files cannot be cloned from here to there, or there is no room.
    pub(in crate::task::storage) fn record(&self, target: &Path) -> Option<(Draft<'_>, Recorder)> {
        let dir = self.dir.as_ref()?;
        let is_near = stat(target).ok()?.st_dev == fstat(dir).ok()?.st_dev;
        if !is_near || free_bytes(dir) < FREE_BYTES || !self.can_clone(dir) {
            return None;
        }
        let recording = self.begin(dir);
        if let Err(error) = &recording {
            tracing::debug!(%error, "no copy is made that could be cloned");
        }
        recording.ok()
    }

    fn begin(&self, dir: &OwnedFd) -> io::Result<(Draft<'_>, Recorder)> {
        let name = self.draft_name()?;
        mkdirat(dir, name.as_c_str(), Mode::S_IRWXU)?;
        let copy = files::open_directory(dir, name.as_c_str());
        let draft = Draft { local: self, kind: Kind::Apart, name: Some(name) };
        let room = dir.try_clone()?;
        let has_room = move |more| free_bytes(&room).saturating_sub(more) >= FREE_BYTES;
        Ok((draft, Recorder::new(copy?, Box::new(has_room))?))
    }

    /// Returns true if the file system can clone, by trying.
    fn can_clone(&self, dir: &OwnedFd) -> bool {
        let (Ok(from), Ok(to)) = (self.draft_name(), self.draft_name()) else { return false };
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let tried = openat(dir, from.as_c_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(io::Error::from)
            .and_then(|file| {
                let mut file = File::from(file);
                file.write_all(&[1; 4096])?;
                russet_platform::clone_file(&file, dir, &to)
            });
        remove_copy(dir, &from);
        remove_copy(dir, &to);
        tried.is_ok()
    }
}
