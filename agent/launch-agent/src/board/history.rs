//! The tasks that ended on this machine: the last ones, and how long each job takes as a rule.
//!
//! It outlives the agent in a file of root's alone, since it names projects. It is for people to
//! look at: nothing is decided by it, so it is not synced, and one that cannot be read is begun
//! anew. Its names may be a job's own word, so both their length and their number are bounded.

use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use russet_protocol::local::Recent;
use russet_protocol::outcome::Outcome;
use serde::{Deserialize, Serialize};

use russet_platform::replace;

/// Name of the file in the state directory.
pub(super) const NAME: &str = "history.json";

/// The version that this code writes.
const VERSION: u32 = 1;

/// Number of ended tasks that are remembered.
pub(crate) const RECENT: usize = 50;

/// Of how many jobs it is remembered how long they take.
const JOBS: usize = 256;

/// Of so many runs of a job the median is taken.
const RUNS: usize = 9;

/// A longer file is none of ours.
const LONGEST: u64 = 4 << 20;

/// Remembered tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    #[serde(default)]
    version: u32,
    /// The newest first.
    #[serde(default)]
    recent: Vec<Recent>,
    /// The one that ran last first.
    #[serde(default)]
    jobs: Vec<Job>,
}

/// A job of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    project: String,
    job: String,
    /// Durations of its last successful runs, in milliseconds, the newest first.
    took_ms: Vec<u64>,
}

impl History {
    /// A task has ended. Only a run that did all of its work says how long that takes.
    ///
    /// An agent that was killed while it cleaned up after a task is followed by one that tells of
    /// its end again, and knows less of it: what was told first stays.
    pub(super) fn record(&mut self, ended: Recent) {
        let is_it = |known: &Recent| known.id == ended.id && known.started_ms == ended.started_ms;
        if ended.id.is_some() && self.recent.iter().any(is_it) {
            return;
        }
        if let (Some(Outcome::Success), Some(project), Some(job)) =
            (ended.outcome, &ended.project, &ended.job)
        {
            let took_ms = ended.ended_ms.saturating_sub(ended.started_ms);
            self.took(project.clone(), job.clone(), took_ms);
        }
        self.recent.insert(0, ended);
        self.recent.truncate(RECENT);
    }

    fn took(&mut self, project: String, job: String, took_ms: u64) {
        let is_it = |one: &Job| one.project == project && one.job == job;
        let known = self.jobs.iter().position(is_it).map(|at| self.jobs.remove(at));
        let mut known = known.unwrap_or(Job { project, job, took_ms: Vec::new() });
        known.took_ms.insert(0, took_ms);
        known.took_ms.truncate(RUNS);
        self.jobs.insert(0, known);
        self.jobs.truncate(JOBS);
    }

    /// Returns the usual duration of a job, in milliseconds: the median of its last successful
    /// runs.
    pub(super) fn usual_ms(&self, project: &str, job: &str) -> Option<u64> {
        let known = self.jobs.iter().find(|one| one.project == project && one.job == job)?;
        let mut sorted = known.took_ms.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// Tasks that ended, the newest first.
    pub(super) fn recent(&self) -> &[Recent] {
        &self.recent
    }

    /// Reads the file; nothing where there is none.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        let file = match options.read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Replaces the file.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(&Self { version: VERSION, ..self.clone() })?;
        replace::write_unsynced(path, &text, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::{History, JOBS, RECENT};
    use russet_protocol::local::Recent;
    use russet_protocol::outcome::Outcome;

    fn ended(job: &str, outcome: Outcome, took_ms: u64) -> Recent {
        Recent {
            project: Some("acme/app".to_owned()),
            job: Some(job.to_owned()),
            outcome: Some(outcome),
            started_ms: 1_000,
            ended_ms: 1_000 + took_ms,
            ..Recent::default()
        }
    }

    #[test]
    fn a_job_takes_as_long_as_its_last_successful_runs_did_in_the_middle() {
        let mut history = History::default();
        assert_eq!(history.usual_ms("acme/app", "test"), None);
        for took_ms in [100, 9_000, 110] {
            history.record(ended("test", Outcome::Success, took_ms));
        }
        history.record(ended("test", Outcome::Failed, 1));
        history.record(ended("lint", Outcome::Failed, 1));
        assert_eq!(history.usual_ms("acme/app", "test"), Some(110));
        assert_eq!(history.usual_ms("acme/app", "lint"), None);
        assert_eq!(history.usual_ms("acme/other", "test"), None);
        for _ in 0..9 {
            history.record(ended("test", Outcome::Success, 50));
        }
        assert_eq!(history.usual_ms("acme/app", "test"), Some(50), "old runs are forgotten");
    }

    #[test]
    fn an_end_that_is_told_again_changes_nothing_and_another_run_of_the_task_is_one_more() {
        let mut history = History::default();
        let id = Some(russet_protocol::ids::TaskId::from("t"));
        let first = Recent { id: id.clone(), ..ended("test", Outcome::Success, 100) };
        history.record(first.clone());
        history
            .record(Recent { id: id.clone(), ..ended("test", Outcome::InfrastructureFail, 160) });
        assert_eq!(history.recent(), [first]);
        let next = Recent { started_ms: 5_000, ..ended("test", Outcome::Success, 9_000) };
        history.record(Recent { id, ..next });
        assert_eq!(history.recent().len(), 2);
    }

    #[test]
    fn it_is_bounded_and_forgets_what_ran_longest_ago() {
        let mut history = History::default();
        for number in 0..=JOBS {
            history.record(ended(&number.to_string(), Outcome::Success, 7));
            history.record(ended("often", Outcome::Success, 9));
        }
        assert_eq!(history.recent().len(), RECENT);
        assert_eq!(history.recent()[0].job.as_deref(), Some("often"));
        assert_eq!(history.jobs.len(), JOBS);
        assert_eq!(history.usual_ms("acme/app", "0"), None);
        assert_eq!(history.usual_ms("acme/app", "often"), Some(9));
    }

    #[test]
    fn it_is_read_as_it_was_written_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.json");
        assert_eq!(History::read(&path).unwrap(), History::default());
        let mut history = History { version: 1, ..History::default() };
        history.record(ended("test", Outcome::Success, 100));
        history.write(&path).unwrap();
        assert_eq!(History::read(&path).unwrap(), history);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "{\"version\":1,\"rec").unwrap();
        assert!(History::read(&path).is_err());
    }

    #[test]
    fn a_history_of_the_first_version_is_read_forever() {
        let text = r#"{"version":1,"recent":[{"slot":1,"outcome":"success","started_ms":1,
            "ended_ms":2}],"jobs":[{"project":"p","job":"j","took_ms":[5]}],"later":1}"#;
        let history: History = serde_json::from_str(text).unwrap();
        assert_eq!((history.recent().len(), history.usual_ms("p", "j")), (1, Some(5)));
    }
}
