//! The table of keys: name, environment, type, default, meaning.
//!
//! It is the single source: the parser refuses what is not in it, the environment overrides are
//! looked up by it, and `docs/agent-config.md` is printed from it.

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// Text that is never shown.
    Secret,
    /// A path.
    Path,
    /// `true` or `false`.
    Flag,
    /// As Go writes durations: `5h`, `1h30m`, `300ms`.
    Duration,
    /// A whole number.
    Number,
    /// A number of bytes: `20GB`, `512MiB`.
    Size,
    /// A list of texts.
    Words,
    /// A mapping of texts.
    Variables,
    /// One of these.
    Choice(&'static [&'static str]),
    /// The list of classes, with keys of its own ([`CLASS_KEYS`]).
    Classes,
}

impl Kind {
    /// For messages and the reference.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Secret => "secret text".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Duration => "duration, as `5h` or `1h30m`".to_owned(),
            Self::Number => "whole number".to_owned(),
            Self::Size => "size, as `20GB` or `512MiB`".to_owned(),
            Self::Words => "list of texts".to_owned(),
            Self::Variables => "mapping of names to texts".to_owned(),
            Self::Choice(names) => {
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
            }
            Self::Classes => "list of classes".to_owned(),
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its path, with dots.
    pub(super) name: &'static str,
    /// Environment variables that CircleCI's runners read for it. `RUSSET_…` comes from the name.
    pub(super) env: &'static [&'static str],
    pub(super) kind: Kind,
    /// For the reference; what happens without the key.
    pub(super) default: &'static str,
    pub(super) doc: &'static str,
}

impl Key {
    /// The variables that override it, the strongest first.
    pub(super) fn variables(&self) -> Vec<String> {
        if self.kind == Kind::Classes {
            return Vec::new();
        }
        let own = format!("RUSSET_{}", self.name.to_uppercase().replace('.', "_"));
        std::iter::once(own).chain(self.env.iter().map(|name| (*name).to_owned())).collect()
    }
}

const fn key(
    name: &'static str,
    env: &'static [&'static str],
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, env, kind, default, doc }
}

/// Every key outside of `runner.classes`.
pub(super) const KEYS: &[Key] = &[
    key(
        "api.auth_token",
        &["CIRCLECI_RUNNER_API_AUTH_TOKEN", "LAUNCH_AGENT_API_AUTH_TOKEN"],
        Kind::Secret,
        "none",
        "The resource-class token: the short form of one entry of `runner.classes`. It implies \
         the class. A file with a token must not be readable by others (`chmod 600`).",
    ),
    key(
        "api.auth_token_file",
        &[],
        Kind::Path,
        "none",
        "A file with the token, instead of `api.auth_token`. It must not be readable by others. It \
         is read again at each claim.",
    ),
    key(
        "api.auth_token_stored",
        &[],
        Kind::Text,
        "none",
        "The name of a token that `russet agent token add` stored on this machine, instead of \
         `api.auth_token`. Only an agent that runs as root can read it, only for the control plane \
         that it was stored for, and it is read again at each claim.",
    ),
    key(
        "api.url",
        &["CIRCLECI_RUNNER_API_URL", "LAUNCH_AGENT_API_URL"],
        Kind::Text,
        "`https://runner.circleci.com`",
        "Origin of the control plane. The token is sent there and nowhere else.",
    ),
    key(
        "api.ca_file",
        &[],
        Kind::Path,
        "none",
        "CA certificates (PEM) to trust besides the system's, for this agent and the task agent.",
    ),
    key(
        "runner.name",
        &["CIRCLECI_RUNNER_NAME", "LAUNCH_AGENT_RUNNER_NAME"],
        Kind::Text,
        "the host name",
        "Name of this runner, unique in its class: letters, digits and `.()_-`.",
    ),
    key(
        "runner.working_directory",
        &["CIRCLECI_RUNNER_WORK_DIR", "LAUNCH_AGENT_RUNNER_WORK_DIR"],
        Kind::Path,
        "a fresh directory in the slot, deleted after the task",
        "Where tasks work. `%s` becomes something unique for each task, and is needed with more \
         than one slot. It is made if it is absent, and belongs to the slot's user.",
    ),
    key(
        "runner.cleanup_working_directory",
        &["CIRCLECI_RUNNER_CLEANUP_WORK_DIR", "LAUNCH_AGENT_RUNNER_CLEANUP_WORK_DIR"],
        Kind::Flag,
        "`false`",
        "Whether to empty `runner.working_directory` after each task. The slot's own directory \
         is always emptied, and so is one with `%s`.",
    ),
    key(
        "runner.use_home_ssh_dir_for_checkout_keys",
        &["USE_HOME_SSH_DIR_FOR_CHECKOUT_KEYS"],
        Kind::Flag,
        "`false`",
        "For an external task agent, which always gets `--disableIsolatedSSHDir`. The built-in one \
         writes no checkout keys; it warns where this is `true`.",
    ),
    key(
        "runner.task_agent_directory",
        &["CIRCLECI_RUNNER_TASK_AGENT_DIRECTORY"],
        Kind::Path,
        "none",
        "Accepted and not used: no task agent is downloaded.",
    ),
    key(
        "runner.cache_task_agent",
        &["CIRCLECI_RUNNER_CACHE_TASK_AGENT"],
        Kind::Flag,
        "`false`",
        "Accepted and not used: no task agent is downloaded.",
    ),
    key(
        "runner.command_prefix",
        &["CIRCLECI_RUNNER_COMMAND_PREFIX", "LAUNCH_AGENT_RUNNER_COMMAND_PREFIX"],
        Kind::Words,
        "`[]`",
        "Arguments before those of the task agent, as `[sudo, -niHu, USERNAME, --]` or a script \
         that runs `\"$@\"` and forwards its exit code. At start it is run once with `/usr/bin/id` \
         (and `RUSSET_PROBE=1`), to learn as whom tasks run.",
    ),
    key(
        "runner.mode",
        &["CIRCLECI_RUNNER_MODE", "LAUNCH_AGENT_RUNNER_MODE"],
        Kind::Choice(&["continuous", "single-task"]),
        "`continuous`",
        "`single-task` exits after one task.",
    ),
    key(
        "runner.max_run_time",
        &["CIRCLECI_RUNNER_MAX_RUN_TIME", "LAUNCH_AGENT_RUNNER_MAX_RUN_TIME"],
        Kind::Duration,
        "`5h`",
        "How long a task may run, and how long a drain may take.",
    ),
    key(
        "runner.idle_timeout",
        &["CIRCLECI_RUNNER_IDLE_TIMEOUT", "LAUNCH_AGENT_RUNNER_IDLE_TIMEOUT"],
        Kind::Duration,
        "never",
        "Exit when no task was claimed for this long.",
    ),
    key(
        "runner.disable_auto_update",
        &["LAUNCH_AGENT_RUNNER_DISABLE_AUTO_UPDATE"],
        Kind::Flag,
        "`false`",
        "Accepted: this version does not update itself.",
    ),
    key(
        "runner.ssh.advertise_addr",
        &["CIRCLECI_RUNNER_SSH_ADVERTISE_ADDR", "LAUNCH_AGENT_RUNNER_SSH_ADVERTISE_ADDR"],
        Kind::Text,
        "none",
        "`host:port` handed to an external task agent. The built-in one has no reruns with SSH; it \
         warns where this is set.",
    ),
    key(
        "runner.ssh.advertise_addr_url",
        &[],
        Kind::Text,
        "none",
        "Refused: set `runner.ssh.advertise_addr`.",
    ),
    key(
        "runner.enable_unsafe_retries",
        &[],
        Kind::Flag,
        "`false`",
        "Give a task back to the queue, instead of failing it, when the runner fails it after it \
         had begun. Its steps run again from the first.",
    ),
    key(
        "runner.classes",
        &[],
        Kind::Classes,
        "the one of `api.auth_token`",
        "The resource classes that this agent serves, each with its own token and slots.",
    ),
    key(
        "runner.slots",
        &[],
        Kind::Number,
        "`1`",
        "How many tasks at once, for the class of `api.auth_token` and for classes that say \
         nothing else.",
    ),
    key(
        "runner.task_agent",
        &[],
        Kind::Path,
        "the built-in one",
        "A program to start instead of the built-in task agent, by CircleCI's contract.",
    ),
    key(
        "runner.user_prefix",
        &[],
        Kind::Text,
        "`_russet`",
        "Slot N runs as the user of this name with N at the end, where there is one; else as an \
         unprivileged id of its own.",
    ),
    key(
        "runner.state_directory",
        &[],
        Kind::Path,
        "`/var/db/russet` on macOS, `/var/lib/russet` on Linux; not as root: \
         `$XDG_STATE_HOME/russet`, `~/.local/state/russet`",
        "Journals, slots, and the executable that tasks are run with. One agent uses it at a time.",
    ),
    key("runner.path", &[], Kind::Words, "`[]`", "Directories before the standard PATH of steps."),
    key(
        "runner.environment",
        &[],
        Kind::Variables,
        "`{}`",
        "Variables for every task (a proxy, a CA bundle).",
    ),
    key(
        "runner.home_skeleton",
        &[],
        Kind::Path,
        "none",
        "A directory whose contents each task finds in its home, as files of its own: cloned where the \
         file system can, copied elsewhere. It and the directories above it must be root's and nobody \
         else's to change, and all of it readable for the users of slots: no secrets.",
    ),
    key(
        "runner.relay",
        &[],
        Kind::Choice(&["auto", "always", "never"]),
        "`auto`",
        "Whether the built-in task agent reaches the control plane through a socket of this agent. \
         `auto`: as root on macOS, which keeps other users from the local network, unless the \
         control plane is on this machine or a proxy is set. See docs/networking.md.",
    ),
    key(
        "runner.keep_awake",
        &[],
        Kind::Choice(&["tasks", "always", "never"]),
        "`tasks`",
        "When this machine is kept from sleeping: while tasks run, also while they are waited for, \
         or by its own settings alone. It works by `caffeinate` on macOS and, as root, by \
         `systemd-inhibit` on Linux; a closed lid wins.",
    ),
    key(
        "runner.limits.processes",
        &[],
        Kind::Number,
        "the system's",
        "Processes of a slot's user.",
    ),
    key(
        "runner.limits.open_files",
        &[],
        Kind::Number,
        "the system's, raised to 10240 where it allows that",
        "Open files of one process.",
    ),
    key(
        "runner.limits.disk",
        &[],
        Kind::Size,
        "none",
        "Bytes that a task may have on disk in its directories.",
    ),
    key(
        "runner.limits.kill_grace",
        &[],
        Kind::Duration,
        "`10s`",
        "How long a canceled step has between TERM and KILL.",
    ),
    key(
        "runner.housekeeping.paths",
        &[],
        Kind::Words,
        "`[]`",
        "Directories of caches that are trimmed between tasks, as the user that each belongs to. \
         Their entries go as a whole, the least recently changed first, and never one that was \
         changed within the last hour. A directory of root's is refused.",
    ),
    key(
        "runner.housekeeping.watermark",
        &[],
        Kind::Size,
        "none",
        "Where less than this is free on the file system of such a directory, entries go until it \
         is.",
    ),
    key(
        "runner.housekeeping.max_age",
        &[],
        Kind::Duration,
        "none",
        "Entries that were not changed for longer than this go in any case.",
    ),
    key(
        "runner.shutdown_hook",
        &[],
        Kind::Path,
        "none",
        "A program to run once the one task of `mode: single-task` has ended and everything is \
         reported, to power off or recycle the machine. It runs as the agent does, so where that is \
         root the program and every directory above it must be root's and nobody else's to change.",
    ),
    key(
        "runner.shutdown_hook_timeout",
        &[],
        Kind::Duration,
        "`5m`",
        "How long the shutdown hook may run before it is killed.",
    ),
    key(
        "runner.warm_simulators",
        &[],
        Kind::Flag,
        "`false`",
        "macOS: run `xcrun simctl list devices` before a task's first step, one slot after the \
         other, so that several slots do not start CoreSimulator at the same moment, which can make \
         it hang.",
    ),
    key(
        "runner.health.disk_reserve",
        &[],
        Kind::Size,
        "`1GB`, or a twentieth of the file system where that is less",
        "No task is taken while less than this is free on the disk of the state directory.",
    ),
    key(
        "runner.health.xcode",
        &[],
        Kind::Flag,
        "`false`",
        "macOS: no task is taken while the Xcode of a class (`xcode`, or the one that is selected) \
         has a licence that was not agreed to, or a first launch that was not done. It is looked at \
         every ten minutes.",
    ),
    key(
        "local_api.socket",
        &[],
        Kind::Path,
        "`/var/run/russet/agent.sock` on macOS, `/run/russet/agent.sock` on Linux; with a state \
         directory of its own: `agent.sock` in it",
        "Where `russet agent status`, `pause`, `drain` and others reach this agent.",
    ),
    key(
        "local_api.operators",
        &[],
        Kind::Words,
        "`['%admin']` on macOS, `['%sudo', '%wheel']` on Linux",
        "Users, and groups with `%` before them, who may do what root may: pause, drain, see \
         names of projects and jobs.",
    ),
    key(
        "local_api.open",
        &[],
        Kind::Flag,
        "`false`",
        "Whether every user of this machine may see names of projects and jobs.",
    ),
    key(
        "metrics.listen",
        &[],
        Kind::Text,
        "none",
        "Where Prometheus reads `/metrics` over HTTP, as `127.0.0.1:9477`. Loopback only: every \
         process of the machine can connect, tasks included. Without it, and for root in any case, \
         the local API's socket has the same; see metrics.md.",
    ),
    key(
        "update.source",
        &[],
        Kind::Text,
        "none",
        "Where an installed agent looks for updates: `control-plane`, an `https://` directory, \
         `github:OWNER/REPOSITORY`, or `s3://BUCKET/PREFIX?region=REGION`; see updates.md.",
    ),
    key(
        "update.channel",
        &[],
        Kind::Text,
        "`stable`",
        "Which releases: manifests of another channel are refused. A control plane as source chooses the channel itself.",
    ),
    key(
        "update.keys_file",
        &[],
        Kind::Path,
        "none",
        "A file with public keys, one in base64 on each line, whose manifests are believed besides \
         those of the keys that are compiled in. It and every directory above it must be root's and \
         nobody else's to change.",
    ),
    key(
        "update.interval",
        &[],
        Kind::Duration,
        "`1h`",
        "How long between two looks for an update, give or take a tenth; a minute at least.",
    ),
    key(
        "update.auto",
        &[],
        Kind::Flag,
        "`true`",
        "Whether an update is installed by itself when no task runs. If not, it is fetched and \
         waits for `russet agent update install`.",
    ),
    key(
        "update.window",
        &[],
        Kind::Text,
        "none",
        "Hours, as `02:00-04:00` or `Sun 02:00-04:00`, in which no tasks are taken while an update \
         waits, so that a busy machine becomes idle. Tasks that run are not ended.",
    ),
    key(
        "update.probation",
        &[],
        Kind::Duration,
        "`5m`",
        "How long a new version has to prove itself before the one before is taken back.",
    ),
    key(
        "logging.level",
        &["CIRCLECI_RUNNER_LOGGING_LEVEL", "LAUNCH_AGENT_LOGGING_LEVEL"],
        Kind::Choice(&["debug", "info", "warn", "error"]),
        "`info`",
        "What is too unimportant to write.",
    ),
    key(
        "logging.format",
        &["CIRCLECI_RUNNER_LOGGING_FORMAT", "LAUNCH_AGENT_LOGGING_FORMAT"],
        Kind::Choice(&["color", "text", "json", "none"]),
        "`color`",
        "How lines look. Colour is left out where the output is no terminal.",
    ),
    key(
        "logging.file",
        &["CIRCLECI_RUNNER_LOGGING_FILE", "LAUNCH_AGENT_LOGGING_FILE"],
        Kind::Path,
        "`-`; of an installed agent: `agent.log` in `/Library/Logs/Russet`, or `/var/log/russet` on \
         Linux",
        "Where to write; `-` is standard error. The agent rotates the file itself (logs.md). Nobody \
         else may be able to change its directory. Under launchd an agent writes to its own file \
         also with `-`: the file of its standard error is never rotated.",
    ),
    key(
        "logging.max_size",
        &[],
        Kind::Size,
        "`10MB`",
        "A log that would become larger is renamed to `FILE.1`, that to `FILE.2` and so on, and a \
         new one begun.",
    ),
    key(
        "logging.max_files",
        &[],
        Kind::Number,
        "`5`",
        "How many files are kept, the one that is written to included: 2 to 1000.",
    ),
];

/// The keys of an entry of `runner.classes`.
pub(super) const CLASS_KEYS: &[Key] = &[
    key(
        "token",
        &[],
        Kind::Secret,
        "none",
        "The class's token. One of `token`, `token_file` and `token_stored` is required.",
    ),
    key("token_file", &[], Kind::Path, "none", "A file with the token, readable by nobody else."),
    key(
        "token_stored",
        &[],
        Kind::Text,
        "none",
        "The name of a token that `russet agent token add` stored, as `api.auth_token_stored`.",
    ),
    key(
        "resource_class",
        &[],
        Kind::Text,
        "whatever the token implies",
        "The class that the token should imply, for messages; a task of another class is refused.",
    ),
    key("slots", &[], Kind::Number, "`runner.slots`", "How many tasks at once."),
    key("task_agent", &[], Kind::Path, "`runner.task_agent`", "A task agent for this class."),
    key(
        "allowed_projects",
        &[],
        Kind::Words,
        "all",
        "Projects whose tasks are run; `*` stands for any text. A task of another project, or of \
         none that the server names, is refused before anything of it runs.",
    ),
    key(
        "allow_forks",
        &[],
        Kind::Flag,
        "`false`",
        "Whether tasks that come from forks are run. They are refused otherwise.",
    ),
    key(
        "session",
        &[],
        Kind::Choice(&["background", "gui"]),
        "`background`",
        "`background`: without a screen, as the slot's own user. `gui` (macOS): in the session of \
         the account `gui_user`, for tests that need a screen; see sessions.md.",
    ),
    key(
        "gui_user",
        &[],
        Kind::Text,
        "none",
        "The account for `session: gui`: one of its own for tasks, no administrator, logged in at the \
         screen. Never a person's.",
    ),
    key(
        "credentials",
        &[],
        Kind::Words,
        "`[]`",
        "Names of credentials that `russet agent credential add` stored. A task gets those of them \
         that are granted to this class, its project and its branch or tag; one from a fork gets \
         none. Needs `resource_class`, and an agent that runs as root.",
    ),
    key(
        "xcode",
        &[],
        Kind::Text,
        "the one that is selected on the machine",
        "The Xcode of the class's tasks, which becomes their DEVELOPER_DIR unless they set it: a \
         version, looked for as `/Applications/Xcode-16.2.app` and `Xcode_16.2.app`, or the path of \
         an .app. A task is not run where it is missing.",
    ),
    key(
        "hooks.pre_task",
        &[],
        Kind::Path,
        "none",
        "A program to run before the first step, as the slot's user. A failure fails the task.",
    ),
    key(
        "hooks.post_task",
        &[],
        Kind::Path,
        "none",
        "A program to run after the last step, also after a failed one.",
    ),
    key("hooks.timeout", &[], Kind::Duration, "`5m`", "How long a hook may run."),
    key(
        "limits.processes",
        &[],
        Kind::Number,
        "`runner.limits.processes`",
        "As there, for this class.",
    ),
    key(
        "limits.open_files",
        &[],
        Kind::Number,
        "`runner.limits.open_files`",
        "As there, for this class.",
    ),
    key("limits.disk", &[], Kind::Size, "`runner.limits.disk`", "As there, for this class."),
    key(
        "limits.kill_grace",
        &[],
        Kind::Duration,
        "`runner.limits.kill_grace`",
        "As there, for this class.",
    ),
];
