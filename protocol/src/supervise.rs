//! Launch agent to task agent, on one Mac.
//!
//! Three pieces. The [`Assignment`] goes to the task agent's standard input, which is then
//! closed: nothing secret is in its arguments or environment. While the task runs, both talk
//! over a unix socket of the slot in lines of JSON ([`FromTaskAgent`], [`FromLaunchAgent`]); the
//! task agent redials when the launch agent is restarted. At the end the task agent leaves a
//! [`ResultRecord`] on disk, so that a launch agent that comes back later knows how it ended.
//!
//! Launch agent and task agent may be of different versions (an update happens while a task
//! runs), so each piece carries one, and old fixtures must parse forever.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::credential::Credential;
use crate::ids::AllocationId;
use crate::outcome::Outcome;
use crate::secret::Secret;
use crate::ssh::SshPolicy;

/// The version of the types in this module that this code writes.
pub const VERSION: u32 = 1;

/// Assignment that a task agent reads from its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assignment {
    /// Version of this document.
    pub version: u32,
    /// Mode of the process.
    pub mode: Mode,
    /// The task token.
    pub token: Secret,
    /// The claim.
    pub allocation: AllocationId,
    /// Origin of the control plane, as `https://host:port`.
    pub api_url: String,
    /// The user to become before anything else. `None`: stay who one is, which a process that is
    /// root refuses.
    #[serde(default)]
    pub user: Option<SlotUser>,
    /// The slot's directories.
    pub dirs: SlotDirs,
    /// Socket of the launch agent for this slot.
    #[serde(default)]
    pub supervisor: Option<PathBuf>,
    /// The runner's name, for screens and the environment.
    pub runner: String,
    /// The runner's own limit for a task, in milliseconds.
    pub max_run_time_ms: u64,
    /// The task's absolute end by the clock that counts system sleep, in milliseconds since
    /// boot, and the boot that this is about.
    #[serde(default)]
    pub deadline: Option<Deadline>,
    /// Directories to put before the standard PATH.
    #[serde(default)]
    pub path: Vec<PathBuf>,
    /// Directory with `circleci-agent` and `circleci`, which goes at the end of the PATH.
    #[serde(default)]
    pub helpers: Option<PathBuf>,
    /// A directory that is copied into the home before anything of the job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_skeleton: Option<PathBuf>,
    /// Variables that the owner sets for every task of the class (proxy, CA bundle).
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The owner's hooks.
    #[serde(default)]
    pub hooks: Hooks,
    /// Limits of the slot.
    #[serde(default)]
    pub limits: Limits,
    /// CA certificates to trust besides the system's, in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Reason of the failure, in mode [`Mode::Flush`].
    #[serde(default)]
    pub failure: Option<Failure>,
    /// External task agent to start, in mode [`Mode::External`].
    #[serde(default)]
    pub external: Option<External>,
    /// Credentials that the task may have. They are in no journal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
    /// Sentences about credentials of the class that the task may not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
    /// The Xcode that the owner chose for the class: a version, or the path of an `.app`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcode: Option<String>,
    /// Directories in which the Xcode of the class, and one that the job names, are looked for; none:
    /// the job's is not looked for on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcode_directories: Option<Vec<PathBuf>>,
    /// Set if the control plane was told which Xcodes there are: a task whose Xcode is missing all
    /// the same does not run.
    #[serde(default)]
    pub matches_xcode: bool,
    /// Socket of the launch agent that leads to the control plane, for a task agent that may not
    /// use the network itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<PathBuf>,
    /// Directory of the copies of archives that tasks of this project, class and fork share. It is
    /// the slot user's own, in a directory that only root may enter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caches: Option<PathBuf>,
    /// Directories that were moved aside, in mode [`Mode::EmptyAside`]. Only root can reach them, so
    /// they are opened before the process becomes their user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<PathBuf>,
    /// Directories and rules of trimming, in mode [`Mode::Trim`].
    #[serde(default)]
    pub trim: Option<Trim>,
    /// Command to run before the first step, one slot after the other.
    #[serde(default)]
    pub warm_up: Option<WarmUp>,
    /// Set where the user has a session at the screen that goes on after the task.
    #[serde(default)]
    pub gui: Option<Gui>,
    /// Directories that the task agent empties after its report, in mode [`Mode::Run`].
    #[serde(default)]
    pub tidy: Tidy,
    /// Set if a clean-up has seen that the user has nothing in directories that all share. What is
    /// older than the task then need not be looked at again.
    #[serde(default)]
    pub is_swept: bool,
    /// Directories of the home that outlive tasks of this project, class and kind of branch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptSet>,
    /// Number of the slot, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// Permission of the machine's owner to reach the task by SSH; none: nobody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshPolicy>,
}

/// Set of directories of the home that are cloned in before the steps and out after them. Only root
/// can reach its directories, so they are opened before the process becomes the slot's user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSet {
    /// The directories, relative to the home. None has `..` in it, and none is in another.
    pub paths: Vec<PathBuf>,
    /// Directory to clone from. It belongs to the user of the slot whose task left it.
    #[serde(default)]
    pub from: Option<PathBuf>,
    /// Empty directory of the slot's user to clone into when the task has succeeded.
    #[serde(default)]
    pub to: Option<PathBuf>,
    /// Limit of what is cloned out, in bytes.
    pub max_bytes: u64,
}

/// Name of the file that is written last into [`KeptSet::to`], with the number of bytes as text:
/// without it the set is not whole.
pub const WHOLE_SET_FILE: &str = ".russet-whole";

/// Parts of its slot that a task agent empties before it exits. A launch agent that does not ask
/// for it has a process of its own do it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tidy {
    /// Nothing.
    #[default]
    Nothing,
    /// All directories but the one where the job works.
    AllButWork,
    /// All directories.
    All,
}

/// Caches to trim, as the user that they belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trim {
    /// Directories whose entries may go.
    pub paths: Vec<PathBuf>,
    /// Directories of copies of archives, as [`Assignment::caches`]: only root can reach them, so
    /// they are opened before the process becomes their user.
    #[serde(default)]
    pub copies: Vec<PathBuf>,
    /// Bytes that are to be free on their file systems.
    #[serde(default)]
    pub watermark_bytes: Option<u64>,
    /// Entries that were not changed for so long go in any case, in milliseconds.
    #[serde(default)]
    pub max_age_ms: Option<u64>,
    /// Everything goes: the agent is being removed.
    #[serde(default)]
    pub everything: bool,
    /// File of root's for what is known from earlier looks, opened as `copies` are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<PathBuf>,
    /// Directories of sets ([`KeptSet`]) that nobody is given any more: everything in them goes,
    /// unless a task still clones from one. Opened as `copies` are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<PathBuf>,
}

/// A service of the machine that is started, and waited for, before the first step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmUp {
    /// Program and arguments that warm the machine up.
    pub command: Vec<String>,
    /// Empty. Earlier versions took a lock here, and do not read a journal without it.
    #[serde(default)]
    pub lock: PathBuf,
    /// Timeout of the command, in milliseconds.
    pub timeout_ms: u64,
}

/// A task in a session at the screen. What belongs to the session is not the task's to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gui {
    /// Start time of the task agent's process, in the kernel's own units: what is older is the
    /// session's. `None`: it has not begun.
    #[serde(default)]
    pub since: Option<u64>,
}

/// Modes of a process started as `russet task-agent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Run the task.
    Run,
    /// Send what a killed task agent left in its spool, then report the failure.
    Flush,
    /// End every process of the slot's user and delete what it left behind. Needs no token.
    Clean,
    /// Hand the task back: no user code ran.
    Unclaim,
    /// Trim caches, as [`Assignment::trim`] says.
    Trim,
    /// Empty the directories in [`Assignment::aside`], as far as the system lets their user.
    EmptyAside,
    /// Start another program that runs the task, as [`Assignment::external`] says, and watch it.
    External,
    /// List the machine's directories where everybody may write, which a clean-up looks into.
    Survey,
}

/// A task agent other than ours, started by CircleCI's contract: the task token on its standard
/// input, which is then closed; exit status 0 says that it reported the outcome itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its `PATH`.
    pub path: String,
}

/// Outcome of a task whose agent cannot report it itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The outcome to report.
    pub outcome: Outcome,
    /// Reason, for people.
    pub message: String,
}

/// An operating-system user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotUser {
    /// User id, never 0.
    pub uid: u32,
    /// Group id, never 0.
    pub gid: u32,
    /// Name in the user database. `None` for an id that has no record there.
    #[serde(default)]
    pub name: Option<String>,
    /// Set if the id belongs to this slot alone, so that everything of it may be ended and
    /// deleted when the task ends.
    pub dedicated: bool,
}

/// Directories of a slot. All but `root` belong to the slot's user and are empty when a task
/// starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotDirs {
    /// The slot: root's.
    pub root: PathBuf,
    /// Home of the task.
    pub home: PathBuf,
    /// Directory that the job works in, unless it names another.
    pub work: PathBuf,
    /// `TMPDIR`.
    pub tmp: PathBuf,
    /// Masked output, and the result record.
    pub spool: PathBuf,
}

/// A point in time that survives a restart of the process, not one of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// Milliseconds since boot, system sleep included.
    pub boot_ms: u64,
    /// Identity of the boot.
    pub boot_id: String,
}

/// The owner's hooks, run as the slot's user with their output in the task's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Before the first step. A failure fails the task.
    #[serde(default)]
    pub pre_task: Option<PathBuf>,
    /// After the last step, also after a failed one.
    #[serde(default)]
    pub post_task: Option<PathBuf>,
    /// Timeout of a hook, in milliseconds; 0 is the default of five minutes.
    #[serde(default)]
    pub timeout_ms: u64,
}

/// Limits of a slot. `None` is no limit but the system's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes of the slot's user.
    #[serde(default)]
    pub processes: Option<u64>,
    /// Open files of one process.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// Bytes that the task may have on disk, in its directories together.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// Bytes of output of a task that are kept.
    #[serde(default)]
    pub output_bytes: Option<u64>,
    /// Time that a step has between TERM and KILL, in milliseconds; 0 is the default of ten
    /// seconds.
    #[serde(default)]
    pub kill_grace_ms: u64,
}

/// A line from the task agent to the launch agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromTaskAgent {
    /// The first line on every connection.
    Hello {
        /// Version of this protocol.
        version: u32,
        /// The claim.
        allocation: AllocationId,
        /// Process id.
        pid: u32,
    },
    /// The answer to [`FromLaunchAgent::Ping`].
    Pong,
    /// The task config has come.
    Started {
        /// Name of the job.
        job: String,
        /// The project.
        project: String,
    },
    /// A step began.
    Step {
        /// Its number.
        number: u32,
        /// Its heading.
        name: String,
    },
    /// People are connected by SSH, or no longer.
    Ssh {
        /// Number of connected sessions.
        sessions: u32,
        /// Set if the steps of the job have ended and the task is held for people.
        #[serde(default)]
        waiting: bool,
    },
    /// The outcome is reported to the control plane and on disk; the process will exit.
    Done {
        /// The outcome.
        outcome: Outcome,
        /// Set if everything that [`Assignment::tidy`] names is empty now, the record included.
        #[serde(default)]
        emptied: bool,
        /// Reason of a failure of the machine's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Remains of the job, as in [`ResultRecord::left`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<LeftBehind>,
    },
}

/// A line from the launch agent to the task agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromLaunchAgent {
    /// Are you alive?
    Ping,
    /// End the task.
    Cancel {
        /// The outcome to report.
        outcome: Outcome,
        /// Reason, for people.
        reason: String,
    },
}

/// Record that the task agent leaves in its spool, as `result.json`: written before the report,
/// synced to disk where the report takes long, removed where [`FromTaskAgent::Done`] said it all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// Version of this document.
    pub version: u32,
    /// The claim.
    pub allocation: AllocationId,
    /// Outcome of the task.
    pub outcome: Outcome,
    /// Reason, where the steps do not give it.
    #[serde(default)]
    pub message: Option<String>,
    /// Set once the control plane has acknowledged it.
    pub reported: bool,
    /// Remains of the job, for the launch agent's metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftBehind>,
}

/// Remains of a job, of one kind, outside of its slot's own directories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftBehind {
    /// Of what kind, as `processes`; kinds may be added.
    pub kind: String,
    /// Number that was ended or removed.
    pub removed: u64,
    /// Number that could not be.
    #[serde(default)]
    pub kept: u64,
    /// Space that the removed ones took, in bytes, where that is known.
    #[serde(default)]
    pub bytes: u64,
}

/// End of the line in which a trimming helper says what it removed in all: the launch agent reads
/// it.
pub const TRIMMED_SUM: &str = " bytes in all";

/// End of the line in which a helper that empties directories says what it had to leave in all: the
/// launch agent reads it.
pub const LEFT_SUM: &str = " bytes are left in all";

/// Directory within that of the steps' helpers that setup jobs alone have on their `PATH`.
pub const SETUP_HELPERS: &str = "setup";

/// Name of the helper by which git reads what the control plane has of a repository's history
/// (gitremote-helpers(7)): it is for addresses that begin with `russet::`.
pub const GIT_HELPER: &str = "git-remote-russet";

/// Program that [`SETUP_HELPERS`] stands in for.
pub const SETUP_CURL: &str = "curl";

/// First word of a command line of ours whose rest is to run as its own responsible process (macOS):
/// [`TASK_AGENT`], or the path of a program with its arguments.
pub const DISCLAIM: &str = "disclaim";

/// First word of a task agent's command line.
pub const TASK_AGENT: &str = "task-agent";

/// Name of the result record in the spool.
pub const RESULT_FILE: &str = "result.json";

/// Exit codes of `russet task-agent`.
pub mod exit {
    /// The outcome is reported.
    pub const REPORTED: i32 = 0;
    /// The assignment could not be read.
    pub const BAD_ASSIGNMENT: i32 = 64;
    /// Privileges could not be dropped; nothing of the project was touched.
    pub const NOT_DROPPED: i32 = 70;
    /// The program of mode [`super::Mode::External`] could not be started.
    pub const NOT_STARTED: i32 = 71;
    /// The control plane no longer knows this allocation; nothing is left to report.
    pub const STALE: i32 = 73;
    /// The outcome could not be reported; it is in the result record.
    pub const NOT_REPORTED: i32 = 75;
    /// A helper stopped trying to reach the control plane.
    pub const NO_ANSWER: i32 = 76;
    /// A helper emptied the slot's directories but for what the system refuses to delete for their
    /// user; everything else of the task is gone.
    pub const REFUSED: i32 = 77;
}

#[cfg(test)]
mod tests {
    use super::{FromLaunchAgent, ResultRecord};

    /// Documents of version 1, as they stand on disks and cross sockets: they parse forever.
    #[test]
    fn version_1_documents_parse() {
        let record = r#"{"version":1,"allocation":"a","outcome":"timedout","reported":false}"#;
        let record: ResultRecord = serde_json::from_str(record).unwrap();
        assert_eq!(record.outcome, crate::outcome::Outcome::TimedOut);
        let line = r#"{"say":"cancel","outcome":"canceled","reason":"by a person","new":1}"#;
        assert!(matches!(serde_json::from_str(line).unwrap(), FromLaunchAgent::Cancel { .. }));
    }
}
