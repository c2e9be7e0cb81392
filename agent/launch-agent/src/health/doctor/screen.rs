//! Checks of the account and the screen that tasks with `session: gui` use.

use std::path::Path;

use crate::health::{Check, Level};
use crate::setup::Found;
use crate::setup::gui::{GuiHost, Setting};
use russet_platform::command::Tools;
use russet_platform::macos_tools::screen_lock::Account;
use russet_platform::macos_tools::user_domain;
use russet_platform::users;

/// Change that applies to all of them.
const REMEDY: &str = "`sudo russet agent gui setup` sets it";

/// Looks at the screen of each account.
pub(super) fn screen_checks(tools: &Tools, root: &Path, accounts: &[&str]) -> Vec<Check> {
    let mut found = Vec::new();
    for name in accounts {
        match users::find_screen_account(name) {
            Ok(user) => {
                let account = Account { name: (*name).to_owned(), uid: user.uid.as_raw() };
                found.extend(checks_of(tools, root, account));
            }
            Err(error) => {
                let hint = "make an account of its own for tasks, without administrator's rights";
                found.push(Check::new("screen", Level::Bad, error.to_string(), hint));
            }
        }
    }
    found
}

fn checks_of(tools: &Tools, root: &Path, account: Account) -> Vec<Check> {
    let absence = user_domain::session_absence(tools, account.uid, &account.name);
    let mut found = vec![check_session(&account.name, absence)];
    let host = GuiHost {
        tools: tools.clone(),
        root: root.to_owned(),
        state: root.to_owned(),
        account,
        password: None,
    };
    // These have checks of their own.
    let elsewhere = [Setting::AutomaticLogin, Setting::DeveloperTools];
    let settings = Setting::ALL.into_iter().filter(|one| !elsewhere.contains(one));
    found.extend(settings.map(|setting| match setting.look(&host) {
        Ok(looked) => check_setting(setting, looked),
        Err(error) => Check::new(setting.name(), Level::Unknown, error.to_string(), ""),
    }));
    found
}

fn check_session(account: &str, absence: Option<String>) -> Check {
    match absence {
        None => {
            let found = format!("{account} is logged in, and its screen is not locked");
            Check::new("screen", Level::Ok, found, "")
        }
        Some(why) => {
            let hint = "until then its class takes no tasks; it is looked at each minute";
            Check::new("screen", Level::Warning, why, hint)
        }
    }
}

fn check_setting(setting: Setting, looked: Found) -> Check {
    match looked {
        Found::Ready(found) => Check::new(setting.name(), Level::Ok, found, ""),
        Found::Missing(found) => Check::new(setting.name(), Level::Warning, found, REMEDY),
        Found::ByHand { found, hint } => Check::new(setting.name(), Level::Warning, found, &hint),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_session, check_setting, screen_checks};
    use crate::health::Level;
    use crate::setup::Found;
    use crate::setup::gui::Setting;
    use russet_platform::command::Tools;
    use std::path::Path;

    #[test]
    fn a_locked_screen_and_settings_that_lock_it_are_warnings() {
        assert_eq!(check_session("ci-gui", None).level, Level::Ok);
        let locked = check_session("ci-gui", Some("the screen of ci-gui is locked".to_owned()));
        assert_eq!(locked.level, Level::Warning);
        let lock = Found::Missing("locked 300 s after the display's sleep".to_owned());
        let check = check_setting(Setting::ScreenLock, lock);
        assert_eq!((check.name, check.level), ("screen lock", Level::Warning));
        assert!(check.hint.unwrap().contains("russet agent gui setup"));
        let never = check_setting(Setting::DisplaySleep, Found::Ready("never".to_owned()));
        assert_eq!(never.level, Level::Ok);
    }

    #[test]
    fn an_account_that_is_not_there_is_bad_and_tools_that_are_missing_leave_it_unknown() {
        let tools = Tools::below(Path::new("/none"));
        let gone = screen_checks(&tools, Path::new("/"), &["nobody-has-this-name"]);
        assert_eq!((gone.len(), gone[0].level), (1, Level::Bad));
        let checks = screen_checks(&tools, Path::new("/none"), &["nobody"]);
        assert_eq!(checks[0].level, Level::Warning);
        assert!(checks[1..].iter().any(|check| check.level == Level::Unknown), "{checks:?}");
    }
}
