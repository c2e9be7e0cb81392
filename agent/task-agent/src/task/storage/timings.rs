//! Durations of tests, for `tests split --split-by=timings`.

use std::path::Path;

use reqwest::{Method, StatusCode};
use russet_protocol::storage::{TIMINGS_FILE, TIMINGS_PATH, Timings};
use russet_protocol::task::{Action, JobInfo, Step};

use crate::task::api::{Api, ApiError};
use crate::task::stop::StopSignal;

/// Asks the control plane for the timings that all tasks of the job share, and leaves them in
/// `task_data`, where the helper looks for them.
///
/// Without them nothing is left, and the helper refuses to split by them: siblings may
/// have got them, and would compute other parts. A control plane that knows no such call answers
/// all of them alike.
pub(super) async fn provide_timings(api: &Api, stop: &StopSignal, task_data: &Path) {
    let request = || api.request(Method::GET, TIMINGS_PATH);
    let asking = api.json::<Timings>("ask for the durations of tests", request);
    let timings = tokio::select! {
        answer = asking => answer,
        () = stop.requested() => return,
    };
    let timings = match timings {
        Err(ApiError::Refused { status, .. }) if status == StatusCode::NOT_FOUND.as_u16() => {
            Ok(Timings::default())
        }
        timings => timings,
    };
    let written = timings.map_err(|error| error.to_string()).and_then(|timings| {
        let text = serde_json::to_vec(&timings).map_err(|error| error.to_string())?;
        let file = task_data.join(TIMINGS_FILE);
        std::fs::write(file, text).map_err(|error| error.to_string())
    });
    if let Err(error) = written {
        tracing::warn!(error, "the task does without timings of its tests");
        // A half of a file is none.
        drop(std::fs::remove_file(task_data.join(TIMINGS_FILE)));
    }
}

/// Returns true if the job may ask for timings: one of several tasks splits, and so may one that
/// names the command.
pub(super) fn is_wanted(job: &JobInfo, steps: &[Step]) -> bool {
    let names_it = |action: &Action| match action {
        Action::Run(run) => {
            run.command.contains("tests split") || run.command.contains("tests run")
        }
        _ => false,
    };
    job.node_total > 1 || steps.iter().any(|step| names_it(&step.action))
}
