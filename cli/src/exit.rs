//! Exit codes: one enum, from which `docs/exit-codes.md` is generated.
//!
//! Scripts branch on these numbers, so a number never changes its meaning.

/// How `russet` ends.
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
    /// The control plane can not be reached or refused.
    ControlPlane = 4,
    /// This machine or the runner failed, not the job.
    Infrastructure = 5,
    /// Canceled, by Ctrl-C or by somebody else. Shells use this number for Ctrl-C.
    Canceled = 130,
}

impl Exit {
    /// Every code, in order.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 7] = [
        Self::Success,
        Self::JobFailed,
        Self::Usage,
        Self::BadConfig,
        Self::ControlPlane,
        Self::Infrastructure,
        Self::Canceled,
    ];

    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for the documentation.
    #[cfg(test)]
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Success => {
                "Everything asked for was done. For `russet run` and `pipeline watch`: every job succeeded."
            }
            Self::JobFailed => "A job failed or ran longer than it may.",
            Self::Usage => "The arguments make no sense; nothing was done.",
            Self::BadConfig => {
                "A configuration (of the project, the agent or the command line) can not be read or has errors; nothing was started."
            }
            Self::ControlPlane => {
                "The control plane can not be reached, refused the token, or refused the request."
            }
            Self::Infrastructure => {
                "This machine or the runner failed, not the job: a file that can not be written, a process that can not be started, a task that ended as `infrastructure_fail`."
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
        page
    }
}

/// The codes of `russet agent run`, which belong to the launch agent.
#[cfg(test)]
const AGENT_CODES: &str = "\nWhen several jobs end differently, the first of these that applies \
decides: canceled (130), runner failed (5), job failed (1).\n\n`russet agent run` ends with the \
codes above as well: 0 after a drain or in single-task mode, 3 for a bad configuration file.\n";

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
