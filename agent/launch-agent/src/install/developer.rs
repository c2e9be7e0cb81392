//! Developer mode and the membership of slots' users in its group: what `russet agent install
//! --developer` sets, and a removal takes back where it was not so before.

use super::error::InstallError;
use super::receipt::{Check, Item};
use russet_platform::command::{CommandError, Tools};
use russet_platform::macos_tools::developer_tools;

/// Looks how it stands.
pub(super) fn check_item(item: &Item, tools: &Tools) -> Result<Check, InstallError> {
    let is_so = match item {
        Item::DeveloperMode => developer_tools::is_enabled(tools),
        Item::Member { user } => developer_tools::is_member(tools, user),
        _ => return Ok(Check::Absent),
    };
    let is_so = is_so.map_err(|source| failed("look at", item, source))?;
    Ok(if is_so == Some(true) { Check::Same } else { Check::Absent })
}

/// Makes it so, or undoes that.
pub(super) fn set_item(item: &Item, tools: &Tools, is_so: bool) -> Result<(), InstallError> {
    let set = match item {
        Item::DeveloperMode => developer_tools::set_enabled(tools, is_so),
        Item::Member { user } => developer_tools::set_member(tools, user, is_so),
        _ => return Ok(()),
    };
    set.map_err(|source| failed("change", item, source))
}

fn failed(doing: &'static str, item: &Item, source: CommandError) -> InstallError {
    let what = match item {
        Item::Member { user } => {
            format!("the membership of {user} in {}", developer_tools::GROUP)
        }
        _ => "developer mode".to_owned(),
    };
    InstallError::Developer { doing, what, source }
}

#[cfg(test)]
mod tests {
    use super::{Check, Item, check_item, set_item};
    use russet_platform::command::Tools;
    use russet_platform::command::testing::fake_tool;

    #[test]
    fn mode_and_membership_are_made_and_undone_and_a_refusal_names_which() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().display();
        fake_tool(
            dir.path(),
            "DevToolsSecurity",
            &format!(
                "case $1 in -enable) : >{state}/on;; -disable) /bin/rm {state}/on;; esac
                 if test -e {state}/on; then echo Developer mode is currently enabled.
                 else echo Developer mode is currently disabled.; fi"
            ),
        );
        fake_tool(
            dir.path(),
            "dseditgroup",
            "case $2 in checkmember) echo no $4 is NOT a member of $5; exit 67;; *) exit 77;; esac",
        );
        let tools = Tools::below(dir.path());
        assert_eq!(check_item(&Item::DeveloperMode, &tools).unwrap(), Check::Absent);
        set_item(&Item::DeveloperMode, &tools, true).unwrap();
        assert_eq!(check_item(&Item::DeveloperMode, &tools).unwrap(), Check::Same);
        set_item(&Item::DeveloperMode, &tools, false).unwrap();
        assert_eq!(check_item(&Item::DeveloperMode, &tools).unwrap(), Check::Absent);
        let member = Item::Member { user: "_russet1".to_owned() };
        assert_eq!(check_item(&member, &tools).unwrap(), Check::Absent);
        let error = set_item(&member, &tools, true).unwrap_err().to_string();
        assert!(error.contains("the membership of _russet1 in _developer"), "{error}");
    }
}
