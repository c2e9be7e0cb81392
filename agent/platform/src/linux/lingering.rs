//! Lingering: a user's services of systemd that go on, and begin at the start of the machine, without
//! a session of the user (loginctl(1)).

use std::path::Path;
use std::time::Duration;

use nix::unistd::{Uid, User};

use crate::command::{CommandError, Tools};

/// Directory with a file for each user that lingers. It is root's.
const LINGERING: &str = "/var/lib/systemd/linger";

/// systemd's own tool.
const LOGINCTL: &str = "/usr/bin/loginctl";

/// Timeout of it.
const TOOL_TIMEOUT: Duration = Duration::from_secs(10);

/// Ends the lingering of this process's user, if it lingers. Returns `None` if it does not.
pub fn end_lingering(uid: u32) -> Option<Result<(), CommandError>> {
    // Mostly nobody lingers, and looking into the user database takes longer than this.
    let mut lingering = std::fs::read_dir(LINGERING).ok()?;
    lingering.next()?.ok()?;
    let user = User::from_uid(Uid::from_raw(uid)).ok()??;
    end_in(&Tools::system(), Path::new(LINGERING), &user.name)
}

fn end_in(tools: &Tools, directory: &Path, name: &str) -> Option<Result<(), CommandError>> {
    if !directory.join(name).exists() {
        return None;
    }
    let command = tools.command(LOGINCTL).args(["disable-linger", "--", name]);
    Some(command.limit(TOOL_TIMEOUT).run_ok().map(drop))
}

#[cfg(test)]
mod tests {
    use super::end_in;
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    #[test]
    fn who_lingers_is_ended_and_nobody_else_is_asked_for() {
        let (tools, lingering) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let marker = lingering.path().join("russet1");
        fake_tool(tools.path(), "loginctl", &format!("rm {}/\"$3\"", lingering.path().display()));
        let tools = Tools::below(tools.path());
        assert!(end_in(&tools, lingering.path(), "russet1").is_none());
        std::fs::write(&marker, "").unwrap();
        assert!(end_in(&tools, lingering.path(), "russet2").is_none());
        end_in(&tools, lingering.path(), "russet1").unwrap().unwrap();
        assert!(!marker.exists());
        std::fs::create_dir(&marker).unwrap();
        end_in(&tools, lingering.path(), "russet1").unwrap().unwrap_err();
    }
}
