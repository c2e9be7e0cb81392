//! Keys of this runner's identity and of the tasks it takes: the first part of `runner`.

use super::{Key, Kind, key};

/// Its keys, in the order of the reference.
pub(super) const RUNNER: &[Key] = &[
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
        "`true` turns updates off: `update.source` is not asked, and nothing is fetched or installed.",
    ),
    key(
        "runner.ssh.enabled",
        &[],
        Kind::Flag,
        "`true` where `runner.ssh.advertise_addr` is set, else `false`",
        "Whether a person may log in to a task that was rerun with SSH, as the slot's user. The resource \
         class has to allow it too. Without it no code of a task reads anything of SSH. See ssh-rerun.md.",
    ),
    key(
        "runner.ssh.allow_forks",
        &[],
        Kind::Flag,
        "`false`",
        "Whether that includes tasks of forks.",
    ),
    key(
        "runner.ssh.allow_forwarding",
        &[],
        Kind::Words,
        "`[]`",
        "What such a session may forward: `agent` (the person's SSH agent, which the job can use then), \
         `ports` (both ways). X11 is never forwarded.",
    ),
    key(
        "runner.ssh.advertise_addr",
        &["CIRCLECI_RUNNER_SSH_ADVERTISE_ADDR", "LAUNCH_AGENT_RUNNER_SSH_ADVERTISE_ADDR"],
        Kind::Text,
        "none",
        "`host:port` handed to an external task agent. For the built-in one it says that \
         `runner.ssh.enabled` is `true`, and at which host, and port if that is another, people reach \
         `runner.ssh.ports`.",
    ),
    key(
        "runner.ssh.bind",
        &[],
        Kind::Text,
        "none: people come through the control plane",
        "Address of this machine at which `runner.ssh.ports` are opened.",
    ),
    key(
        "runner.ssh.ports",
        &[],
        Kind::Text,
        "none",
        "Ports for people who can reach this machine, as `54782-54785`: one for each task that is open \
         for SSH, only while it is. This agent owns them; a job cannot open one.",
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
        "Credentials, records, and the executable that tasks are run with. One agent uses it at a time.",
    ),
    key(
        "runner.data_directory",
        &[],
        Kind::Path,
        "`/opt/russet/data` on macOS where `runner.state_directory` is the default of root; else that \
         directory",
        "All that tasks write: slots with their homes, working directories and journals, and caches. \
         On macOS no link should be on the way, and the volume must not ignore owners: see \
         housekeeping.md.",
    ),
    key("runner.path", &[], Kind::Words, "`[]`", "Directories before the standard PATH of steps."),
];
