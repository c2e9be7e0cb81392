//! Fetching an archive: into a directory of root's, no more bytes than the manifest says, and from
//! where an earlier try broke off.
//!
//! `self_update` does the transfer. Whether a server goes on from an offset is seen by the result
//! alone: what is put together from two tries and has the wrong hash is fetched once more in one.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use russet_protocol::manifest::Artifact;
use self_update::Download;
use sha2::{Digest as _, Sha256};

use super::UpdateError;

/// The longest that a whole transfer may take: a slow line and a large archive.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Fetches an archive, unless it is there already, and answers where it is. `progress` hears how
/// many percent are there.
pub(super) async fn fetch_archive(
    ca_file: Option<&Path>,
    address: &str,
    artifact: &Artifact,
    directory: &Path,
    progress: impl Fn(u8) + Send + Sync + 'static,
) -> Result<PathBuf, UpdateError> {
    let path = directory.join(format!("{}.tar.gz", artifact.sha256.to_ascii_lowercase()));
    if verify_archive(&path, artifact).await.is_ok() {
        return Ok(path);
    }
    let part = path.with_extension("part");
    let progress = Arc::new(progress);
    let had = partial_length(&part, artifact.size);
    let mut result = transfer_archive(ca_file, address, artifact, &part, had, &progress).await;
    if result.is_ok() {
        result = verify_archive(&part, artifact).await;
    }
    if result.is_err() && had > 0 {
        remove_part(&part);
        result = transfer_archive(ca_file, address, artifact, &part, 0, &progress).await;
        if result.is_ok() {
            result = verify_archive(&part, artifact).await;
        }
    }
    if let Err(error) = result {
        // What is too long, or has all its bytes and is wrong, is worth nothing; a beginning is.
        if partial_length(&part, artifact.size) == 0 || matches!(error, UpdateError::Archive(_)) {
            remove_part(&part);
        }
        return Err(error);
    }
    std::fs::rename(&part, &path).map_err(UpdateError::file("could not name", &path))?;
    Ok(path)
}

/// Returns the length of the fetched part of an archive: less than all of it, else nothing.
fn partial_length(part: &Path, size: u64) -> u64 {
    let length =
        part.symlink_metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
    length.filter(|length| *length < size).unwrap_or(0)
}

/// A part that cannot be removed is overwritten or refused by the next try.
fn remove_part(part: &Path) {
    if let Err(error) = russet_platform::replace::remove_file(part) {
        tracing::warn!(file = %part.display(), %error, "could not remove what was fetched");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the path is the owner's, in a configuration that only root writes"
)]
async fn transfer_archive(
    ca_file: Option<&Path>,
    address: &str,
    artifact: &Artifact,
    part: &Path,
    from: u64,
    progress: &Arc<impl Fn(u8) + Send + Sync + 'static>,
) -> Result<(), UpdateError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let options = if from > 0 { options.append(true) } else { options.write(true).truncate(true) };
    let file = options.open(part).map_err(UpdateError::file("could not write", part))?;
    let (size, told) = (artifact.size, AtomicU64::new(u64::MAX));
    let progress = Arc::clone(progress);
    let mut download = Download::from_url(address);
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).map_err(UpdateError::file("could not read", path))?;
        download.add_root_certificate(self_update::Certificate::from_pem(pem));
    }
    download
        .timeout(TIMEOUT)
        .max_download_size(size - from)
        .request_header("accept", "application/octet-stream");
    if from > 0 {
        download.request_header("range", format!("bytes={from}-"));
    }
    download.progress_callback(move |fetched: u64, _: Option<u64>| {
        let percent = (from + fetched).saturating_mul(100) / size.max(1);
        if told.swap(percent, Ordering::Relaxed) != percent {
            progress(u8::try_from(percent.min(100)).unwrap_or(100));
        }
    });
    let mut writer = Whole { file, failed: None };
    let result = download.download_to_async(&mut writer).await;
    if let Some(error) = writer.failed {
        // A full disk is to be full of something else.
        remove_part(part);
        return Err(UpdateError::file("could not write", part)(error));
    }
    result.map_err(|error| UpdateError::Fetch {
        what: artifact.file.clone(),
        why: error.to_string(),
    })?;
    writer.file.sync_all().map_err(UpdateError::file("could not write", part))
}

/// Keeps an error of the disk apart from those of the network.
struct Whole {
    file: File,
    failed: Option<io::Error>,
}

impl Write for &mut Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes).map_err(|error| {
            let kind = error.kind();
            self.failed = Some(error);
            io::Error::from(kind)
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns true if a file is what the manifest says.
async fn verify_archive(path: &Path, artifact: &Artifact) -> Result<(), UpdateError> {
    let (path, artifact) = (path.to_owned(), artifact.clone());
    let name = artifact.file.clone();
    let verified = tokio::task::spawn_blocking(move || verify_now(&path, &artifact));
    verified.await.unwrap_or_else(|_| Err(UpdateError::Archive(format!("{name} was not read"))))
}

fn verify_now(path: &Path, artifact: &Artifact) -> Result<(), UpdateError> {
    let failed = || UpdateError::file("could not read", path);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.read(true).custom_flags(libc::O_NOFOLLOW).open(path).map_err(failed())?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0_u64, vec![0; 256 * 1024]);
    loop {
        let read = file.read(&mut buffer).map_err(failed())?;
        if read == 0 {
            break;
        }
        size += u64::try_from(read).unwrap_or(0);
        hash.update(buffer.get(..read).unwrap_or_default());
    }
    if size != artifact.size {
        let (name, said) = (&artifact.file, artifact.size);
        let what = format!("{name} has {size} bytes, and the manifest says {said}");
        return Err(UpdateError::Archive(what));
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if !found.eq_ignore_ascii_case(&artifact.sha256) {
        let what =
            format!("{} is not what the manifest says: its SHA-256 is {found}", artifact.file);
        return Err(UpdateError::Archive(what));
    }
    Ok(())
}
