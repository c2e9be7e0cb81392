//! Failures of git, each with its next step.

use super::addresses::AddressError;
use super::remote_url::UrlError;

/// Most of git's own words that are kept, in bytes.
const MAX_SAID: usize = 600;

/// Reason why something with a repository was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("cannot run git: {0}")]
    Start(std::io::Error),
    #[error("`git {command}` failed: {said}")]
    Failed { command: &'static str, said: String },
    #[error("`git {command}` was ended after {seconds} seconds")]
    TimedOut { command: &'static str, seconds: u64 },
    #[error("{what} is larger than {limit} bytes")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("the tree has more than {0} files")]
    TooManyFiles(u64),
    #[error("the commit {0} is not in the repository any more")]
    NoCommit(String),
    #[error("the repository has no {0} at this commit")]
    NoConfig(String),
    #[error("`{path}` is {kind}, which is not followed: it could lead out of the repository")]
    NotAFile { path: String, kind: &'static str },
    #[error("{0} is not text in UTF-8")]
    NotText(String),
    #[error("the repository said what git does not say: {0}")]
    Unreadable(String),
    #[error("a file of the server could not be read or written: {0}")]
    Io(#[from] std::io::Error),
}

impl GitError {
    /// Makes the failure of a command from what it said.
    pub(super) fn said(command: &'static str, stderr: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stderr);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines.rev().take(6).collect();
        let joined = lines.into_iter().rev().collect::<Vec<_>>().join("; ");
        let printable: String = joined.chars().filter(|c| !c.is_control()).take(MAX_SAID).collect();
        let nothing = || "it said nothing".to_owned();
        let said = Some(printable).filter(|text| !text.is_empty()).unwrap_or_else(nothing);
        Self::Failed { command, said }
    }

    /// Returns the next step for the owner of the project.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Address(AddressError::Refused { .. }) => {
                Some("start the server with --allow-git-to ADDRESS/BITS if that is meant")
            }
            Self::Address(AddressError::Unknown(_)) => {
                Some("check the host in the URL, and the server's own name resolution")
            }
            Self::Start(_) => Some("install git where the server runs, on its PATH"),
            Self::Failed { said, .. } => hint_of(said),
            Self::TimedOut { .. } => Some("check that the server reaches the host"),
            Self::TooLarge { .. } => Some("raise --git-size-limit, or keep large files elsewhere"),
            Self::NoCommit(_) => {
                Some("it was pushed over; the newer commit has a pipeline of its own")
            }
            Self::NoConfig(_) => {
                Some("commit a configuration, or name its path with --config-path")
            }
            Self::NotAFile { .. } => Some("commit it as a plain file"),
            _ => None,
        }
    }

    /// Returns true where the same may work later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::TimedOut { .. } | Self::Io(_) | Self::Start(_) => true,
            Self::Address(error) => matches!(error, AddressError::Unknown(_)),
            _ => false,
        }
    }
}

/// Reads the remedy off git's own words. They are English, since commands run with `LC_ALL=C`.
fn hint_of(said: &str) -> Option<&'static str> {
    const HINTS: [(&str, &str); 9] = [
        (
            "Authentication failed",
            "give a token that may read the repository: russet project add URL --git-token-file -",
        ),
        (
            "could not read Username",
            "the host wants a token: russet project add URL --git-token-file -",
        ),
        ("Invalid username or", "give a token that may read the repository"),
        (
            "Permission denied",
            "add the deploy key, which `russet project show` prints, to the repository",
        ),
        (
            "Host key verification failed",
            "the host shows another key than it did first; if that is meant, remove the project and add it again",
        ),
        (
            "not found",
            "check the URL; hosts answer so too where the token may not see the repository",
        ),
        ("does not appear to be a git repository", "check the path in the URL"),
        (
            "unable to update url base from redirection",
            "use the address that the repository has moved to",
        ),
        ("fsck error", "the repository has a damaged object: run `git fsck` in a clone of it"),
    ];
    HINTS.iter().find(|(words, _)| said.contains(words)).map(|(_, hint)| *hint)
}
