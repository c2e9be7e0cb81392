//! A Mac for tasks at its screen: an account that is logged in by itself, and a screen that stays.
//!
//! Each setting is changed where it is not as tasks need it. Before that, its value is noted in the
//! state directory, so that [`undo_setup`] puts back what was there.

mod by_hand;
mod record;
mod setting;
mod undo;

use std::path::PathBuf;

use russet_platform::command::Tools;
use russet_platform::macos_tools::screen_lock::Account;
use russet_protocol::secret::Secret;

use super::{Found, SetupError, Step};
use by_hand::{FileVaultStep, PrivacyStep};
pub(crate) use setting::Setting;
pub use undo::{account_of_setup, undo_setup};

/// The Mac, and the account that is to be at its screen.
#[derive(Clone, Debug)]
pub struct GuiHost {
    /// The system's tools.
    pub tools: Tools,
    /// Directory that the Mac's files are below; `/`.
    pub root: PathBuf,
    /// Directory of the note of what was changed.
    pub state: PathBuf,
    /// The account.
    pub account: Account,
    /// Its password, where that is known.
    pub password: Option<Secret>,
}

/// Returns true if a step that is due takes the account's password.
#[must_use]
pub fn needs_password(host: &GuiHost) -> bool {
    let takes_it = [Setting::AutomaticLogin, Setting::ScreenLock];
    takes_it.iter().any(|setting| !matches!(setting.look(host), Ok(Found::Ready(_))))
}

/// The steps of the set-up, in their order.
#[must_use]
pub fn setup_steps(host: &GuiHost) -> Vec<Box<dyn Step + '_>> {
    let mut steps: Vec<Box<dyn Step + '_>> = vec![Box::new(FileVaultStep { host })];
    for setting in Setting::ALL {
        steps.push(Box::new(SettingStep { host, setting }));
    }
    steps.push(Box::new(PrivacyStep { host }));
    steps
}

/// Changing one setting.
struct SettingStep<'a> {
    host: &'a GuiHost,
    setting: Setting,
}

impl Step for SettingStep<'_> {
    fn title(&self) -> String {
        self.setting.title(&self.host.account.name)
    }

    fn look(&self) -> Result<Found, SetupError> {
        self.setting.look(self.host)
    }

    fn act(&self) -> Result<(), SetupError> {
        let before = self.setting.read(self.host)?;
        record::note_before(&self.host.state, &self.host.account.name, self.setting, before)?;
        self.setting.write(self.host, self.setting.wanted(self.host).as_deref())
    }

    fn remedy(&self) -> Option<String> {
        Some(self.setting.remedy(&self.host.account.name))
    }
}

#[cfg(test)]
mod tests;
