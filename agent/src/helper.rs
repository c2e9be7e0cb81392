//! What `circleci-agent` and `circleci` answer inside a task.
//!
//! Existing configurations call them by these names; both are links to the `russet` binary on
//! the steps' PATH. They talk to the task agent through files in the directory that
//! `CIRCLE_INTERNAL_TASK_DATA` names: same user, same trust, so nothing more is needed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Variable with the directory through which steps talk to their task agent.
pub const TASK_DATA_VARIABLE: &str = "CIRCLE_INTERNAL_TASK_DATA";

/// File in that directory that says: end the job as it stands, run no further step.
pub const HALT_FILE: &str = "halt";

/// The command was understood and done.
const DONE: u8 = 0;
/// The command could not be done.
const FAILED: u8 = 1;
/// The command was not understood.
const USAGE: u8 = 2;

/// Runs `name` with `args` (without the program's own name).
#[must_use]
pub fn main(name: &str, args: &[String]) -> ExitCode {
    let data = std::env::var_os(TASK_DATA_VARIABLE).map(PathBuf::from);
    match answer(name, args, data.as_deref()) {
        Ok(()) => ExitCode::from(DONE),
        Err(refusal) => {
            say(&refusal.message);
            ExitCode::from(refusal.code)
        }
    }
}

#[derive(Debug)]
struct Refusal {
    code: u8,
    message: String,
}

fn answer(name: &str, args: &[String], data: Option<&Path>) -> Result<(), Refusal> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["step", "halt"] => halt(name, data),
        _ => Err(Refusal {
            code: USAGE,
            message: format!(
                "error: `{name} {}` is not a command of this runner\n\nhint: it knows `{name} \
                 step halt`",
                words.join(" ")
            ),
        }),
    }
}

fn halt(name: &str, data: Option<&Path>) -> Result<(), Refusal> {
    let Some(data) = data else {
        return Err(Refusal {
            code: FAILED,
            message: format!(
                "error: `{name} step halt` was called outside a task\n\nhint: \
                 {TASK_DATA_VARIABLE} is not set; call it from a step"
            ),
        });
    };
    std::fs::write(data.join(HALT_FILE), b"").map_err(|error| Refusal {
        code: FAILED,
        message: format!("error: could not halt the job through {}: {error}", data.display()),
    })
}

#[expect(clippy::print_stderr, reason = "this is a program of its own, and that is its screen")]
fn say(message: &str) {
    eprintln!("{message}");
}

#[cfg(test)]
mod tests {
    use super::{HALT_FILE, USAGE, answer};

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn step_halt_leaves_the_mark_that_the_task_agent_looks_for() {
        let data = tempfile::tempdir().unwrap();
        answer("circleci-agent", &words("step halt"), Some(data.path())).unwrap();
        assert!(data.path().join(HALT_FILE).exists());
    }

    #[test]
    fn what_is_not_there_is_refused_by_name_with_a_hint() {
        let refusal = answer("circleci", &words("tests split"), None).unwrap_err();
        assert_eq!(refusal.code, USAGE);
        assert!(refusal.message.contains("`circleci tests split`"), "{}", refusal.message);
        assert!(answer("circleci", &words("step halt"), None).is_err());
    }
}
