//! Note of how settings were before the set-up changed them.

use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::setting::Setting;
use crate::setup::SetupError;
use russet_platform::replace;

/// Name of the file in the state directory.
const FILE: &str = "gui-setup.json";

/// A note larger than this is none.
const MAX_BYTES: u64 = 64 * 1024;

/// The version that this code writes, and the only one there is.
const VERSION: u32 = 1;

/// All that was changed, in the order of the changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    pub(super) account: String,
    pub(super) before: Vec<Before>,
}

/// A setting before it was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) setting: Setting,
    /// `None`: it was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
}

fn record_path(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Reads the note; an empty one where nothing was changed.
pub(super) fn read_record(state: &Path) -> Result<Record, SetupError> {
    let path = record_path(state);
    let failed = |source| SetupError::Record { path: path.clone(), source };
    let mut options = std::fs::OpenOptions::new();
    let file = match options.read(true).custom_flags(libc::O_NOFOLLOW).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| failed(error.into()))
}

/// Notes the value of a setting before the first change of it.
pub(super) fn note_before(
    state: &Path,
    account: &str,
    setting: Setting,
    value: Option<String>,
) -> Result<(), SetupError> {
    let mut record = read_record(state)?;
    if record.before.iter().any(|before| before.setting == setting) {
        return Ok(());
    }
    record.account = account.to_owned();
    record.before.push(Before { setting, value });
    write_record(state, &record)
}

/// Takes settings off the note that are as they were.
pub(super) fn forget_settings(state: &Path, restored: &[Setting]) -> Result<(), SetupError> {
    let mut record = read_record(state)?;
    record.before.retain(|before| !restored.contains(&before.setting));
    if record.before.is_empty() {
        let path = record_path(state);
        return replace::remove_file(&path).map_err(|source| SetupError::Record { path, source });
    }
    write_record(state, &record)
}

fn write_record(state: &Path, record: &Record) -> Result<(), SetupError> {
    let path = record_path(state);
    let record = Record { version: VERSION, ..record.clone() };
    let failed = |source: io::Error| SetupError::Record { path: path.clone(), source };
    let text = serde_json::to_vec_pretty(&record).map_err(|error| failed(error.into()))?;
    std::fs::create_dir_all(state).map_err(failed)?;
    replace::write(&path, &text, 0o600).map_err(failed)
}
