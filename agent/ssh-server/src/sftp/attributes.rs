//! Attributes of files, both ways.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown, fchown, lchown,
};
use std::path::Path;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, futimens, utimensat};
use nix::sys::time::TimeSpec;
use russh_sftp::protocol::FileAttributes;

/// Bits of a mode that a client may set.
const MODE_BITS: u32 = 0o7777;

/// Describes a file.
pub(crate) fn attributes_of(metadata: &Metadata) -> FileAttributes {
    // 32 bits until 2106, as the protocol has them.
    let seconds = |time: i64| u32::try_from(time).unwrap_or(if time < 0 { 0 } else { u32::MAX });
    FileAttributes {
        size: Some(metadata.size()),
        uid: Some(metadata.uid()),
        user: None,
        gid: Some(metadata.gid()),
        group: None,
        permissions: Some(metadata.mode()),
        atime: Some(seconds(metadata.atime())),
        mtime: Some(seconds(metadata.mtime())),
    }
}

/// Returns the mode that a client wants for something new.
pub(crate) fn mode_of(wanted: &FileAttributes, default: u32) -> u32 {
    wanted.permissions.map_or(default, |mode| mode & MODE_BITS)
}

/// Returns the line of `ls -l` for a file, which clients show as it is.
pub(crate) fn long_name(name: &str, metadata: &Metadata) -> String {
    let mode = metadata.mode();
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => 'd',
        kind if kind.is_symlink() => 'l',
        kind if kind.is_fifo() => 'p',
        kind if kind.is_socket() => 's',
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => '-',
    };
    let bits: String = (0..9)
        .rev()
        .map(|bit| if mode & (1 << bit) == 0 { '-' } else { ['x', 'w', 'r'][bit % 3] })
        .collect();
    format!(
        "{kind}{bits} {:>4} {:<8} {:<8} {:>12} {name}",
        metadata.nlink(),
        metadata.uid(),
        metadata.gid(),
        metadata.size(),
    )
}

fn times_of(attributes: &FileAttributes) -> Option<(TimeSpec, TimeSpec)> {
    let time = |seconds: u32| TimeSpec::new(i64::from(seconds), 0);
    Some((time(attributes.atime?), time(attributes.mtime?)))
}

/// Sets attributes of the file at a path.
pub(crate) fn set_attributes(path: &Path, wanted: &FileAttributes) -> io::Result<()> {
    if let Some(size) = wanted.size {
        File::options().write(true).open(path)?.set_len(size)?;
    }
    if let Some(mode) = wanted.permissions {
        std::fs::set_permissions(path, Permissions::from_mode(mode & MODE_BITS))?;
    }
    if let Some((accessed, modified)) = times_of(wanted) {
        utimensat(AT_FDCWD, path, &accessed, &modified, UtimensatFlags::FollowSymlink)?;
    }
    if wanted.uid.is_some() || wanted.gid.is_some() {
        chown(path, wanted.uid, wanted.gid)?;
    }
    Ok(())
}

/// Sets attributes of an open file.
pub(crate) fn set_open_attributes(file: &File, wanted: &FileAttributes) -> io::Result<()> {
    if let Some(size) = wanted.size {
        file.set_len(size)?;
    }
    if let Some(mode) = wanted.permissions {
        file.set_permissions(Permissions::from_mode(mode & MODE_BITS))?;
    }
    if let Some((accessed, modified)) = times_of(wanted) {
        futimens(file, &accessed, &modified)?;
    }
    if wanted.uid.is_some() || wanted.gid.is_some() {
        fchown(file, wanted.uid, wanted.gid)?;
    }
    Ok(())
}

/// Sets attributes of what is at a path itself, a link if it is one.
pub(crate) fn set_link_attributes(path: &Path, wanted: &FileAttributes) -> io::Result<()> {
    if wanted.size.is_some() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if let Some(mode) = wanted.permissions {
        use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
        let bits = libc::mode_t::try_from(mode & MODE_BITS).unwrap_or_default();
        fchmodat(AT_FDCWD, path, Mode::from_bits_truncate(bits), FchmodatFlags::NoFollowSymlink)?;
    }
    if let Some((accessed, modified)) = times_of(wanted) {
        utimensat(AT_FDCWD, path, &accessed, &modified, UtimensatFlags::NoFollowSymlink)?;
    }
    if wanted.uid.is_some() || wanted.gid.is_some() {
        lchown(path, wanted.uid, wanted.gid)?;
    }
    Ok(())
}
