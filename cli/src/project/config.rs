//! Reading of a configuration's file.

use std::path::Path;

use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Largest configuration that is read. The compiler has the same limit; this one keeps a wrong
/// path (a disk image, /dev/zero) from filling memory before it is asked.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Reads a configuration.
pub(crate) fn read_config(file: &Path) -> Result<String> {
    use std::io::Read as _;

    let failed = |error: std::io::Error| {
        let message = format!("could not read {}: {error}", file.display());
        let error_is_absence = error.kind() == std::io::ErrorKind::NotFound;
        let failure = CliError::new(Exit::BadConfig, message);
        if error_is_absence {
            failure.hint("a project has its configuration at .circleci/config.yml")
        } else {
            failure
        }
    };
    let mut text = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        let message = format!(
            "{} is larger than {}",
            file.display(),
            russet_text::format_size(MAX_FILE_BYTES)
        );
        return Err(CliError::new(Exit::BadConfig, message));
    }
    String::from_utf8(text).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + good.iter().rev().take_while(|byte| **byte != b'\n').count();
        let message = format!("{}:{line}:{column}: this is not UTF-8 text", file.display());
        CliError::new(Exit::BadConfig, message).hint(match error.as_bytes() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16: save it as UTF-8",
            _ => "save it as UTF-8, or look for a character that was pasted from elsewhere",
        })
    })
}
