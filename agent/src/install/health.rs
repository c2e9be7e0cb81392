//! Waiting for an agent that was started.

use std::time::{Duration, Instant};

use russet_protocol::boot_files::{HEALTH, Health};

use super::error::InstallError;
use crate::layout::Layout;
use crate::platform::job::JobState;
use crate::platform::service::Service;

/// How long a started agent may take to be healthy.
const COMES_UP: Duration = Duration::from_secs(60);

/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until the agent says that its slots are ready.
///
/// # Errors
///
/// It does not come up; what is seen of it is in the error.
pub fn wait_for_health(layout: &Layout, service: &Service) -> Result<JobState, InstallError> {
    let start = Instant::now();
    loop {
        let state = service.state()?;
        if state.pid.is_some() && is_ready(layout) {
            return Ok(state);
        }
        if start.elapsed() > COMES_UP {
            let log = layout.boot_log();
            return Err(InstallError::Unhealthy { what: seen(&state, layout), log });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the agent that runs has said that its slots are ready.
fn is_ready(layout: &Layout) -> bool {
    said(layout).is_some_and(|(_, health)| health.is_some())
}

/// The process that spoke last, if it still runs, and what it said.
fn said(layout: &Layout) -> Option<(u32, Option<Health>)> {
    let text = std::fs::read_to_string(layout.boot_state().join(HEALTH)).ok()?;
    let pid: u32 = text.lines().find_map(|line| line.strip_prefix("pid "))?.parse().ok()?;
    let process = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    nix::sys::signal::kill(process, None).ok()?;
    Some((pid, Health::parse(&text, pid)))
}

fn seen(state: &JobState, layout: &Layout) -> String {
    let exit = state.last_exit.map_or_else(String::new, |code| {
        let meaning = russet_protocol::exit_reason::AgentExit::from_code(code);
        let meaning = meaning.map_or("which is none of its own", |exit| exit.meaning());
        format!(", its last exit code was {code}: {meaning}")
    });
    match (state.pid, said(layout)) {
        (Some(_), Some((agent, _))) => format!("process {agent} is not ready{exit}"),
        (Some(boot), None) => {
            format!("russet-boot runs (process {boot}) and no agent below it{exit}")
        }
        (None, _) => format!("it is {}{exit}", state.words),
    }
}
