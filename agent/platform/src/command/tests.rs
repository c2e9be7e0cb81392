use std::time::{Duration, Instant};

use super::testing::fake_tool;
use super::{Command, CommandError, Tools};

fn sh(script: &str) -> Command {
    Command::new("/bin/sh").args(["-c", script])
}

#[test]
fn a_tool_gets_its_input_and_gives_its_output_and_status() {
    let output = sh("cat; echo oh no >&2; exit 3").stdin("secret").run().unwrap();
    assert_eq!((output.text().as_str(), output.code()), ("secret", Some(3)));
    let error = output.ok().unwrap_err();
    assert_eq!(error.code(), Some(3));
    let text = error.to_string();
    assert!(text.ends_with("failed with exit code 3: oh no"), "{text}");
    assert!(text.starts_with("`/bin/sh -c "), "{text}");
}

#[test]
fn a_tool_has_no_environment_but_its_own() {
    let output = Command::new("/usr/bin/env").env("HOME", "/nowhere").run_ok().unwrap();
    let mut names: Vec<String> =
        output.text().lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
    names.sort();
    assert_eq!(names, ["HOME", "LC_ALL", "PATH"]);
    assert_eq!(sh("pwd").run_ok().unwrap().text(), "/\n");
}

#[test]
fn more_input_and_output_than_a_pipe_holds_passes() {
    let input = "x".repeat(1 << 20);
    let output = sh("cat").stdin(input.clone()).run_ok().unwrap();
    assert!(output.text() == input);
}

#[test]
fn a_tool_that_reads_nothing_of_its_input_is_no_failure() {
    let output = sh("exec <&-; echo done").stdin("x".repeat(1 << 20)).run_ok().unwrap();
    assert_eq!(output.text(), "done\n");
}

#[test]
fn a_tool_that_hangs_is_killed_with_what_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("child");
    // The child's number is known before the limit can pass, or the test waits in vain for it.
    let script = format!("sleep 1000 & echo $! >'{}'; wait", mark.display());
    let error = sh(&script).limit(Duration::from_millis(500)).run().unwrap_err();
    assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    assert!(error.hint().is_some());
    let child: i32 = std::fs::read_to_string(mark).unwrap().trim().parse().unwrap();
    let start = Instant::now();
    // The child is not ours to reap; it is gone, or a zombie of init's, shortly afterwards.
    while is_running(child) {
        assert!(start.elapsed() < Duration::from_secs(30), "the child lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_running(pid: i32) -> bool {
    let state = Command::new("/bin/ps").args(["-o", "stat=", "-p", &pid.to_string()]).run();
    state.is_ok_and(|output| !output.text().trim().is_empty() && !output.text().starts_with('Z'))
}

#[test]
fn something_that_keeps_the_pipes_open_does_not_hold_us_up() {
    let start = Instant::now();
    let output = sh("sleep 60 & echo $!").run_ok().unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    let pid: i32 = output.text().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
}

#[test]
fn a_tool_that_prints_without_end_is_stopped() {
    let error = sh("while :; do echo xxxxxxxxxxxxxxxx; done").output_limit(1000).run().unwrap_err();
    assert!(matches!(error, CommandError::TooMuch { limit: 1000, .. }), "{error}");
    // Messages without end are cut, not an error.
    let output = sh("head -c 1000000 /dev/zero | tr '\\0' x >&2; echo ok").run_ok().unwrap();
    assert_eq!((output.text().as_str(), output.stderr.len()), ("ok\n", super::ERROR_LIMIT));
}

#[test]
fn a_tool_that_is_not_there_and_one_without_a_place_are_told_apart() {
    let error = Command::new("/nowhere/launchctl").arg("list").run().unwrap_err();
    assert!(matches!(error, CommandError::NotFound { .. }));
    let expected = "could not run `/nowhere/launchctl list`: there is no such program";
    assert_eq!(error.to_string(), expected);
    let error = Command::new("sh").run().unwrap_err();
    assert!(error.to_string().contains("must be absolute"), "{error}");
}

#[test]
fn tests_can_put_their_own_tools_in_place_of_the_systems() {
    let dir = tempfile::tempdir().unwrap();
    fake_tool(dir.path(), "launchctl", "echo fake \"$@\"");
    let tools = Tools::below(dir.path());
    let output = tools.command("/bin/launchctl").arg("print").run_ok().unwrap();
    assert_eq!(output.text(), "fake print\n");
    // What is not there is not taken from the system.
    let error = tools.command("/bin/sh").run().unwrap_err();
    assert!(matches!(error, CommandError::NotFound { .. }));
}

#[test]
fn input_is_not_shown() {
    let command = sh("cat").stdin("hunter2");
    assert!(!format!("{command:?}").contains("hunter2"));
}
