//! The launch agent's configuration: CircleCI's own keys, and ours beside them.
//!
//! A file of CircleCI's launch-agent or machine runner 3 works as it is. One table
//! (`keys.rs`) says of every key its name, its environment variables, its type, its default
//! and what it means; the parser, the environment overrides and `docs/agent-config.md` all come
//! from it. Nothing is ignored in silence: a key that is unknown, or that would not do here what
//! it says, is named with its place.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_protocol::resource_class::ResourceClass;
use russet_protocol::supervise::{Hooks, Limits};

use crate::health::Reserve;
use crate::launch::Host;
use russet_platform::layout::Layout;

mod build;
mod convert;
mod error;
mod keys;
mod read;
mod reference;
mod token;
mod update;
mod upkeep;
mod values;
mod yaml;

pub use convert::{Converted, Overrides, convert};
pub use error::{ConfigError, Place};
pub use reference::reference;
pub use token::Token;
pub(crate) use token::read_file as read_token;

/// What the launch agent is to do, checked and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it was read from.
    pub file: PathBuf,
    /// Origin of the control plane, without a slash at the end.
    pub api_url: String,
    /// CA certificates to trust besides the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The runner's name.
    pub name: String,
    /// Where tasks work, where the owner says so; `%s` is replaced by something unique.
    pub working_directory: Option<String>,
    /// Whether to empty a working directory of the owner's after each task.
    pub cleanup_working_directory: bool,
    /// Arguments to put before those of the task agent.
    pub command_prefix: Vec<String>,
    /// Whether to exit after one task.
    pub mode: Mode,
    /// How long a task may run, and how long a drain may take.
    pub max_run_time: Duration,
    /// Exit when no task was claimed for this long.
    pub idle_timeout: Option<Duration>,
    /// Whether a task that was interrupted by this agent's end goes back to the queue although
    /// it had begun.
    pub enable_unsafe_retries: bool,
    /// What an SSH rerun shows as the address to connect to; handed to external task agents.
    pub ssh_advertise_addr: Option<String>,
    /// Names of the slots' users, before their number.
    pub user_prefix: String,
    /// Journals, slots and the staged executable.
    pub state_directory: PathBuf,
    /// Directories before the standard PATH of steps.
    pub path: Vec<PathBuf>,
    /// Variables for every task.
    pub environment: BTreeMap<String, String>,
    /// What is copied into each task's home.
    pub home_skeleton: Option<PathBuf>,
    /// Whether task agents reach the control plane through the launch agent.
    pub relay: Relay,
    /// Limits of every slot.
    pub limits: Limits,
    /// The classes to serve, at least one.
    pub classes: Vec<Class>,
    /// Caches to trim between tasks.
    pub housekeeping: Housekeeping,
    /// What to run after the one task of single-task mode.
    pub shutdown_hook: Option<ShutdownHook>,
    /// Whether to start the simulators' service before a task's steps, one slot at a time.
    pub warm_simulators: bool,
    /// When this machine is kept from sleeping.
    pub keep_awake: KeepAwake,
    /// How much has to be free on the disk for a task to be taken.
    pub disk_reserve: Reserve,
    /// Whether no task is taken while an Xcode that classes use is not ready.
    pub health_xcode: bool,
    /// The local API.
    pub local_api: LocalApi,
    /// Where to answer those who read metrics over HTTP, on loopback.
    pub metrics: Option<std::net::SocketAddr>,
    /// Updates of an installed agent.
    pub update: crate::update::Settings,
    /// Where and how to log.
    pub logging: Logging,
    /// What the owner should know, each a whole sentence with its place.
    pub warnings: Vec<String>,
}

/// One resource class that is served.
#[derive(Clone, Debug)]
pub struct Class {
    /// Where the class stands in the file, for messages: `api.auth_token`, `runner.classes[0]`.
    pub label: String,
    /// Where the class's token is. It implies the class.
    pub token: Token,
    /// The class that the token should imply, where the owner says so.
    pub resource_class: Option<ResourceClass>,
    /// How many tasks at once.
    pub slots: u32,
    /// A task agent other than the built-in one.
    pub task_agent: Option<PathBuf>,
    /// Projects whose tasks are run, with `*`; empty: all.
    pub allowed_projects: Vec<String>,
    /// Whether tasks that come from forks are run.
    pub allow_forks: bool,
    /// The owner's hooks.
    pub hooks: Hooks,
    /// Limits, where they differ from those of `runner.limits`.
    pub limits: Limits,
    /// Names of stored credentials that tasks of the class may have, where these are granted.
    pub credentials: Vec<String>,
    /// The Xcode that tasks use, where it is not the one that is selected on the machine: a version,
    /// or the path of an `.app`.
    pub xcode: Option<String>,
    /// Where its tasks run.
    pub session: Session,
}

impl Class {
    /// What it is called, as far as that is known without the control plane: the class where the
    /// owner names it, else its place in the file.
    #[must_use]
    pub fn name(&self) -> String {
        self.resource_class.as_ref().map_or_else(|| self.label.clone(), ToString::to_string)
    }
}

/// Where tasks run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Session {
    /// Without a screen, each slot as a user of its own.
    #[default]
    Background,
    /// In the session of an account that is logged in at the Mac's screen.
    Gui {
        /// Name of the account.
        user: String,
    },
}

/// Caches to trim between tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Housekeeping {
    /// Directories whose entries may go.
    pub paths: Vec<PathBuf>,
    /// Bytes that are to be free on their file systems.
    pub watermark: Option<u64>,
    /// Entries that were not changed for so long go in any case.
    pub max_age: Option<Duration>,
}

/// What to run after the one task of single-task mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownHook {
    /// The program. It was root's alone when the configuration was read.
    pub program: PathBuf,
    /// How long it may run.
    pub timeout: Duration,
}

/// How people on this machine reach the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalApi {
    /// The socket.
    pub socket: PathBuf,
    /// Users, and groups with `%` before them, who may do what root may.
    pub operators: Vec<String>,
    /// Whether everybody here may see names of projects and jobs.
    pub open: bool,
}

/// Whether the launch agent goes on after a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It claims again.
    #[default]
    Continuous,
    /// It exits.
    SingleTask,
}

/// Whether task agents reach the control plane through the launch agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relay {
    /// Where macOS may keep them from the local network.
    #[default]
    Auto,
    /// They do.
    Always,
    /// They use the network themselves.
    Never,
}

/// When this machine is kept from sleeping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepAwake {
    /// While tasks run.
    #[default]
    Tasks,
    /// While they are waited for, too.
    Always,
    /// The owner sees to it.
    Never,
}

/// Where and how to log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    /// What is too unimportant to write.
    pub level: Level,
    /// How lines look.
    pub format: Format,
    /// Where to, instead of standard error.
    pub file: Option<PathBuf>,
    /// Whether the owner asks for standard error.
    pub is_stderr: bool,
    /// How much of the file is kept.
    pub limits: crate::logs::Limits,
}

impl Logging {
    /// An agent that a service manager started logs to the file of its installation where its owner
    /// says nothing, and under launchd in any case to one that is rotated: launchd keeps the file
    /// of standard error open. systemd's journal rotates itself.
    pub fn settle(&mut self, host: Host, executable: &Path) {
        let is_wanted = match host {
            Host::Foreground => false,
            Host::Launchd => true,
            Host::Systemd => !self.is_stderr,
        };
        if is_wanted && self.file.is_none() {
            self.file = Layout::around(executable).map(|layout| layout.agent_log());
        }
    }
}

/// How important a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// For developers.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may need a person.
    Warn,
    /// What needs a person.
    Error,
}

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    #[default]
    Color,
    /// Without colour.
    Text,
    /// An object a line.
    Json,
    /// No lines.
    None,
}

/// Reads the file and the environment over it.
///
/// # Errors
///
/// The first thing that is wrong, with its place and a hint.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    let unreadable = |message: String| {
        let hint = "name the file with `--config`";
        ConfigError::new(path, None, message, Some(hint.to_owned()))
    };
    let file = std::fs::File::open(path).map_err(|error| {
        let message = format!("can not be read: {error}");
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            let hint = "start the agent as the user that the file belongs to";
            return ConfigError::new(path, None, message, Some(hint.to_owned()));
        }
        unreadable(message)
    })?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(yaml::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(format!("can not be read: {error}")))?;
    let text =
        String::from_utf8(bytes).map_err(|error| unreadable(format!("is not UTF-8: {error}")))?;
    parse(path, &text, env)
}

/// Reads a text of the file `from` as it will be understood when it stands at `path`, where no
/// environment overrides it.
///
/// # Errors
///
/// The first thing that is wrong, with its place in `from` and a hint.
pub fn parse_for(from: &Path, path: &Path, text: &str) -> Result<Config, ConfigError> {
    parse(path, text, &installed_environment).map_err(|error| error.in_file(from))
}

/// The environment of an installed agent: nothing. A home is only asked for by those who look at
/// a plan without being root, and stands for the one that root does not need.
pub(crate) fn installed_environment(name: &str) -> Option<String> {
    (name == "HOME").then(|| "/".to_owned())
}

/// Reads the text of a file, and the environment over it. `path` says where it stands: it is
/// looked at for who may read it, and other paths are relative to it.
///
/// # Errors
///
/// The first thing that is wrong, with its place and a hint.
pub fn parse(
    path: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let root = yaml::parse(path, text)?;
    let input = read::read(path, &root, env)?;
    build::build(path, &input, env)
}
