//! The log: `logging`.

use super::{Key, Kind, key};

/// Its keys, in the order of the reference.
pub(super) const LOGGING: &[Key] = &[
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
