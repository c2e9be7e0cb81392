//! A project on this machine: its configuration, its commit, and a snapshot of its files.

mod chunks;
mod config;
mod git;
mod pack;

use std::path::{Path, PathBuf};

use russet_pipeline::MAX_BYTES;
use russet_protocol::admin::DEFAULT_CONFIG_PATH;

use crate::error::{CliError, Result};
use crate::exit::Exit;

pub(crate) use config::read_config;
pub(crate) use git::{Revision, owner_and_name};
pub(crate) use pack::{Snapshot, pack_project};

/// A project that was found.
#[derive(Debug)]
pub(crate) struct Project {
    /// Its directory, absolute.
    pub(crate) dir: PathBuf,
    /// Name: `owner/name` of its remote, else the name of the directory.
    pub(crate) name: String,
    /// The configuration as text.
    pub(crate) config: String,
    /// Path of the configuration as the caller would write it, for messages.
    pub(crate) config_file: PathBuf,
    /// Revision in version control.
    pub(crate) revision: Revision,
}

/// The configuration of the project in `path`, written as short as can be.
pub(crate) fn config_file(path: &Path) -> PathBuf {
    let is_here = path == Path::new(".");
    if is_here { PathBuf::from(DEFAULT_CONFIG_PATH) } else { path.join(DEFAULT_CONFIG_PATH) }
}

/// Finds the project in `path`.
pub(crate) fn find_project(path: &Path) -> Result<Project> {
    let dir = path.canonicalize().map_err(|error| {
        CliError::new(Exit::Usage, format!("could not open {}: {error}", path.display()))
    })?;
    if !dir.is_dir() {
        return Err(CliError::new(Exit::Usage, format!("{} is not a directory", path.display()))
            .hint(
                "name the project's directory; its configuration is .circleci/config.yml in it",
            ));
    }
    let config_file = config_file(path);
    let config = read_config(&config_file)?;
    if config.len() > MAX_BYTES {
        let [size, most] =
            [config.len(), MAX_BYTES].map(|bytes| russet_text::format_size(bytes as u64));
        let message =
            format!("{} has {size}, and a configuration at most {most}", config_file.display());
        return Err(CliError::new(Exit::BadConfig, message)
            .hint("put scripts and data into files of the project, which jobs check out"));
    }
    let revision = git::find_revision(&dir);
    let name = name(&dir, &revision);
    Ok(Project { dir, name, config, config_file, revision })
}

/// The name of the project in a directory.
pub(crate) fn name_of(dir: &Path) -> String {
    name(dir, &git::find_revision(dir))
}

fn name(dir: &Path, revision: &Revision) -> String {
    let remote = revision.remote.as_deref().and_then(git::owner_and_name);
    let folder = || dir.file_name().map(|name| name.to_string_lossy().into_owned());
    remote.or_else(folder).unwrap_or_else(|| "project".to_owned())
}
