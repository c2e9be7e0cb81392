//! The list of what only a Mac can show, and the script that goes through it, say the same; and
//! the script itself works, as far as another system can tell.

use std::process::{Command, Output};

use crate::support::{checkout, has_tool, russet, test_dir};

/// Names of the entries of the page: headings in backquotes.
fn entries() -> Vec<String> {
    let page = std::fs::read_to_string(checkout().join("docs/verify-on-a-mac.md")).unwrap();
    let name = |line: &str| Some(line.strip_prefix("### `")?.strip_suffix('`')?.to_owned());
    page.lines().filter_map(name).collect()
}

/// Names of the checks of the script, in its order.
fn checks() -> Vec<String> {
    let script = std::fs::read_to_string(checkout().join("docs/verify-on-a-mac.sh")).unwrap();
    let name = |line: &str| Some(line.strip_prefix("check ")?.split(' ').next()?.to_owned());
    script.lines().filter_map(name).collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Runs the script here, where most of it fails, in a directory of its own.
fn run(options: &[&str]) -> (Output, tempfile::TempDir) {
    let dir = test_dir();
    let output = Command::new("sh")
        .arg(checkout().join("docs/verify-on-a-mac.sh"))
        .args(options)
        .env("RUSSET", russet())
        .env("RUSSET_VERIFY_ANYWHERE", "1")
        .current_dir(dir.path())
        .output()
        .unwrap();
    (output, dir)
}

#[test]
fn every_entry_has_a_check_and_every_check_an_entry() {
    let (entries, checks) = (sorted(entries()), sorted(checks()));
    assert!(!entries.is_empty());
    assert_eq!(entries, checks, "docs/verify-on-a-mac.md and docs/verify-on-a-mac.sh differ");
    let mut unique = entries.clone();
    unique.dedup();
    assert_eq!(unique, entries, "two entries have the same name");
}

#[test]
fn every_entry_says_a_command_and_what_it_must_print() {
    let page = std::fs::read_to_string(checkout().join("docs/verify-on-a-mac.md")).unwrap();
    for entry in page.split("\n### `").skip(1) {
        let name = entry.lines().next().unwrap();
        assert!(entry.contains("- Command: "), "{name}");
        assert!(entry.contains("- Must print: "), "{name}");
    }
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let script = checkout().join("docs/verify-on-a-mac.sh");
    assert!(Command::new("sh").arg("-n").arg(&script).status().unwrap().success());
    if !has_tool("shellcheck") {
        return;
    }
    let output = Command::new("shellcheck").args(["-s", "sh"]).arg(&script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_script_goes_to_its_end_and_its_report_has_a_row_for_every_check() {
    let (output, dir) = run(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |name: &str| {
        text.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).map(str::to_owned)
    };
    for name in checks() {
        assert!(row(&name).is_some(), "no row for {name} in:\n{text}");
    }
    // This system is no Mac, and nothing was to be changed.
    assert!(row("macos-version").unwrap().starts_with("FAIL"), "{text}");
    assert!(row("binary-runs").unwrap().starts_with("ok"), "{text}");
    assert_eq!(
        row("run-a-job").unwrap().split_whitespace().collect::<Vec<_>>(),
        ["skip", "run-a-job", "needs", "--change"]
    );
    assert_eq!(output.status.code(), Some(1));
    let report = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains("binary-runs") && report.contains(" failed, "), "{report}");
}

/// Checks of `russet` that do not concern macOS work here too.
#[test]
fn checks_with_a_job_of_their_own_pass_on_this_system() {
    let (output, _dir) = run(&["--change"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for name in ["run-a-job", "timeout-shows-processes", "leftovers-are-ended"] {
        let row = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap();
        assert!(row.starts_with("ok"), "{name} in:\n{text}");
    }
}

#[test]
fn elsewhere_it_refuses() {
    let output = Command::new("sh")
        .arg(checkout().join("docs/verify-on-a-mac.sh"))
        .env_remove("RUSSET_VERIFY_ANYWHERE")
        .output()
        .unwrap();
    if cfg!(not(target_os = "macos")) {
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("not a Mac"));
    }
}
