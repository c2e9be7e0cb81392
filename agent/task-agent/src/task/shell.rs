//! Which shell runs a script, and how it gets it.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use russet_platform::os;

/// Longer scripts go through a file: Linux takes no argument of more than 128 KiB.
const LONGEST_ARGUMENT: usize = 100 * 1024;

/// Reason why there is no shell.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no shell: its quotes do not match, or it is empty\nhint: write it as in `/bin/bash -eo pipefail`"
)]
pub(crate) struct BadShell(String);

/// The shell of steps that name none.
pub(crate) fn default_shell() -> String {
    if Path::new("/bin/bash").exists() {
        return os::DEFAULT_SHELL.to_owned();
    }
    // Not every `sh` knows pipefail, and one that does not would run no script at all.
    let knows_pipefail = Command::new("/bin/sh")
        .args(["-o", "pipefail", "-c", ":"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if knows_pipefail { "/bin/sh -eo pipefail" } else { "/bin/sh -e" }.to_owned()
}

/// The arguments that make `shell` run `script`. A long script is first written to `file`.
pub(crate) fn shell_arguments(
    shell: &str,
    script: &str,
    file: &Path,
) -> Result<Arguments, BadShell> {
    let words = shlex::split(shell).filter(|words| !words.is_empty());
    let mut words: Vec<OsString> =
        words.ok_or_else(|| BadShell(shell.to_owned()))?.into_iter().map(OsString::from).collect();
    if script.len() <= LONGEST_ARGUMENT {
        words.extend(["-c".into(), script.into()]);
        return Ok(Arguments { words, needs_file: false });
    }
    words.push(file.into());
    Ok(Arguments { words, needs_file: true })
}

/// A command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// Program and arguments.
    pub(crate) words: Vec<OsString>,
    /// Set if the script has to be written to the file first.
    pub(crate) needs_file: bool,
}

#[cfg(test)]
mod tests {
    use super::shell_arguments;
    use std::path::Path;

    fn words(shell: &str, script: &str) -> Vec<String> {
        let arguments = shell_arguments(shell, script, Path::new("/tmp/s")).unwrap();
        arguments.words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_shell_is_split_as_a_shell_would() {
        assert_eq!(
            words("/bin/bash -eo pipefail", "a b"),
            ["/bin/bash", "-eo", "pipefail", "-c", "a b"]
        );
        assert_eq!(words("'/my tools/sh' -e", "x"), ["/my tools/sh", "-e", "-c", "x"]);
        assert_eq!(words("python3", "print()"), ["python3", "-c", "print()"]);
    }

    #[test]
    fn a_script_that_is_no_argument_goes_through_a_file() {
        assert_eq!(words("/bin/sh -e", &"x".repeat(200_000)), ["/bin/sh", "-e", "/tmp/s"]);
    }

    #[test]
    fn what_is_no_shell_is_refused() {
        for bad in ["", "  ", "'open"] {
            assert!(shell_arguments(bad, "x", Path::new("/tmp/s")).is_err(), "{bad}");
        }
    }
}
