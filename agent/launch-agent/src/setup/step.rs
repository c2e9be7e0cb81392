//! One step of a set-up, and the way through all of them.

use std::io;
use std::path::PathBuf;

use serde::Serialize;

use russet_platform::command::CommandError;
use russet_platform::macos_tools::automatic_login::AutomaticLoginError;

/// State of what a step is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// As it should be, in words.
    Ready(String),
    /// Otherwise, in words.
    Missing(String),
    /// Otherwise, and only a person can change it.
    ByHand {
        /// State in words.
        found: String,
        /// Remedy.
        hint: String,
    },
}

/// One thing that a set-up wants.
pub trait Step {
    /// Returns what it is about, in a few words.
    fn title(&self) -> String;

    /// Looks at this machine, and changes nothing.
    ///
    /// # Errors
    ///
    /// It cannot be found out.
    fn look(&self) -> Result<Found, SetupError>;

    /// Changes this machine.
    ///
    /// # Errors
    ///
    /// It could not.
    fn act(&self) -> Result<(), SetupError>;

    /// Returns what a person can do where it did not help.
    fn remedy(&self) -> Option<String> {
        None
    }
}

/// The reason for which a step did not look or act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A tool failed.
    #[error(transparent)]
    Tool(#[from] CommandError),
    /// Automatic login was not changed.
    #[error(transparent)]
    AutomaticLogin(#[from] AutomaticLoginError),
    /// The note of how things were before was not kept.
    #[error("could not keep the note of what was changed in {}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// It takes the account's password.
    #[error("this takes the password of {account}")]
    NoPassword {
        /// Name of the account.
        account: String,
    },
    /// A tool answered in words that are not known.
    #[error("{tool} answered what is not understood: {said}")]
    Answer {
        /// The tool.
        tool: &'static str,
        /// First words of its answer.
        said: String,
    },
    /// The Mac has not what is asked for.
    #[error("{0}")]
    Unfit(String),
}

impl SetupError {
    /// Returns the remedy, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tool(error) | Self::AutomaticLogin(AutomaticLoginError::Tool(error)) => {
                error.hint()
            }
            Self::NoPassword { .. } => {
                Some("give it on standard input, or in a file with `--from`".to_owned())
            }
            _ => None,
        }
    }
}

/// Outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// There was nothing to do.
    Ready,
    /// It would be done.
    Planned,
    /// It was done, and it helped.
    Done,
    /// A person has to do it.
    ByHand,
    /// It was not done, or did not help.
    Failed,
}

/// Report of a step, for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Title of the step.
    pub step: String,
    /// Outcome.
    pub outcome: Outcome,
    /// State that was found, before the step or where it failed.
    pub found: String,
    /// Remedy, where something is left to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A point of a set-up that people are shown.
#[derive(Debug)]
pub enum Moment<'a> {
    /// A step begins to change something, which may take long.
    Begins(&'a str),
    /// A step is over.
    Over(&'a Report),
}

/// Meaning of a failed step for those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// They do not depend on it.
    GoOn,
    /// They need it.
    Stop,
}

/// Goes through the steps. With `dry_run` it only looks.
pub fn run_steps(
    steps: &[Box<dyn Step + '_>],
    dry_run: bool,
    after: AfterFailure,
    watch: &mut dyn FnMut(Moment<'_>),
) -> Vec<Report> {
    let mut reports = Vec::new();
    for step in steps {
        let report = run_step(&**step, dry_run, watch);
        watch(Moment::Over(&report));
        let has_failed = report.outcome == Outcome::Failed;
        reports.push(report);
        if has_failed && after == AfterFailure::Stop {
            break;
        }
    }
    reports
}

fn run_step(step: &dyn Step, dry_run: bool, watch: &mut dyn FnMut(Moment<'_>)) -> Report {
    let title = step.title();
    let report =
        |outcome, found: String, hint| Report { step: title.clone(), outcome, found, hint };
    let failed = |error: &SetupError| {
        report(Outcome::Failed, error.to_string(), error.hint().or_else(|| step.remedy()))
    };
    let before = match step.look() {
        Ok(Found::Ready(found)) => return report(Outcome::Ready, found, None),
        Ok(Found::ByHand { found, hint }) => return report(Outcome::ByHand, found, Some(hint)),
        Ok(Found::Missing(found)) if dry_run => return report(Outcome::Planned, found, None),
        Ok(Found::Missing(found)) => found,
        Err(error) => return failed(&error),
    };
    watch(Moment::Begins(&title));
    if let Err(error) = step.act() {
        return failed(&error);
    }
    match step.look() {
        Ok(Found::Ready(_)) => report(Outcome::Done, before, None),
        Ok(Found::Missing(found) | Found::ByHand { found, .. }) => {
            let found = format!("it did not help: {found}");
            report(Outcome::Failed, found, step.remedy())
        }
        Err(error) => failed(&error),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{AfterFailure, Found, Outcome, SetupError, Step, run_steps};

    /// A switch that is on after so many tries.
    struct Switch(Cell<u32>);

    impl Step for Switch {
        fn title(&self) -> String {
            "a switch".to_owned()
        }

        fn look(&self) -> Result<Found, SetupError> {
            Ok(match self.0.get() {
                0 => Found::Ready("on".to_owned()),
                left => Found::Missing(format!("off, {left} tries to go")),
            })
        }

        fn act(&self) -> Result<(), SetupError> {
            self.0.set(self.0.get() - 1);
            Ok(())
        }

        fn remedy(&self) -> Option<String> {
            Some("press it yourself".to_owned())
        }
    }

    fn outcomes(tries: &[u32], dry_run: bool, after: AfterFailure) -> Vec<Outcome> {
        let switch = |tries: &u32| Box::new(Switch(Cell::new(*tries))) as Box<dyn Step>;
        let steps: Vec<Box<dyn Step>> = tries.iter().map(switch).collect();
        let reports = run_steps(&steps, dry_run, after, &mut |_| {});
        reports.iter().map(|report| report.outcome).collect()
    }

    #[test]
    fn a_step_is_done_when_a_second_look_says_so() {
        use Outcome::{Done, Failed, Planned, Ready};
        assert_eq!(outcomes(&[0, 1, 2, 1], false, AfterFailure::GoOn), [Ready, Done, Failed, Done]);
        assert_eq!(outcomes(&[0, 1, 2, 1], false, AfterFailure::Stop), [Ready, Done, Failed]);
        assert_eq!(outcomes(&[0, 1, 2], true, AfterFailure::Stop), [Ready, Planned, Planned]);
    }

    #[test]
    fn a_step_that_did_not_help_says_what_a_person_can_do() {
        let steps: Vec<Box<dyn Step>> = vec![Box::new(Switch(Cell::new(2)))];
        let reports = run_steps(&steps, false, AfterFailure::Stop, &mut |_| {});
        assert_eq!(reports[0].found, "it did not help: off, 1 tries to go");
        assert_eq!(reports[0].hint.as_deref(), Some("press it yourself"));
    }
}
