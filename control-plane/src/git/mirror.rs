//! Bare mirrors: for each project the commits that had pipelines, each without its history.
//!
//! Commits are fetched one at a time (`--depth 1`), so that the first build of a repository with a long
//! history is as quick as any; what a fetch has in common with earlier ones is not sent again. A mirror
//! that became too large or is damaged is removed and made anew. Where a task asks for the history, that is
//! in a mirror of its own (`history.rs`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::GitSettings;
use super::command::GitCall;
use super::error::GitError;
use super::refs::{is_hash, is_ref_name, object_format};
use super::remote::Remote;
use super::run::{CallLimits, directory_size, run_git};

/// The mirror of one project.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    /// The bare repository.
    pub(crate) path: PathBuf,
}

impl Mirror {
    /// Returns the place of a project's mirror below the directory of mirrors.
    pub(crate) fn of(mirrors: &Path, project: &str, url: &str) -> Self {
        // Of another URL nothing is taken over.
        let mut hasher = blake3::Hasher::new();
        hasher.update(project.as_bytes()).update(&[0]).update(url.as_bytes());
        let name = hasher.finalize().to_hex();
        Self { path: mirrors.join(format!("{}.git", name.get(..32).unwrap_or_default())) }
    }

    /// Brings a commit here, by the reference that it is at, else by its hash. Returns the keys of the
    /// host where they are new.
    pub(crate) async fn fetch_commit(
        &self,
        remote: &Remote,
        wanted: (&str, &str),
        settings: &GitSettings,
        scratch: &Path,
    ) -> Result<Option<String>, GitError> {
        match self.try_fetch(remote, wanted, settings, scratch).await {
            Err(GitError::Failed { said, .. }) if is_damage(&said) => {
                self.discard().await?;
                self.try_fetch(remote, wanted, settings, scratch).await
            }
            done => done,
        }
    }

    async fn try_fetch(
        &self,
        remote: &Remote,
        (reference, revision): (&str, &str),
        settings: &GitSettings,
        scratch: &Path,
    ) -> Result<Option<String>, GitError> {
        if !is_hash(revision) || !is_ref_name(reference) {
            return Err(GitError::Unreadable(
                format!("{reference} at {revision}").escape_debug().to_string(),
            ));
        }
        self.prepare(revision, settings).await?;
        if self.has(revision).await? {
            return Ok(None);
        }
        let by_name = self.fetch(remote, reference, settings, scratch).await;
        let host_keys = match by_name {
            Ok(host_keys) if self.has(revision).await? => return Ok(host_keys),
            Ok(host_keys) => host_keys,
            Err(
                error @ (GitError::TooLarge { .. }
                | GitError::Address(_)
                | GitError::TimedOut { .. }),
            ) => {
                self.discard_if_large(settings).await?;
                return Err(error);
            }
            // It may have been deleted meanwhile, and its commit still be there.
            Err(error) => {
                let by_hash = self.fetch(remote, revision, settings, scratch).await;
                return by_hash.map_err(|_| error);
            }
        };
        // It has moved on since it was listed.
        let by_hash = self.fetch(remote, revision, settings, scratch).await;
        if by_hash.is_err() || !self.has(revision).await? {
            return Err(GitError::NoCommit(revision.to_owned()));
        }
        Ok(host_keys)
    }

    async fn fetch(
        &self,
        remote: &Remote,
        wanted: &str,
        settings: &GitSettings,
        scratch: &Path,
    ) -> Result<Option<String>, GitError> {
        let limits = CallLimits {
            timeout: settings.fetch_timeout,
            output: 1 << 20,
            directory: Some((&self.path, settings.max_bytes)),
        };
        let call = |depth: &[&str]| {
            GitCall::new("fetch", &self.path)
                .args(["--quiet", "--no-tags", "--no-write-fetch-head", "--force"])
                .args(depth)
                .args(["--", remote.url.text.as_str(), wanted])
        };
        match remote.run(call(&["--depth=1"]), settings, scratch, limits).await {
            // A plain web server with the repository's files.
            Err(GitError::Failed { said, .. }) if said.contains("dumb http transport") => {
                Ok(remote.run(call(&[]), settings, scratch, limits).await?.1)
            }
            done => Ok(done?.1),
        }
    }

    /// Makes the repository if it is missing or cannot be used.
    pub(super) async fn prepare(
        &self,
        revision: &str,
        settings: &GitSettings,
    ) -> Result<(), GitError> {
        self.discard_if_large(settings).await?;
        if self.path.join("HEAD").exists() {
            let call = GitCall::new("rev-parse", &self.path).args(["--git-dir"]);
            if run_git(&call, CallLimits::local(4096)).await.is_ok() {
                return Ok(());
            }
            self.discard().await?;
        }
        std::fs::create_dir_all(&self.path)?;
        let format = object_format(revision);
        let call = GitCall::new("init", &self.path).args([
            "--quiet",
            "--bare",
            "--template=",
            format,
            ".",
        ]);
        run_git(&call, CallLimits::local(4096)).await?;
        // Source archives are taken from here, by commits.
        let call =
            GitCall::new("config", &self.path).args(["uploadpack.allowAnySHA1InWant", "true"]);
        run_git(&call, CallLimits::local(4096)).await?;
        // `git archive` would leave out and fill in what these say; `checkout` does not.
        let info = self.path.join("info");
        std::fs::create_dir_all(&info)?;
        std::fs::write(info.join("attributes"), "* -export-ignore -export-subst\n")?;
        Ok(())
    }

    async fn discard_if_large(&self, settings: &GitSettings) -> Result<(), GitError> {
        if directory_size(&self.path).await > settings.max_bytes {
            self.discard().await?;
        }
        Ok(())
    }

    /// Removes the repository.
    pub(crate) async fn discard(&self) -> std::io::Result<()> {
        tokio::fs::remove_dir_all(&self.path).await
    }

    /// Returns true if a commit is here.
    pub(crate) async fn has(&self, revision: &str) -> Result<bool, GitError> {
        let commit = format!("{revision}^{{commit}}");
        let call = GitCall::new("cat-file", &self.path).args(["-e", commit.as_str()]);
        let limits = CallLimits { timeout: Duration::from_secs(60), ..CallLimits::local(4096) };
        match run_git(&call, limits).await {
            Ok(_) => Ok(true),
            Err(GitError::Failed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns true where git's words are about the mirror itself: a git that was killed leaves locks, and a full
/// disk halves of files.
pub(super) fn is_damage(said: &str) -> bool {
    const WORDS: [&str; 6] = [
        ".lock",
        "corrupt",
        "bad object",
        "loose object",
        "shallow file has changed",
        "not a git repository",
    ];
    WORDS.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::is_damage;

    #[test]
    fn a_lock_that_was_left_is_told_from_a_remote_that_refuses() {
        assert!(is_damage("fatal: Unable to create '/m/shallow.lock': File exists."));
        assert!(is_damage("error: object file objects/ab/cd is corrupt"));
        assert!(!is_damage("fatal: Authentication failed for 'https://host/a'"));
        assert!(!is_damage("fatal: couldn't find remote ref refs/heads/x"));
    }
}
