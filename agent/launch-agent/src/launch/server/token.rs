//! The token of a class, read anew for each claim where it is not in the configuration itself: an
//! owner who exchanges or removes one need not restart the agent.

use std::sync::{Arc, Mutex, PoisonError};

use russet_protocol::secret::Secret;

use crate::config::{self, Config, ConfigError, Token};
use crate::vault::{TokenError, Vault, VaultError};

/// The reason for which there is no token to claim with.
#[derive(Debug, thiserror::Error)]
pub(in crate::launch) enum TokenSourceError {
    /// The file of the token cannot be used.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// The store of the machine cannot be opened.
    #[error("{0}\n  hint: start the agent as root")]
    Vault(#[source] VaultError),
    /// The store has no such token for this control plane.
    #[error(transparent)]
    Stored(#[from] TokenError),
    /// Reading it was cut off.
    #[error(transparent)]
    Cut(#[from] tokio::task::JoinError),
}

/// The source of the token of one class.
#[derive(Debug)]
pub(in crate::launch) struct TokenSource {
    config: Config,
    /// Label of the class.
    label: String,
    token: Token,
    /// The one that the configuration had when it was read again.
    renewed: Mutex<Option<Secret>>,
}

impl TokenSource {
    /// The source of a class's token.
    pub(in crate::launch) fn new(config: &Config, class: &config::Class) -> Self {
        Self {
            config: config.clone(),
            label: class.label.clone(),
            token: class.token.clone(),
            renewed: Mutex::new(None),
        }
    }

    /// The token to claim with now, without holding anything else up: the keychain is another
    /// process, which may take its time.
    pub(in crate::launch) async fn fetch(self: &Arc<Self>) -> Result<Secret, TokenSourceError> {
        if matches!(self.token, Token::Given(_)) {
            return self.current();
        }
        let source = Arc::clone(self);
        tokio::task::spawn_blocking(move || source.current()).await?
    }

    /// The token to claim with now.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(in crate::launch) fn current(&self) -> Result<Secret, TokenSourceError> {
        match &self.token {
            Token::Given(token) => {
                let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(renewed.as_ref().unwrap_or(token).clone())
            }
            Token::File(path, _) => Ok(config::read_token(&self.config.file, path)?),
            Token::Stored(name) => {
                let vault =
                    Vault::open(&self.config.state_directory).map_err(TokenSourceError::Vault)?;
                Ok(vault.token(name, &self.config.api_url)?)
            }
        }
    }

    /// The server refused the token, which may have been exchanged meanwhile; one that is in the
    /// configuration itself is only looked for now. True: it was, and is worth a try.
    pub(in crate::launch) fn renew(&self, refused: &Secret) -> bool {
        if !matches!(self.token, Token::Given(_)) {
            return self.current().is_ok_and(|now| now.expose() != refused.expose());
        }
        let environment = |name: &str| std::env::var(name).ok();
        let Ok(config) = config::load_config(&self.config.file, &environment) else { return false };
        // A token goes to the origin that it was written beside, and this agent to its own.
        if config.api_url != self.config.api_url {
            return false;
        }
        let class = config.classes.into_iter().find(|class| class.label == self.label);
        let Some(Token::Given(token)) = class.map(|class| class.token) else { return false };
        if token.expose() == refused.expose() {
            return false;
        }
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        true
    }
}
