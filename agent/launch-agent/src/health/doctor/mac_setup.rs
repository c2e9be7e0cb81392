//! Checks of what is set up once on a Mac: developer mode, other makers' runners, backups.

use std::io;
use std::path::Path;

use super::mac::or_unknown;
use super::screen_accounts;
use crate::config::Config;
use crate::health::{Check, Level};
use russet_platform::command::Tools;
use russet_platform::macos_tools::backups;
use russet_platform::macos_tools::developer_tools::{self, GROUP};
use russet_platform::macos_tools::other_runners::{self, OtherRunner};

/// Looks at the Mac whose files are below `root`, and whose agent's state is in `state`.
pub(super) fn setup_checks(
    tools: &Tools,
    root: &Path,
    state: &Path,
    config: Option<&Config>,
) -> Vec<Check> {
    let users = config.map(users_of_tasks).unwrap_or_default();
    let strangers: Vec<String> = users
        .into_iter()
        .filter(|user| developer_tools::is_member(tools, user).is_ok_and(|is| is == Some(false)))
        .collect();
    let mut found = vec![or_unknown("debugging", developer_tools::is_enabled(tools), |is_on| {
        judge_debugging(is_on, &strangers)
    })];
    let uids = russet_platform::user_ids_with_processes();
    found.extend(other_runners::list_runners(tools, root, &uids).iter().map(judge_runner));
    if state.exists() {
        found.push(judge_backups(state, backups::is_excluded(state)));
    }
    found
}

/// Names of the users of all slots, and of accounts whose sessions at the screen tasks use.
fn users_of_tasks(config: &Config) -> Vec<String> {
    let slots: u32 = config.classes.iter().map(|class| class.slots).sum();
    let slots = (1..=slots).map(|number| format!("{}{number}", config.user_prefix));
    slots.chain(screen_accounts(&config.classes).into_iter().map(str::to_owned)).collect()
}

fn judge_debugging(is_on: Option<bool>, strangers: &[String]) -> Check {
    let name = "debugging";
    let hint = "`sudo russet agent install --developer` sets both; without, a debugger in a task waits \
                for a dialog that nobody sees";
    let mode = match is_on {
        None => {
            let found = "DevToolsSecurity does not say".to_owned();
            return Check::new(name, Level::Unknown, found, "");
        }
        Some(true) if strangers.is_empty() => {
            let found = "developer mode is on, and the users of tasks may debug".to_owned();
            return Check::new(name, Level::Ok, found, "");
        }
        Some(true) => "developer mode is on".to_owned(),
        Some(false) => "developer mode is off".to_owned(),
    };
    let who = match strangers {
        [] => String::new(),
        users => format!(", and not in the group {GROUP}: {}", users.join(", ")),
    };
    Check::new(name, Level::Warning, format!("{mode}{who}"), hint)
}

fn judge_runner(runner: &OtherRunner) -> Check {
    let OtherRunner { maker, file, domain, label, is_loaded } = runner;
    let found = if *is_loaded {
        format!("{maker}'s runner is loaded ({domain}/{label}), and shares this Mac with our tasks")
    } else {
        format!("{maker}'s runner starts with the Mac or a login ({})", file.display())
    };
    let target = format!("{domain}/{label}");
    let hint = format!(
        "`sudo launchctl disable {target} && sudo launchctl bootout {target}` stops it for good; \
         bootout alone forgets it until the next start"
    );
    Check::new("other runner", Level::Warning, found, &hint)
}

fn judge_backups(state: &Path, is_excluded: io::Result<bool>) -> Check {
    let (name, state) = ("Time Machine", state.display());
    match is_excluded {
        Ok(true) => Check::new(name, Level::Ok, format!("{state} is left out of backups"), ""),
        Ok(false) => {
            let found = format!("backups have {state}: slots, caches, stored credentials");
            let hint = "`sudo russet agent install` leaves it out";
            Check::new(name, Level::Warning, found, hint)
        }
        Err(error) => {
            let found = format!("{state} does not say if it is left out: {error}");
            Check::new(name, Level::Unknown, found, "")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Level, judge_backups, judge_debugging, judge_runner};
    use russet_platform::macos_tools::other_runners::OtherRunner;

    #[test]
    fn debugging_needs_the_mode_and_the_group() {
        let check = |is_on, users: &[&str]| {
            let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
            judge_debugging(is_on, &users)
        };
        assert_eq!(check(Some(true), &[]).level, Level::Ok);
        assert_eq!(check(None, &[]).level, Level::Unknown);
        let outside = check(Some(true), &["_russet1", "_russet2"]);
        assert_eq!(outside.level, Level::Warning);
        assert!(outside.found.contains("_developer: _russet1, _russet2"), "{outside:?}");
        let off = check(Some(false), &[]);
        assert_eq!(off.found, "developer mode is off");
        assert!(off.hint.unwrap().contains("--developer"));
    }

    #[test]
    fn another_runner_is_to_be_disabled_and_not_only_ended() {
        let runner = OtherRunner {
            maker: "CircleCI",
            file: PathBuf::from("/Library/LaunchDaemons/com.circleci.runner.plist"),
            domain: "system".to_owned(),
            label: "com.circleci.runner".to_owned(),
            is_loaded: true,
        };
        let check = judge_runner(&runner);
        assert!(check.found.contains("CircleCI's runner is loaded"), "{check:?}");
        let hint = check.hint.unwrap();
        assert!(hint.contains("launchctl disable system/com.circleci.runner"), "{hint}");
        let asleep = judge_runner(&OtherRunner { is_loaded: false, ..runner });
        assert!(asleep.level == Level::Warning && asleep.found.contains("starts with"));
    }

    #[test]
    fn a_state_that_is_in_backups_is_a_warning() {
        let judge = |is_excluded| judge_backups(Path::new("/s"), is_excluded).level;
        assert_eq!(judge(Ok(true)), Level::Ok);
        assert_eq!(judge(Ok(false)), Level::Warning);
        assert_eq!(judge(Err(std::io::ErrorKind::PermissionDenied.into())), Level::Unknown);
    }
}
