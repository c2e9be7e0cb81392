//! Settings of the machine rather than of tasks: caches to trim, a program for
//! the end, simulators, and sessions at the screen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::Build;
use super::error::ConfigError;
use super::read::Values;
use super::{Housekeeping, Session, ShutdownHook};

/// Timeout of the program for the end, unless configured.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Trimming a cache of things that are younger than this would be deleting what is in use.
const SHORTEST_AGE: Duration = Duration::from_secs(3600);

impl Build<'_> {
    pub(super) fn housekeeping(&self) -> Result<Housekeeping, ConfigError> {
        let values = self.values;
        let error = |key: &str, message: &str, hint: &str| {
            Err(values.error(self.file, key, message, Some(hint)))
        };
        let paths = values.words("runner.housekeeping.paths").unwrap_or_default();
        let is_fit = |path: &&String| !path.starts_with('/') || path.split('/').any(|p| p == "..");
        if let Some(bad) = paths.iter().find(is_fit) {
            let message = format!("has `{bad}`, which is no absolute path without `..`");
            return error("runner.housekeeping.paths", &message, "write it as `/Users/ci/cache`");
        }
        let watermark = values.number("runner.housekeeping.watermark");
        let max_age = values.duration("runner.housekeeping.max_age");
        if max_age.is_some_and(|age| age < SHORTEST_AGE) {
            let message = "must be an hour or longer: what is younger may be in use";
            return error("runner.housekeeping.max_age", message, "write it as `720h`");
        }
        if !paths.is_empty() && watermark.is_none() && max_age.is_none() {
            let message = "says what to trim, and nothing says when";
            let hint = "set `runner.housekeeping.watermark` or `runner.housekeeping.max_age`";
            return error("runner.housekeeping.paths", message, hint);
        }
        let paths = paths.into_iter().map(PathBuf::from).collect();
        Ok(Housekeeping { paths, watermark, max_age })
    }

    pub(super) fn shutdown_hook(&self) -> Result<Option<ShutdownHook>, ConfigError> {
        let key = "runner.shutdown_hook";
        let Some(text) = self.values.text(key) else { return Ok(None) };
        let error =
            |message: &str, hint: &str| Err(self.values.error(self.file, key, message, Some(hint)));
        if self.values.text("runner.mode").as_deref() != Some("single-task") {
            let hint = "set `runner.mode: single-task`, or remove the key";
            return error("runs after the one task of single-task mode only", hint);
        }
        let program = self.path(&text);
        if let Err(why) = russet_platform::trust::check_program(&program) {
            let hint = "it runs as root, so nobody else may be able to change it";
            return error(&format!("cannot be run: {why}"), hint);
        }
        let timeout =
            self.values.duration("runner.shutdown_hook_timeout").unwrap_or(DEFAULT_TIMEOUT);
        Ok(Some(ShutdownHook { program, timeout }))
    }

    /// Threat: what a job could change there would be in the homes of others.
    pub(super) fn home_skeleton(&self) -> Result<Option<PathBuf>, ConfigError> {
        let key = "runner.home_skeleton";
        let Some(text) = self.values.text(key) else { return Ok(None) };
        let directory = self.path(&text);
        if let Err(why) = russet_platform::trust::check_directory(&directory) {
            let message = format!("cannot be used: {why}");
            let hint = "each task gets a copy, so nobody else may be able to change it";
            return Err(self.values.error(self.file, key, &message, Some(hint)));
        }
        Ok(Some(directory))
    }

    /// Reads the session of a class's tasks. `slots` is the number of them at once.
    pub(super) fn session(&self, values: &Values, slots: u32) -> Result<Session, ConfigError> {
        let is_mac = cfg!(target_os = "macos");
        let has_prefix =
            self.values.words("runner.command_prefix").is_some_and(|words| !words.is_empty());
        read_session(self.file, values, slots, has_prefix, is_mac)
    }
}

fn read_session(
    file: &Path,
    values: &Values,
    slots: u32,
    has_prefix: bool,
    is_mac: bool,
) -> Result<Session, ConfigError> {
    let user = values.text("gui_user");
    let error =
        |key: &str, message: &str, hint: &str| Err(values.error(file, key, message, Some(hint)));
    if values.text("session").as_deref() != Some("gui") {
        return match user {
            None => Ok(Session::Background),
            Some(_) => error("gui_user", "is for `session: gui` only", "add that, or remove this"),
        };
    }
    if !is_mac {
        let message = "`gui` needs a Mac: there is no session at a screen to run tasks in";
        return error("session", message, "use `background`");
    }
    let Some(user) = user else {
        let hint = "set `gui_user` to an account of its own that is logged in at the screen";
        return error("session", "`gui` needs the account whose session it is", hint);
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if user.is_empty() || user == "root" || !user.chars().all(allowed) || user.starts_with('-') {
        return error("gui_user", "is no name of an account for tasks", "make one for them");
    }
    if slots != 1 {
        let message = format!("is {slots}, but a screen has one session");
        return error("slots", &message, "set `slots: 1`");
    }
    if has_prefix {
        let message = "`gui` cannot be combined with `runner.command_prefix`";
        return error("session", message, "remove one of them");
    }
    Ok(Session::Gui { user })
}

#[cfg(test)]
mod tests {
    use super::read_session;
    use crate::config::Session;
    use crate::config::read::read;
    use crate::config::yaml;
    use std::path::Path;

    fn decide(class: &str, slots: u32, prefix: bool, is_mac: bool) -> Result<Session, String> {
        let text = format!("runner:\n  classes:\n    - {{token: x, {class}}}\n");
        let file = Path::new("agent.yaml");
        let root = yaml::parse(file, &text).unwrap();
        let (input, errors) = read(file, &root, &|_| None);
        assert!(errors.is_empty(), "{errors:?}");
        read_session(file, &input.classes[0], slots, prefix, is_mac)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_session_at_the_screen_needs_a_mac_an_account_and_one_slot() {
        let gui = "session: gui, gui_user: ci-gui";
        assert_eq!(decide("slots: 3", 3, true, false), Ok(Session::Background));
        assert_eq!(decide(gui, 1, false, true), Ok(Session::Gui { user: "ci-gui".to_owned() }));
        for (class, slots, prefix, is_mac, wanted) in [
            (gui, 1, false, false, "needs a Mac"),
            ("session: gui", 1, false, true, "needs the account"),
            (gui, 2, false, true, "a screen has one session"),
            (gui, 1, true, true, "command_prefix"),
            ("session: gui, gui_user: root", 1, false, true, "no name of an account"),
            ("session: gui, gui_user: -u", 1, false, true, "no name of an account"),
            ("gui_user: ci", 1, false, true, "for `session: gui` only"),
        ] {
            let error = decide(class, slots, prefix, is_mac).unwrap_err();
            assert!(error.contains(wanted), "{class}: {error}");
        }
    }
}
