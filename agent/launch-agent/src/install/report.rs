//! Reports of a run, and their receivers.

use std::ops::ControlFlow;

use super::error::InstallError;

/// Outcome of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It would be done.
    Planned,
    /// There was nothing to do.
    Unchanged,
    /// It was done.
    Done,
    /// It was left as it is, as asked.
    Kept,
    /// It failed; the others went on.
    Failed,
}

/// Report for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Action.
    pub action: String,
    /// Outcome.
    pub outcome: Outcome,
    /// Remarks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A point of a run at which it can be stopped.
#[derive(Debug)]
pub enum Moment<'a> {
    /// The receipt says that an action begins.
    Begins(&'a str),
    /// It was done, and the receipt does not say so yet.
    Acted(&'a str),
    /// It is over.
    Over(&'a Report),
}

/// Whoever watches a run, and may stop it between actions; the next run goes on from there.
pub type Watch<'a> = &'a mut dyn FnMut(Moment<'_>) -> ControlFlow<()>;

pub(super) fn tell_watcher(watch: Watch<'_>, moment: Moment<'_>) -> Result<(), InstallError> {
    match watch(moment) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(InstallError::Interrupted),
    }
}
