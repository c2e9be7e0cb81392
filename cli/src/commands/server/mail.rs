//! The options that name a relay for mail.

use std::path::PathBuf;

use russet_control_plane::MailServer;
use russet_protocol::secret::Secret;

use super::database::read_private;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Relay for mail about alerts.
#[derive(clap::Args, Debug)]
pub(super) struct MailArgs {
    /// Relay for mail about alerts: smtps://user@host:465, smtp://user@host:587 with STARTTLS, or
    /// smtp+plain://localhost:25
    #[arg(long, value_name = "URL")]
    mail_server: Option<String>,

    /// Sender of mail, such as ci@example.com [default: the address that it goes to]
    #[arg(long, value_name = "ADDRESS", requires = "mail_server")]
    mail_from: Option<String>,

    /// File with the password of the relay's user; for its owner alone
    #[arg(long, value_name = "FILE", requires = "mail_server")]
    mail_password_file: Option<PathBuf>,

    /// File with certificates, in PEM, that are trusted for the relay beside those of the system
    #[arg(long, value_name = "FILE", requires = "mail_server")]
    mail_ca_file: Option<PathBuf>,
}

impl MailArgs {
    /// Returns the relay; `None`: no mail is sent.
    pub(super) fn open(&self) -> Result<Option<MailServer>> {
        let Some(url) = &self.mail_server else { return Ok(None) };
        let refused = |error| CliError::new(Exit::Usage, format!("--mail-server: {error}"));
        let mut server: MailServer = url.parse().map_err(refused)?;
        if let Some(sender) = &self.mail_from {
            let refused = |error| CliError::new(Exit::Usage, format!("--mail-from: {error}"));
            server = server.with_sender(sender).map_err(refused)?;
        }
        let password = self.mail_password_file.as_deref().map(read_private).transpose()?;
        let password = password.map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])));
        let trusted = self.mail_ca_file.as_deref().map(|path| {
            std::fs::read(path).map_err(|error| {
                CliError::local(format!("could not read {}", path.display()), error)
            })
        });
        Ok(Some(server.with_password(password).with_trusted(trusted.transpose()?)))
    }
}
