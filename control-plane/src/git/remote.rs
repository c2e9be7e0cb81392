//! Calls to a remote.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::GitSettings;
use super::addresses::resolve_host;
use super::command::GitCall;
use super::credential::{RemoteCredential, allow_remote, read_host_keys};
use super::error::GitError;
use super::refs::{RemoteRefs, parse_remote_refs};
use super::remote_url::{RemoteUrl, Transport};
use super::run::{CallLimits, run_git};

/// Longest time that listing the references of a remote may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// Most of a list of references that is read, in bytes: some 400,000 of them.
const MAX_LIST_BYTES: u64 = 32 << 20;

/// A remote, and the way in.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) url: RemoteUrl,
    pub(crate) credential: RemoteCredential,
    /// Keys of its host that were pinned, as a file of known hosts; empty before the first connection.
    pub(crate) host_keys: String,
}

impl Remote {
    /// Resolves its host; none for one of this machine.
    async fn resolve(&self, settings: &GitSettings) -> Result<Option<IpAddr>, GitError> {
        if self.url.transport == Transport::File {
            return Ok(None);
        }
        Ok(Some(resolve_host(&self.url.host, self.url.port, &settings.allow_to).await?))
    }

    /// Runs a call that reaches the remote. Files of it go to a directory below `scratch`. Returns the
    /// output, and the keys of the host where they are new.
    pub(super) async fn run(
        &self,
        call: GitCall,
        settings: &GitSettings,
        scratch: &Path,
        limits: CallLimits<'_>,
    ) -> Result<(Vec<u8>, Option<String>), GitError> {
        let address = self.resolve(settings).await?;
        let dir = tempfile::Builder::new().prefix("call-").tempdir_in(scratch)?;
        let with = (&self.credential, self.host_keys.as_str());
        let call = allow_remote(call, (&self.url, address), with, dir.path())?;
        let output = run_git(&call, limits).await?;
        let is_first = self.url.transport == Transport::Ssh && self.host_keys.trim().is_empty();
        Ok((output, is_first.then(|| read_host_keys(dir.path())).flatten()))
    }
}

/// Lists the branches and tags of a remote, and the keys of its host where they are new.
pub(crate) async fn list_refs(
    remote: &Remote,
    settings: &GitSettings,
    scratch: &Path,
) -> Result<(RemoteRefs, Option<String>), GitError> {
    let call = GitCall::new("ls-remote", scratch).args([
        "--symref",
        "--",
        remote.url.text.as_str(),
        "HEAD",
        "refs/heads/*",
        "refs/tags/*",
    ]);
    let limits = CallLimits { timeout: LIST_TIMEOUT, output: MAX_LIST_BYTES, directory: None };
    let (output, host_keys) = remote.run(call, settings, scratch, limits).await?;
    let output = String::from_utf8_lossy(&output);
    Ok((parse_remote_refs(&output)?, host_keys))
}
