//! `ioreg`: who is at the Mac's screen, and if the screen is locked.
//!
//! launchd has a domain `gui/UID` for everybody who is logged in, also behind a locked screen and
//! behind fast user switching, where tasks that draw or click fail. The window server keeps its
//! sessions in the root of the I/O registry, under `IOConsoleUsers`, which everybody may read.

use plist::Value;

use crate::command::{CommandError, Tools};

const IOREG: &str = "/usr/sbin/ioreg";

/// Session of the window server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleSession {
    /// User who is logged in.
    pub uid: u32,
    /// Set if it is the session that the screen shows.
    pub is_at_screen: bool,
    /// Set once the login is done.
    pub is_logged_in: bool,
    /// Set if its screen is locked. macOS leaves the key out while it is not.
    pub is_locked: bool,
}

/// Lists the sessions of the window server; `None` where the answer has no list of them, as before
/// the first login.
///
/// # Errors
///
/// ioreg does not answer.
pub fn console_sessions(tools: &Tools) -> Result<Option<Vec<ConsoleSession>>, CommandError> {
    let output = tools.command(IOREG).args(["-n", "Root", "-d1", "-a"]).run_ok()?;
    Ok(parse_sessions(&output.stdout))
}

/// Returns the reason for which an account that is logged in cannot use the screen. An account that
/// the list does not have is given the benefit of the doubt.
#[must_use]
pub fn screen_obstacle(sessions: &[ConsoleSession], uid: u32, name: &str) -> Option<String> {
    let session = sessions.iter().find(|session| session.uid == uid)?;
    if session.is_locked {
        return Some(format!(
            "the screen of {name} is locked, and tasks at the screen would fail; unlock it, and \
             turn the lock off with `sudo russet agent gui setup`"
        ));
    }
    if !session.is_at_screen {
        return Some(format!(
            "{name} is logged in, but the screen shows another session (fast user switching); \
             switch back to {name}"
        ));
    }
    if !session.is_logged_in {
        return Some(format!("the login of {name} at the screen is not done yet"));
    }
    None
}

fn parse_sessions(bytes: &[u8]) -> Option<Vec<ConsoleSession>> {
    let document: Value = plist::from_bytes(bytes).ok()?;
    // With `-r` ioreg prints an array of entries, without it the one entry.
    let users = match &document {
        Value::Array(entries) => entries.iter().find_map(console_users),
        entry => console_users(entry),
    }?;
    Some(users.iter().filter_map(parse_session).collect())
}

fn console_users(entry: &Value) -> Option<&Vec<Value>> {
    entry.as_dictionary()?.get("IOConsoleUsers")?.as_array()
}

fn parse_session(value: &Value) -> Option<ConsoleSession> {
    let session = value.as_dictionary()?;
    let flag = |key: &str| match session.get(key) {
        Some(Value::Boolean(flag)) => Some(*flag),
        Some(Value::Integer(number)) => Some(number.as_signed() != Some(0)),
        _ => None,
    };
    let uid = session.get("kCGSSessionUserIDKey")?.as_unsigned_integer()?;
    Some(ConsoleSession {
        uid: u32::try_from(uid).ok()?,
        is_at_screen: flag("kCGSSessionOnConsoleKey").unwrap_or(true),
        is_logged_in: flag("kCGSessionLoginDoneKey").unwrap_or(true),
        is_locked: flag("CGSSessionScreenIsLocked").unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::{ConsoleSession, console_sessions, parse_sessions, screen_obstacle};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    /// Keys and values after sessions that people posted (macOS 10.14: Peter Merikan's `ioreg -l`;
    /// macOS 26.6: `IOConsoleUsers` of a locked Mac). The form of `-a` is that which scripts read
    /// with `plutil -extract IOConsoleUsers.0.CGSSessionScreenIsLocked`.
    fn registry(sessions: &[&str]) -> String {
        let sessions: String =
            sessions.iter().map(|session| format!("<dict>{session}</dict>")).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict>\
             <key>IOConsoleLocked</key><false/><key>IOConsoleUsers</key><array>{sessions}</array>\
             <key>IOObjectClass</key><string>IORegistryEntry</string></dict></plist>"
        )
    }

    fn session(uid: u32, at_screen: bool, more: &str) -> String {
        format!(
            "<key>kCGSSessionOnConsoleKey</key><{at_screen}/>\
             <key>kCGSSessionAuditIDKey</key><integer>100016</integer>\
             <key>kCGSSessionUserIDKey</key><integer>{uid}</integer>\
             <key>kCGSessionLoginDoneKey</key><true/>\
             <key>kCGSessionLongUserNameKey</key><string>CI</string>{more}"
        )
    }

    const LOCKED: &str = "<key>CGSSessionScreenIsLocked</key><true/>\
                          <key>CGSSessionScreenLockedTime</key><integer>1789543593</integer>";

    #[test]
    fn a_locked_screen_is_told_from_an_open_one() {
        let open = registry(&[&session(502, true, "")]);
        let sessions = parse_sessions(open.as_bytes()).unwrap();
        let wanted =
            ConsoleSession { uid: 502, is_at_screen: true, is_logged_in: true, is_locked: false };
        assert_eq!(sessions, [wanted]);
        assert_eq!(screen_obstacle(&sessions, 502, "ci-gui"), None);
        for lock in [LOCKED, "<key>CGSSessionScreenIsLocked</key><integer>1</integer>"] {
            let locked = registry(&[&session(502, true, lock)]);
            let sessions = parse_sessions(locked.as_bytes()).unwrap();
            let why = screen_obstacle(&sessions, 502, "ci-gui").unwrap();
            assert!(why.contains("the screen of ci-gui is locked"), "{why}");
        }
        let unlocked = "<key>CGSSessionScreenIsLocked</key><false/>";
        let again = parse_sessions(registry(&[&session(502, true, unlocked)]).as_bytes()).unwrap();
        assert_eq!(screen_obstacle(&again, 502, "ci-gui"), None);
    }

    #[test]
    fn a_session_behind_fast_user_switching_is_not_at_the_screen() {
        let both = registry(&[&session(501, true, LOCKED), &session(502, false, "")]);
        let sessions = parse_sessions(both.as_bytes()).unwrap();
        let why = screen_obstacle(&sessions, 502, "ci-gui").unwrap();
        assert!(why.contains("another session"), "{why}");
        let early = "<key>kCGSSessionUserIDKey</key><integer>502</integer>\
                     <key>kCGSessionLoginDoneKey</key><false/>";
        let sessions = parse_sessions(registry(&[early]).as_bytes()).unwrap();
        assert!(screen_obstacle(&sessions, 502, "ci-gui").unwrap().contains("not done"));
    }

    #[test]
    fn what_the_answer_does_not_say_is_no_obstacle() {
        let others = parse_sessions(registry(&[&session(501, true, LOCKED)]).as_bytes()).unwrap();
        assert_eq!(screen_obstacle(&others, 502, "ci-gui"), None);
        // The login window has a session without a user.
        let nobody = registry(&["<key>kCGSSessionOnConsoleKey</key><true/>"]);
        assert_eq!(parse_sessions(nobody.as_bytes()), Some(Vec::new()));
        assert_eq!(parse_sessions(b"<plist version=\"1.0\"><dict></dict></plist>"), None);
        assert_eq!(parse_sessions(b"nonsense"), None);
        let listed = registry(&[&session(502, true, "")]);
        let inner = listed.split_once("<dict>").unwrap().1.rsplit_once("</dict>").unwrap().0;
        let listed = format!("<plist version=\"1.0\"><array><dict>{inner}</dict></array></plist>");
        assert_eq!(parse_sessions(listed.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn the_registry_is_asked_for_its_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(console_sessions(&Tools::below(dir.path())).is_err());
        std::fs::write(dir.path().join("answer"), registry(&[&session(502, true, "")])).unwrap();
        let script = "[ \"$*\" = '-n Root -d1 -a' ] && cat \"$(dirname \"$0\")/answer\"";
        fake_tool(dir.path(), "ioreg", script);
        let found = console_sessions(&Tools::below(dir.path())).unwrap().unwrap();
        assert_eq!(found.len(), 1);
    }
}
