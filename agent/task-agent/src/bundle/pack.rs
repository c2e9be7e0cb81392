//! Packing a bundle into an archive.

use std::fs::{File, Metadata};
use std::io::{BufWriter, Read as _, Seek, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::NamedTempFile;
use zip::ZipWriter;
use zip::write::{FullFileOptions, SimpleFileOptions};

use super::{ATTRIBUTES, ATTRIBUTES_PREFIX, BundleError, COMMENT, PIECE, stays_inside};

/// Sizes from here on, in bytes, are written in the form of zip for large files. It is below 4 GiB,
/// since data that cannot be compressed grows.
const LARGE_FILE_BYTES: u64 = 4_000_000_000;

/// Packs the directory `source` into the empty file `target`, as the directory `name`. Returns
/// remarks for people about files that were left out or will not be restored. Ends early once
/// `stop` is set.
///
/// Links, modes, times and empty directories are kept, on macOS extended attributes too. Files are
/// read with the rights of the process, and no link is followed.
///
/// # Errors
///
/// A file cannot be read or has a name that is not UTF-8, or the archive cannot be written.
pub fn pack(
    source: &Path,
    name: &str,
    target: &File,
    stop: &AtomicBool,
) -> Result<Vec<String>, BundleError> {
    let mut zip = ZipWriter::new(BufWriter::new(target));
    zip.set_comment(COMMENT)?;
    let mut packer = Packer { zip, stop, notes: Vec::new() };
    let mut open = vec![(source.to_owned(), name.to_owned())];
    while let Some((path, name)) = open.pop() {
        let metadata = path.symlink_metadata().map_err(BundleError::io("look at", &path))?;
        if metadata.is_dir() {
            open.extend(packer.add_directory(&path, &name, &metadata)?);
        } else if metadata.is_symlink() {
            packer.add_link(&path, &name, &metadata)?;
        } else if metadata.is_file() {
            packer.add_file(&path, &name)?;
        } else {
            packer.notes.push(format!("{name} is no file and was left out"));
        }
    }
    packer.zip.finish()?.flush().map_err(zip::result::ZipError::Io)?;
    Ok(packer.notes)
}

struct Packer<'a, W: Write + Seek> {
    zip: ZipWriter<W>,
    stop: &'a AtomicBool,
    notes: Vec<String>,
}

impl<W: Write + Seek> Packer<'_, W> {
    /// Adds a directory, and returns the paths and names of its entries, the first one last.
    fn add_directory(
        &mut self,
        path: &Path,
        name: &str,
        metadata: &Metadata,
    ) -> Result<Vec<(PathBuf, String)>, BundleError> {
        self.zip.add_directory(format!("{name}/"), entry_options(metadata)?)?;
        self.add_attributes(path, name)?;
        let mut entries = Vec::new();
        for entry in path.read_dir().map_err(BundleError::io("list", path))? {
            let path = entry.map_err(BundleError::io("list", path))?.path();
            let own = path.file_name().and_then(|own| own.to_str());
            let own = own.ok_or_else(|| BundleError::Name { path: path.clone() })?;
            let name = format!("{name}/{own}");
            entries.push((path, name));
        }
        // The same bundle makes the same archive.
        entries.sort_unstable_by(|one, other| other.1.cmp(&one.1));
        Ok(entries)
    }

    fn add_link(
        &mut self,
        path: &Path,
        name: &str,
        metadata: &Metadata,
    ) -> Result<(), BundleError> {
        let target = path.read_link().map_err(BundleError::io("read the link", path))?;
        let text = target.to_str().ok_or_else(|| BundleError::Name { path: path.to_owned() })?;
        if !stays_inside(Path::new(name), &target) {
            self.notes.push(format!(
                "{name} is a link that leads out of the bundle: clients leave the archive packed"
            ));
        }
        Ok(self.zip.add_symlink(name, text, entry_options(metadata)?)?)
    }

    /// Adds a file with the size that it has when it is opened.
    fn add_file(&mut self, path: &Path, name: &str) -> Result<(), BundleError> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = File::options().read(true).custom_flags(flags).open(path);
        let file = file.map_err(BundleError::io("open", path))?;
        let metadata = file.metadata().map_err(BundleError::io("look at", path))?;
        self.zip.start_file(name, entry_options(&metadata)?)?;
        let mut content = file.take(metadata.len());
        let mut buffer = vec![0; PIECE];
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(BundleError::Stopped);
            }
            let count = content.read(&mut buffer).map_err(BundleError::io("read", path))?;
            if count == 0 {
                break;
            }
            self.zip.write_all(&buffer[..count]).map_err(zip::result::ZipError::Io)?;
        }
        self.add_attributes(path, name)
    }

    /// Adds the extended attributes of a file or directory, where the system keeps any.
    fn add_attributes(&mut self, path: &Path, name: &str) -> Result<(), BundleError> {
        if !russet_platform::HAS_PACKED_ATTRIBUTES {
            return Ok(());
        }
        let failed = || BundleError::io("read the extended attributes of", path);
        let packed = NamedTempFile::new().map_err(failed())?;
        if !russet_platform::pack_attributes(path, packed.path()).map_err(failed())? {
            return Ok(());
        }
        let (parent, own) = name.rsplit_once('/').unwrap_or(("", name));
        let slash = if parent.is_empty() { "" } else { "/" };
        let name = format!("{ATTRIBUTES}/{parent}{slash}{ATTRIBUTES_PREFIX}{own}");
        self.zip.start_file(name, SimpleFileOptions::default().unix_permissions(0o644))?;
        let mut content = packed.reopen().map_err(failed())?;
        std::io::copy(&mut content, &mut self.zip).map_err(zip::result::ZipError::Io)?;
        Ok(())
    }
}

fn entry_options(metadata: &Metadata) -> Result<FullFileOptions<'static, 'static>, BundleError> {
    // Zip holds seconds since 1970 in 32 bits. A time that does not fit is left out.
    let modified = u32::try_from(metadata.mtime()).ok();
    Ok(SimpleFileOptions::default()
        .unix_permissions(metadata.permissions().mode() & 0o777)
        .large_file(metadata.len() >= LARGE_FILE_BYTES)
        .with_extended_timestamp(modified, None, None)?)
}
