//! What takes the screen from an account that nobody sits at: the screen saver and the lock.
//!
//! Both are settings of the account, so its tools run as the account, in its launchd domain: `root`
//! has an own screen saver, which nobody sees.

use russet_protocol::secret::Secret;

use super::user_domain;
use crate::command::{Command, CommandError, Tools};

const SUDO: &str = "/usr/bin/sudo";
const DEFAULTS: &str = "/usr/bin/defaults";
const SYSADMINCTL: &str = "/usr/sbin/sysadminctl";

const SAVER: [&str; 3] = ["-currentHost", "com.apple.screensaver", "idleTime"];

/// Account whose settings these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Name.
    pub name: String,
    /// Id.
    pub uid: u32,
}

/// Returns the seconds of idleness after which the screen saver starts, `0` for never; `None`
/// where macOS has its default.
///
/// # Errors
///
/// The account's settings cannot be asked for.
pub fn saver_seconds(tools: &Tools, account: &Account) -> Result<Option<String>, CommandError> {
    let output =
        as_account(tools, account, DEFAULTS).args([SAVER[0], "read", SAVER[1], SAVER[2]]).run()?;
    // What defaults(1) says where there is no such setting.
    if output.error_text().contains("does not exist") {
        return Ok(None);
    }
    Ok(Some(output.ok()?.text().trim().to_owned()))
}

/// Sets the seconds after which the screen saver starts; `None` goes back to macOS's default.
///
/// # Errors
///
/// The setting was not written.
pub fn set_saver(
    tools: &Tools,
    account: &Account,
    value: Option<&str>,
) -> Result<(), CommandError> {
    let command = as_account(tools, account, DEFAULTS);
    let command = match value {
        Some(value) => command.args([SAVER[0], "write", SAVER[1], SAVER[2], "-int", value]),
        None => command.args([SAVER[0], "delete", SAVER[1], SAVER[2]]),
    };
    command.run_ok().map(drop)
}

/// Returns the delay after which the screen is locked: `off`, `immediate`, or seconds; `None` where
/// the answer is another one.
///
/// # Errors
///
/// The account's settings cannot be asked for.
pub fn lock_delay(tools: &Tools, account: &Account) -> Result<Option<String>, CommandError> {
    let output =
        as_account(tools, account, SYSADMINCTL).args(["-screenLock", "status"]).run_ok()?;
    // It logs to standard error.
    Ok(parse_lock(&format!("{}\n{}", output.text(), output.error_text())))
}

/// Sets the delay of the lock. macOS wants the account's password, which goes to standard input.
///
/// # Errors
///
/// The tool refused.
pub fn set_lock(
    tools: &Tools,
    account: &Account,
    delay: &str,
    password: &Secret,
) -> Result<(), CommandError> {
    as_account(tools, account, SYSADMINCTL)
        .args(["-screenLock", delay, "-password", "-"])
        .stdin(format!("{}\n", password.expose()))
        .run_ok()
        .map(drop)
}

/// A tool as the account: `launchctl asuser` for its launchd domain, `sudo` for its ids and home.
fn as_account(tools: &Tools, account: &Account, tool: &str) -> Command {
    let mut words = user_domain::in_session(tools, account.uid).into_iter();
    let launchctl = words.next().unwrap_or_default();
    Command::new(launchctl)
        .args(words)
        .arg(tools.path(SUDO))
        .args(["-n", "-H", "-u", &account.name, "--"])
        .arg(tools.path(tool))
}

/// `… sysadminctl[1:2] screenLock delay is 300 seconds`, `… delay is immediate`, `… is off`; a delay
/// of -1 is off too.
fn parse_lock(text: &str) -> Option<String> {
    let said = text.lines().find_map(|line| line.split_once("screenLock "))?.1.trim();
    if said == "is off" {
        return Some("off".to_owned());
    }
    let delay = said.strip_prefix("delay is ")?.split_whitespace().next()?;
    match delay.split('.').next()? {
        "immediate" => Some("immediate".to_owned()),
        "-1" => Some("off".to_owned()),
        seconds => seconds.parse::<u32>().ok().map(|seconds| seconds.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, lock_delay, parse_lock, saver_seconds, set_lock, set_saver};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;
    use russet_protocol::secret::Secret;

    /// The first two are of macOS 26.6.2 (a test of a posture agent that recorded them), the others
    /// are forms that scripts handle.
    #[test]
    fn every_form_of_the_lock_is_understood_and_others_are_not_guessed_at() {
        for (text, wanted) in [
            (
                "2026-09-21 20:50:02.423 sysadminctl[22746:23830390] screenLock delay is 5 seconds\n",
                Some("5"),
            ),
            (
                "2026-09-21 20:51:30.063 sysadminctl[22795:23833089] screenLock is off\n",
                Some("off"),
            ),
            ("screenLock delay is immediate", Some("immediate")),
            ("screenLock delay is -1.000000 seconds", Some("off")),
            ("screenLock delay is 300.000000 seconds", Some("300")),
            ("screenLock is unknown", None),
            ("Operation not permitted", None),
        ] {
            assert_eq!(parse_lock(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn settings_are_the_accounts_and_its_password_is_in_no_argument() {
        let dir = tempfile::tempdir().unwrap();
        let log = "echo \"$(basename \"$0\") $*\" >> \"$(dirname \"$0\")/said\"\n";
        fake_tool(dir.path(), "launchctl", "shift 2; exec \"$@\"");
        fake_tool(dir.path(), "sudo", &format!("{log}[ \"$3\" = -u ] && shift 5 && exec \"$@\""));
        fake_tool(
            dir.path(),
            "sysadminctl",
            "case $2 in status) echo 'x sysadminctl[1:2] screenLock is off' >&2 ;; \
             *) cat > \"$0.password\" ;; esac",
        );
        fake_tool(
            dir.path(),
            "defaults",
            "case $2 in read) [ -e \"$0.set\" ] && cat \"$0.set\" && exit\n\
             echo 'The domain/default pair of (com.apple.screensaver, idleTime) does not exist' >&2\n\
             exit 1 ;; write) echo \"$6\" > \"$0.set\" ;; delete) rm \"$0.set\" ;; esac",
        );
        let tools = Tools::below(dir.path());
        let account = Account { name: "ci-gui".to_owned(), uid: 502 };
        assert_eq!(lock_delay(&tools, &account).unwrap().as_deref(), Some("off"));
        set_lock(&tools, &account, "off", &Secret::new("hunter2")).unwrap();
        let given = std::fs::read_to_string(dir.path().join("sysadminctl.password")).unwrap();
        assert_eq!(given, "hunter2\n");
        assert_eq!(saver_seconds(&tools, &account).unwrap(), None);
        set_saver(&tools, &account, Some("0")).unwrap();
        assert_eq!(saver_seconds(&tools, &account).unwrap().as_deref(), Some("0"));
        set_saver(&tools, &account, None).unwrap();
        assert_eq!(saver_seconds(&tools, &account).unwrap(), None);
        let said = std::fs::read_to_string(dir.path().join("said")).unwrap();
        assert!(said.lines().all(|line| line.starts_with("sudo -n -H -u ci-gui -- /")), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
