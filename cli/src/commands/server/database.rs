//! The options that name a database on PostgreSQL.
//!
//! A password among the arguments of a process can be read by everybody on the machine, so a URL
//! that has one is only taken from a file of its owner alone.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use russet_control_plane::DatabaseUrl;
use zeroize::Zeroizing;

use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Longest file with a URL, in bytes.
const MAX_FILE_BYTES: u64 = 8192;

/// Database of a server.
#[derive(clap::Args, Debug)]
pub(super) struct DatabaseArgs {
    /// Database on PostgreSQL, as postgres://user@host/name, without its password: that is read
    /// from ~/.pgpass or the file that PGPASSFILE names [default: SQLite in the data directory]
    #[arg(long, value_name = "URL", conflicts_with = "database_file")]
    database: Option<String>,

    /// File with that URL, which may have the password; for its owner alone
    #[arg(long, value_name = "FILE")]
    database_file: Option<PathBuf>,
}

impl DatabaseArgs {
    /// Returns the database; `None` is SQLite in the data directory.
    pub(super) fn open(&self) -> Result<Option<DatabaseUrl>> {
        open(self.database.as_deref(), self.database_file.as_deref(), "--database")
    }
}

/// Returns the database of a URL, or of a file with one. `option` names the first.
pub(super) fn open(
    url: Option<&str>,
    file: Option<&Path>,
    option: &str,
) -> Result<Option<DatabaseUrl>> {
    let from_file = file.map(read_private).transpose()?;
    let Some(text) = from_file.as_ref().map(|text| text.as_str()).or(url) else { return Ok(None) };
    let url: DatabaseUrl = text.trim().parse().map_err(|error| {
        CliError::new(Exit::Usage, russet_text::error_chain(&error))
            .hint("it looks like postgres://user@host:5432/name: docs/server.md")
    })?;
    if from_file.is_none() && url.has_password() {
        return Err(CliError::new(
            Exit::Usage,
            format!("{option} has a password, which everybody on this machine can read there"),
        )
        .hint(format!("write the URL to a file of mode 600 for {option}-file, or use ~/.pgpass")));
    }
    Ok(Some(url))
}

pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>> {
    let failed = |error| CliError::local(format!("could not read {}", path.display()), error);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        let text = format!("{} can be read by others than its owner", path.display());
        return Err(CliError::new(Exit::Usage, text).hint("make it private: chmod 600"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::DatabaseArgs;

    #[test]
    fn a_password_is_taken_from_a_private_file_and_never_from_the_arguments() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("url");
        std::fs::write(&path, "postgres://u:secret@db/name\n").unwrap();
        let set_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let of_file = DatabaseArgs { database: None, database_file: Some(path.clone()) };
        set_mode(0o644);
        let open = format!("{:?}", of_file.open().unwrap_err());
        assert!(open.contains("by others"), "{open}");
        set_mode(0o600);
        assert_eq!(of_file.open().unwrap().unwrap().to_string(), "postgres://u@db:5432/name");
        let of_argument =
            |url: &str| DatabaseArgs { database: Some(url.to_owned()), database_file: None }.open();
        let refused = format!("{:?}", of_argument("postgres://u:secret@db/name").unwrap_err());
        assert!(refused.contains("password") && !refused.contains("secret"), "{refused}");
        assert!(of_argument("postgres://u@db/name").unwrap().is_some());
        assert!(of_argument("sqlite://x").is_err());
    }
}
