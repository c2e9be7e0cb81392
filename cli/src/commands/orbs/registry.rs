//! The options that name a registry of orbs. Without them nothing is fetched from anybody.

use std::path::{Path, PathBuf};

use russet_orbs::{Registry, RegistryUrlError};
use russet_protocol::secret::Secret;

use crate::client::Settings;
use crate::commands::secret_input;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Which registry, and with which token.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct RegistryArgs {
    /// Registry that missing orbs are fetched from, such as `https://circleci.com`; without it,
    /// nothing is fetched
    #[arg(long, value_name = "URL", env = "RUSSET_ORB_REGISTRY", hide_env_values = true)]
    pub(crate) orb_registry: Option<String>,

    /// File with a token for private orbs of the registry
    #[arg(
        long,
        value_name = "FILE",
        env = "RUSSET_ORB_REGISTRY_TOKEN_FILE",
        hide_env_values = true
    )]
    pub(crate) orb_registry_token_file: Option<PathBuf>,
}

impl RegistryArgs {
    /// The same, with the gaps filled from the settings of the command line.
    ///
    /// # Errors
    /// The settings cannot be read.
    pub(crate) fn with_settings(&self) -> Result<Self> {
        let settings = Settings::read()?;
        let set = settings.orb_registry;
        let orb_registry = self.orb_registry.clone().or_else(|| set.clone());
        // The token of one registry is not for another, whose owner would have it then.
        let is_its_own = orb_registry.is_some() && orb_registry == set;
        let token = settings.orb_registry_token_file.filter(|_| is_its_own);
        let orb_registry_token_file = self.orb_registry_token_file.clone().or(token);
        Ok(Self { orb_registry, orb_registry_token_file })
    }

    /// The registry, if one is named.
    ///
    /// # Errors
    /// The address or the token cannot be used.
    pub(crate) fn open(&self) -> Result<Option<Registry>> {
        let Some(url) = self.orb_registry.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let token = self.orb_registry_token_file.as_deref().map(token).transpose()?;
        let registry = Registry::new(url, token.as_ref()).map_err(|error| {
            let message = error.to_string();
            match error {
                RegistryUrlError::Token => CliError::new(Exit::BadConfig, message)
                    .hint("is the right file named by --orb-registry-token-file?"),
                _ => CliError::new(Exit::Usage, message)
                    .hint("CircleCI's own registry is https://circleci.com"),
            }
        })?;
        Ok(Some(registry))
    }
}

fn token(file: &Path) -> Result<Secret> {
    let text = secret_input::secret_text(secret_input::read_secret_file(file)?, file)?;
    match text.trim() {
        "" => {
            let message = format!("the token of the orb registry in {} is empty", file.display());
            Err(CliError::new(Exit::BadConfig, message))
        }
        token => Ok(Secret::new(token)),
    }
}
