//! Servers that somebody logged in to: `$XDG_CONFIG_HOME/russet/servers.json`, with their tokens.
//!
//! Threat: the file holds tokens. It is its owner's alone (0600) from its first byte on, one that
//! others can read is refused, and a token is sent to the server that it was stored for and to no
//! other.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use russet_protocol::secret::Secret;
use serde::{Deserialize, Serialize};

use super::settings::config_dir;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Longest file, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Server that somebody logged in to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Login {
    /// Name here.
    pub(crate) name: String,
    /// Address of the control plane.
    pub(crate) url: String,
    /// Personal token for it.
    pub(crate) token: Secret,
    /// File with certificates that are trusted for it beside those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Logins {
    /// Name of the one that commands go to.
    #[serde(default)]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) servers: Vec<Login>,
}

fn logins_file() -> Option<PathBuf> {
    config_dir().map(|dir| dir.join("servers.json"))
}

impl Logins {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// It cannot be read, is open to others, or has a mistake.
    pub(crate) fn read() -> Result<Self> {
        let Some(path) = logins_file() else { return Ok(Self::default()) };
        let shown = path.display();
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(CliError::local(format!("could not read {shown}"), error)),
        };
        let failed = |error| CliError::local(format!("could not read {shown}"), error);
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            let message = format!("{shown} can be read by others than its owner");
            return Err(CliError::new(Exit::BadConfig, message).hint(format!(
                "its tokens may have been read: revoke them, then chmod 600 {shown}"
            )));
        }
        let mut text = zeroize::Zeroizing::new(String::new());
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
        serde_json::from_str(&text).map_err(|error| {
            // The error does not show the text, which holds tokens.
            let place = format!("line {}, column {}", error.line(), error.column());
            CliError::new(Exit::BadConfig, format!("{shown} cannot be understood: {place}"))
                .hint("log in again with `russet login` after deleting it")
        })
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self) -> Result<()> {
        let Some(path) = logins_file() else {
            return Err(CliError::new(Exit::Usage, "there is no directory for configuration")
                .hint("set HOME or XDG_CONFIG_HOME"));
        };
        let failed = |error| CliError::local(format!("could not write {}", path.display()), error);
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        }
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| CliError::local("could not write the servers down", error))?;
        let text = zeroize::Zeroizing::new(text);
        let draft = path.with_extension(format!("new-{}", std::process::id()));
        // Not through a link that somebody put there.
        drop(std::fs::remove_file(&draft));
        let written = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&draft, &path));
        if written.is_err() {
            drop(std::fs::remove_file(&draft));
        }
        written.map_err(failed)
    }

    /// Returns a server by its name.
    pub(crate) fn named(&self, name: &str) -> Option<&Login> {
        self.servers.iter().find(|login| login.name == name)
    }

    /// Returns the one that commands go to.
    pub(crate) fn current(&self) -> Option<&Login> {
        self.current.as_deref().and_then(|name| self.named(name))
    }

    /// Returns the one at an address: the current one if it is there.
    pub(crate) fn at(&self, url: &str) -> Option<&Login> {
        let is_there = |login: &&Login| is_same_server(&login.url, url);
        self.current().filter(is_there).or_else(|| self.servers.iter().find(is_there))
    }
}

/// Returns true for two addresses of a server.
fn is_same_server(one: &str, other: &str) -> bool {
    let parse = |url: &str| reqwest::Url::parse(url.trim_end_matches('/')).ok();
    match (parse(one), parse(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::secret::Secret;

    use super::{Login, Logins};

    #[test]
    fn a_token_belongs_to_the_address_that_it_was_stored_for() {
        let login = |name: &str, url: &str| Login {
            name: name.to_owned(),
            url: url.to_owned(),
            token: Secret::new(name),
            ca_file: None,
        };
        let logins = Logins {
            current: Some("b".to_owned()),
            servers: vec![login("a", "https://ci.example"), login("b", "https://ci.example:8443")],
        };
        let at = |url| logins.at(url).map(|login| login.name.as_str());
        assert_eq!(at("https://ci.example/"), Some("a"));
        assert_eq!(at("https://ci.example:443"), Some("a"));
        assert_eq!(at("https://ci.example:8443"), Some("b"));
        for other in ["http://ci.example", "https://ci.example.evil", "https://ci.example/x", "ci"]
        {
            assert_eq!(at(other), None, "{other}");
        }
    }
}
