//! Developer mode (`DevToolsSecurity`) and its group. Without both a debugger, and a test that starts
//! one, waits for a dialog that nobody sees in a slot.

use crate::command::{CommandError, Tools};

const DEV_TOOLS_SECURITY: &str = "/usr/sbin/DevToolsSecurity";
const DSEDITGROUP: &str = "/usr/sbin/dseditgroup";

/// The group whose members may debug while developer mode is on.
pub const GROUP: &str = "_developer";

/// `dseditgroup -o checkmember` of somebody who is not a member (`EX_NOUSER`).
const NOT_A_MEMBER: i32 = 67;

/// Returns true if developer mode is on; `None` where the answer is another one.
///
/// # Errors
///
/// DevToolsSecurity does not say.
pub fn is_enabled(tools: &Tools) -> Result<Option<bool>, CommandError> {
    let output = tools.command(DEV_TOOLS_SECURITY).arg("-status").run()?;
    // Its exit status is not documented, and the sentence goes to either stream.
    Ok(parse_status(&output.text()).or_else(|| parse_status(&output.error_text())))
}

/// The two sentences as scripts everywhere compare them.
fn parse_status(text: &str) -> Option<bool> {
    text.lines().find_map(|line| match line.trim() {
        "Developer mode is currently enabled." => Some(true),
        "Developer mode is currently disabled." => Some(false),
        _ => None,
    })
}

/// Turns developer mode on or off; as root without a question.
///
/// # Errors
///
/// DevToolsSecurity refuses.
pub fn set_enabled(tools: &Tools, is_enabled: bool) -> Result<(), CommandError> {
    let option = if is_enabled { "-enable" } else { "-disable" };
    tools.command(DEV_TOOLS_SECURITY).arg(option).run_ok().map(drop)
}

/// Returns true if `user` may debug; `None` where dseditgroup says something else, as that there is
/// no such group.
///
/// # Errors
///
/// dseditgroup cannot be run.
pub fn is_member(tools: &Tools, user: &str) -> Result<Option<bool>, CommandError> {
    let output = tools.command(DSEDITGROUP).args(["-o", "checkmember", "-m", user, GROUP]).run()?;
    let said = parse_membership(&output.text(), user);
    Ok(match (output.code(), said) {
        (Some(0), Some(true)) => Some(true),
        (Some(NOT_A_MEMBER), _) | (_, Some(false)) => Some(false),
        _ => None,
    })
}

/// `yes anna is a member of _developer`, or `no anna is NOT a member of _developer`.
fn parse_membership(text: &str, user: &str) -> Option<bool> {
    text.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["yes", name, "is", "a", "member", ..] if *name == user => Some(true),
            ["no", name, "is", "NOT", "a", "member", ..] if *name == user => Some(false),
            _ => None,
        }
    })
}

/// Makes `user` a member, or no member any more.
///
/// # Errors
///
/// dseditgroup refuses.
pub fn set_member(tools: &Tools, user: &str, is_member: bool) -> Result<(), CommandError> {
    let option = if is_member { "-a" } else { "-d" };
    let edit = ["-o", "edit", option, user, "-t", "user", GROUP];
    tools.command(DSEDITGROUP).args(edit).run_ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::{is_enabled, is_member, parse_membership, parse_status, set_enabled, set_member};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    #[test]
    fn both_sentences_are_known_and_others_are_not_guessed_at() {
        assert_eq!(parse_status("Developer mode is currently enabled.\n"), Some(true));
        assert_eq!(parse_status("Developer mode is currently disabled.\n"), Some(false));
        assert_eq!(parse_status("Developer mode is enabled"), None);
        assert_eq!(
            parse_membership("yes _russet1 is a member of _developer", "_russet1"),
            Some(true)
        );
        let not = "no _russet1 is NOT a member of _developer";
        assert_eq!(parse_membership(not, "_russet1"), Some(false));
        assert_eq!(parse_membership(not, "_russet"), None);
        assert_eq!(parse_membership("Group not found.", "_russet1"), None);
    }

    /// A Mac of which the fakes keep mode and members in files.
    #[test]
    fn mode_and_membership_are_set_and_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().display();
        fake_tool(
            dir.path(),
            "DevToolsSecurity",
            &format!(
                "case $1 in -enable) : >{state}/on;; -disable) /bin/rm {state}/on;; esac
                 if test -e {state}/on; then echo Developer mode is currently enabled.
                 else echo Developer mode is currently disabled.; fi >&2"
            ),
        );
        fake_tool(
            dir.path(),
            "dseditgroup",
            &format!(
                "case $2/$3 in
                 edit/-a) : >{state}/member-$4;; edit/-d) /bin/rm {state}/member-$4;;
                 checkmember/*) if test -e {state}/member-$4; then echo yes $4 is a member of $5
                   else echo no $4 is NOT a member of $5; exit 67; fi;;
                 esac"
            ),
        );
        let tools = Tools::below(dir.path());
        assert_eq!(is_enabled(&tools).unwrap(), Some(false));
        assert_eq!(is_member(&tools, "_russet1").unwrap(), Some(false));
        set_enabled(&tools, true).unwrap();
        set_member(&tools, "_russet1", true).unwrap();
        assert_eq!(is_enabled(&tools).unwrap(), Some(true));
        assert_eq!(is_member(&tools, "_russet1").unwrap(), Some(true));
        assert_eq!(is_member(&tools, "_russet2").unwrap(), Some(false));
        set_enabled(&tools, false).unwrap();
        set_member(&tools, "_russet1", false).unwrap();
        assert_eq!(is_enabled(&tools).unwrap(), Some(false));
        assert_eq!(is_member(&tools, "_russet1").unwrap(), Some(false));
        fake_tool(dir.path(), "dseditgroup", "echo Group not found. >&2; exit 64");
        assert_eq!(is_member(&tools, "_russet1").unwrap(), None);
        assert!(set_member(&tools, "_russet1", true).is_err());
    }
}
