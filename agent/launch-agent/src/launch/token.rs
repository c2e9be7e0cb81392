//! The token of a class, read anew for each claim where it is not in the configuration itself: an
//! owner who exchanges or removes one need not restart the agent.

use std::sync::{Arc, Mutex, PoisonError};

use russet_protocol::secret::Secret;

use crate::config::{self, Config, Token};
use crate::vault::Vault;

/// Source of one class's token.
#[derive(Debug)]
pub(super) struct Keeper {
    config: Config,
    /// Which class it is of.
    label: String,
    token: Token,
    /// The one that the configuration had when it was read again.
    renewed: Mutex<Option<Secret>>,
}

impl Keeper {
    /// The keeper of a class's token.
    pub(super) fn new(config: &Config, class: &config::Class) -> Self {
        Self {
            config: config.clone(),
            label: class.label.clone(),
            token: class.token.clone(),
            renewed: Mutex::new(None),
        }
    }

    /// The token to claim with now, without holding anything else up: the keychain is another
    /// process, which may take its time.
    pub(super) async fn fetch(self: &Arc<Self>) -> Result<Secret, String> {
        if matches!(self.token, Token::Given(_)) {
            return self.current();
        }
        let keeper = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || keeper.current()).await;
        read.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The token to claim with now.
    ///
    /// # Errors
    ///
    /// It can not be read; a sentence with the way out.
    pub(super) fn current(&self) -> Result<Secret, String> {
        match &self.token {
            Token::Given(token) => {
                let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(renewed.as_ref().unwrap_or(token).clone())
            }
            Token::File(path, _) => {
                config::read_token(&self.config.file, path).map_err(|error| error.to_string())
            }
            Token::Stored(name) => {
                let vault = Vault::open(&self.config.state_directory)
                    .map_err(|error| format!("{error}\n  hint: start the agent as root"))?;
                vault.token(name, &self.config.api_url).map_err(|error| error.to_string())
            }
        }
    }

    /// The server refused the token, which may have been exchanged meanwhile; one that is in the
    /// configuration itself is only looked for now. True: it was, and is worth a try.
    pub(super) fn renew(&self, refused: &Secret) -> bool {
        if !matches!(self.token, Token::Given(_)) {
            return self.current().is_ok_and(|now| now.expose() != refused.expose());
        }
        let environment = |name: &str| std::env::var(name).ok();
        let Ok(config) = config::load(&self.config.file, &environment) else { return false };
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
