//! Errors of the helpers, and their messages to people.

use std::io;
use std::path::PathBuf;

use super::TASK_DATA_VARIABLE;
use crate::continuation::ContinuationError;
use crate::path_error::PathError;

/// Reason why a helper could not do what a step asks for.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelperError {
    #[error(
        "`{helper} step halt` was called outside a task\n\nhint: {TASK_DATA_VARIABLE} is not set; \
         call it from a step"
    )]
    Outside { helper: String },
    #[error("could not halt the job through {}: {source}", data.display())]
    Halt { data: PathBuf, source: io::Error },
    #[error(transparent)]
    File(#[from] PathError),
    #[error("could not write to standard output: {0}")]
    Output(io::Error),
    #[error("could not read standard input: {0}")]
    Input(io::Error),
    #[error("could not read the tests from standard input: {0}")]
    Tests(io::Error),
    #[error(transparent)]
    Continuation(#[from] ContinuationError),
    #[error("{} is not a file of times of tests: {source}", path.display())]
    Timings { path: PathBuf, source: serde_json::Error },
    #[error(
        "the times of earlier tests could not be had from the control plane, and without them this \
         task would take other tests than its part\n\nhint: run the job again, or split by name; \
         the agent's log says what failed"
    )]
    NoTimings,
    #[error(
        "the tests that failed could not be had from the control plane, and this run is to run them \
         alone\n\nhint: run the job again; the agent's log says what failed"
    )]
    NoFailedTests,
    /// Number of tests that are not files here, in words.
    #[error(
        "{0}, and another task that has them would take other tests than its part\n\nhint: list only \
         files that every task has, or split by name"
    )]
    MissingFiles(String),
    #[error("--index {index} is not below --total {total}\n\nhint: the first run has the index 0")]
    Index { index: usize, total: usize },
    #[error("{} stands for more than {limit} patterns", pattern.display())]
    Alternatives { pattern: PathBuf, limit: usize },
    #[error("{pattern} is not a pattern: {kind}")]
    Pattern { pattern: String, kind: globset::ErrorKind },
    #[error("could not start {shell}: {source}")]
    Start { shell: &'static str, source: io::Error },
    #[error("could not wait for the command: {0}")]
    Wait(io::Error),
    #[error(
        "this task is not held for SSH\n\nhint: `russet job rerun --ssh JOB` reruns a job so; call \
         this in a session of it or from one of its steps"
    )]
    NoHold,
    #[error("the task agent did not answer: {0}")]
    NoAnswer(io::Error),
    #[error("--by is too long\n\nhint: at most 24h at once")]
    TooLong,
    #[error("`${{{0}` has no end")]
    OpenReference(String),
    #[error("`${{{0}}}` names no variable")]
    NoVariable(String),
}
