//! Accounts of slots in the local user database, by `dsimport` and `dscl`.

use std::path::PathBuf;

use nix::unistd::{Uid, User};

use crate::account::{Account, AccountError, Wanted};
use crate::command::Tools;
use crate::macos_tools;

pub use crate::macos_tools::accounts::SHELL;

/// Root's home, which nobody else can write to and few can enter.
const ROOTS_HOME: &str = "/var/root";

/// The user database.
#[derive(Clone, Debug)]
pub struct Accounts(macos_tools::accounts::Accounts);

impl Accounts {
    /// The system's own.
    #[must_use]
    pub fn system() -> Self {
        // Open Directory answers for directory servers too, which `dscl .` does not list.
        let taken = |id| !matches!(User::from_uid(Uid::from_raw(id)), Ok(None));
        Self(macos_tools::accounts::Accounts {
            tools: Tools::system(),
            scratch: PathBuf::from(ROOTS_HOME),
            taken_elsewhere: taken,
            responsible: super::responsibility::responsible_program,
        })
    }

    /// The account of this name.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Account>, AccountError> {
        self.0.find(name)
    }

    /// Makes the account, or repairs it. Returns it with what had to be done, each as a
    /// sentence.
    ///
    /// # Errors
    ///
    /// The name is somebody's, no id is free, [`AccountError::NeedsFullDiskAccess`], or `dscl`
    /// refuses for another reason.
    pub fn ensure(&self, wanted: &Wanted) -> Result<(Account, Vec<String>), AccountError> {
        self.0.ensure(wanted)
    }

    /// Deletes the account and its group. `false`: there was none.
    ///
    /// # Errors
    ///
    /// [`AccountError::NeedsFullDiskAccess`], or `dscl` refuses for another reason.
    pub fn delete(&self, name: &str) -> Result<bool, AccountError> {
        self.0.delete(name)
    }
}
