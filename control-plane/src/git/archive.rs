//! The source of a commit, as the archive that `russet pipeline submit` would upload: its files, and a
//! repository with this one commit.
//!
//! No work tree is written here: `git archive` gives the files as a stream, whose entries go on as they
//! are. So nothing that a tree holds (links, names) means anything on this machine.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::ChildStdout;

use super::GitSettings;
use super::command::GitCall;
use super::error::GitError;
use super::mirror::Mirror;
use super::refs::object_format;
use super::run::{CallLimits, read_git, run_git};

/// Longest time that an archive may take.
const PACK_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Level of compression, of 22: the trees are read once or twice, on a fast network.
const LEVEL: i32 = 3;

/// Names that the commit is packed with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceNames<'a> {
    pub(crate) branch: Option<&'a str>,
    pub(crate) tag: Option<&'a str>,
    /// Address of the remote, without a credential.
    pub(crate) url: &'a str,
}

/// Archive of a commit.
#[derive(Debug)]
pub(crate) struct PackedSource {
    /// BLAKE3 of the file, in hexadecimal.
    pub(crate) hash: String,
    pub(crate) file: PathBuf,
    /// Holds the file.
    _dir: tempfile::TempDir,
}

/// Packs a commit that is in the mirror.
pub(crate) async fn pack_source(
    mirror: &Mirror,
    revision: &str,
    names: SourceNames<'_>,
    settings: &GitSettings,
    scratch: &Path,
) -> Result<PackedSource, GitError> {
    let work = pack(mirror, revision, names, settings, scratch);
    let seconds = PACK_TIMEOUT.as_secs();
    let timed_out = |_| GitError::TimedOut { command: "archive", seconds };
    tokio::time::timeout(PACK_TIMEOUT, work).await.map_err(timed_out)?
}

async fn pack(
    mirror: &Mirror,
    revision: &str,
    names: SourceNames<'_>,
    settings: &GitSettings,
    scratch: &Path,
) -> Result<PackedSource, GitError> {
    check_tree(mirror, revision, settings).await?;
    let dir = tempfile::Builder::new().prefix("pack-").tempdir_in(scratch)?;
    let repository = dir.path().join("repository");
    make_repository(mirror, revision, names, &repository).await?;
    let files = dir.path().join("files.tar");
    archive_files(mirror, revision, &files, settings.max_bytes).await?;
    let out = dir.path().join("source.tar.zst");
    let to = out.clone();
    let packing = tokio::task::spawn_blocking(move || {
        let hash = write_archive(&repository.join(".git"), &files, &to)?;
        std::fs::remove_dir_all(&repository)?;
        io::Result::Ok(hash)
    });
    let hash = packing.await.map_err(io::Error::other)??;
    Ok(PackedSource { hash, file: out, _dir: dir })
}

/// Refuses a tree with too many files or bytes before anything holds it in memory: a few small trees that
/// name each other stand for any number of files.
async fn check_tree(
    mirror: &Mirror,
    revision: &str,
    settings: &GitSettings,
) -> Result<(), GitError> {
    let call =
        GitCall::new("ls-tree", &mirror.path).args(["-r", "-l", "-z", "--full-tree", revision]);
    let count = async |stdout: ChildStdout| {
        let mut lines = tokio::io::BufReader::new(stdout).split(0);
        let (mut files, mut bytes) = (0_u64, 0_u64);
        while let Some(line) = lines.next_segment().await? {
            files += 1;
            bytes = bytes.saturating_add(size_of_entry(&line));
            if files > settings.max_files {
                return Err(GitError::TooManyFiles(settings.max_files));
            }
            if bytes > settings.max_bytes {
                return Err(GitError::TooLarge { what: "the tree", limit: settings.max_bytes });
            }
        }
        Ok(())
    };
    read_git(&call, count).await
}

/// Returns the size in a line of `git ls-tree -l`: mode, kind, object and size before a tab.
fn size_of_entry(line: &[u8]) -> u64 {
    let facts = line.split(|byte| *byte == b'\t').next().unwrap_or_default();
    let size = facts.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(size).ok().and_then(|size| size.parse().ok()).unwrap_or(0)
}

/// Makes a repository with the commit alone, as a shallow clone has it.
async fn make_repository(
    mirror: &Mirror,
    revision: &str,
    names: SourceNames<'_>,
    repository: &Path,
) -> Result<(), GitError> {
    std::fs::create_dir(repository)?;
    let limits = CallLimits { timeout: PACK_TIMEOUT, ..CallLimits::local(1 << 20) };
    let format = object_format(revision);
    let from = format!("file://{}", mirror.path.display());
    let git = |name| GitCall::new(name, repository);
    let mut calls = vec![
        git("init").args(["--quiet", "--template=", "--initial-branch=main", format, "."]),
        git("remote").args(["add", "origin", names.url]),
        // The mirror's objects were checked when they were fetched.
        git("fetch")
            .args([
                "--quiet",
                "--depth=1",
                "--no-tags",
                "--no-write-fetch-head",
                "--",
                &from,
                revision,
            ])
            .set("transfer.fsckObjects", "false")
            .set("protocol.file.allow", "always"),
    ];
    let mut refs = Vec::new();
    if let Some(branch) = names.branch {
        refs.push(format!("refs/heads/{branch}"));
        refs.push(format!("refs/remotes/origin/{branch}"));
    }
    refs.extend(names.tag.map(|tag| format!("refs/tags/{tag}")));
    calls.extend(refs.iter().map(|name| git("update-ref").args([name.as_str(), revision])));
    match names.branch {
        Some(branch) => {
            let head = format!("refs/heads/{branch}");
            calls.push(git("symbolic-ref").args(["HEAD", head.as_str()]));
        }
        None => calls.push(git("update-ref").args(["--no-deref", "HEAD", revision])),
    }
    calls.push(git("read-tree").args([revision]));
    for call in &calls {
        run_git(call, limits).await?;
    }
    Ok(())
}

/// Writes the files of a commit as a tar archive, of at most `limit` bytes and its headers.
async fn archive_files(
    mirror: &Mirror,
    revision: &str,
    file: &Path,
    limit: u64,
) -> Result<(), GitError> {
    let call = GitCall::new("archive", &mirror.path).args(["--format=tar", revision]);
    // Headers and blanks of a million small files besides.
    let most = limit.saturating_add(limit / 2).saturating_add(1 << 30);
    let copy = async |stdout: ChildStdout| {
        let mut out = tokio::fs::File::create(file).await?;
        let copied = tokio::io::copy(&mut stdout.take(most.saturating_add(1)), &mut out).await?;
        out.flush().await?;
        if copied > most { Err(GitError::TooLarge { what: "the source", limit }) } else { Ok(()) }
    };
    read_git(&call, copy).await
}

/// Writes the repository, then the entries of another archive as they are. Returns the hash.
fn write_archive(repository: &Path, files: &Path, out: &Path) -> io::Result<String> {
    let sink = Hashing { out: File::create_new(out)?, hasher: blake3::Hasher::new() };
    let mut archive = tar::Builder::new(zstd::Encoder::new(sink, LEVEL)?);
    archive.mode(tar::HeaderMode::Deterministic);
    archive.follow_symlinks(false);
    archive.append_dir_all(".git", repository)?;
    let mut entries = tar::Archive::new(BufReader::new(File::open(files)?));
    // Raw: headers of long names are entries like any other.
    for entry in entries.entries()?.raw(true) {
        let mut entry = entry?;
        let header = entry.header().clone();
        archive.append(&header, &mut entry)?;
    }
    let sink = archive.into_inner()?.finish()?;
    sink.out.sync_all()?;
    Ok(sink.hasher.finalize().to_hex().to_string())
}

/// Hashes what is written.
struct Hashing<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
