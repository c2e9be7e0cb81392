//! A git repository, at a commit.
//!
//! The system's git does the work, as the slot's user. History comes whole, file contents only
//! where they are needed (a blobless clone, CircleCI's default), and everything if a server
//! knows nothing of that. What the control plane names is checked before it becomes an argument:
//! a branch called `--upload-pack=…` must stay a branch.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use russet_protocol::outcome::Outcome;
use russet_protocol::task::CheckoutMethod;

use super::locks;
use crate::path_error::PathError;
use crate::task::command::{Commands, Spec};
use crate::task::environment::StepVariables;
use crate::task::journal::StepOutput;
use crate::task::step_end::StepEnd;
use crate::task::stop::StopSignal;

/// Reason why a repository was not checked out.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    #[error("`{}` is not a commit: it takes 40 or 64 hexadecimal digits", .0.escape_debug())]
    Revision(String),
    #[error("`{}` is not the address of a repository", .0.escape_debug())]
    Url(String),
    #[error("`{}` is not a name of a branch or tag", .0.escape_debug())]
    Name(String),
    #[error(
        "{} is neither empty nor a git repository\nhint: give `checkout` a `path` of its own",
        .0.display()
    )]
    Occupied(PathBuf),
    #[error(transparent)]
    Directory(#[from] PathError),
    #[error("could not fetch {0}; git says why above")]
    Fetch(String),
    #[error("`git {command}` failed: {why}")]
    Command { command: String, why: String },
}

/// Names to be on after the checkout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) branch: Option<&'a str>,
    pub(super) tag: Option<&'a str>,
}

/// Revision to check out, and its source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Address of the repository.
    pub(super) url: &'a str,
    /// The commit.
    pub(super) revision: &'a str,
    pub(super) names: Names<'a>,
    pub(super) method: CheckoutMethod,
}

/// Transports that git may use. `ext::` would run a command of the submitter's choice.
const ALLOWED_PROTOCOLS: &str = "file:git:http:https:ssh:russet";

/// Asks nobody anything: there is nobody to answer.
const SSH: &str = "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new";

/// The branches of the repository, under the names that `git clone` gives them.
pub(super) const ALL_BRANCHES: &str = "+refs/heads/*:refs/remotes/origin/*";

/// A fetch that fails may be the network's fault.
pub(super) const MOST_TRIES: usize = 3;

/// Returns the arguments that put the work tree on the branch, where there is one.
fn checkout_words<'a>(revision: &'a str, names: Names<'a>) -> Vec<&'a str> {
    let mut words = vec!["-c", "advice.detachedHead=false", "checkout", "--quiet", "--force"];
    match names.branch {
        Some(branch) => words.extend(["-B", branch]),
        None => words.push("--detach"),
    }
    words.extend([revision, "--"]);
    words
}

fn check_names(url: &str, revision: &str, names: Names<'_>) -> Result<(), GitError> {
    let is_hash =
        matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash {
        return Err(GitError::Revision(revision.to_owned()));
    }
    if url.starts_with('-') || url.is_empty() {
        return Err(GitError::Url(url.to_owned()));
    }
    let bad = |name: &&str| {
        name.is_empty() || name.starts_with('-') || name.contains([':', '\0', ' ', '*', '^', '~'])
    };
    match [names.branch, names.tag].into_iter().flatten().find(bad) {
        Some(name) => Err(GitError::Name(name.to_owned())),
        None => Ok(()),
    }
}

fn is_empty(dir: &Path) -> Result<bool, PathError> {
    let mut entries = std::fs::read_dir(dir).map_err(PathError::when("read", dir))?;
    Ok(entries.next().is_none())
}

/// Runs git in a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Git<'a> {
    pub(super) commands: &'a Commands,
    pub(super) variables: &'a StepVariables,
    pub(super) stop: &'a StopSignal,
    pub(super) output: &'a StepOutput,
    pub(super) target: &'a Path,
}

impl Git<'_> {
    /// Brings the repository to the directory, at the commit. Locks in it from before `begun` are
    /// of earlier tasks.
    pub(super) async fn check_out(
        &self,
        wanted: Wanted<'_>,
        begun: SystemTime,
    ) -> Result<(), GitError> {
        let Wanted { url, revision, names, method } = wanted;
        check_names(url, revision, names)?;
        let own = self.target.join(".git");
        if own.exists() {
            let removed = locks::remove_stale(&own, begun);
            removed.iter().for_each(|line| self.output.say(line));
            if !self.quiet(&["remote", "set-url", "origin", url]).await {
                self.must(&["remote", "add", "origin", url]).await?;
            }
        } else if is_empty(self.target)? {
            self.must(&["-c", "init.defaultBranch=main", "init", "--quiet"]).await?;
            self.must(&["remote", "add", "origin", url]).await?;
        } else {
            return Err(GitError::Occupied(self.target.to_owned()));
        }
        self.must(&["config", "gc.auto", "0"]).await?;
        self.fetch(revision, names, method).await?;
        self.must(&checkout_words(revision, names)).await?;
        self.must(&["reset", "--hard", revision, "--"]).await
    }

    async fn fetch(
        &self,
        revision: &str,
        names: Names<'_>,
        method: CheckoutMethod,
    ) -> Result<(), GitError> {
        let tag = names.tag.map(|tag| format!("+refs/tags/{tag}:refs/tags/{tag}"));
        let common = ["fetch", "--force", "--prune", "--tags"];
        // All names, so that `git describe` and comparisons with the main branch work; the commit
        // besides, which may be on none of them.
        let mut blobless =
            [&common[..], &["--filter=blob:none", "origin", ALL_BRANCHES, revision]].concat();
        blobless.extend(tag.as_deref());
        let whole = [&common[..], &["origin", ALL_BRANCHES]].concat();
        for _ in 0..MOST_TRIES {
            if method == CheckoutMethod::Blobless {
                if self.quiet(&blobless).await {
                    return Ok(());
                }
                if self.stop.is_set() {
                    break;
                }
                // Not every server gives a commit by its hash, or leaves out contents.
                self.output.say("fetching the whole repository instead");
            }
            if self.quiet(&whole).await {
                return Ok(());
            }
        }
        Err(GitError::Fetch(revision.to_owned()))
    }

    pub(super) async fn must(&self, words: &[&str]) -> Result<(), GitError> {
        let end = self.git(words).await;
        if end.outcome == Outcome::Success {
            return Ok(());
        }
        let what = words.iter().find(|word| !word.starts_with('-') && !word.contains('='));
        let command = what.copied().unwrap_or_default().to_owned();
        let why = end.message.unwrap_or_else(|| "git says why above".to_owned());
        Err(GitError::Command { command, why })
    }

    pub(super) async fn quiet(&self, words: &[&str]) -> bool {
        self.git(words).await.outcome == Outcome::Success
    }

    async fn git(&self, words: &[&str]) -> StepEnd {
        let mut variables = self.variables.of_next_step();
        variables.insert("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned());
        variables.insert("GIT_ALLOW_PROTOCOL".to_owned(), ALLOWED_PROTOCOLS.to_owned());
        variables.entry("GIT_SSH_COMMAND".to_owned()).or_insert_with(|| SSH.to_owned());
        // Names on disk are relative to the target, whatever the job's environment says.
        variables.retain(|name, _| !matches!(name.as_str(), "GIT_DIR" | "GIT_WORK_TREE"));
        let spec = Spec {
            words: ["git"].iter().chain(words).map(Into::into).collect(),
            variables,
            directory: self.target.to_owned(),
            silence: Some(std::time::Duration::from_secs(600)),
            longest: None,
            job_is_over: None,
        };
        self.commands.run(spec, self.output).await
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, check_names};

    #[test]
    fn what_would_be_an_option_or_a_refspec_is_refused() {
        let hash = "0123456789012345678901234567890123456789";
        let none = Names { branch: None, tag: None };
        check_names("https://git.example/a", hash, Names { branch: Some("a/b-c"), tag: None })
            .unwrap();
        check_names("-x", hash, none).unwrap_err();
        check_names("a", "HEAD", none).unwrap_err();
        check_names("a", "--output=/tmp/xxxxxxxxxxxxxxxxxxxxxxxxxxx", none).unwrap_err();
        for bad in ["-b", "", "a:b", "a b", "a*"] {
            check_names("a", hash, Names { branch: Some(bad), tag: None }).unwrap_err();
            check_names("a", hash, Names { branch: None, tag: Some(bad) }).unwrap_err();
        }
    }
}
