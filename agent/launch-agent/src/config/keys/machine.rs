//! Keys of the machine's resources for tasks and of its upkeep: the second part of `runner`.

use super::{Key, Kind, key};

/// Its keys, in the order of the reference.
pub(super) const MACHINE: &[Key] = &[
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
        "runner.limits.output",
        &[],
        Kind::Size,
        "none",
        "Bytes of a task's output that are kept. More ends nothing: it is counted, and the log says so.",
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
        "runner.keep.limit",
        &[],
        Kind::Size,
        "`100GB`",
        "Bytes of all kept directories (`keep.paths` of classes) of this machine; those that were not \
         used for longest go. What shares its blocks with others counts in full.",
    ),
    key(
        "runner.keep.max_age",
        &[],
        Kind::Duration,
        "`336h`",
        "Kept directories that no task used for longer than this go in any case.",
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
        "macOS: start CoreSimulator before a task's first step, and wait until it has simulators, \
         for ten minutes at most. See ios.md.",
    ),
    key(
        "runner.health.disk_reserve",
        &[],
        Kind::Size,
        "`20GB` on macOS, `1GB` elsewhere, or a twentieth of the file system where that is less",
        "No task is taken while less than this is free on the disk of the state directory.",
    ),
    key(
        "runner.health.xcode",
        &[],
        Kind::Flag,
        "for classes that name an `xcode`",
        "Whether a class is held while its Xcode has a licence that was not agreed to, or a first \
         launch that was not done. It is looked at every ten minutes. `true`: also for classes that \
         use the one that is selected; `false`: for none. One that is missing or half there holds its \
         class in any case.",
    ),
    key(
        "runner.health.failures",
        &[],
        Kind::Flag,
        "`true`",
        "Whether a class is held after three of its tasks in a row failed for a reason of this \
         machine. One is tried after five minutes, and later each time that it fails; see \
         operating.md.",
    ),
    key(
        "runner.xcode.directories",
        &[],
        Kind::Words,
        "`[]`",
        "Directories in which Xcodes are looked for besides `/Applications`.",
    ),
    key(
        "runner.xcode.match",
        &[],
        Kind::Flag,
        "`true`",
        "Whether the control plane is told which Xcodes there are. Then a job that names one under \
         `macos` is only given to a machine that has it. macOS, or where `runner.xcode.directories` \
         is set.",
    ),
];
