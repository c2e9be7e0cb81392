//! Which store of this machine a command is about: that of the agent with this configuration.

use std::path::{Path, PathBuf};

use russet_launch_agent::config::{self, Config};
use russet_launch_agent::vault::{Vault, VaultError};
use russet_platform::layout::Layout;

use super::config_failure::config_failure;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Whose store.
#[derive(clap::Args, Debug)]
pub(crate) struct VaultArgs {
    /// The agent's configuration, if it is not the installed one: the store lies in its
    /// `runner.state_directory`
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl VaultArgs {
    /// The configuration, where there is one.
    pub(crate) fn config(&self) -> Result<Option<Config>> {
        let installed = Layout::default().config();
        let path = match &self.config {
            Some(path) => path,
            None if installed.exists() => &installed,
            None => return Ok(None),
        };
        load_config(path).map(Some)
    }

    /// The store, which is root's alone.
    pub(crate) fn open(&self, config: Option<&Config>) -> Result<Vault> {
        let state = config
            .map_or_else(|| Layout::default().state(), |config| config.state_directory.clone());
        Vault::open(&state).map_err(vault_failure)
    }
}

fn load_config(path: &Path) -> Result<Config> {
    config::load_config(path, &|name| std::env::var(name).ok())
        .map_err(|error| config_failure(&error))
}

/// An error of the store, with the way out.
pub(crate) fn vault_failure(error: VaultError) -> CliError {
    let hint = match &error {
        VaultError::NotRoot { .. } => Some("run the command with sudo".to_owned()),
        VaultError::Exposed { path, .. } => Some(format!(
            "find out who changed it, then `chown root {0}; chmod go= {0}`",
            path.display()
        )),
        VaultError::NoKey { store, .. } => Some(format!(
            "put the key back from where it was kept; without it nothing can be read: remove {} \
             and store everything anew",
            store.display()
        )),
        VaultError::Newer { .. } => Some("use the newer russet".to_owned()),
        _ => None,
    };
    CliError::new(Exit::Infrastructure, error.to_string()).maybe_hint(hint)
}

/// Refuses a name that can be none.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if russet_launch_agent::vault::is_name(name) {
        return Ok(());
    }
    let message = format!("`{name}` cannot be a name");
    Err(CliError::new(Exit::Usage, message)
        .hint("use 1 to 64 letters, digits and `-_.`, a letter or digit first"))
}
