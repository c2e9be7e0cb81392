//! Making a user's whole record at once, with a file that nobody but root sees.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::command::{CommandError, Tools};
use crate::macos_tools::dsimport::{self, Record};
use crate::private_directory::own_directory;

/// Reason why a record was not made at once.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    /// The file could not be written, or the report not read.
    #[error("the record could not be written to {0}: {1}")]
    File(String, io::Error),
    /// `dsimport` failed, or is not there.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It ended well and made nothing: how a refusal looks.
    #[error("`dsimport` did not make it")]
    NotMade,
}

/// Makes the user. `scratch` is a directory of root's alone, which is made where it is missing.
///
/// Threat: whoever could change the file would choose the id and the home of a slot's user. So it
/// lies in a directory that only root enters, and is removed however this ends.
pub(super) fn import_user(
    tools: &Tools,
    scratch: &Path,
    name: &str,
    record: &Record<'_>,
) -> Result<(), ImportError> {
    let failed = |error: io::Error| ImportError::File(scratch.display().to_string(), error);
    own_directory(scratch).map_err(failed)?;
    let directory = tempfile::Builder::new()
        .prefix("russet-import-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(scratch)
        .map_err(failed)?;
    let (file, report) = (directory.path().join("users"), directory.path().join("report"));
    write_new(&file, &dsimport::import_file(name, record)).map_err(failed)?;
    dsimport::import_users(tools, &file, &report).run_ok()?;
    let mut bytes = Vec::new();
    File::open(&report)
        .and_then(|file| file.take(dsimport::MAX_REPORT).read_to_end(&mut bytes))
        .map_err(|_| ImportError::NotMade)?;
    if dsimport::is_made(&bytes, name) { Ok(()) } else { Err(ImportError::NotMade) }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
