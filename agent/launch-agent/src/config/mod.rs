//! The launch agent's configuration: CircleCI's own keys, and ours beside them.
//!
//! A file of CircleCI's launch-agent or machine runner 3 works as it is. One table
//! (`keys/`) says of every key its name, its environment variables, its type, its default
//! and what it means; the parser, the environment overrides and `docs/agent-config.md` all come
//! from it. Nothing is ignored in silence: a key that is unknown, or that would not do here what
//! it says, is named with its place.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_protocol::resource_class::ResourceClass;
use russet_protocol::supervise::{Hooks, Limits};

use russet_platform::layout::Layout;

mod build;
mod convert;
mod error;
mod host;
mod keep;
mod keys;
mod read;
mod reference;
mod reserve;
mod shown;
mod ssh;
mod token;
mod update;
mod upkeep;
mod values;
mod yaml;

pub use convert::{Converted, Overrides, convert_config};
pub use error::{ConfigError, Place};
pub use host::Host;
pub use keep::{Keep, KeepLimits, KeptPaths};
pub use reference::keys_reference;
pub use reserve::Reserve;
pub use shown::{ShownKey, show_config};
pub use ssh::{DirectPorts, Ssh};
pub use token::Token;
pub(crate) use token::read_file as read_token;

/// Configuration of the launch agent, checked and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// File that it was read from.
    pub file: PathBuf,
    /// Origin of the control plane, without a slash at the end.
    pub api_url: String,
    /// CA certificates to trust besides the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The runner's name.
    pub name: String,
    /// Directory in which tasks work, if the owner names one; `%s` is replaced by something unique.
    pub working_directory: Option<String>,
    /// Empties a working directory of the owner's after each task.
    pub cleanup_working_directory: bool,
    /// Arguments to put before those of the task agent.
    pub command_prefix: Vec<String>,
    /// Exits after one task.
    pub mode: Mode,
    /// Run-time limit of a task, and of a drain.
    pub max_run_time: Duration,
    /// Exit when no task was claimed for this long.
    pub idle_timeout: Option<Duration>,
    /// Set if a task that was interrupted by this agent's end goes back to the queue although
    /// it had begun.
    pub enable_unsafe_retries: bool,
    /// Address that an SSH rerun shows; handed to external task agents.
    pub ssh_advertise_addr: Option<String>,
    /// Permission for reruns with SSH; none: nobody reaches a task so.
    pub ssh: Option<Ssh>,
    /// Names of the slots' users, before their number.
    pub user_prefix: String,
    /// Credentials, records and the staged executable.
    pub state_directory: PathBuf,
    /// Slots with their journals, and caches: all that tasks write.
    pub data_directory: PathBuf,
    /// Directories before the standard PATH of steps.
    pub path: Vec<PathBuf>,
    /// Variables for every task.
    pub environment: BTreeMap<String, String>,
    /// Directory that is copied into each task's home.
    pub home_skeleton: Option<PathBuf>,
    /// Set if task agents reach the control plane through the launch agent.
    pub relay: Relay,
    /// Limits of every slot.
    pub limits: Limits,
    /// The classes to serve, at least one.
    pub classes: Vec<Class>,
    /// Caches to trim between tasks.
    pub housekeeping: Housekeeping,
    /// Limits of directories that outlive tasks.
    pub keep: KeepLimits,
    /// Program to run after the one task of single-task mode.
    pub shutdown_hook: Option<ShutdownHook>,
    /// Starts the simulators' service before a task's steps, and waits until it has devices.
    pub warm_simulators: bool,
    /// Policy of keeping this machine awake.
    pub keep_awake: KeepAwake,
    /// Space that has to be free on the disk for a task to be taken.
    pub disk_reserve: Reserve,
    /// Classes that are held while their Xcode is not ready.
    pub health_xcode: XcodeHealth,
    /// Set if a class is held whose tasks fail one after the other for reasons of this machine.
    pub holds_failing: bool,
    /// Directories of Xcodes besides `/Applications`.
    pub xcode_directories: Vec<PathBuf>,
    /// Set if the control plane is told which Xcodes there are.
    pub matches_xcode: bool,
    /// The local API.
    pub local_api: LocalApi,
    /// Loopback address on which metrics are served over HTTP.
    pub metrics: Option<std::net::SocketAddr>,
    /// Updates of an installed agent.
    pub update: crate::update::Settings,
    /// Destination and format of the log.
    pub logging: Logging,
    /// Warnings for the owner, each a whole sentence with its place.
    pub warnings: Vec<String>,
}

/// One resource class that is served.
#[derive(Clone, Debug)]
pub struct Class {
    /// Place of the class in the file, for messages: `api.auth_token`, `runner.classes[0]`.
    pub label: String,
    /// Source of the class's token. It implies the class.
    pub token: Token,
    /// The class that the token should imply, where the owner says so.
    pub resource_class: Option<ResourceClass>,
    /// Number of tasks at once.
    pub slots: u32,
    /// A task agent other than the built-in one.
    pub task_agent: Option<PathBuf>,
    /// Projects whose tasks are run, with `*`; empty: all.
    pub allowed_projects: Vec<String>,
    /// Set if tasks that come from forks are run.
    pub allow_forks: bool,
    /// The owner's hooks.
    pub hooks: Hooks,
    /// Limits, where they differ from those of `runner.limits`.
    pub limits: Limits,
    /// Names of stored credentials that tasks of the class may have, where these are granted.
    pub credentials: Vec<String>,
    /// The Xcode that tasks use, where it is not the one that is selected on the machine: a
    /// version, or the path of an `.app`.
    pub xcode: Option<String>,
    /// Session in which its tasks run.
    pub session: Session,
    /// Directories of the home that outlive tasks.
    pub keep: Keep,
}

impl Class {
    /// Returns its name, as far as that is known without the control plane: the class where the
    /// owner names it, else its place in the file.
    #[must_use]
    pub fn name(&self) -> String {
        self.resource_class.as_ref().map_or_else(|| self.label.clone(), ToString::to_string)
    }
}

/// Session in which tasks run.
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

/// Classes that are held while their Xcode is not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XcodeHealth {
    /// Those that name one.
    #[default]
    Named,
    /// Also those that use the one that is selected.
    All,
    /// None.
    Never,
}

impl Config {
    /// Returns true if Xcodes are looked for on this machine.
    #[must_use]
    pub fn knows_xcodes(&self) -> bool {
        cfg!(target_os = "macos") || !self.xcode_directories.is_empty()
    }
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

/// Program to run after the one task of single-task mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownHook {
    /// The program. It was root's alone when the configuration was read.
    pub program: PathBuf,
    /// Timeout.
    pub timeout: Duration,
}

/// Access to the agent for people on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalApi {
    /// The socket.
    pub socket: PathBuf,
    /// Users, and groups with `%` before them, who may do what root may.
    pub operators: Vec<String>,
    /// Set if everybody here may see names of projects and jobs.
    pub open: bool,
}

/// Set if the launch agent goes on after a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It claims again.
    #[default]
    Continuous,
    /// It exits.
    SingleTask,
}

/// Set if task agents reach the control plane through the launch agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relay {
    /// Uses the relay where macOS may keep them from the local network.
    #[default]
    Auto,
    /// They do.
    Always,
    /// They use the network themselves.
    Never,
}

/// Policy of keeping this machine awake.
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

/// Destination and format of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    /// Lowest level that is written.
    pub level: Level,
    /// Format of lines.
    pub format: Format,
    /// File to write to, instead of standard error.
    pub file: Option<PathBuf>,
    /// Set if the owner asks for standard error.
    pub is_stderr: bool,
    /// Limits of the kept files.
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

/// Level of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// For developers.
    Debug,
    /// Ordinary events.
    #[default]
    Info,
    /// Events that may need a person.
    Warn,
    /// Events that need a person.
    Error,
}

/// Format of lines.
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
pub fn load_config(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    parse(path, &read_text(path)?, env)
}

/// Reads the text of a file, and no more of it than a configuration may have.
#[expect(
    clippy::disallowed_methods,
    reason = "the path is the owner's, who may name a link, and is read before anything runs"
)]
fn read_text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |message: String| {
        let hint = "name the file with `--config`";
        ConfigError::new(path, None, message, Some(hint.to_owned()))
    };
    let file = std::fs::File::open(path).map_err(|error| {
        let message = format!("cannot be read: {error}");
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
        .map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|error| unreadable(format!("is not UTF-8: {error}")))
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
#[must_use]
pub fn installed_environment(name: &str) -> Option<String> {
    (name == "HOME").then(|| "/".to_owned())
}

/// Reads the text of a file, and the environment over it. `path` says where it stands: it is
/// looked at for who may read it, and other paths are relative to it.
///
/// # Errors
///
/// All that is wrong, each with its place and a hint; of what is not YAML, the first.
pub fn parse(
    path: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let root = yaml::parse(path, text)?;
    let (input, mut errors) = read::read(path, &root, env);
    let built = build::build_config(path, &input, env);
    if errors.is_empty() {
        return built;
    }
    if let Err(found) = &built {
        // A value that was not understood is missing now, which is no further mistake.
        errors.extend(found.all().into_iter().filter(ConfigError::has_place));
    }
    ConfigError::join(errors).map_or(built, Err)
}
