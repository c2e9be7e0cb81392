//! Waiting for a task that can be reached, with the reason why it cannot be yet.

use std::time::Duration;

use russet_protocol::outcome::Phase;
use russet_protocol::ssh::{SshItem, SshPhase};
use tokio::time::Instant;

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, plain};

/// Interval of looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Time for a control plane to restart.
const RESTART_TIMEOUT: Duration = Duration::from_secs(120);

/// Waits as [`wait_until_ready`] does after a connection was lost, and for a control plane that restarts
/// too.
///
/// # Errors
///
/// As there; or the control plane did not come back.
pub(super) async fn wait_again(client: &Client, id: &str, node: u32) -> Result<SshItem> {
    let until = Instant::now() + RESTART_TIMEOUT;
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        match wait_until_ready(client, id, node).await {
            Err(error) if error.transient && Instant::now() < until => {}
            found => return found,
        }
    }
}

/// Waits until a task of a job can be reached, and says meanwhile why it cannot be.
///
/// # Errors
///
/// It has ended, is not reached by SSH, or there is no such task.
pub(super) async fn wait_until_ready(client: &Client, id: &str, node: u32) -> Result<SshItem> {
    let mut said = String::new();
    loop {
        let items = client.job_ssh(id).await?;
        let (number, found) = (items.len(), items.into_iter().find(|item| item.node_index == node));
        match found {
            Some(item) if item.phase.is_reachable() => {
                return Ok(item);
            }
            Some(item) if item.phase == SshPhase::Ended => return Err(has_ended(id)),
            None if number > 0 => {
                let message = format!("the job has no task {node}, but {number}, from 0");
                return Err(CliError::new(Exit::Usage, message));
            }
            _ => {}
        }
        let job = client.job(id).await?;
        if job.phase == Phase::Ended {
            return Err(has_ended(id).maybe_hint(job.message));
        }
        let reason = job.message.unwrap_or_else(|| match job.phase {
            Phase::Running => "its task has begun, and opens its SSH server".to_owned(),
            _ => "it waits for a runner".to_owned(),
        });
        if reason != said {
            render::print_note(format_args!("Waiting: {}", plain(&reason)));
            said = reason;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn has_ended(id: &str) -> CliError {
    CliError::new(Exit::ControlPlane, "the task has ended, and nobody gets into it any more")
        .hint(format!("`russet job rerun --ssh {id}` makes another one"))
}
