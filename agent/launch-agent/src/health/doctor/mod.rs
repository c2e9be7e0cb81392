//! Checks of `russet agent doctor`. Unlike the watch it also makes those that take seconds, and
//! those that only a person can change; it works without an agent, and as anybody, as far as that
//! goes.
//!
//! Each part gathers facts and has its judgement beside it, as a pure function.

mod background;
mod control_plane;
mod directories;
mod hardware;
mod mac;
mod mac_setup;
mod reach;
mod screen;
mod service;
mod updates;
mod upkeep;
mod users;

use std::path::{Path, PathBuf};

use super::facts::{Facts, gather_facts};
use super::{Check, Level, Reserve, health_checks, open_files_of};
use crate::config::{self, Class, Config, Session};
use russet_platform::command::Tools;
use russet_platform::layout::Layout;
use russet_platform::machine::Machine;

pub use reach::probe_address;

/// Subjects of the checks.
#[derive(Clone, Debug)]
pub struct Question {
    /// The installed paths.
    pub layout: Layout,
    /// The configuration; where there is none, what depends on it is left out.
    pub config: PathBuf,
    /// The executable, which looks again as a slot's user.
    pub program: PathBuf,
}

/// Looks at everything, in the order in which it is told.
pub async fn examine_machine(question: &Question) -> Vec<Check> {
    let (config, mut found) = check_configuration(&question.config);
    found.push(check_machine(&russet_platform::machine()));
    found.extend(hardware::check_hardware(&question.layout));
    found.push(service::check_service(&question.layout));
    found.extend(users::check_users(&question.layout));
    let mut skew = None;
    if let Some(config) = &config {
        let answer = control_plane::ask_control_plane(config).await;
        skew = answer.skew_s;
        found.push(control_plane::judge_answer(config, &answer));
        found.extend(reach::check_reach(config, &question.program));
    }
    let state =
        config.as_ref().map_or_else(|| question.layout.state(), |c| c.state_directory.clone());
    let is_updated = config.as_ref().is_some_and(|config| config.update.source.is_some());
    if is_updated && question.layout.boot().exists() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        found.push(updates::check_updates(&state, now.map_or(0, |now| now.as_secs())));
    }
    let reserve = config.as_ref().map_or(Reserve(None), |config| config.disk_reserve);
    let classes = config.as_ref().map_or(&[][..], |config| &config.classes);
    let data = config.as_ref().map_or_else(|| question.layout.data(), |c| c.data_directory.clone());
    found.extend(config.as_ref().map(directories::check_directories));
    let mut facts = Facts { clock_skew_s: skew, ..gather_facts(&data) };
    facts.open_files = open_files_of(classes).unwrap_or(facts.open_files);
    found.extend(health_checks(&facts, reserve));
    if cfg!(target_os = "macos") {
        let (tools, root) = (Tools::system(), Path::new("/"));
        found.extend(mac::mac_checks(&tools, root, config.as_ref()));
        found.extend(background::background_checks(&tools, &question.layout));
        found.extend(mac_setup::setup_checks(&tools, root, &state, config.as_ref()));
        found.extend(upkeep::upkeep_checks(&tools, root, &state, config.as_ref()));
        found.extend(mac::check_metal_toolchain(&russet_platform::mount_points(), &state));
    }
    found
}

/// The worst of them. What could not be found out is no fault.
#[must_use]
pub fn worst_level(checks: &[Check]) -> Level {
    checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok)
}

/// Describes the machine, and checks that it can be used as it is.
fn check_machine(machine: &Machine) -> Check {
    let name = "machine";
    if machine.is_translated {
        let found = format!("{machine}; this is the Intel binary, and Rosetta translates it");
        let hint =
            "install the universal binary: whatever a translated agent starts is translated, too";
        return Check::new(name, Level::Warning, found, hint);
    }
    Check::new(name, Level::Ok, machine.to_string(), "")
}

/// The accounts of classes whose tasks run at the screen.
fn screen_accounts(classes: &[Class]) -> Vec<&str> {
    let accounts = classes.iter().filter_map(|class| match &class.session {
        Session::Gui { user } => Some(user.as_str()),
        Session::Background => None,
    });
    accounts.collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person asks if the file can be read; nothing of it is used"
)]
fn check_configuration(path: &Path) -> (Option<Config>, Vec<Check>) {
    let name = "configuration";
    let environment = |name: &str| std::env::var(name).ok();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let found = format!("there is none at {}", path.display());
            let hint = "`russet agent install` makes one; `--config` names another file";
            return (None, vec![Check::new(name, Level::Warning, found, hint)]);
        }
        _ => {}
    }
    match config::load_config(path, &environment) {
        Ok(config) => {
            let classes = config.classes.len();
            let slots: u32 = config.classes.iter().map(|class| class.slots).sum();
            let found = format!(
                "{}: classes: {classes}, slots: {slots}, for {}",
                path.display(),
                config.api_url
            );
            let mut checks = vec![Check::new(name, Level::Ok, found, "")];
            checks.extend(config.warnings.iter().map(|warning| {
                Check::new(name, Level::Warning, warning.clone(), "see docs/agent-config.md")
            }));
            (Some(config), checks)
        }
        // Only root may read it. That is as it should be.
        Err(error)
            if std::fs::File::open(path)
                .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) =>
        {
            drop(error);
            let found = format!("{} cannot be read as this user; try `sudo`", path.display());
            (None, vec![Check::new(name, Level::Unknown, found, "")])
        }
        Err(error) => {
            let hint = error.hint().unwrap_or("the agent does not start with it").to_owned();
            (None, vec![Check::new(name, Level::Bad, error.to_string(), &hint)])
        }
    }
}

/// Writes a configuration with a token, for its owner alone.
#[cfg(test)]
fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(test)]
mod tests {
    use super::{Level, check_configuration, check_machine, worst_level};
    use crate::health::Check;
    use russet_platform::machine::Machine;

    #[test]
    fn a_machine_is_named_and_translation_is_a_warning() {
        let mac = Machine {
            chip: Some("Apple M2".to_owned()),
            architecture: "arm64".to_owned(),
            ..Machine::default()
        };
        let check = check_machine(&mac);
        assert_eq!((check.level, check.found.as_str()), (Level::Ok, "Apple M2, arm64"));
        let check = check_machine(&Machine { is_translated: true, ..mac });
        assert_eq!(check.level, Level::Warning);
        assert!(check.found.contains("Rosetta") && check.hint.unwrap().contains("universal"));
    }

    #[test]
    fn a_configuration_that_is_missing_or_wrong_is_a_finding_and_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        let check = |level| {
            let (config, checks) = check_configuration(&path);
            assert_eq!(worst_level(&checks), level, "{checks:?}");
            (config.is_some(), checks[0].found.clone())
        };
        assert!(check(Level::Warning).1.contains("there is none"));
        crate::health::doctor::write(&path, "runner: {nmae: x}\n");
        assert!(check(Level::Bad).1.contains("nmae"));
        crate::health::doctor::write(
            &path,
            "api: {auth_token: t, url: 'http://127.0.0.1:1'}\nrunner: {name: x}\n",
        );
        let (read, said) = check(Level::Ok);
        assert!(read && said.contains("slots: 1, for http://127.0.0.1:1"), "{said}");
    }

    #[test]
    fn what_is_unknown_is_better_than_a_warning() {
        let check = |level| Check::new("x", level, String::new(), "");
        assert_eq!(worst_level(&[check(Level::Unknown), check(Level::Ok)]), Level::Unknown);
        assert_eq!(worst_level(&[check(Level::Unknown), check(Level::Warning)]), Level::Warning);
        assert_eq!(worst_level(&[]), Level::Ok);
    }
}
