//! Slots of an agent that is being removed: whether tasks run in them, and emptying them.
//!
//! As everywhere, root deletes nothing in a directory of a slot's user: the task agent, started
//! as that user, ends its processes and empties its directories.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::InstallError;
use super::files;
use russet_platform::command::Command;

/// Timeout of the helper: it deletes what a build left.
const LONGEST: Duration = Duration::from_secs(600);

/// A journal is not larger than this.
const MAX_JOURNAL: u64 = 1 << 20;

/// The slots below a state directory in which there is a task, by number.
pub(super) fn busy_slots(state: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(state.join("slots")) else { return Vec::new() };
    let mut slots: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("journal.json").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    slots.sort_by_key(|slot| slot.parse::<u32>().unwrap_or(u32::MAX));
    slots
}

/// Empties all slots in a directory.
pub(super) fn empty_all(slots: &Path, program: &Path) -> Result<(), InstallError> {
    let Ok(entries) = std::fs::read_dir(slots) else { return Ok(()) };
    for entry in entries.flatten() {
        empty(&entry.path(), program)?;
    }
    Ok(())
}

/// Ends everything of a slot's user, and empties the slot's directories. A slot that is not
/// there is empty.
pub(super) fn empty(slot: &Path, program: &Path) -> Result<(), InstallError> {
    let home = slot.join("home");
    let Ok(meta) = std::fs::symlink_metadata(&home) else { return Ok(()) };
    if meta.uid() == 0 || !meta.is_dir() {
        return Ok(());
    }
    let failed = |what: String| InstallError::Slot { path: slot.to_owned(), what };
    let assignment = assignment(slot, meta.uid(), meta.gid());
    let output = Command::new(program)
        .arg("task-agent")
        .stdin(assignment.to_string())
        .limit(LONGEST)
        .run_ok();
    output.map(drop).map_err(|error| failed(error.to_string()))
}

/// Returns the helper's assignment: that of the task's agent, if there is a task, and else only
/// whose directories they are.
fn assignment(slot: &Path, uid: u32, gid: u32) -> serde_json::Value {
    let journal = files::read(&slot.join("journal.json"), MAX_JOURNAL).ok();
    let journal = journal.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    let task =
        journal.and_then(|mut journal| journal.get_mut("assignment").map(serde_json::Value::take));
    let mut assignment = task.unwrap_or_else(|| blank(slot, uid, gid));
    if let Some(fields) = assignment.as_object_mut() {
        fields.insert("mode".to_owned(), "clean".into());
        // Cleaning needs no token.
        fields.insert("token".to_owned(), "".into());
    }
    assignment
}

fn blank(slot: &Path, uid: u32, gid: u32) -> serde_json::Value {
    let directory = |name: &str| -> PathBuf { slot.join(name) };
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
    serde_json::json!({
        "version": russet_protocol::supervise::VERSION,
        "allocation": "none",
        "api_url": "http://localhost",
        // Directories of slots belong to the slot's own user, or to one that the owner chose
        // with `command_prefix`, of whom nothing but the directories may be touched.
        "user": {
            "uid": uid,
            "gid": gid,
            "name": name.as_ref().map(|user| user.name.clone()),
            "dedicated": name.is_none_or(|user| user.dir == directory("home")),
        },
        "dirs": {
            "root": slot,
            "home": directory("home"),
            "work": directory("work"),
            "tmp": directory("tmp"),
            "spool": directory("spool"),
        },
        "runner": "",
        "max_run_time_ms": 0,
    })
}
