//! `pmset -g`: whether the Mac goes to sleep by itself, and what it does after a power failure.

use crate::command::{CommandError, Tools};

const PMSET: &str = "/usr/bin/pmset";

/// Settings in use. What is not printed, as on virtual machines, is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerSettings {
    /// Minutes of idleness until the system sleeps; 0: never.
    pub sleep_minutes: Option<u32>,
    /// Minutes of idleness until the display sleeps; 0: never.
    pub display_minutes: Option<u32>,
    /// It never sleeps, whatever the minutes say (`pmset disablesleep 1`).
    pub sleep_disabled: bool,
    /// It starts by itself after a power failure.
    pub restarts: Option<bool>,
}

/// Asks pmset.
///
/// # Errors
///
/// It does not say.
pub fn read(tools: &Tools) -> Result<PowerSettings, CommandError> {
    Ok(parse(&tools.command(PMSET).arg("-g").run_ok()?.text()))
}

/// Sets the minutes of idleness until the display sleeps, for every source of power.
///
/// # Errors
///
/// pmset refused.
pub fn set_display_minutes(tools: &Tools, minutes: &str) -> Result<(), CommandError> {
    tools.command(PMSET).args(["-a", "displaysleep", minutes]).run_ok().map(drop)
}

/// Each line is a name, perhaps of several words, a value, and perhaps a remark in parentheses.
fn parse(text: &str) -> PowerSettings {
    let mut settings = PowerSettings::default();
    for line in text.lines() {
        let line = line.split('(').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (Some(name), Some(value), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        match name {
            "sleep" => settings.sleep_minutes = value.parse().ok(),
            "displaysleep" => settings.display_minutes = value.parse().ok(),
            "SleepDisabled" => settings.sleep_disabled = value == "1",
            "autorestart" => settings.restarts = Some(value == "1"),
            _ => {}
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::{PowerSettings, parse, read};
    use crate::command::{Tools, testing::fake_tool};

    /// After jkbuha/XPS-9500-IceLake-OpenCore, README.
    const DESKTOP: &str = "System-wide power settings:\nCurrently in use:\n standby              1\n \
                           Sleep On Power Button 1\n womp                 0\n autorestart          0\n \
                           hibernatefile        /var/vm/sleepimage\n disksleep            10\n \
                           sleep                1\n displaysleep         10\n";

    /// After <https://real-world-systems.com/docs/pmset.1.html>, and a Mac with `disablesleep`.
    const BUSY: &str = "System-wide power settings:\n SleepDisabled\t\t1\nCurrently in use:\n \
                        sleep                1 (sleep prevented by sharingd, powerd)\n \
                        acwake               0\n";

    #[test]
    fn what_is_printed_is_understood_and_what_is_not_stays_unknown() {
        let desktop = PowerSettings {
            sleep_minutes: Some(1),
            display_minutes: Some(10),
            sleep_disabled: false,
            restarts: Some(false),
        };
        assert_eq!(parse(DESKTOP), desktop);
        let busy = PowerSettings {
            sleep_minutes: Some(1),
            sleep_disabled: true,
            ..PowerSettings::default()
        };
        assert_eq!(parse(BUSY), busy);
        assert_eq!(parse("no power here"), PowerSettings::default());
    }

    #[test]
    fn a_tool_that_fails_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&Tools::below(dir.path())).is_err());
        fake_tool(dir.path(), "pmset", "exit 1");
        assert!(read(&Tools::below(dir.path())).is_err());
    }
}
