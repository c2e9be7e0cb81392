//! Exit codes of `russet agent run`, with the reaction of `russet-boot` to each: the
//! one table of that, printed in `docs/exit-codes.md`.
//!
//! `russet-boot` is never updated by itself, so a number never changes its meaning and a code
//! that is unknown is a crash. The file uses nothing but the standard library: `russet-boot`, which
//! has to be reviewable at a sitting, compiles this very file and no other part of this crate.

/// Reason for which the launch agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentExit {
    /// As its owner wanted: drained, canceled, after its single task, idle for long enough.
    Ended,
    /// The command line is not understood.
    Usage,
    /// The configuration cannot be read or has errors.
    BadConfig,
    /// It could not start: a directory, a user, a socket.
    Failed,
    /// Another launch agent uses the state directory.
    StateInUse,
    /// It was told to leave its tasks running, for the next one to adopt.
    Left,
    /// A new version is in place, to be started now.
    Updated,
}

/// Reaction of `russet-boot` to an end of the launch agent that it did not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing, until somebody starts the service again or the machine restarts. An agent that has
    /// not noted that it was asked to end has crashed.
    Stay,
    /// Start it now.
    StartNow,
    /// Start it after a pause that grows while it keeps ending soon.
    Restart,
    /// Start it after so many seconds: nothing changes by itself sooner.
    Retry(u32),
}

/// Meaning of an end for a version in its probation that has not proved healthy yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not the version's doing by itself; only the number of starts and the time are bounded.
    Nothing,
    /// One of the few ends that it is allowed.
    Strike,
    /// It would end the same way each time: back to the previous version at once.
    Bad,
}

impl AgentExit {
    /// All, in the order of their codes.
    pub const ALL: [Self; 7] = [
        Self::Ended,
        Self::Usage,
        Self::BadConfig,
        Self::Failed,
        Self::StateInUse,
        Self::Left,
        Self::Updated,
    ];

    /// The exit code of the process.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ended => 0,
            Self::Usage => 2,
            Self::BadConfig => 3,
            Self::Failed => 5,
            Self::StateInUse => 10,
            Self::Left => 11,
            Self::Updated => 12,
        }
    }

    /// Returns the reason of a code. `None`: it is not one of these, so it was a crash.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| i32::from(exit.code()) == code)
    }

    /// Describes the reason, for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ended => {
                "told to end and did: drained or canceled, `mode: single-task` after its task, \
                 `runner.idle_timeout` passed"
            }
            Self::Usage => "the command line is not understood",
            Self::BadConfig => "the configuration cannot be read or has errors",
            Self::Failed => "it could not start; the message says why",
            Self::StateInUse => "another agent uses the state directory",
            Self::Left => "under launchd or systemd: told to leave, tasks live on to be adopted",
            Self::Updated => "a new version is in place and is to be started",
        }
    }

    /// Returns the reaction of `russet-boot`.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Ended => Action::Stay,
            Self::Left | Self::Updated => Action::StartNow,
            Self::Failed => Action::Restart,
            Self::StateInUse => Action::Retry(10),
            // A person has to change something, and is heard within a minute.
            Self::Usage | Self::BadConfig => Action::Retry(60),
        }
    }

    /// Returns the meaning for a version that has to prove itself.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::StateInUse | Self::Left | Self::Updated => Verdict::Nothing,
            Self::Failed | Self::Ended => Verdict::Strike,
            // The arguments are those of a `russet-boot` that never changes, and the
            // configuration is one that the version before could read.
            Self::Usage | Self::BadConfig => Verdict::Bad,
        }
    }
}

/// Reaction of `russet-boot` to a crash: another code, or a signal.
pub const CRASH: (Action, Verdict) = (Action::Restart, Verdict::Strike);

impl Action {
    /// In words, for the documentation.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Stay => {
                "leaves it ended until the service is started again, where the agent noted \
                           that it was asked to end; else starts it again as after a crash"
                    .to_owned()
            }
            Self::StartNow => "starts it now".to_owned(),
            Self::Restart => "starts it again, after a pause that grows to a minute".to_owned(),
            Self::Retry(seconds) => format!("says why, and tries again every {seconds} s"),
        }
    }
}

impl Verdict {
    /// In words, for the documentation.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Nothing => {
                "the same, and back to the previous version after 10 starts or when its time is over"
            }
            Self::Strike => {
                "starts it again after a pause, and back to the previous version at the third time"
            }
            Self::Bad => "back to the previous version",
        }
    }
}

/// The table, in Markdown.
#[must_use]
pub fn table() -> String {
    let row = |code: &str, meaning: &str, (action, verdict): (Action, Verdict)| {
        format!("| {code} | {meaning} | {} | {} |\n", action.describe(), verdict.describe())
    };
    let mut text = String::from(
        "| code | the launch agent | what `russet-boot` does | with a new version that has not \
         proved healthy |\n|---|---|---|---|\n",
    );
    for exit in AgentExit::ALL {
        let what = (exit.action(), exit.verdict());
        text.push_str(&row(&exit.code().to_string(), exit.meaning(), what));
    }
    text.push_str(&row("any other, or a signal", "crashed", CRASH));
    text
}

#[cfg(test)]
mod tests {
    use super::AgentExit;

    #[test]
    fn codes_are_distinct_and_say_what_they_said_in_the_first_version() {
        let codes = AgentExit::ALL.map(AgentExit::code);
        // russet-boot of the first version is what newer agents are started by.
        assert_eq!(codes, [0, 2, 3, 5, 10, 11, 12]);
        for exit in AgentExit::ALL {
            assert_eq!(AgentExit::from_code(i32::from(exit.code())), Some(exit));
        }
        // A panic, and a code that clap or a shell might use.
        assert_eq!(AgentExit::from_code(101), None);
        assert_eq!(AgentExit::from_code(1), None);
    }
}
