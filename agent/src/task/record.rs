//! The result record: how the task ended, on disk, for a launch agent that comes back later.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use russet_protocol::ids::AllocationId;
use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::{RESULT_FILE, ResultRecord, VERSION};

/// Writes the record of a task of which nothing else is known; see [`write_all`].
pub(crate) fn write(
    spool: &Path,
    allocation: &AllocationId,
    outcome: Outcome,
    message: Option<&str>,
    reported: bool,
) -> io::Result<()> {
    let record = ResultRecord {
        version: VERSION,
        allocation: allocation.clone(),
        outcome,
        message: message.map(str::to_owned),
        reported,
        left: Vec::new(),
    };
    write_all(spool, &record)
}

/// Writes the record and waits until it is on disk. It is complete or not there at all.
pub(crate) fn write_all(spool: &Path, record: &ResultRecord) -> io::Result<()> {
    let text = serde_json::to_vec(&record)?;
    let draft = spool.join(format!("{RESULT_FILE}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(&draft)?;
    file.write_all(&text)?;
    file.sync_data()?;
    std::fs::rename(&draft, spool.join(RESULT_FILE))
}
