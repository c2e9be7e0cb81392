//! Requests of a client.

use std::collections::HashMap;
use std::fs::{File, ReadDir};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use russh_sftp::protocol::{
    Attrs, Data, File as Entry, FileAttributes, Handle, Name, OpenFlags, Packet, Status, Version,
};
use russh_sftp::server::Handler;

use super::attributes::{attributes_of, long_name, mode_of, set_attributes, set_open_attributes};
use super::extensions;
use super::files::{Files, MAX_READ_BYTES, blocking};
use super::handles::Held;
use super::paths::real_path;
use super::reply::{Refusal, done, one_name};

/// Entries of a directory in one answer.
const MAX_ENTRIES: usize = 100;

/// Mode of a directory or file of which the client says none; the umask takes away from it.
const DEFAULT_DIRECTORY_MODE: u32 = 0o777;
const DEFAULT_FILE_MODE: u32 = 0o666;

impl Handler for Files {
    type Error = Refusal;

    fn unimplemented(&self) -> Refusal {
        Refusal::unsupported()
    }

    async fn init(&mut self, _: u32, _: HashMap<String, String>) -> Result<Version, Refusal> {
        let mut version = Version::new();
        let known = extensions::KNOWN.map(|(name, number)| (name.to_owned(), number.to_owned()));
        version.extensions.extend(known);
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        flags: OpenFlags,
        attrs: FileAttributes,
    ) -> Result<Handle, Refusal> {
        let path = self.path(&filename);
        let mut options = std::fs::OpenOptions::from(flags);
        options.mode(mode_of(&attrs, DEFAULT_FILE_MODE));
        // A fifo that nobody writes to must not keep a thread.
        options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
        let file = blocking(move || {
            let file = options.open(path)?;
            if file.metadata()?.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok(file)
        })
        .await?;
        Ok(Handle { id, handle: self.handles.keep(Held::File(file.into()))? })
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, Refusal> {
        self.handles.release(&handle)?;
        Ok(done(id))
    }

    async fn read(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        len: u32,
    ) -> Result<Data, Refusal> {
        let file = self.handles.file(&handle)?;
        let data = blocking(move || read_at(&file, offset, len.min(MAX_READ_BYTES))).await?;
        if data.is_empty() && len > 0 {
            return Err(Refusal::end_of_file());
        }
        Ok(Data { id, data })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, Refusal> {
        let file = self.handles.file(&handle)?;
        blocking(move || file.write_all_at(&data, offset)).await?;
        Ok(done(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, Refusal> {
        let path = self.path(&path);
        let metadata = blocking(move || path.symlink_metadata()).await?;
        Ok(Attrs { id, attrs: attributes_of(&metadata) })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, Refusal> {
        let path = self.path(&path);
        let metadata = blocking(move || path.metadata()).await?;
        Ok(Attrs { id, attrs: attributes_of(&metadata) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, Refusal> {
        let file = self.handles.file(&handle)?;
        let metadata = blocking(move || file.metadata()).await?;
        Ok(Attrs { id, attrs: attributes_of(&metadata) })
    }

    async fn setstat(
        &mut self,
        id: u32,
        path: String,
        attrs: FileAttributes,
    ) -> Result<Status, Refusal> {
        let path = self.path(&path);
        blocking(move || set_attributes(&path, &attrs)).await?;
        Ok(done(id))
    }

    async fn fsetstat(
        &mut self,
        id: u32,
        handle: String,
        attrs: FileAttributes,
    ) -> Result<Status, Refusal> {
        let file = self.handles.file(&handle)?;
        blocking(move || set_open_attributes(&file, &attrs)).await?;
        Ok(done(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, Refusal> {
        let path = self.path(&path);
        let entries = blocking(move || std::fs::read_dir(path)).await?;
        let held = Held::Directory(Mutex::new(entries).into());
        Ok(Handle { id, handle: self.handles.keep(held)? })
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, Refusal> {
        let entries = self.handles.directory(&handle)?;
        let files = blocking(move || {
            next_entries(&mut entries.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await?;
        if files.is_empty() {
            return Err(Refusal::end_of_file());
        }
        Ok(Name { id, files })
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, Refusal> {
        let path = self.path(&filename);
        blocking(move || std::fs::remove_file(path)).await?;
        Ok(done(id))
    }

    async fn mkdir(
        &mut self,
        id: u32,
        path: String,
        attrs: FileAttributes,
    ) -> Result<Status, Refusal> {
        let path = self.path(&path);
        let mode = mode_of(&attrs, DEFAULT_DIRECTORY_MODE);
        blocking(move || std::fs::DirBuilder::new().mode(mode).create(path)).await?;
        Ok(done(id))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, Refusal> {
        let path = self.path(&path);
        blocking(move || std::fs::remove_dir(path)).await?;
        Ok(done(id))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, Refusal> {
        let base = self.base.clone();
        let real = blocking(move || real_path(&base, &path)).await?;
        Ok(one_name(id, &real))
    }

    async fn rename(&mut self, id: u32, old: String, new: String) -> Result<Status, Refusal> {
        let (old, new) = (self.path(&old), self.path(&new));
        blocking(move || rename_to_new(&old, &new)).await?;
        Ok(done(id))
    }

    async fn readlink(&mut self, id: u32, path: String) -> Result<Name, Refusal> {
        let path = self.path(&path);
        let target = blocking(move || std::fs::read_link(path)).await?;
        Ok(one_name(id, &target))
    }

    /// OpenSSH sends the target first, against the draft, and everybody follows it (PROTOCOL, 4.1).
    async fn symlink(&mut self, id: u32, target: String, link: String) -> Result<Status, Refusal> {
        let link = self.path(&link);
        blocking(move || std::os::unix::fs::symlink(target, link)).await?;
        Ok(done(id))
    }

    async fn extended(
        &mut self,
        id: u32,
        request: String,
        data: Vec<u8>,
    ) -> Result<Packet, Refusal> {
        self.run_extension(id, &request, &data).await
    }
}

/// Reads until the end of the file or of what was asked for: a short answer would mean the end.
fn read_at(file: &File, offset: u64, length: u32) -> io::Result<Vec<u8>> {
    let mut data = vec![0; length as usize];
    let mut filled = 0;
    while filled < data.len() {
        match file.read_at(&mut data[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(filled);
    Ok(data)
}

/// Names are UTF-8 in the protocol's library; others are shown with replacements, and not found.
fn next_entries(entries: &mut ReadDir) -> io::Result<Vec<Entry>> {
    let mut files = Vec::new();
    for entry in entries.by_ref().take(MAX_ENTRIES) {
        let entry = entry?;
        // An entry that was removed meanwhile is left out.
        let Ok(metadata) = entry.metadata() else { continue };
        let filename = entry.file_name().to_string_lossy().into_owned();
        let longname = long_name(&filename, &metadata);
        files.push(Entry { filename, longname, attrs: attributes_of(&metadata) });
    }
    Ok(files)
}

/// Renames without replacing anything, as version 3 wants it. `posix-rename@openssh.com` replaces.
fn rename_to_new(old: &Path, new: &Path) -> io::Result<()> {
    if old.symlink_metadata()?.is_file() {
        // No other file can come between.
        match std::fs::hard_link(old, new) {
            Ok(()) => return std::fs::remove_file(old),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            // A file system without links.
            Err(_) => {}
        }
    }
    if new.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(old, new)
}
