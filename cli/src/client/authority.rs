//! Certificates of an authority of one's own, which count beside those of the system.
//!
//! From the arguments or RUSSET_CA_FILE, else what was given when somebody logged in to the server,
//! else `ca_file` of `cli.yml`.

use std::path::{Path, PathBuf};

use super::{Logins, Settings};
use crate::error::Result;

/// Variable that names the file.
pub(crate) const VARIABLE: &str = "RUSSET_CA_FILE";

/// Returns the file for a server, if there is any. Without TLS none is asked for.
pub(super) fn ca_file(url: &str, given: Option<&Path>) -> Result<Option<PathBuf>> {
    if !url.starts_with("https://") {
        return Ok(None);
    }
    let from_environment =
        || std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(file) = given.map(Path::to_owned).or_else(from_environment) {
        return Ok(Some(file));
    }
    let logins = Logins::read()?;
    if let Some(file) = logins.at(url).and_then(|login| login.ca_file.clone()) {
        return Ok(Some(file));
    }
    Ok(Settings::read()?.ca_file)
}
