//! Which control plane, and with which token.
//!
//! From the arguments, else the environment, else the server that somebody logged in to, else
//! `$XDG_CONFIG_HOME/russet/cli.yml`. A token is never an argument: arguments are seen by everybody
//! on the machine. One that was stored by a login goes to the server of that login alone.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use russet_protocol::secret::Secret;

use super::{Client, Logins, Settings};
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Address of `russet server` unless configured.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Options for reaching the control plane.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Control plane")]
pub(crate) struct ConnectionArgs {
    /// Address of the control plane [default: http://127.0.0.1:8080]
    #[arg(long, env = "RUSSET_URL", hide_env_values = true, value_name = "URL")]
    url: Option<String>,

    /// File with the admin token or a personal one; or put the token itself into RUSSET_TOKEN
    #[arg(long, env = "RUSSET_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// File with certificates, in PEM, that are trusted for the control plane beside those of the
    /// system
    #[arg(long, env = "RUSSET_CA_FILE", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl ConnectionArgs {
    /// The options, where clap did not read them.
    pub(crate) fn new(url: Option<String>, token_file: Option<PathBuf>) -> Self {
        Self { url, token_file, ca_file: None }
    }

    /// Returns the options as variables, for a process that reaches the same control plane. A token is not
    /// among them: one in the environment is inherited.
    ///
    /// # Errors
    ///
    /// A file is named relative to a directory that cannot be found.
    pub(crate) fn environment(&self) -> Result<Vec<(&'static str, OsString)>> {
        let absolute = |file: &PathBuf| {
            let file = std::path::absolute(file).map_err(|error| {
                CliError::local(format!("could not find {}", file.display()), error)
            })?;
            Ok(file.into_os_string())
        };
        let mut all = Vec::new();
        all.extend(self.url.as_ref().map(|url| ("RUSSET_URL", OsString::from(url))));
        for (name, file) in
            [("RUSSET_TOKEN_FILE", &self.token_file), ("RUSSET_CA_FILE", &self.ca_file)]
        {
            if let Some(file) = file {
                all.push((name, absolute(file)?));
            }
        }
        Ok(all)
    }

    /// A client for the control plane that is meant.
    pub(crate) fn connect(&self) -> Result<Client> {
        let settings = Settings::read()?;
        let logins = Logins::read()?;
        let logged_in = || logins.current().map(|login| login.url.clone());
        let url = self.url.clone().or_else(logged_in).or(settings.url);
        let url = url.unwrap_or_else(|| DEFAULT_URL.to_owned());
        let token = match (&self.token_file, std::env::var("RUSSET_TOKEN")) {
            (Some(file), _) => read_token(file)?,
            (None, Ok(token)) if !token.trim().is_empty() => Secret::new(token.trim()),
            (None, _) => match (logins.at(&url), &settings.token_file) {
                (Some(login), _) => login.token.clone(),
                (None, Some(file)) => read_token(file)?,
                (None, None) => return Err(no_token(&url)),
            },
        };
        Client::trusting(&url, &token, self.ca_file.as_deref())
    }
}

fn no_token(url: &str) -> CliError {
    CliError::new(Exit::Usage, format!("there is no token for the control plane at {url}"))
        .hint(
            "log in with `russet login URL`, or name the file of the admin token with --token-file or RUSSET_TOKEN_FILE; `russet server` keeps it as \
             `admin.token` in its data directory",
        )
}

/// Reads a token from a file.
pub(crate) fn read_token(file: &Path) -> Result<Secret> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("could not read the admin token from {}: {error}", file.display());
        CliError::new(Exit::BadConfig, message)
    })?;
    match text.trim() {
        "" => Err(CliError::new(
            Exit::BadConfig,
            format!("the admin token in {} is empty", file.display()),
        )),
        token => Ok(Secret::new(token)),
    }
}
