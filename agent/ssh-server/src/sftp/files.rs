//! Files of one client, and calls about them.

use std::io;
use std::path::PathBuf;

use russh_sftp::protocol::StatusCode;

use super::handles::Handles;
use super::reply::Refusal;

/// Bytes that one request reads at most.
pub(crate) const MAX_READ_BYTES: u32 = 255 * 1024;

/// Files of the slot's user.
#[derive(Debug)]
pub(crate) struct Files {
    /// Where relative paths begin.
    pub(crate) base: PathBuf,
    /// Directory that `~` stands for.
    pub(crate) home: Option<PathBuf>,
    pub(crate) handles: Handles,
}

impl Files {
    pub(crate) fn new(base: PathBuf, home: Option<PathBuf>) -> Self {
        Self { base, home, handles: Handles::default() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }
}

/// Makes a call that may wait for a disk.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result.map_err(Refusal::from),
        Err(_) => Err(Refusal::new(StatusCode::Failure, "the server ends")),
    }
}
