//! Updates of an installed agent: never while a task runs, and never into a machine that is left
//! without a good version.
//!
//! The way of a new version, and the file that has it:
//!
//! 1. `source` and `list` find manifests, `servers` and `request` bound who is asked and how much is
//!    read, `keys` says whom to believe, `offer` (pure) whether this machine takes what is offered,
//!    `seen` (pure) what it means that nothing is;
//! 2. `fetch` brings the archive, resumed, bounded and at a `pace`, into `staging`, which is root's;
//! 3. `unpack` looks at every entry before it writes any, and at the program before it is used;
//! 4. the state machine of the launch agent ends the process when no task runs, which is decided
//!    there and nowhere else;
//! 5. `exchange` puts the bundle in place in one step, and `russet-boot` takes it back if it does
//!    not prove healthy.
//!
//! `record` is what outlives a restart, `worker` goes the way. `package` has versions that an
//! installer package brought, which come before (`ready`). Who can do what with which key is in
//! `docs/update-threat-model.md`.

mod boot_files;
mod exchange;
mod fetch;
mod find;
mod keys;
mod list;
mod offer;
mod pace;
pub mod package;
mod ready;
mod record;
mod request;
mod seen;
mod servers;
mod source;
mod staging;
mod unpack;
mod window;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use boot_files::{bad_versions, is_in_probation, is_newer, probation};
pub(crate) use exchange::{Staged, put_in_place};
pub use keys::{KeyError, Keys};
pub(crate) use ready::Ready;
pub(crate) use record::{installed_version, last_look, newest_seen};
use request::FetchError;
pub(crate) use seen::Seen;
pub use servers::{Host, HostError};
pub use source::{Source, SourceError};
pub use window::{Window, WindowError};
pub(crate) use worker::{Parts, start_worker};

/// Settings of updates.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Source of releases. None: this agent looks for none.
    pub source: Option<Source>,
    /// Servers besides the source's own from which releases may come.
    pub hosts: Vec<Host>,
    /// Which of them. A control plane chooses that itself: it knows what its classes are to run.
    pub channel: String,
    /// Whom to believe.
    pub keys: Keys,
    /// Interval of looks, give or take a tenth.
    pub interval: Duration,
    /// Set if a version is installed without being asked for.
    pub auto: bool,
    /// Time at which tasks are kept off, so that a busy machine becomes idle.
    pub window: Option<Window>,
    /// Time in which a new version has to prove itself.
    pub probation: Duration,
    /// CA certificates to trust besides the system's, in PEM.
    pub ca_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            source: None,
            hosts: Vec::new(),
            channel: russet_protocol::manifest::STABLE.to_owned(),
            keys: Keys::compiled_in(),
            interval: Duration::from_secs(3600),
            auto: true,
            window: None,
            probation: Duration::from_secs(300),
            ca_file: None,
        }
    }
}

/// Reason why there is no update, for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError {
    /// A release was offered, and this machine does not take it.
    #[error("{0}")]
    Refused(#[from] offer::Refusal),
    /// The envelope is none, or of nobody who is trusted.
    #[error("the manifest is not believed: {0}")]
    Keys(#[from] KeyError),
    /// It could not be fetched.
    #[error("{what} could not be fetched: {why}")]
    Fetch {
        /// Subject.
        what: String,
        /// Cause.
        why: FetchError,
    },
    /// There is no client to fetch it with.
    #[error(transparent)]
    Client(#[from] russet_platform::http::HttpError),
    /// There is no counter for one more channel.
    #[error("manifests of {0} channels were seen here, and no more are remembered")]
    Channels(usize),
    /// Fetched archive that is not the manifest's.
    #[error("{0}")]
    Archive(String),
    /// The bundle is not signed as this one is.
    #[error(transparent)]
    Signature(#[from] russet_platform::SignatureError),
    /// A file or directory of ours cannot be used.
    #[error("{what} {}: {error}", path.display())]
    File {
        /// Action that failed.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Cause.
        error: std::io::Error,
    },
}

impl UpdateError {
    fn fetch(what: &str) -> impl FnOnce(FetchError) -> Self {
        let what = what.to_owned();
        move |why| Self::Fetch { what, why }
    }

    fn file(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { what, path, error }
    }
}
