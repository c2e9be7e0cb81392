//! The result record: how the task ended, on disk, for a launch agent that comes back later.
//!
//! It is synced only where the report takes longer than a second: it has to outlive the task agent,
//! which the page cache does, and a loss of power is an infrastructure failure anyway.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use russet_protocol::ids::AllocationId;
use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::{RESULT_FILE, ResultRecord, VERSION};

/// Writes the record of a task of which nothing else is known, and syncs it.
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
    write_all(spool, &record)?;
    sync_record(spool)
}

/// Waits until the record is on disk.
pub(crate) fn sync_record(spool: &Path) -> io::Result<()> {
    let open = |path: &Path| {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
        options.open(path)
    };
    open(&spool.join(RESULT_FILE))?.sync_data()?;
    // Its name as well.
    open(spool)?.sync_all()
}

/// Writes the record. It is complete or not there at all, for whoever reads it in this boot; to
/// outlive the power it has to be synced.
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
    std::fs::rename(&draft, spool.join(RESULT_FILE))
}
