//! Starting a service of the machine before the first step, and waiting until it is ready.
//!
//! It is made for CoreSimulator, which makes the simulators of a fresh home when it is first asked:
//! minutes, in which a step would find none. Each slot's user has a service of its own, so no slot
//! waits for another.

use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::WarmUp;
use russet_protocol::task::WARM_UP_STEP;

use super::owner_step::OwnerSteps;
use super::step_end::StepEnd;

/// Starts the service, and shows that as a step. The task goes on whatever comes of it: its steps
/// may not need it.
pub(crate) async fn warm_up(wanted: &WarmUp, steps: &OwnerSteps) {
    let journal = &steps.journal;
    journal.step_started(WARM_UP_STEP, "Simulators", false, None);
    let end = match journal.open_output(WARM_UP_STEP) {
        Ok(output) => {
            let words = wanted.command.iter().map(Into::into).collect();
            steps.run_command(words, Duration::from_millis(wanted.timeout_ms), &output).await
        }
        Err(error) => StepEnd::failed(format!("could not keep its output: {error}")),
    };
    journal.step_finished(WARM_UP_STEP, &end);
    if end.outcome != Outcome::Success {
        tracing::warn!(message = end.message, "simulators could not be started ahead of the steps");
    }
}
