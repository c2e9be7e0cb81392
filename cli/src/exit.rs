//! Exit codes: one enum, from which `docs/exit-codes.md` is generated.
//!
//! Scripts branch on these numbers, so a number never changes its meaning.

use russet_protocol::exit_reason::AgentExit;

/// Exit codes of `russet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was done.
    Success = 0,
    /// A job failed or ran out of time.
    JobFailed = 1,
    /// The arguments make no sense. clap uses the same number.
    Usage = 2,
    /// A configuration has errors.
    BadConfig = 3,
    /// The control plane cannot be reached or refused.
    ControlPlane = 4,
    /// This machine or the runner failed, not the job.
    Infrastructure = 5,
    /// Another launch agent uses the state directory.
    StateInUse = 10,
    /// Told to leave running tasks to the next launch agent.
    Left = 11,
    /// A new version is in place, and is to be started.
    Updated = 12,
    /// `agent doctor` found something that should be looked at.
    Attention = 20,
    /// `agent doctor` found something for which no tasks are taken.
    Unhealthy = 21,
    /// Canceled, by Ctrl-C or by somebody else. Shells use this number for Ctrl-C.
    Canceled = 130,
}

impl Exit {
    /// Every code, in order.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 12] = [
        Self::Success,
        Self::JobFailed,
        Self::Usage,
        Self::BadConfig,
        Self::ControlPlane,
        Self::Infrastructure,
        Self::StateInUse,
        Self::Left,
        Self::Updated,
        Self::Attention,
        Self::Unhealthy,
        Self::Canceled,
    ];

    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// Describes it, for the documentation.
    #[cfg(test)]
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Success => {
                "Everything asked for was done. For `russet run` and `pipeline watch`: every job succeeded."
            }
            Self::JobFailed => "A job failed or ran longer than it may.",
            Self::Usage => "The arguments make no sense; nothing was done.",
            Self::BadConfig => {
                "A configuration (of the project, the agent or the command line) cannot be read or has errors; nothing was started."
            }
            Self::ControlPlane => {
                "The control plane cannot be reached, refused the token, or refused the request."
            }
            Self::Infrastructure => {
                "This machine or the runner failed, not the job: a file that cannot be written, a process that cannot be started, a task that ended as `infrastructure_fail`."
            }
            Self::StateInUse => "Another launch agent uses the state directory.",
            Self::Left => {
                "The launch agent of a service was told to end; its tasks live on and are adopted by the next one."
            }
            Self::Updated => {
                "The launch agent of a service put a new version in its place, which is to be started."
            }
            Self::Attention => {
                "`russet agent doctor` found something that should be looked at, and nothing worse."
            }
            Self::Unhealthy => {
                "`russet agent doctor` found something for which no tasks are taken, or which keeps the agent from running."
            }
            Self::Canceled => "Canceled: by Ctrl-C, or by somebody else on the control plane.",
        }
    }

    /// The page `docs/exit-codes.md`.
    #[cfg(test)]
    pub(crate) fn document() -> String {
        let mut page = String::from(
            "# Exit codes\n\nGenerated from `cli/src/exit.rs`; see [cli.md](cli.md) for how to make it \
             anew.\n\n| code | name | meaning |\n|---|---|---|\n",
        );
        for exit in Self::ALL {
            page.push_str(&format!("| {} | {exit:?} | {} |\n", exit.code(), exit.meaning()));
        }
        page.push_str(AGENT_CODES);
        page.push_str(&russet_protocol::exit_reason::table());
        page
    }
}

/// The codes of `russet agent run`, which belong to the launch agent.
#[cfg(test)]
const AGENT_CODES: &str = "\nWhen several jobs end differently, the first of these that applies \
decides: canceled (130), runner failed (5), job failed (1).\n\n## The launch agent\n\nWhat the codes \
of `russet agent run` mean, and what `russet-boot` does about them, which launchd or systemd start \
([service.md](service.md)). The table is in `protocol/src/exit_reason.rs`.\n\n";

impl From<AgentExit> for Exit {
    fn from(exit: AgentExit) -> Self {
        match exit {
            AgentExit::Ended => Self::Success,
            AgentExit::Usage => Self::Usage,
            AgentExit::BadConfig => Self::BadConfig,
            AgentExit::Failed => Self::Infrastructure,
            AgentExit::StateInUse => Self::StateInUse,
            AgentExit::Left => Self::Left,
            AgentExit::Updated => Self::Updated,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;
    use russet_protocol::exit_reason::AgentExit;

    #[test]
    fn the_launch_agent_ends_with_the_codes_that_russet_boot_knows() {
        for exit in AgentExit::ALL {
            assert_eq!(Exit::from(exit).code(), exit.code(), "{exit:?}");
        }
    }
}
