//! Sleep, which logind decides on.

use std::path::Path;

use crate::Wakefulness;
use crate::command::{Command, Tools};

const INHIBIT: &str = "/usr/bin/systemd-inhibit";

/// sd_booted(3): this directory exists where systemd, and with it logind, runs.
const BOOTED: &str = "/run/systemd/system";

/// Returns the command that keeps the machine awake for as long as it is held; `None` where nothing
/// is known that puts it to sleep. Others than root would be asked for a password. A display is the
/// same to logind, since its idleness is that of the seat.
#[must_use]
pub fn stay_awake(tools: &Tools, _wakefulness: Wakefulness) -> Option<Command> {
    let is_there = Path::new(BOOTED).is_dir() && nix::unistd::geteuid().is_root();
    is_there.then(|| inhibit_command(tools))
}

/// systemd-inhibit_command(1): the lock is released when the program ends.
fn inhibit_command(tools: &Tools) -> Command {
    let what = ["--what=idle:sleep", "--mode=block", "--who=Russet", "--why=tasks run"];
    tools.command(INHIBIT).args(what).arg("/bin/cat")
}

#[cfg(test)]
mod tests {
    use super::inhibit_command;
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    #[test]
    fn sleep_is_held_off_while_a_program_runs() {
        let dir = tempfile::tempdir().unwrap();
        fake_tool(dir.path(), "systemd-inhibit", "for word; do echo \"$word\"; done");
        let said = inhibit_command(&Tools::below(dir.path())).run_ok().unwrap().text();
        let words: Vec<&str> = said.lines().collect();
        let wanted =
            ["--what=idle:sleep", "--mode=block", "--who=Russet", "--why=tasks run", "/bin/cat"];
        assert_eq!(words, wanted);
    }
}
