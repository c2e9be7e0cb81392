//! The user as whom a command prefix runs what comes after it.
//!
//! `sudo -niHu ci --` changes the user, `nice` does not, and a script may do either. The slot's
//! directories have to belong to that user before the task agent starts, so the prefix is asked
//! once, at the start, by running `id` behind it.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::stage;

/// Time for the answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// The reason for which a command prefix cannot be used; a sentence that begins with its key.
#[derive(Debug, thiserror::Error)]
pub(in crate::launch) enum PrefixError {
    /// It has no program.
    #[error("is empty")]
    Empty,
    /// Its program cannot be started.
    #[error("could not be started: {0}: {1}")]
    Start(String, #[source] std::io::Error),
    /// It did not end in time.
    #[error("did not run `id` within {} s", PROBE_TIMEOUT.as_secs())]
    Timeout,
    /// It ran something else than what follows it.
    #[error("did not run `/usr/bin/id` behind it ({status}{said})")]
    NoIds {
        /// The end of its process.
        status: String,
        /// Its error output, after a colon.
        said: String,
    },
}

/// Returns the user and the group that the prefix lands in.
#[expect(
    clippy::disallowed_methods,
    reason = "the prefix is the owner's, in a configuration that only root writes; the environment is cleared"
)]
pub(in crate::launch) async fn probe_prefix(prefix: &[String]) -> Result<(u32, u32), PrefixError> {
    let Some((program, arguments)) = prefix.split_first() else {
        return Err(PrefixError::Empty);
    };
    let command = Command::new(program)
        .args(arguments)
        .arg("/usr/bin/id")
        .env_clear()
        .env("PATH", stage::own_path())
        .env("RUSSET_PROBE", "1")
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(PROBE_TIMEOUT, command).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(PrefixError::Start(program.clone(), error)),
        Err(_) => return Err(PrefixError::Timeout),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    parse_ids(&text).ok_or_else(|| PrefixError::NoIds {
        status: super::spawn::describe_status(output.status),
        said: match String::from_utf8_lossy(&output.stderr).trim() {
            "" => String::new(),
            said => format!(": {said}"),
        },
    })
}

/// The ids in `uid=501(me) gid=20(staff) …`, on the last such line: a login shell may greet.
fn parse_ids(text: &str) -> Option<(u32, u32)> {
    let line = text.lines().rev().find(|line| line.starts_with("uid="))?;
    let number = |field: &str| {
        let digits = line.split_whitespace().find_map(|word| word.strip_prefix(field))?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits.get(..end)?.parse().ok()
    };
    Some((number("uid=")?, number("gid=")?))
}

#[cfg(test)]
mod tests {
    use super::{parse_ids, probe_prefix};

    #[test]
    fn ids_are_read_from_the_last_line_that_has_them() {
        let text = "Welcome!\nuid=501(me) gid=20(staff) groups=20(staff),12(everyone)\n";
        assert_eq!(parse_ids(text), Some((501, 20)));
        assert_eq!(parse_ids("uid=7 gid=8"), Some((7, 8)));
        assert_eq!(parse_ids("permission denied"), None);
    }

    #[tokio::test]
    async fn a_prefix_is_asked_by_running_it() {
        let me = nix::unistd::geteuid().as_raw();
        let prefix = ["env".to_owned(), "A=b".to_owned()];
        assert_eq!(probe_prefix(&prefix).await.unwrap().0, me);
        let broken = ["/no/such/program".to_owned()];
        assert!(probe_prefix(&broken).await.unwrap_err().to_string().contains("/no/such/program"));
        let silent = ["/bin/sh".into(), "-c".into(), "echo sorry >&2; exit 3".into()];
        let error = probe_prefix(&silent).await.unwrap_err().to_string();
        assert!(error.contains("status 3") && error.contains("sorry"), "{error}");
    }
}
