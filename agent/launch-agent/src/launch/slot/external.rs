//! The command line of a task agent other than ours, by CircleCI's contract.
//!
//! `russet task-agent` itself starts and watches it, after it became the slot's user, so that
//! such a task outlives a restart of the launch agent like any other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_protocol::ids::AllocationId;
use russet_protocol::supervise::External;

/// The contract of CircleCI's runner with a task agent, for one claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct AgentRunner<'a> {
    pub(super) program: &'a Path,
    pub(super) api_url: &'a str,
    pub(super) allocation: &'a AllocationId,
    pub(super) max_run_time: Duration,
    pub(super) ssh_advertise_addr: Option<&'a str>,
    pub(super) work: Option<&'a Path>,
    /// The PATH of its steps; the program's own directory is added.
    pub(super) path: &'a str,
}

impl AgentRunner<'_> {
    /// Returns the program and its arguments.
    pub(super) fn command(&self) -> External {
        let Self { program, api_url, allocation, .. } = *self;
        let mut arguments = vec![
            "_internal".to_owned(),
            "agent-runner".to_owned(),
            "--verbose".to_owned(),
            format!("--runnerAPIBaseURL={api_url}"),
            format!("--allocation={allocation}"),
            "--disableSpinUpStep".to_owned(),
            "--disableIsolatedSSHDir".to_owned(),
            format!("--maxRunTime={}", go_duration(self.max_run_time)),
        ];
        if let Some(address) = self.ssh_advertise_addr {
            arguments.push(format!("--sshAdvertiseAddr={address}"));
        }
        if let Some(work) = self.work {
            arguments.push(format!("--workDir={}", work.display()));
        }
        let directory = program.parent().unwrap_or(Path::new("/"));
        let path = format!("{}:{}", self.path, directory.display());
        External { program: PathBuf::from(program), arguments, path }
    }
}

/// Formats a duration as Go prints it: `1h0m0s`, `1m30s`, `2.5s`.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = duration - Duration::from_secs(seconds - seconds % 60);
    let rest = format!("{}s", rest.as_secs_f64());
    match (hours, minutes) {
        (0, 0) => rest,
        (0, minutes) => format!("{minutes}m{rest}"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{AgentRunner, go_duration};
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (ms, text) in
            [(3_600_000, "1h0m0s"), (90_000, "1m30s"), (2_500, "2.5s"), (18_061_000, "5h1m1s")]
        {
            assert_eq!(go_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn the_arguments_are_those_of_the_contract() {
        let contract = AgentRunner {
            program: Path::new("/opt/circleci/circleci-agent"),
            api_url: "https://runner.example",
            allocation: &"task-0-build/1f".into(),
            max_run_time: Duration::from_secs(3600),
            ssh_advertise_addr: Some("mini:54782"),
            work: Some(Path::new("/work")),
            path: "/usr/bin:/bin",
        };
        let external = contract.command();
        assert_eq!(
            external.arguments.join(" "),
            "_internal agent-runner --verbose --runnerAPIBaseURL=https://runner.example \
             --allocation=task-0-build/1f --disableSpinUpStep --disableIsolatedSSHDir \
             --maxRunTime=1h0m0s --sshAdvertiseAddr=mini:54782 --workDir=/work"
        );
        assert_eq!(external.path, "/usr/bin:/bin:/opt/circleci");
    }
}
