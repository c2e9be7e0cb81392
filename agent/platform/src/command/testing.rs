//! Tools of tests, which answer and fail as the system's own do.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is its failure")]

use std::path::Path;

use super::Command;

/// Makes an executable shell script `name` in `dir`. Another process writes it: a descriptor of
/// ours for writing could be inherited by a child of another test's just then, and a file that is
/// open for writing cannot be executed.
///
/// # Panics
///
/// The script cannot be written: the test has failed.
pub fn fake_tool(dir: &Path, name: &str, script: &str) {
    let script = format!("#!/bin/sh\n{script}\n");
    Command::new("/usr/bin/install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(dir.join(name))
        .stdin(script)
        .run_ok()
        .unwrap();
}
