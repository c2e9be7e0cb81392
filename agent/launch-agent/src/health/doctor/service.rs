//! State of the agent's job with launchd or systemd.

use crate::health::{Check, Level};
use russet_platform::job::JobState;
use russet_platform::layout::Layout;
use russet_platform::service::Service;

const NAME: &str = "service";

/// Asks the service manager.
pub(super) fn check_service(layout: &Layout) -> Check {
    let service = Service::system(layout);
    if !service.file().exists() {
        let found = "the agent is not installed as a service".to_owned();
        let hint = "`sudo russet agent install` installs it; without, start `russet agent run`";
        return Check::new(NAME, Level::Warning, found, hint);
    }
    match service.available().and_then(|()| service.state()) {
        Ok(state) => judge_job(&state),
        Err(error) => Check::new(NAME, Level::Unknown, error.to_string(), ""),
    }
}

fn judge_job(state: &JobState) -> Check {
    let said = if state.words.is_empty() { String::new() } else { format!(" ({})", state.words) };
    let last = match state.last_exit {
        Some(code) if code != 0 => format!("; it ended with {code} before"),
        _ => String::new(),
    };
    let (level, found, hint) = match state {
        JobState { enabled: false, .. } => (
            Level::Bad,
            format!("the job is disabled{said}: it does not start with the system"),
            "`sudo russet agent start` enables and starts it",
        ),
        JobState { loaded: false, .. } => {
            (Level::Bad, "the job is not loaded".to_owned(), "`sudo russet agent start` loads it")
        }
        JobState { pid: Some(pid), .. } => {
            return Check::new(
                NAME,
                Level::Ok,
                format!("it runs as process {pid}{said}{last}"),
                "",
            );
        }
        JobState { throttled: true, .. } => (
            Level::Bad,
            format!("it is started again soon{said}{last}"),
            "`russet agent logs` says why it ended",
        ),
        JobState { .. } => (
            Level::Bad,
            format!("it does not run{said}{last}"),
            "`sudo russet agent start` starts it; `russet agent logs` says why it ended",
        ),
    };
    Check::new(NAME, level, found, hint)
}

#[cfg(test)]
mod tests {
    use super::judge_job;
    use crate::health::Level;
    use russet_platform::job::JobState;

    #[test]
    fn a_job_that_will_not_run_says_how_to_start_it() {
        let runs = JobState {
            loaded: true,
            enabled: true,
            pid: Some(7),
            words: "running".to_owned(),
            ..JobState::default()
        };
        let good = judge_job(&runs);
        assert_eq!(good.found, "it runs as process 7 (running)");
        let ended = JobState { pid: None, last_exit: Some(3), ..runs.clone() };
        for state in [
            JobState { enabled: false, ..runs.clone() },
            JobState { loaded: false, ..runs },
            JobState { throttled: true, ..ended.clone() },
            ended,
        ] {
            let check = judge_job(&state);
            assert_eq!(check.level, Level::Bad);
            assert!(check.hint.unwrap().contains("russet agent"));
        }
    }
}
