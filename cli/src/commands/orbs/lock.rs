//! The lock file of a project, beside its configuration.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use russet_orbs::Lock;

use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::read_config;

/// Path in a project.
const FILE: &str = ".circleci/orbs.lock";

/// Reads the lock file of a project; without one, nothing is pinned.
///
/// # Errors
/// It cannot be read, or is not one.
pub(super) fn read(project: &Path) -> Result<Lock> {
    let file = project.join(FILE);
    if !file.exists() {
        return Ok(Lock::default());
    }
    Lock::parse(&read_config(&file)?).map_err(|error| {
        CliError::new(Exit::BadConfig, format!("could not use {}: {error}", file.display()))
            .hint("take it from version control, or remove it and run `russet config orb fetch`")
    })
}

/// Changes the lock file of a project; it is written where it says something else then. Returns
/// its path if so.
///
/// # Errors
/// It cannot be read or written.
pub(crate) fn edit(project: &Path, change: impl FnOnce(&mut Lock)) -> Result<Option<PathBuf>> {
    let before = read(project)?;
    let mut after = before.clone();
    change(&mut after);
    let text = |lock: &Lock| {
        lock.to_text().map_err(|error| CliError::local("could not write the lock file", error))
    };
    let file = project.join(FILE);
    let (old, new) = (text(&before)?, text(&after)?);
    if old == new {
        return Ok(None);
    }
    write_file(&file, &new)?;
    Ok(Some(file))
}

/// Writes a file as a whole or not at all, with its directories.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_file(file: &Path, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| {
        CliError::local(format!("could not write {}", file.display()), error)
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut temporary = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(failed)?;
    temporary.write_all(text.as_bytes()).map_err(failed)?;
    temporary.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}
