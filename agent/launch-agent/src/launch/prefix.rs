//! As whom a command prefix runs what comes after it.
//!
//! `sudo -niHu ci --` changes the user, `nice` does not, and a script may do either. The slot's
//! directories have to belong to that user before the task agent starts, so the prefix is asked
//! once, at the start, by running `id` behind it.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::stage;

/// Timeout of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The user and the group that the prefix lands in.
pub(super) async fn probe(prefix: &[String]) -> Result<(u32, u32), String> {
    let Some((program, arguments)) = prefix.split_first() else {
        return Err("is empty".to_owned());
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
    let output = match tokio::time::timeout(TIMEOUT, command).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("could not be started: {program}: {error}")),
        Err(_) => return Err(format!("did not run `id` within {} s", TIMEOUT.as_secs())),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        format!(
            "did not run `/usr/bin/id` behind it ({}{}{said})",
            super::spawn::describe(output.status),
            if said.is_empty() { "" } else { ": " },
        )
    })
}

/// The ids in `uid=501(me) gid=20(staff) …`, on the last such line: a login shell may greet.
fn parse(text: &str) -> Option<(u32, u32)> {
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
    use super::{parse, probe};

    #[test]
    fn ids_are_read_from_the_last_line_that_has_them() {
        let text = "Welcome!\nuid=501(me) gid=20(staff) groups=20(staff),12(everyone)\n";
        assert_eq!(parse(text), Some((501, 20)));
        assert_eq!(parse("uid=7 gid=8"), Some((7, 8)));
        assert_eq!(parse("permission denied"), None);
    }

    #[tokio::test]
    async fn a_prefix_is_asked_by_running_it() {
        let me = nix::unistd::geteuid().as_raw();
        let prefix = ["env".to_owned(), "A=b".to_owned()];
        assert_eq!(probe(&prefix).await.unwrap().0, me);
        let broken = ["/no/such/program".to_owned()];
        assert!(probe(&broken).await.unwrap_err().contains("/no/such/program"));
        let silent = ["/bin/sh".into(), "-c".into(), "echo sorry >&2; exit 3".into()];
        let error = probe(&silent).await.unwrap_err();
        assert!(error.contains("status 3") && error.contains("sorry"), "{error}");
    }
}
