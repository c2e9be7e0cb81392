//! Packs a snapshot of a project: a zstd-compressed tar archive and its hash.
//!
//! In it is what git would see, and hidden files: what `.gitignore` and its kin name is left
//! out, so that build products of this machine do not travel. The repository itself goes along,
//! for `git describe` and `git diff` in steps, without what may hold credentials or run
//! programs: configuration, hooks, reflogs. A small configuration takes the place of its own.

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use russet_protocol::ids::SourceId;
use russet_protocol::keeping::Chunk;

use super::chunks::Chunker;
use crate::error::{CliError, Result};

/// zstd's fastest level: the archive stays on this machine or crosses a network once.
const LEVEL: i32 = 1;

/// Summary of a packed project.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The archive.
    pub(crate) file: PathBuf,
    /// Its hash.
    pub(crate) id: SourceId,
    /// Number of files in it, those of the repository's own folder not counted.
    pub(crate) files: u64,
    /// Size of the archive in bytes.
    pub(crate) size: u64,
    /// The parts of the archive, one behind the other.
    pub(crate) chunks: Vec<Chunk>,
    /// Files left out that one might miss, in whole sentences.
    pub(crate) notes: Vec<String>,
}

/// Packs `dir` into `file`.
pub(crate) fn pack_project(dir: &Path, file: &Path) -> Result<Snapshot> {
    write_archive(dir, file)
        .map_err(|error| CliError::local(format!("could not pack {}", dir.display()), error))
}

fn write_archive(dir: &Path, file: &Path) -> io::Result<Snapshot> {
    let out = File::options().write(true).create_new(true).mode(0o600).open(file)?;
    let hashing = Hashing {
        out: BufWriter::with_capacity(256 * 1024, out),
        hasher: blake3::Hasher::new(),
        size: 0,
    };
    let archive = tar::Builder::new(Chunker::new(hashing, LEVEL)?);
    let mut packer = Packer { archive, files: 0, notes: Vec::new() };
    for entry in walk_files(dir) {
        match entry {
            Ok(entry) => packer.add_below(dir, entry.path())?,
            Err(error) => packer.notes.push(format!("Left out: {error}.")),
        }
    }
    packer.add_repository(dir)?;
    let Packer { archive, files, notes } = packer;
    let (mut hashing, chunks) = archive.into_inner()?.finish()?;
    hashing.out.flush()?;
    let id = SourceId::from(hashing.hasher.finalize().to_hex().to_string());
    Ok(Snapshot { file: file.to_owned(), id, files, size: hashing.size, chunks, notes })
}

/// Everything of the project but what is ignored and the repository.
fn walk_files(
    dir: &Path,
) -> impl Iterator<Item = std::result::Result<ignore::DirEntry, ignore::Error>> {
    let mut builder = ignore::WalkBuilder::new(dir);
    builder
        .hidden(false)
        // `.ignore` is a file of search tools; git does not know it.
        .ignore(false)
        .follow_links(false)
        .sort_by_file_name(std::cmp::Ord::cmp)
        .filter_entry(|entry| entry.file_name() != ".git");
    let root = dir.to_owned();
    builder.build().filter(move |entry| !entry.as_ref().is_ok_and(|entry| entry.path() == root))
}

struct Packer<W: Write> {
    archive: tar::Builder<W>,
    files: u64,
    notes: Vec<String>,
}

impl<W: Write> Packer<W> {
    fn add_below(&mut self, root: &Path, path: &Path) -> io::Result<()> {
        let Ok(name) = path.strip_prefix(root) else { return Ok(()) };
        if self.add(path, name)? {
            self.files += 1;
        }
        Ok(())
    }

    /// Adds one file, directory or link; `false` where it is none of them or has gone.
    fn add(&mut self, path: &Path, name: &Path) -> io::Result<bool> {
        let metadata = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error_at(path, error)),
        };
        if metadata.is_symlink() {
            let target = std::fs::read_link(path).map_err(|error| error_at(path, error))?;
            let mut header = entry_header(name, &metadata, tar::EntryType::Symlink, 0);
            self.archive.append_link(&mut header, name, target)?;
            return Ok(true);
        }
        if metadata.is_dir() {
            let mut header = entry_header(name, &metadata, tar::EntryType::Directory, 0);
            self.archive.append_data(&mut header, name, io::empty())?;
            return Ok(false);
        }
        if !metadata.is_file() {
            self.notes.push(format!("Left out {}: neither a file nor a link.", name.display()));
            return Ok(false);
        }
        self.add_file(path, name)
    }

    fn add_file(&mut self, path: &Path, name: &Path) -> io::Result<bool> {
        // Whoever may write there could have put a link or a FIFO in its place since.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = match File::options().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.notes.push(format!("Left out {}: it cannot be read.", name.display()));
                return Ok(false);
            }
            // It has gone since, or something else stands there by now.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) =>
            {
                self.notes.push(format!("Left out {}: it changed.", name.display()));
                return Ok(false);
            }
            Err(error) => return Err(error_at(path, error)),
        };
        let metadata = file.metadata()?;
        let size = metadata.len();
        let mut header = entry_header(name, &metadata, tar::EntryType::Regular, size);
        let mut body = Exactly { file, left: size, changed: false };
        self.archive
            .append_data(&mut header, name, &mut body)
            .map_err(|error| error_at(path, error))?;
        if body.changed {
            self.notes.push(format!("{} changed while it was packed.", name.display()));
        }
        Ok(true)
    }

    /// Adds the repository without what may hold credentials.
    fn add_repository(&mut self, root: &Path) -> io::Result<()> {
        let git = root.join(".git");
        match std::fs::symlink_metadata(&git) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                self.notes.push(
                    "Left out the repository: this is a linked work tree (.git is a file)."
                        .to_owned(),
                );
                return Ok(());
            }
            Err(_) => return Ok(()),
        }
        let config = std::fs::read_to_string(git.join("config")).unwrap_or_default();
        let mut builder = ignore::WalkBuilder::new(&git);
        builder.standard_filters(false).sort_by_file_name(std::cmp::Ord::cmp);
        let top = git.clone();
        builder.filter_entry(move |entry| {
            let below = entry.path().strip_prefix(&top).unwrap_or(Path::new(""));
            is_shared(below)
        });
        let mut loose = Vec::new();
        for entry in builder.build() {
            let entry = entry.map_err(io::Error::other)?;
            let Ok(name) = entry.path().strip_prefix(root) else { continue };
            match loose_object_time(&entry, name) {
                Some(time) => loose.push((time, entry.into_path())),
                None => drop(self.add(entry.path(), name)?),
            }
        }
        // In the order in which they were made, by name where the file system does not know: new
        // ones come together at the end, and all before them is as it was in the last snapshot.
        loose.sort_unstable();
        for (_, path) in &loose {
            if let Ok(name) = path.strip_prefix(root) {
                self.add(path, name)?;
            }
        }
        let config = shared_config(&config);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(u64::try_from(config.len()).unwrap_or_default());
        self.archive.append_data(&mut header, ".git/config", config.as_bytes())
    }
}

/// Returns the time at which a loose object of a repository was made; `None` for any other file.
///
/// Not the time of its last change: git sets that anew whenever it would write an object that it has
/// (`freshen_file` in its object-file.c), such as for all files that changed within a second of the
/// last commit.
fn loose_object_time(entry: &ignore::DirEntry, name: &Path) -> Option<SystemTime> {
    let below = name.strip_prefix(OBJECTS).ok()?;
    let is_loose = below.components().count() == 2
        && below.parent()?.as_os_str().len() == 2
        && entry.file_type()?.is_file();
    let metadata = is_loose.then(|| entry.metadata().ok())??;
    Some(metadata.created().unwrap_or(SystemTime::UNIX_EPOCH))
}

/// Objects of the repository.
const OBJECTS: &str = ".git/objects";

/// Time of change of all objects of a repository, in seconds since 1970: 2000-01-01. Their own says
/// nothing about their content, and would store them again.
const OBJECT_TIME: u64 = 946_684_800;

/// Parts of `.git` that go along. A list of what is needed rather than of what is secret: tools
/// keep credentials there under names of their own.
const SHARED: [&str; 12] = [
    "HEAD",
    "ORIG_HEAD",
    "MERGE_HEAD",
    "index",
    "info",
    "lfs",
    "modules",
    "objects",
    "packed-refs",
    "refs",
    "reftable",
    "shallow",
];

/// Returns true if a path in `.git` goes along.
fn is_shared(path: &Path) -> bool {
    let top = path.components().next().map(std::path::Component::as_os_str);
    if top.is_some_and(|top| !SHARED.iter().any(|shared| top == *shared)) {
        return false;
    }
    let name = path.file_name().unwrap_or_default();
    let is_private = ["config", "config.worktree", "hooks", "logs", "worktrees", "credentials"]
        .iter()
        .any(|private| name == *private);
    // A branch may be called `config` or `hooks`.
    let is_ref = path.starts_with("refs");
    let is_lock = path.extension().is_some_and(|extension| extension == "lock");
    !is_lock && (is_ref || !is_private)
}

/// The part of a repository's configuration that says how to read it, and nothing else.
fn shared_config(config: &str) -> String {
    const CORE: [&str; 5] =
        ["repositoryformatversion", "filemode", "bare", "ignorecase", "precomposeunicode"];
    const EXTENSIONS: [&str; 2] = ["objectformat", "refstorage"];
    let mut kept = [Vec::new(), Vec::new()];
    let mut section = String::new();
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.to_ascii_lowercase();
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        let is_word = value.bytes().all(|b| b.is_ascii_alphanumeric());
        let [core, extensions] = &mut kept;
        match section.as_str() {
            "[core]" if is_word && CORE.contains(&key.as_str()) => {
                core.push(format!("\t{key} = {value}\n"));
            }
            "[extensions]" if is_word && EXTENSIONS.contains(&key.as_str()) => {
                extensions.push(format!("\t{key} = {value}\n"));
            }
            _ => {}
        }
    }
    let [core, extensions] = kept;
    let mut text = format!("[core]\n{}", core.concat());
    if !extensions.is_empty() {
        text.push_str(&format!("[extensions]\n{}", extensions.concat()));
    }
    text
}

/// Mode and time of a file; not its owner, who is somebody else where it is unpacked.
fn entry_header(name: &Path, metadata: &Metadata, kind: tar::EntryType, size: u64) -> tar::Header {
    let own_time = || u64::try_from(metadata.mtime()).unwrap_or_default();
    let time = if name.starts_with(OBJECTS) { OBJECT_TIME } else { own_time() };
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    // setuid bits mean nothing there.
    header.set_mode(metadata.mode() & 0o777);
    header.set_mtime(time);
    header.set_size(size);
    header
}

fn error_at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Reads as many bytes as the header promised: a file that grew is cut, one that shrank is
/// filled up with zeros, since otherwise everything after it in the archive would be garbage.
struct Exactly {
    file: File,
    left: u64,
    changed: bool,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..limit).filter(|part| !part.is_empty()) else {
            return Ok(0);
        };
        let mut read = self.file.read(part)?;
        if read == 0 {
            self.changed = true;
            part.fill(0);
            read = part.len();
        }
        self.left -= u64::try_from(read).unwrap_or_default();
        Ok(read)
    }
}

/// Hashes and counts what is written.
struct Hashing<W> {
    out: W,
    hasher: blake3::Hasher,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.size += u64::try_from(written).unwrap_or_default();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::{is_shared, pack_project, shared_config};

    fn packed(dir: &Path) -> (BTreeMap<String, String>, super::Snapshot) {
        let out = tempfile::tempdir().unwrap();
        let snapshot = pack_project(dir, &out.path().join("source.tar.zst")).unwrap();
        let bytes = std::fs::read(&snapshot.file).unwrap();
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), snapshot.id.as_str());
        let mut archive = tar::Archive::new(zstd::Decoder::new(bytes.as_slice()).unwrap());
        let mut found = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            found.insert(name, text);
        }
        (found, snapshot)
    }

    fn write(dir: &Path, name: &str, text: &str) {
        let file = dir.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn a_snapshot_has_hidden_files_and_not_what_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        write(dir.path(), ".gitignore", "target/\n");
        write(dir.path(), "target/big", "x");
        write(dir.path(), ".circleci/config.yml", "version: 2.1");
        write(dir.path(), "src/main.c", "int main;");
        std::os::unix::fs::symlink("src/main.c", dir.path().join("link")).unwrap();
        let (found, snapshot) = packed(dir.path());
        assert_eq!(found.get("src/main.c").map(String::as_str), Some("int main;"));
        assert!(found.contains_key(".circleci/config.yml") && found.contains_key("link"));
        assert!(!found.keys().any(|name| name.starts_with("target")), "{found:?}");
        assert_eq!(snapshot.files, 4);
    }

    #[test]
    fn the_repository_goes_along_without_its_secrets() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), ".git/HEAD", "ref: refs/heads/main");
        write(dir.path(), ".git/refs/heads/config", "abc");
        write(dir.path(), ".git/hooks/post-checkout", "evil");
        write(dir.path(), ".git/index.lock", "");
        write(dir.path(), ".git/annex/creds/remote", "s3cret");
        write(dir.path(), ".git/config", "[remote \"origin\"]\nurl = https://me:s3cret@host/a\n");
        let (found, _) = packed(dir.path());
        assert!(found.contains_key(".git/HEAD") && found.contains_key(".git/refs/heads/config"));
        assert!(!found.keys().any(|name| name.contains("hooks") || name.contains("lock")));
        assert!(!found.values().any(|text| text.contains("s3cret")), "{found:?}");
    }

    #[test]
    fn an_object_that_git_touched_again_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let objects: Vec<String> =
            (16..48).map(|n| format!(".git/objects/{n:02x}/{n}")).rev().collect();
        for name in &objects {
            write(dir.path(), name, name);
        }
        let before = packed(dir.path()).1;
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(90);
        for (n, name) in objects.iter().rev().enumerate() {
            let object = std::fs::File::open(dir.path().join(name)).unwrap();
            let time = later + std::time::Duration::from_secs(n as u64);
            object.set_modified(time).unwrap();
        }
        assert_eq!(packed(dir.path()).1.id, before.id);
    }

    #[test]
    fn a_linked_work_tree_and_a_fifo_are_left_out_and_named() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), ".git", "gitdir: /elsewhere");
        nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (found, snapshot) = packed(dir.path());
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(snapshot.notes.len(), 2, "{:?}", snapshot.notes);
    }

    #[test]
    fn only_how_to_read_a_repository_is_kept_of_its_configuration() {
        let config = "[core]\n\trepositoryformatversion = 1\n\tsshCommand = evil\n\thooksPath = /x\n[extensions]\n\tobjectFormat = sha256\n[credential]\n\thelper = store\n";
        assert_eq!(
            shared_config(config),
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n"
        );
        assert!(is_shared(Path::new("objects/pack/x.pack")));
        assert!(!is_shared(Path::new("modules/sub/config")));
    }
}
