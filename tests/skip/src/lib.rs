//! Skipped tests, listed by name when their program ends.
//!
//! libtest knows only `ok` and `FAILED`, and hides what a test prints if it passes: a test that
//! returns early looks as if it had run. So it says here what it lacks. The list goes to standard
//! error after libtest's own summary; `RUSSET_REQUIRE_ROOT=1` and `RUSSET_REQUIRE_TOOLS=1`, as
//! `.ci/run` sets them, make a skip for that reason a failure.

use std::panic::Location;
use std::sync::{Mutex, PoisonError};

/// Requirement that a test lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// The rights of root. Required by `RUSSET_REQUIRE_ROOT=1`.
    Root,
    /// An installed program. Required by `RUSSET_REQUIRE_TOOLS=1`.
    Tool,
    /// A property of the machine or a file that not every checkout has. Nothing requires it.
    Machine,
}

impl Lacks {
    /// Returns the environment variable that turns such a skip into a failure.
    fn switch(self) -> Option<&'static str> {
        match self {
            Self::Root => Some("RUSSET_REQUIRE_ROOT"),
            Self::Tool => Some("RUSSET_REQUIRE_TOOLS"),
            Self::Machine => None,
        }
    }
}

static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records that the current test is skipped, and why.
///
/// # Panics
///
/// If the environment requires what is lacking.
#[track_caller]
pub fn skip(lacks: Lacks, why: &str) {
    let name = test_name(Location::caller());
    let required = lacks.switch().filter(|name| is_set(std::env::var_os(name)));
    #[expect(clippy::panic, reason = "the caller is a test, and this is its failure")]
    if let Some(switch) = required {
        panic!("{name} would be skipped, which {switch} forbids: {why}");
    }
    let mut skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    if skipped.is_empty() {
        // SAFETY: the function is never unloaded, and does nothing that an exiting process must
        // not.
        unsafe { libc::atexit(print_skipped) };
    }
    skipped.push(format!("{name}: {why}"));
}

/// Returns true for root; otherwise records that the current test, which needs root `for_what`, is
/// skipped.
///
/// # Panics
///
/// If the environment requires root.
#[track_caller]
pub fn can_be_root(for_what: &str) -> bool {
    // SAFETY: geteuid has no preconditions.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        skip(Lacks::Root, &format!("needs root, {for_what}"));
    }
    is_root
}

/// Returns true if the program is in `PATH`; otherwise records that the current test is skipped.
///
/// # Panics
///
/// If the environment requires tools.
#[track_caller]
pub fn has_tool(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !is_there {
        skip(Lacks::Tool, &format!("{program} is not installed"));
    }
    is_there
}

/// Returns the name of the current test: libtest names threads by it, except with one test thread.
fn test_name(caller: &Location<'_>) -> String {
    match std::thread::current().name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => caller.to_string(),
    }
}

fn is_set(value: Option<std::ffi::OsString>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0")
}

extern "C" fn print_skipped() {
    use std::io::Write as _;
    let mut skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    skipped.sort();
    let mut text = format!("skipped: {} tests\n", skipped.len());
    for line in skipped.iter() {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    // Nobody is left to be told that it cannot be written.
    std::io::stderr().write_all(text.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_has_the_name_of_its_test() {
        assert_eq!(test_name(Location::caller()), "tests::a_skip_has_the_name_of_its_test");
    }

    #[test]
    #[ignore = "run by the tests below, in a process of its own"]
    fn a_test_that_lacks_a_tool() {
        if has_tool("russet-no-such-tool") {
            unreachable!();
        }
    }

    /// Runs the test above; returns whether it passed, and all that was printed.
    fn run_example(switch: &str) -> (bool, String) {
        let program = std::env::current_exe().unwrap();
        let output = std::process::Command::new(program)
            .args(["--ignored", "--test-threads=2", "lacks_a_tool"])
            .env("RUSSET_REQUIRE_TOOLS", switch)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_skipped_test_passes_and_is_listed_after_the_summary() {
        let (passed, text) = run_example("0");
        assert!(passed, "{text}");
        let (_, end) = text.split_once("test result: ok. 1 passed").unwrap();
        let name = "tests::a_test_that_lacks_a_tool";
        let line = format!("    {name}: russet-no-such-tool is not installed\n");
        assert!(end.ends_with(&format!("skipped: 1 tests\n{line}")), "{text}");
    }

    #[test]
    fn a_required_tool_that_is_not_there_fails_the_test() {
        let (passed, text) = run_example("1");
        assert!(!passed, "{text}");
        assert!(text.contains("which RUSSET_REQUIRE_TOOLS forbids: russet-no-such-tool"), "{text}");
    }

    #[test]
    fn a_switch_is_off_when_it_is_unset_empty_or_zero() {
        assert!(is_set(Some("1".into())));
        for off in [None, Some("".into()), Some("0".into())] {
            assert!(!is_set(off));
        }
    }
}
