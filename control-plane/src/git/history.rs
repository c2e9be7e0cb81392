//! Mirrors with the whole history: all branches and tags of a remote, made when the first task asks for
//! them and brought up to date by each that does, and what a task reads of them.
//!
//! Threat: whoever reads is a job. It gets `git upload-pack` on the one mirror of its project, with an
//! environment of our making: no hook, no setting of its own, nothing that writes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::GitSettings;
use super::command::GitCall;
use super::error::GitError;
use super::mirror::{Mirror, is_damage};
use super::refs::is_ref_name;
use super::remote::Remote;
use super::run::{CallLimits, GitTalk, directory_size, run_git, talk_to_git};

/// Time for which the remote is not asked again: a job asks several times in a row.
const FRESH_TIME: Duration = Duration::from_secs(5);

/// Time for which a remote that is too large is not fetched again.
const TOO_LARGE_TIME: Duration = Duration::from_secs(3600);

/// Time without a reader after which a history is removed.
const UNREAD_TIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// File in a mirror whose time is that of the last fetch.
const FRESH_FILE: &str = "fetched";

/// Number of packs from which on they are packed into one.
const MAX_PACKS: &str = "50";

/// Size from which on a pack stays as it is: to pack it again takes longer than it is worth.
const KEPT_PACK: &str = "128m";

/// Silence of a reader after which it is hung up on, in seconds.
const READER_TIMEOUT: &str = "--timeout=600";

/// All branches and tags, and nothing else: hosts keep more there, such as every pull request.
const ALL_REFS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// Commit and branch that a mirror is brought up to date for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistoryWish<'a> {
    /// Commit that has to be there, if the remote still has it.
    pub(crate) revision: &'a str,
    /// Branch that the remote checks out by default.
    pub(crate) default_branch: Option<&'a str>,
}

/// Mirror with the whole history.
#[derive(Clone, Debug)]
pub(crate) struct History(pub(super) Mirror);

impl History {
    /// Returns true if the remote was asked a moment ago, and had the commit.
    pub(crate) async fn is_fresh(&self, revision: &str) -> Result<bool, GitError> {
        let is_young = is_younger(&self.0.path.join(FRESH_FILE), FRESH_TIME);
        Ok(is_young && self.0.has(revision).await?)
    }

    /// Brings it up to date with its remote.
    pub(crate) async fn refresh(
        &self,
        remote: &Remote,
        wish: HistoryWish<'_>,
        settings: &GitSettings,
        scratch: &Path,
    ) -> Result<(), GitError> {
        if self.was_too_large(settings) {
            return Err(too_large(settings));
        }
        let done = match self.try_refresh(remote, wish, settings, scratch).await {
            Err(GitError::Failed { said, .. }) if is_damage(&said) => {
                self.0.discard().await?;
                self.try_refresh(remote, wish, settings, scratch).await
            }
            done => done,
        };
        if let Err(GitError::TooLarge { .. }) = done {
            self.0.discard().await?;
            std::fs::write(self.too_large_file(), settings.max_bytes.to_string())?;
            return Err(too_large(settings));
        }
        done
    }

    /// Returns true if it was too large a while ago, by the limit of now.
    fn was_too_large(&self, settings: &GitSettings) -> bool {
        let file = self.too_large_file();
        let limit = std::fs::read_to_string(&file).unwrap_or_default();
        is_younger(&file, TOO_LARGE_TIME) && limit == settings.max_bytes.to_string()
    }

    fn too_large_file(&self) -> PathBuf {
        self.0.path.with_extension("too-large")
    }

    async fn try_refresh(
        &self,
        remote: &Remote,
        wish: HistoryWish<'_>,
        settings: &GitSettings,
        scratch: &Path,
    ) -> Result<(), GitError> {
        self.0.prepare(wish.revision, settings).await?;
        let limits = CallLimits {
            timeout: settings.fetch_timeout,
            output: 1 << 20,
            directory: Some((&self.0.path, settings.max_bytes)),
        };
        let fetch = |what: &[&str]| {
            GitCall::new("fetch", &self.0.path)
                .args(["--quiet", "--no-tags", "--no-write-fetch-head", "--force", "--prune"])
                .args(["--", remote.url.text.as_str()])
                .args(what)
        };
        remote.run(fetch(&ALL_REFS), settings, scratch, limits).await?;
        // A fetch that is quicker than the looks at its size.
        if directory_size(&self.0.path).await > settings.max_bytes {
            return Err(too_large(settings));
        }
        if !self.0.has(wish.revision).await? {
            // Pushed over meanwhile. Not every host gives it by its hash, and the rest is of use.
            match remote.run(fetch(&[wish.revision]), settings, scratch, limits).await {
                Ok(_) | Err(GitError::Failed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.point_head(wish.default_branch).await?;
        self.pack().await;
        std::fs::write(self.0.path.join(FRESH_FILE), "")?;
        Ok(())
    }

    async fn point_head(&self, branch: Option<&str>) -> Result<(), GitError> {
        let head = branch.map(|name| format!("refs/heads/{name}")).filter(|name| is_ref_name(name));
        if let Some(head) = head {
            let call = GitCall::new("symbolic-ref", &self.0.path).args(["HEAD", head.as_str()]);
            run_git(&call, CallLimits::local(4096)).await?;
        }
        Ok(())
    }

    /// Packs what many fetches brought into one. What readers have open stays.
    async fn pack(&self) {
        let call = GitCall::new("gc", &self.0.path)
            .args(["--auto", "--quiet"])
            .set("gc.auto", "6700")
            .set("gc.autoPackLimit", MAX_PACKS)
            .set("gc.autoDetach", "false")
            .set("gc.bigPackThreshold", KEPT_PACK)
            .set("pack.windowMemory", "64m");
        if let Err(error) = run_git(&call, CallLimits::local(1 << 20)).await {
            tracing::warn!(mirror = %self.0.path.display(), "a mirror could not be packed: {error}");
        }
    }

    /// Lets it be read by git at the other end of a stream.
    pub(crate) fn serve(&self) -> Result<GitTalk, GitError> {
        let mut call = GitCall::new("upload-pack", &self.0.path)
            .args(["--strict", READER_TIMEOUT, "."])
            .set("uploadpack.allowFilter", "true")
            .set("uploadpack.allowAnySHA1InWant", "true")
            .set("pack.windowMemory", "64m");
        call.variables.push(("GIT_PROTOCOL", "version=2".into()));
        talk_to_git(&call)
    }
}

/// Removes histories below a directory that nobody has read for long: their projects may be gone.
pub(super) fn remove_unread(histories: &Path) {
    for entry in std::fs::read_dir(histories).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_history = path.extension().is_some_and(|of| of == "git");
        if is_history && !is_younger(&path.join(FRESH_FILE), UNREAD_TIME) {
            // One that cannot be removed takes room, and nothing else.
            drop(std::fs::remove_dir_all(&path));
        }
    }
}

fn too_large(settings: &GitSettings) -> GitError {
    GitError::TooLarge { what: "the repository with its history", limit: settings.max_bytes }
}

/// Returns true if a file was written within a time.
fn is_younger(file: &Path, than: Duration) -> bool {
    let changed = std::fs::metadata(file).and_then(|of| of.modified());
    let age = |at: SystemTime| at.elapsed().map_err(io::Error::other);
    changed.and_then(age).is_ok_and(|age| age < than)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::{FRESH_FILE, UNREAD_TIME, remove_unread};

    #[test]
    fn histories_that_nobody_reads_are_removed_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            File::create(dir.path().join(name).join(FRESH_FILE)).unwrap()
        };
        make("read.git");
        make("unread.git").set_modified(SystemTime::now() - UNREAD_TIME * 2).unwrap();
        // One that a killed server has begun.
        std::fs::create_dir(dir.path().join("half.git")).unwrap();
        remove_unread(dir.path());
        let left = std::fs::read_dir(dir.path()).unwrap().map(|of| of.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["read.git"]);
        remove_unread(&dir.path().join("none"));
    }
}
