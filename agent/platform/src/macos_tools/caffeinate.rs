//! caffeinate(8): the Mac does not go to sleep while a program runs.

use crate::Wakefulness;
use crate::command::{Command, Tools};

const CAFFEINATE: &str = "/usr/bin/caffeinate";

/// Returns the command that keeps the Mac awake for as long as it is held: `-i` from falling asleep
/// for want of anything to do, `-s` from sleeping at all while it is on mains power. The display
/// may sleep, unless a task needs it: `-d` keeps it from that, and `-u` turns it on as somebody's
/// hand would, which keeps the screen saver away too.
#[must_use]
pub fn stay_awake(tools: &Tools, wakefulness: Wakefulness) -> Command {
    let flags = match wakefulness {
        Wakefulness::System => "-is",
        Wakefulness::Display => "-disu",
    };
    tools.command(CAFFEINATE).arg(flags).arg("/bin/cat")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::stay_awake;
    use crate::Wakefulness::{Display, System};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    /// As caffeinate(8) has it: assertions last as long as the utility that it runs.
    const FAKE: &str = "echo \"$*\" > \"$0.ran\"\nshift\n\"$@\"\nrm \"$0.ran\"";

    async fn wait_for(what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..3000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{what} did not happen");
    }

    #[tokio::test]
    async fn it_is_held_until_it_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        fake_tool(dir.path(), "caffeinate", FAKE);
        let ran = dir.path().join("caffeinate.ran");
        let held = stay_awake(&Tools::below(dir.path()), System).hold().unwrap();
        wait_for("the start", || std::fs::read_to_string(&ran).is_ok_and(|t| !t.is_empty())).await;
        assert_eq!(std::fs::read_to_string(&ran).unwrap(), "-is /bin/cat\n");
        drop(held);
        wait_for("the end", || !ran.exists()).await;
        let held = stay_awake(&Tools::below(dir.path()), Display).hold().unwrap();
        wait_for("the start", || std::fs::read_to_string(&ran).is_ok_and(|t| !t.is_empty())).await;
        assert_eq!(std::fs::read_to_string(&ran).unwrap(), "-disu /bin/cat\n");
        drop(held);
    }

    #[tokio::test]
    async fn a_tool_that_is_missing_or_ends_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        assert!(
            stay_awake(&tools, System).hold().unwrap_err().to_string().contains("no such program")
        );
        fake_tool(dir.path(), "caffeinate", "echo 'no power here' >&2; exit 1");
        let why = stay_awake(&tools, System).hold().unwrap().ended().await.to_string();
        assert!(why.contains("no power here"), "{why}");
        assert!(stay_awake(&Tools::below(Path::new("relative")), System).hold().is_err());
    }
}
