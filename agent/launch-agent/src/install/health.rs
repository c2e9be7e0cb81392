//! Waiting for an agent that was started: first for its process and its slots, then for what it
//! says of itself over the local API.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use russet_protocol::boot_files::{HEALTH, Health};
use russet_protocol::local::{State, Status};

use super::error::InstallError;
use russet_platform::job::JobState;
use russet_platform::layout::Layout;
use russet_platform::service::Service;

/// Time in which a started agent has to be healthy.
const COMES_UP: Duration = Duration::from_secs(60);

/// Time in which one that is ready has to reach its control plane, until a person is told.
const REACHES: Duration = Duration::from_secs(10);

/// An agent that is there answers at once.
const ANSWERS: Duration = Duration::from_secs(5);

/// Interval of looks.
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
            return Err(InstallError::Unhealthy { what: service_sign(&state, layout), log });
        }
        std::thread::sleep(PAUSE);
    }
}

/// The local API of the installed agent.
#[must_use]
pub fn socket_path(layout: &Layout) -> PathBuf {
    // The agent itself says what is wrong with its configuration.
    crate::config::load_config(&layout.config(), &|_| None)
        .map_or_else(|_| layout.socket(), |config| config.local_api.socket)
}

/// Returns the agent's own reasons for not taking tasks though it is ready, each a sentence. It
/// has a few seconds to reach its control plane.
#[must_use]
pub fn agent_concerns(layout: &Layout) -> Vec<String> {
    let socket = socket_path(layout);
    let start = Instant::now();
    loop {
        let status = ask_status(&socket);
        let is_proved = matches!(last_report(layout), Some((_, Some(Health::Proved))));
        if is_settled(status.as_ref().ok(), is_proved) || start.elapsed() > REACHES {
            return judge_health(status.as_ref(), is_proved, &socket);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Returns true if waiting longer tells nothing new.
fn is_settled(status: Option<&Status>, is_proved: bool) -> bool {
    match status.map(|status| status.state) {
        // It listens before it says that it is ready, or cannot listen.
        None => true,
        Some(State::Starting) => false,
        // It may be reached at the next try.
        Some(State::Idle | State::Offline) => is_proved,
        Some(_) => true,
    }
}

fn judge_health(status: Result<&Status, &AskError>, is_proved: bool, socket: &Path) -> Vec<String> {
    let status = match status {
        Ok(status) => status,
        Err(error) => {
            return vec![format!(
                "the agent runs, and does not say how it is at {}: {error}",
                socket.display()
            )];
        }
    };
    let why = status.reason.as_deref().unwrap_or("it does not say why");
    match status.state {
        State::Starting => vec!["the agent runs, and is not ready yet".to_owned()],
        State::Idle | State::Running if is_proved => Vec::new(),
        State::Running => Vec::new(),
        State::Idle => vec![format!(
            "the agent runs, and has not reached its control plane {} so far",
            status.control_plane
        )],
        State::Offline => vec![format!(
            "the agent runs, and cannot reach its control plane {}: {why}",
            status.control_plane
        )],
        state => vec![format!(
            "the agent runs, and takes no tasks, since it is {}: {why}",
            state.as_str()
        )],
    }
}

/// The error for an agent that does not tell its status.
#[derive(Debug, thiserror::Error)]
enum AskError {
    /// There is no client to ask with.
    #[error(transparent)]
    Client(#[from] russet_platform::http::HttpError),
    /// There is no runtime to wait in.
    #[error(transparent)]
    Runtime(#[from] std::io::Error),
    /// The agent does not answer, or with an error; the innermost cause.
    #[error("{0}")]
    Call(String),
}

impl From<reqwest::Error> for AskError {
    fn from(error: reqwest::Error) -> Self {
        Self::Call(innermost_cause(&error))
    }
}

/// Asks the agent for its status.
fn ask_status(socket: &Path) -> Result<Status, AskError> {
    let ask = async {
        let client = russet_platform::http::api_client("http://localhost", None, Some(socket))?;
        let request = client.get("http://localhost/v1/status").timeout(ANSWERS);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        Ok(answer?.json().await?)
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(ask)
}

/// Returns the innermost cause of a call's error.
fn innermost_cause(error: &reqwest::Error) -> String {
    russet_text::root_cause(error)
}

/// Returns true if the agent that runs has said that its slots are ready.
fn is_ready(layout: &Layout) -> bool {
    last_report(layout).is_some_and(|(_, health)| health.is_some())
}

/// The process that spoke last, if it still runs, and what it said.
#[expect(
    clippy::disallowed_methods,
    reason = "the directory is root's; the text is parsed and believed in nothing else"
)]
fn last_report(layout: &Layout) -> Option<(u32, Option<Health>)> {
    let text = std::fs::read_to_string(layout.boot_state().join(HEALTH)).ok()?;
    let pid: u32 = text.lines().find_map(|line| line.strip_prefix("pid "))?.parse().ok()?;
    let process = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    nix::sys::signal::kill(process, None).ok()?;
    Some((pid, Health::parse(&text, pid)))
}

fn service_sign(state: &JobState, layout: &Layout) -> String {
    let exit = state.last_exit.map_or_else(String::new, |code| {
        let meaning = russet_protocol::exit_reason::AgentExit::from_code(code);
        let meaning = meaning.map_or("which is none of its own", |exit| exit.meaning());
        format!(", its last exit code was {code}: {meaning}")
    });
    match (state.pid, last_report(layout)) {
        (Some(_), Some((agent, _))) => format!("process {agent} is not ready{exit}"),
        (Some(boot), None) => {
            format!("russet-boot runs (process {boot}) and no agent below it{exit}")
        }
        (None, _) => format!("it is {}{exit}", state.words),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use russet_protocol::local::{State, Status};

    use super::{AskError, ask_status, is_settled, judge_health};

    fn status(state: State, reason: Option<&str>) -> Status {
        let control_plane = "https://ci".to_owned();
        Status { state, reason: reason.map(str::to_owned), control_plane, ..Status::default() }
    }

    fn concern(state: State, reason: Option<&str>, is_proved: bool) -> Option<String> {
        judge_health(Ok(&status(state, reason)), is_proved, Path::new("/s")).pop()
    }

    #[test]
    fn an_agent_that_waits_for_tasks_is_no_concern_and_others_say_why() {
        assert_eq!(concern(State::Idle, None, true), None);
        assert_eq!(concern(State::Running, None, false), None);
        let unreached = concern(State::Idle, None, false).unwrap();
        assert!(unreached.contains("has not reached") && unreached.contains("https://ci"));
        let offline = concern(State::Offline, Some("connection refused"), false).unwrap();
        assert!(offline.contains("connection refused"), "{offline}");
        let paused = concern(State::Paused, Some("lunch"), true).unwrap();
        assert!(paused.contains("since it is paused: lunch"), "{paused}");
        let error = AskError::Call("no such file".to_owned());
        let silent = judge_health(Err(&error), true, Path::new("/s")).pop().unwrap();
        assert!(silent.contains("/s: no such file"), "{silent}");
    }

    #[test]
    fn it_is_waited_for_while_that_may_change_something() {
        assert!(is_settled(None, true));
        assert!(!is_settled(Some(&status(State::Starting, None)), false));
        assert!(!is_settled(Some(&status(State::Offline, Some("refused"))), false));
        assert!(is_settled(Some(&status(State::Idle, None)), true));
        assert!(is_settled(Some(&status(State::Paused, Some("lunch"))), false));
    }

    #[test]
    fn who_does_not_answer_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let error = ask_status(&dir.path().join("none.sock")).unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}
