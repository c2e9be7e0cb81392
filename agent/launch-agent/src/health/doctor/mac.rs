//! Checks that only a Mac has: sleep, FileVault and automatic login, Xcode, updates.

use std::path::{Path, PathBuf};

use super::screen::screen_checks;
use super::screen_accounts;
use crate::config::{Class, Config, KeepAwake, XcodeHealth};
use crate::health::readiness::{self, Verdict};
use crate::health::{Check, Level};
use russet_platform::command::{CommandError, Tools};
use russet_platform::macos_tools::power_settings::{self, PowerSettings};
use russet_platform::macos_tools::preferences::{self, Updates};
use russet_platform::macos_tools::xcodebuild::Readiness;
use russet_platform::macos_tools::{disk_images, file_vault, xcode};

/// Looks at the Mac whose files are below `root`.
pub(super) fn mac_checks(tools: &Tools, root: &Path, config: Option<&Config>) -> Vec<Check> {
    let classes = config.map_or(&[][..], |config| &config.classes);
    let keep_awake = config.map_or(KeepAwake::default(), |config| config.keep_awake);
    let accounts = screen_accounts(classes);
    let mut found = vec![
        or_unknown("sleep", power_settings::read(tools), |now| check_sleep(now, keep_awake)),
        or_unknown("FileVault", file_vault::is_on(tools), |on| {
            let is_new = major_version(root).is_some_and(|major| major >= 26);
            check_file_vault(on, !accounts.is_empty(), is_new)
        }),
    ];
    let login = preferences::automatic_login(root);
    found.extend(accounts.iter().map(|account| automatic_login(account, login.as_deref())));
    found.extend(screen_checks(tools, root, &accounts));
    let more = config.map_or(&[][..], |config| &config.xcode_directories);
    let directories = xcode::search_directories(more);
    let are_all_needed = config.is_some_and(|config| config.health_xcode == XcodeHealth::All);
    found.push(check_inventory(&directories, root));
    found.extend(used_xcodes(classes).iter().map(|wanted| {
        let is_needed = wanted.is_some() || are_all_needed;
        check_xcode(tools, &directories, wanted.as_deref(), is_needed)
    }));
    found.extend(preferences::updates(root).map(|found| check_updates(&found)));
    found
}

/// Checks that nobody outside of the slots has the Metal toolchain mounted. `mounts` are all mount
/// points, `state` is the state directory.
pub(super) fn check_metal_toolchain(mounts: &[PathBuf], state: &Path) -> Option<Check> {
    // The kernel names mounts without the links on the way.
    let slots = state.canonicalize().unwrap_or_else(|_| state.to_owned()).join("slots");
    let foreign = disk_images::foreign_metal_toolchains(mounts, &slots);
    let point = foreign.first()?;
    let found = format!(
        "somebody has Xcode's Metal toolchain mounted at {}, where tasks see it and may not read it: \
         `metal` may not be found in them",
        point.display()
    );
    let hint = "`sudo hdiutil detach` that path, and let nobody else build with Xcode on this Mac";
    Some(Check::new("Metal toolchain", Level::Warning, found, hint))
}

/// Turns a question that could not be asked into a remark, which is not a fault.
pub(super) fn or_unknown<T>(
    name: &'static str,
    facts: Result<T, CommandError>,
    judge: impl FnOnce(T) -> Check,
) -> Check {
    match facts {
        Ok(facts) => judge(facts),
        Err(error) => Check::new(name, Level::Unknown, error.to_string(), ""),
    }
}

/// The first number of macOS's version.
pub(super) fn major_version(root: &Path) -> Option<u32> {
    preferences::system_version(root)?.split(['.', ' ']).next()?.parse().ok()
}

fn check_sleep(settings: PowerSettings, keep_awake: KeepAwake) -> Check {
    let restarts = match settings.restarts {
        Some(true) => "; it starts by itself after a power failure",
        Some(false) => "; it stays off after a power failure (`sudo pmset -a autorestart 1`)",
        None => "",
    };
    match settings.sleep_minutes {
        _ if settings.sleep_disabled => {
            Check::new("sleep", Level::Ok, format!("this Mac never sleeps{restarts}"), "")
        }
        Some(0) => Check::new(
            "sleep",
            Level::Ok,
            format!("this Mac does not sleep by itself{restarts}"),
            "",
        ),
        Some(minutes) if keep_awake == KeepAwake::Always => {
            let found = format!(
                "this Mac sleeps after {minutes} min of idleness, and the agent keeps it \
                 awake{restarts}"
            );
            Check::new("sleep", Level::Ok, found, "")
        }
        Some(minutes) => {
            let found = format!(
                "this Mac sleeps after {minutes} min of idleness, and then claims nothing{restarts}"
            );
            let hint =
                "`sudo pmset -a sleep 0` keeps it awake, and so does `runner.keep_awake: always`";
            Check::new("sleep", Level::Warning, found, hint)
        }
        None => Check::new("sleep", Level::Unknown, "pmset does not say".to_owned(), ""),
    }
}

/// FileVault keeps a restarted Mac at its password, before launchd. From macOS 26 on, Apple silicon
/// takes that over SSH where Remote Login was on (apple_ssh_and_filevault(7)).
fn check_file_vault(on: Option<bool>, needs_login: bool, is_new: bool) -> Check {
    let name = "FileVault";
    match on {
        Some(false) => Check::new(name, Level::Ok, "off: a restart needs nobody".to_owned(), ""),
        Some(true) => {
            let login = if needs_login { ", and nobody is logged in by itself" } else { "" };
            let found = format!("on: after a restart the Mac waits for somebody's password{login}");
            let hint = if is_new {
                "turn it off on a farm (`sudo fdesetup disable`); or restart with `sudo fdesetup \
                 authrestart`; or, on Apple silicon with Remote Login on, unlock it by `ssh` with a \
                 password (`man apple_ssh_and_filevault`)"
            } else {
                "turn it off on a farm (`sudo fdesetup disable`); or restart with `sudo fdesetup \
                 authrestart`"
            };
            Check::new(name, Level::Warning, found, hint)
        }
        None => Check::new(name, Level::Unknown, "fdesetup says neither on nor off".to_owned(), ""),
    }
}

fn automatic_login(account: &str, login: Option<&str>) -> Check {
    let name = "automatic login";
    let hint = "`sudo russet agent gui setup`, or System Settings, Users & Groups, \"Automatically \
                log in as\"";
    match login {
        Some(user) if user == account => {
            Check::new(name, Level::Ok, format!("{account} is logged in when the Mac starts"), "")
        }
        Some(user) => {
            let found = format!("{user} is logged in when the Mac starts, and not {account}");
            Check::new(name, Level::Warning, found, hint)
        }
        None => {
            let found = format!("after a restart {account} is not logged in, and its class waits");
            Check::new(name, Level::Warning, found, hint)
        }
    }
}

/// The Xcodes that classes use, each once; `None` is the one that is selected.
fn used_xcodes(classes: &[Class]) -> Vec<Option<String>> {
    let mut wanted: Vec<Option<String>> = classes.iter().map(|class| class.xcode.clone()).collect();
    wanted.sort();
    wanted.dedup();
    if wanted.is_empty() { vec![None] } else { wanted }
}

/// Looks at one Xcode. One that nobody named is needed by nobody: a Mac without it may build other
/// things.
fn check_xcode(
    tools: &Tools,
    directories: &[PathBuf],
    wanted: Option<&str>,
    is_needed: bool,
) -> Check {
    let found = match wanted.map(|wanted| xcode::find_xcode(directories, wanted)).transpose() {
        Ok(found) => found,
        Err(error) => return Check::new("Xcode", Level::Bad, error.reason(), &error.hint()),
    };
    let dir = found.as_ref().map(xcode::Installed::developer_dir);
    let verdict = readiness::ask(tools, dir.as_deref(), readiness::powerless_user());
    let version = found.map(|found| format!(" ({})", found.xcode)).unwrap_or_default();
    judge_xcode(&verdict, &version, is_needed)
}

fn judge_xcode(verdict: &Verdict, version: &str, is_needed: bool) -> Check {
    let level = if is_needed { Level::Bad } else { Level::Warning };
    match (verdict.fault(is_needed), &verdict.readiness) {
        (Some((found, remedy)), _) => Check::new("Xcode", level, found, &remedy),
        (None, Err(error)) => Check::new("Xcode", Level::Unknown, error.clone(), ""),
        (None, Ok(Readiness::ToolsOnly)) => {
            let found = "only the command line tools are selected".to_owned();
            Check::new("Xcode", Level::Ok, found, "")
        }
        (None, Ok(_)) => {
            let found = format!("{}{version} is ready", verdict.title);
            Check::new("Xcode", Level::Ok, found, "")
        }
    }
}

/// Lists what there is.
fn check_inventory(directories: &[PathBuf], root: &Path) -> Check {
    let xcodes = xcode::usable_xcodes(directories);
    let xcodes: Vec<String> = xcodes.iter().map(ToString::to_string).collect();
    let runtimes = xcode::simulator_runtimes(root);
    let listed = |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let found = format!("{}; simulators: {}", listed(xcodes), listed(runtimes));
    Check::new("Xcodes", Level::Ok, found, "")
}

fn check_updates(updates: &Updates) -> Check {
    let name = "macOS updates";
    let automatic = match updates.automatic {
        Some(true) => "; macOS installs them, and restarts, when it likes",
        Some(false) if updates.critical == Some(true) => {
            "; it installs security responses by itself, some of which restart it"
        }
        Some(false) => "; none is installed by itself",
        None => "",
    };
    let hint = "drain the machine (`russet agent drain --wait`) and install them yourself; turn \
                \"Install macOS updates\" off";
    if !updates.found.is_empty() {
        let found = format!("pending: {}{automatic}", updates.found.join(", "));
        return Check::new(name, Level::Warning, found, hint);
    }
    let level = if updates.automatic == Some(true) { Level::Warning } else { Level::Ok };
    Check::new(name, level, format!("macOS has found none{automatic}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use russet_platform::command::testing::fake_tool;

    fn levels(checks: &[Check]) -> Vec<(&'static str, Level)> {
        checks.iter().map(|check| (check.name, check.level)).collect()
    }

    fn tools(dir: &Path, sleep: u32, vault: &str, licence: i32) -> Tools {
        fake_tool(dir, "pmset", &format!("echo 'Currently in use:'; echo ' sleep {sleep}'"));
        fake_tool(dir, "fdesetup", &format!("echo 'FileVault is {vault}.'"));
        fake_tool(dir, "xcode-select", "echo /Applications/Xcode.app/Contents/Developer");
        fake_tool(dir, "xcodebuild", &format!("exit {licence}"));
        Tools::below(dir)
    }

    #[test]
    fn a_mac_that_is_set_up_for_a_farm_is_well_and_another_is_told_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let well = mac_checks(&tools(dir.path(), 0, "Off", 0), dir.path(), None);
        assert!(well.iter().all(|check| check.level == Level::Ok), "{well:?}");
        let other = mac_checks(&tools(dir.path(), 10, "On", 69), dir.path(), None);
        let expected = [
            ("sleep", Level::Warning),
            ("FileVault", Level::Warning),
            ("Xcodes", Level::Ok),
            ("Xcode", Level::Warning),
        ];
        assert_eq!(levels(&other), expected);
        assert!(other.iter().all(|check| check.hint.is_some() || check.level == Level::Ok));
    }

    #[test]
    fn tools_that_are_missing_fail_or_talk_nonsense_leave_it_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let all_unknown = |checks: &[Check]| {
            let asked = |check: &&Check| check.name != "Xcodes";
            let unknown = |check: &Check| check.level == Level::Unknown;
            assert!(checks.iter().filter(asked).all(unknown), "{checks:?}");
        };
        all_unknown(&mac_checks(&Tools::below(dir.path()), dir.path(), None));
        for name in ["pmset", "fdesetup", "xcodebuild"] {
            fake_tool(dir.path(), name, "echo nonsense");
        }
        fake_tool(dir.path(), "xcode-select", "kill -9 $$; exit 1");
        let nonsense = mac_checks(&Tools::below(dir.path()), dir.path(), None);
        let (xcode, others): (Vec<Check>, Vec<Check>) =
            nonsense.into_iter().partition(|check| check.name == "Xcode");
        all_unknown(&others);
        assert_eq!(xcode.first().unwrap().level, Level::Warning);
    }

    #[test]
    fn a_metal_toolchain_that_somebody_has_mounted_outside_of_the_slots_is_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let below = "Library/Developer/DVTDownloads/MetalToolchain/mounts/0a1b";
        let of_slot = dir.path().canonicalize().unwrap().join("slots/1/home").join(below);
        assert_eq!(check_metal_toolchain(std::slice::from_ref(&of_slot), dir.path()), None);
        let theirs = Path::new("/Users/ci").join(below);
        let check = check_metal_toolchain(&[of_slot, theirs], dir.path()).unwrap();
        assert_eq!(check.level, Level::Warning);
        assert!(check.found.contains("/Users/ci/Library") && check.hint.is_some(), "{check:?}");
    }

    #[test]
    fn a_mac_that_the_agent_keeps_awake_may_have_any_setting() {
        let of = |sleep_minutes, keep_awake| {
            let settings = PowerSettings { sleep_minutes, ..PowerSettings::default() };
            check_sleep(settings, keep_awake).level
        };
        assert_eq!(of(Some(10), KeepAwake::Tasks), Level::Warning);
        assert_eq!(of(Some(10), KeepAwake::Always), Level::Ok);
        assert_eq!(of(Some(0), KeepAwake::Never), Level::Ok);
        assert_eq!(of(None, KeepAwake::Always), Level::Unknown);
    }

    #[test]
    fn a_class_at_the_screen_needs_its_account_logged_in() {
        assert_eq!(automatic_login("ci", Some("ci")).level, Level::Ok);
        assert_eq!(automatic_login("ci", Some("anna")).level, Level::Warning);
        assert!(automatic_login("ci", None).found.contains("its class waits"));
        let on = |is_new| check_file_vault(Some(true), true, is_new);
        assert!(on(false).found.contains("nobody is logged in"));
        assert!(!on(false).hint.unwrap().contains("ssh") && on(true).hint.unwrap().contains("ssh"));
    }

    #[test]
    fn an_xcode_that_a_class_names_has_to_be_ready() {
        let tools = Tools::below(Path::new("/none"));
        let missing = check_xcode(&tools, &["/none".into()], Some("1.0"), true);
        assert_eq!(
            (missing.level, missing.found.as_str()),
            (Level::Bad, "Xcode 1.0 is not installed")
        );
        assert!(missing.hint.unwrap().contains("install it"));
        let level = |readiness, is_needed| {
            judge_xcode(&Verdict::new(None, Ok(readiness)), "", is_needed).level
        };
        assert_eq!(level(Readiness::Licence, true), Level::Bad);
        assert_eq!(level(Readiness::FirstLaunch, false), Level::Warning);
        assert_eq!(level(Readiness::ToolsOnly, false), Level::Ok);
        assert_eq!(level(Readiness::ToolsOnly, true), Level::Bad);
        assert_eq!(level(Readiness::Broken("odd".to_owned()), true), Level::Bad);
    }

    #[test]
    fn updates_that_wait_or_come_by_themselves_are_a_warning() {
        let of = |found: &[&str], automatic| {
            let found = found.iter().map(|name| (*name).to_owned()).collect();
            check_updates(&Updates { found, automatic, critical: None })
        };
        assert_eq!(of(&[], Some(false)).level, Level::Ok);
        assert_eq!(of(&[], Some(true)).level, Level::Warning);
        let pending = of(&["macOS 15.7"], None);
        assert_eq!(
            (pending.level, pending.found.as_str()),
            (Level::Warning, "pending: macOS 15.7")
        );
    }
}
