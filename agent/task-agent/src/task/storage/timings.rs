//! Earlier durations of tests, for `tests split --split-by=timings`.

use reqwest::Method;
use russet_protocol::storage::{TIMINGS_FILE, TIMINGS_PATH, Timings};
use russet_protocol::task::Action;

use crate::task::context::Context;

/// Asks the control plane and leaves the answer where the helper looks for it, if the job may ask
/// for it. A job without is a job that splits by name.
pub(crate) async fn provide(context: &Context) {
    if !is_wanted(context) {
        return;
    }
    let request = || context.api.request(Method::GET, TIMINGS_PATH);
    let asking = context.api.json::<Timings>("ask how long tests take", request);
    let timings = tokio::select! {
        answer = asking => answer,
        () = context.stop.requested() => return,
    };
    let written = timings.map_err(|error| error.to_string()).and_then(|timings| {
        let text = serde_json::to_vec(&timings).map_err(|error| error.to_string())?;
        let file = context.shared.task_data.join(TIMINGS_FILE);
        std::fs::write(file, text).map_err(|error| error.to_string())
    });
    if let Err(error) = written {
        tracing::warn!(error, "the task does without timings of its tests");
    }
}

/// A job of several tasks splits, and so may one that names the command. Another one would ask for
/// nothing.
fn is_wanted(context: &Context) -> bool {
    let names_it = |action: &Action| match action {
        Action::Run(run) => {
            run.command.contains("tests split") || run.command.contains("tests run")
        }
        _ => false,
    };
    context.config.job.node_total > 1
        || context.config.steps.iter().any(|step| names_it(&step.action))
}
