//! Fetching an archive: into a directory of root's, no more bytes than the manifest says, and from
//! where an earlier try broke off.
//!
//! A server that does not go on from an offset sends the whole, and that is seen; one that goes on
//! from elsewhere is seen by the hash: then the archive is fetched once more in one.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::{Client, Response, StatusCode};
use russet_platform::http::Failure;
use russet_protocol::manifest::Artifact;
use sha2::{Digest as _, Sha256};

use super::UpdateError;
use super::pace::{Limits, Pace};
use super::request::{self, FetchError};
use super::servers::Servers;

/// Timeout until an answer begins.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Way to an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub(super) client: &'a Client,
    pub(super) servers: &'a Servers,
    pub(super) limits: Limits,
    pub(super) address: &'a str,
}

/// Fetches an archive, unless it is there already, and answers where it is. `progress` hears how
/// many percent are there. May be abandoned: what came is kept, and the next call goes on from there.
pub(super) async fn fetch_archive(
    way: Way<'_>,
    artifact: &Artifact,
    directory: &Path,
    progress: impl Fn(u8),
) -> Result<PathBuf, UpdateError> {
    let path = directory.join(format!("{}.tar.gz", artifact.sha256.to_ascii_lowercase()));
    if verify_archive(&path, artifact).await.is_ok() {
        return Ok(path);
    }
    let part = path.with_extension("part");
    let had = partial_length(&part, artifact.size);
    let mut result = transfer_archive(way, artifact, &part, had, &progress).await;
    if result.is_ok() {
        result = verify_archive(&part, artifact).await;
    }
    // Put together from two tries, and wrong.
    if matches!(result, Err(UpdateError::Archive(_))) && had > 0 {
        remove_part(&part);
        result = transfer_archive(way, artifact, &part, 0, &progress).await;
        if result.is_ok() {
            result = verify_archive(&part, artifact).await;
        }
    }
    if let Err(error) = result {
        // What is too long, or has all its bytes and is wrong, is worth nothing; a beginning is.
        let is_wrong = matches!(
            error,
            UpdateError::Archive(_) | UpdateError::Fetch { why: FetchError::TooLong(_), .. }
        );
        if partial_length(&part, artifact.size) == 0 || is_wrong {
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

async fn transfer_archive(
    way: Way<'_>,
    artifact: &Artifact,
    part: &Path,
    from: u64,
    progress: &impl Fn(u8),
) -> Result<(), UpdateError> {
    let failed = |error| UpdateError::fetch(&artifact.file)(error);
    let response = begin_transfer(way, from).await.map_err(failed)?;
    let from = if response.status() == StatusCode::PARTIAL_CONTENT { from } else { 0 };
    let mut options = std::fs::OpenOptions::new();
    options.create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let options = if from > 0 { options.append(true) } else { options.write(true).truncate(true) };
    let file = options.open(part).map_err(UpdateError::file("could not write", part))?;
    let mut target = Target { file, bytes: from, size: artifact.size, told: None };
    copy_body(response, way.limits, |chunk| target.take(chunk, progress)).await.map_err(
        |error| {
            match error {
                CopyError::Fetch(error) => failed(error),
                CopyError::Disk(error) => {
                    // A full disk is to be full of something else.
                    remove_part(part);
                    UpdateError::file("could not write", part)(error)
                }
            }
        },
    )?;
    target.file.sync_all().map_err(UpdateError::file("could not write", part))
}

async fn begin_transfer(way: Way<'_>, from: u64) -> Result<Response, FetchError> {
    let url = way.servers.check_address(way.address)?;
    let mut request = way.client.get(url).headers(request::binary());
    if from > 0 {
        request = request.header("range", format!("bytes={from}-"));
    }
    let sent = tokio::time::timeout(BEGIN_TIMEOUT, request.send()).await;
    let response = sent.map_err(|_| Failure::Slow)?.map_err(|error| Failure::of(&error))?;
    match request::status_error(&response) {
        None => Ok(response),
        Some(error) => Err(error),
    }
}

/// Reason why a body was not copied.
enum CopyError {
    Fetch(FetchError),
    Disk(io::Error),
}

impl From<FetchError> for CopyError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

/// Hands on a body as it comes, while it comes fast enough.
async fn copy_body(
    mut response: Response,
    limits: Limits,
    mut take: impl FnMut(&[u8]) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let mut pace = Pace::new(limits, Instant::now());
    loop {
        let patience = pace.patience(Instant::now());
        let length = match tokio::time::timeout(patience, response.chunk()).await {
            Err(_) => 0,
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(chunk))) => {
                take(&chunk)?;
                u64::try_from(chunk.len()).unwrap_or(u64::MAX)
            }
            Ok(Err(error)) => return Err(FetchError::from(Failure::of(&error)).into()),
        };
        pace.count(length, Instant::now()).map_err(|_| FetchError::TooSlow)?;
    }
}

/// File that an archive is written into.
struct Target {
    file: File,
    /// Bytes that it has.
    bytes: u64,
    /// Bytes that it is to have.
    size: u64,
    /// Percentage that was told last.
    told: Option<u8>,
}

impl Target {
    fn take(&mut self, chunk: &[u8], progress: &impl Fn(u8)) -> Result<(), CopyError> {
        self.bytes = self.bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.bytes > self.size {
            return Err(FetchError::TooLong(self.size).into());
        }
        self.file.write_all(chunk).map_err(CopyError::Disk)?;
        let percent = self.bytes.saturating_mul(100) / self.size.max(1);
        let percent = u8::try_from(percent.min(100)).ok();
        if self.told != percent {
            self.told = percent;
            progress(percent.unwrap_or(100));
        }
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::Router;
    use axum::body::Body;
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::IntoResponse as _;
    use axum::routing::get;
    use futures_util::StreamExt as _;
    use russet_protocol::manifest::Artifact;
    use sha2::{Digest as _, Sha256};

    use super::{Way, fetch_archive};
    use crate::update::pace::Limits;
    use crate::update::servers::Servers;

    const LIMITS: Limits = Limits {
        window: Duration::from_millis(400),
        min_bytes: 1024,
        total: Duration::from_secs(20),
    };

    fn content() -> Vec<u8> {
        (0..40_000_u32).flat_map(u32::to_le_bytes).collect()
    }

    fn artifact() -> Artifact {
        let hash = Sha256::digest(content());
        Artifact {
            file: "a.tar.gz".to_owned(),
            size: content().len() as u64,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            minimum_os: std::collections::BTreeMap::new(),
        }
    }

    /// The first bytes, and then one now and then for ever.
    fn trickle(first: Vec<u8>) -> Body {
        let first = futures_util::stream::once(async move { Ok::<_, Infallible>(first) });
        let rest = futures_util::stream::repeat(()).then(async |()| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(vec![0])
        });
        Body::from_stream(first.chain(rest))
    }

    async fn serve(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// Fetches by this path, into this directory.
    async fn fetch(url: &str, path: &str, into: &std::path::Path) -> Result<Vec<u8>, String> {
        let servers = Servers::new(url, Vec::new()).unwrap();
        let client =
            russet_platform::http::download_client(url, None, servers.redirects()).unwrap();
        let address = format!("{url}/{path}");
        let way = Way { client: &client, servers: &servers, limits: LIMITS, address: &address };
        let fetched = fetch_archive(way, &artifact(), into, |_| ()).await;
        fetched.map(|path| std::fs::read(path).unwrap()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_trickle_is_given_up_and_the_next_try_goes_on_from_what_came() {
        let half = async |headers: HeaderMap| match headers.get("range") {
            None => trickle(content()[..80_000].to_vec()).into_response(),
            Some(range) => {
                let from = range.to_str().unwrap().trim_start_matches("bytes=").to_owned();
                let from: usize = from.trim_end_matches('-').parse().unwrap();
                assert!(from >= 80_000, "{from}");
                (StatusCode::PARTIAL_CONTENT, content()[from..].to_vec()).into_response()
            }
        };
        let (again, url) = (async || content(), serve(Router::new().route("/a", get(half))).await);
        let dir = tempfile::tempdir().unwrap();
        let error = fetch(&url, "a", dir.path()).await.unwrap_err();
        assert!(error.contains("too slowly") && error.contains("goes on from there"), "{error}");
        let part = dir.path().join(format!("{}.tar.part", artifact().sha256));
        assert!(part.metadata().unwrap().len() >= 80_000);
        std::fs::OpenOptions::new().write(true).open(&part).unwrap().set_len(80_000).unwrap();
        assert_eq!(fetch(&url, "a", dir.path()).await.unwrap(), content());
        // One that knows no offsets sends the whole.
        let url = serve(Router::new().route("/a", get(again))).await;
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join(format!("{}.tar.part", artifact().sha256)), "begun")
            .unwrap();
        assert_eq!(fetch(&url, "a", other.path()).await.unwrap(), content());
    }

    #[tokio::test]
    async fn what_is_too_long_elsewhere_or_absent_is_an_error_and_leaves_nothing() {
        let longer = async || [content(), b"and more".to_vec()].concat();
        let router = Router::new().route("/long", get(longer)).route(
            "/away",
            get(async || (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")])),
        );
        let url = serve(router).await;
        let dir = tempfile::tempdir().unwrap();
        for (path, why) in
            [("long", "longer than"), ("away", "update.hosts"), ("none", "it is not there")]
        {
            let error = fetch(&url, path, dir.path()).await.unwrap_err();
            assert!(error.contains(why), "{path}: {error}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{path}");
        }
        let closed = fetch("http://127.0.0.1:1", "a", dir.path()).await.unwrap_err();
        assert!(closed.contains("refused the connection"), "{closed}");
    }
}
