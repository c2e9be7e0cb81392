//! Settings of a Mac that decide if tasks can use its screen.

use serde::{Deserialize, Serialize};

use russet_platform::macos_tools::{
    automatic_login, automation_mode, developer_tools, power_settings, screen_lock,
};

use super::GuiHost;
use crate::setup::{Found, SetupError};

/// One setting. Its values are texts, of which `None` is "not set".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Setting {
    /// Account that is logged in when the Mac starts.
    AutomaticLogin,
    /// Minutes until the display sleeps, after which the screen is locked.
    DisplaySleep,
    /// Seconds until the account's screen saver starts.
    ScreenSaver,
    /// Delay until the account's screen is locked.
    ScreenLock,
    /// Need for a password before a UI test may control the Mac.
    AutomationMode,
    /// Need for a password before a debugger or a UI test may attach to a process.
    DeveloperTools,
    /// Membership of the account in the group of those who may debug.
    DeveloperGroup,
}

/// Value of [`Setting::AutomaticLogin`] behind an account whose password is not stored.
const ASKS: &str = " (without its password)";

impl Setting {
    /// All of them, in the order in which they are changed.
    pub(crate) const ALL: [Self; 7] = [
        Self::AutomaticLogin,
        Self::DisplaySleep,
        Self::ScreenSaver,
        Self::ScreenLock,
        Self::AutomationMode,
        Self::DeveloperTools,
        Self::DeveloperGroup,
    ];

    /// Returns its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AutomaticLogin => "automatic login",
            Self::DisplaySleep => "display sleep",
            Self::ScreenSaver => "screen saver",
            Self::ScreenLock => "screen lock",
            Self::AutomationMode => "automation mode",
            Self::DeveloperTools => "developer tools",
            Self::DeveloperGroup => "developer group",
        }
    }

    /// Returns what the set-up does about it.
    pub(super) fn title(self, account: &str) -> String {
        match self {
            Self::AutomaticLogin => format!("log {account} in when the Mac starts"),
            Self::DisplaySleep => "keep the display from sleeping".to_owned(),
            Self::ScreenSaver => format!("turn the screen saver of {account} off"),
            Self::ScreenLock => format!("turn the screen lock of {account} off"),
            Self::AutomationMode => "let UI tests turn automation mode on".to_owned(),
            Self::DeveloperTools => {
                "let debuggers and UI tests attach without a question".to_owned()
            }
            Self::DeveloperGroup => {
                format!("make {account} a member of {}", developer_tools::GROUP)
            }
        }
    }

    /// Returns the value that tasks need.
    pub(super) fn wanted(self, host: &GuiHost) -> Option<String> {
        Some(match self {
            Self::AutomaticLogin => host.account.name.clone(),
            Self::DisplaySleep | Self::ScreenSaver => "0".to_owned(),
            Self::ScreenLock => "off".to_owned(),
            Self::AutomationMode => "free".to_owned(),
            Self::DeveloperTools => "enabled".to_owned(),
            Self::DeveloperGroup => "member".to_owned(),
        })
    }

    /// Reads its value.
    pub(super) fn read(self, host: &GuiHost) -> Result<Option<String>, SetupError> {
        let tools = &host.tools;
        Ok(match self {
            Self::AutomaticLogin => {
                let login = automatic_login::read_state(&host.root);
                let asks = if login.has_password { "" } else { ASKS };
                login.user.map(|user| format!("{user}{asks}"))
            }
            Self::DisplaySleep => {
                power_settings::read(tools)?.display_minutes.map(|minutes| minutes.to_string())
            }
            Self::ScreenSaver => screen_lock::saver_seconds(tools, &host.account)?,
            Self::ScreenLock => {
                let delay = screen_lock::lock_delay(tools, &host.account)?;
                let said = || SetupError::Answer {
                    tool: "sysadminctl",
                    said: "neither a delay nor `off`".to_owned(),
                };
                Some(delay.ok_or_else(said)?)
            }
            Self::AutomationMode => automation_mode::is_free(tools)?
                .map(|is_free| if is_free { "free" } else { "asks" }.to_owned()),
            Self::DeveloperTools => developer_tools::is_enabled(tools)?
                .map(|is_on| if is_on { "enabled" } else { "disabled" }.to_owned()),
            Self::DeveloperGroup => developer_tools::is_member(tools, &host.account.name)?
                .map(|is_member| if is_member { "member" } else { "no member" }.to_owned()),
        })
    }

    /// Writes its value.
    pub(super) fn write(self, host: &GuiHost, value: Option<&str>) -> Result<(), SetupError> {
        let (tools, account) = (&host.tools, &host.account);
        let password = || {
            let account = account.name.clone();
            host.password.as_ref().ok_or(SetupError::NoPassword { account })
        };
        match (self, value) {
            (Self::AutomaticLogin, Some(user)) => {
                automatic_login::turn_on(tools, &host.root, user, password()?)?;
            }
            (Self::AutomaticLogin, None) => automatic_login::turn_off(tools, &host.root)?,
            (Self::DisplaySleep, Some(minutes)) => {
                power_settings::set_display_minutes(tools, minutes)?;
            }
            (Self::ScreenSaver, value) => screen_lock::set_saver(tools, account, value)?,
            (Self::ScreenLock, Some(delay)) => {
                screen_lock::set_lock(tools, account, delay, password()?)?;
            }
            (Self::AutomationMode, Some(value)) => {
                automation_mode::set_free(tools, value == "free")?;
            }
            (Self::DeveloperTools, Some(value)) => {
                developer_tools::set_enabled(tools, value == "enabled")?;
            }
            (Self::DeveloperGroup, Some(value)) => {
                developer_tools::set_member(tools, &account.name, value == "member")?;
            }
            // They are always set.
            (_, None) => {}
        }
        Ok(())
    }

    /// Looks if it is as tasks need it.
    pub(crate) fn look(self, host: &GuiHost) -> Result<Found, SetupError> {
        let value = self.read(host)?;
        let is_fine = match value {
            Some(_) => value == self.wanted(host),
            // What a Mac has not, as one before macOS 12 or a virtual one, needs no change.
            None => !matches!(self, Self::AutomaticLogin | Self::ScreenSaver),
        };
        let words = self.words(value.as_deref());
        Ok(if is_fine { Found::Ready(words) } else { Found::Missing(words) })
    }

    /// Returns a value in words.
    fn words(self, value: Option<&str>) -> String {
        match (self, value) {
            (Self::AutomaticLogin, None) => "nobody is logged in when the Mac starts".to_owned(),
            (Self::AutomaticLogin, Some(user)) => {
                format!("{user} is logged in when the Mac starts")
            }
            (Self::DisplaySleep | Self::ScreenSaver, Some("0")) => "never".to_owned(),
            (Self::DisplaySleep, Some(minutes)) => format!("after {minutes} min of idleness"),
            (Self::ScreenSaver, Some(seconds)) => format!("after {seconds} s of idleness"),
            (Self::ScreenSaver, None) => "after macOS's default time".to_owned(),
            (Self::ScreenLock, Some("off")) => "never locked".to_owned(),
            (Self::ScreenLock, Some("immediate")) => "locked with the display's sleep".to_owned(),
            (Self::ScreenLock, Some(seconds)) => {
                format!("locked {seconds} s after the display's sleep or the screen saver")
            }
            (Self::AutomationMode, Some("free")) => "it takes no password".to_owned(),
            (Self::AutomationMode, Some(_)) => "it takes somebody's password".to_owned(),
            (Self::DeveloperTools, Some(value)) => format!("developer mode is {value}"),
            (Self::DeveloperGroup, Some(value)) => format!("the account is {value} of it"),
            (_, None) => "this Mac has no such setting".to_owned(),
        }
    }

    /// Returns what a person can do about it.
    pub(crate) fn remedy(self, account: &str) -> String {
        match self {
            Self::AutomaticLogin => {
                format!("System Settings, Users & Groups, \"Automatically log in as\" {account}")
            }
            Self::DisplaySleep => "`sudo pmset -a displaysleep 0`".to_owned(),
            Self::ScreenSaver => format!(
                "logged in as {account}: System Settings, Lock Screen, \"Start Screen Saver when \
                 inactive\": Never"
            ),
            Self::ScreenLock => format!(
                "log {account} in at the screen and run this again; or there: `sysadminctl \
                 -screenLock off -password -`"
            ),
            Self::AutomationMode => {
                "`sudo automationmodetool enable-automationmode-without-authentication`".to_owned()
            }
            Self::DeveloperTools => "`sudo DevToolsSecurity -enable`".to_owned(),
            Self::DeveloperGroup => format!(
                "`sudo dseditgroup -o edit -a {account} -t user {}`",
                developer_tools::GROUP
            ),
        }
    }
}
