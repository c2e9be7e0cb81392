//! Slots of an agent that is being removed: whether tasks run in them, and emptying them.
//!
//! As everywhere, root deletes nothing in a directory of a slot's user: the task agent, started
//! as that user, ends its processes and empties its directories.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::InstallError;
use super::files;
use russet_platform::command::Command;

/// Timeout of the helper: it deletes what a build left.
const LONGEST: Duration = Duration::from_secs(600);

/// Directory of a slot with copies of the archives of caches.
const COPIES: &str = "caches";

/// Directory of a slot with what the system refused to delete.
const ASIDE: &str = "aside";
/// Directory beside that of slots with directories that outlive tasks.
const KEPT: &str = "kept";

/// Runs of the helper for the kept directories of one user, at most: each has a limit of its own.
const MAX_KEPT_RUNS: usize = 60;

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

/// Returns the words for tasks that run while the agent is started anew.
#[must_use]
pub fn adopted_note(busy: &[String]) -> Vec<String> {
    let slots = match busy {
        [] => return Vec::new(),
        [one] => format!("the task in slot {one} goes on"),
        many => format!("the tasks in slots {} go on", many.join(", ")),
    };
    vec![format!("{slots}; the agent that was started adopts what runs")]
}

/// Empties all slots in a directory.
pub(super) fn empty_all(slots: &Path, program: &Path) -> Result<(), InstallError> {
    let Ok(entries) = std::fs::read_dir(slots) else { return Ok(()) };
    for entry in entries.flatten() {
        empty_slot(&entry.path(), program)?;
    }
    Ok(())
}

/// Ends everything of a slot's user, and empties the slot's directories and those of copies of
/// caches. A slot that is not there is empty.
pub(super) fn empty_slot(slot: &Path, program: &Path) -> Result<(), InstallError> {
    empty_directories(slot, program)?;
    empty_by_owner(slot, program, COPIES)?;
    empty_by_owner(slot, program, ASIDE)
}

/// Empties the directories of copies of archives, or those that are kept aside. Each belongs to a
/// user that the slot had once, who may be gone by now; its number is enough.
fn empty_by_owner(slot: &Path, program: &Path, kind: &str) -> Result<(), InstallError> {
    // Root's, and nobody else may enter it.
    let Ok(entries) = std::fs::read_dir(slot.join(kind)) else { return Ok(()) };
    let mut by_owner: BTreeMap<(u32, u32), Vec<PathBuf>> = BTreeMap::new();
    for entry in entries.flatten() {
        let Ok(meta) = std::fs::symlink_metadata(entry.path()) else { continue };
        if meta.is_dir() && meta.uid() != 0 {
            by_owner.entry((meta.uid(), meta.gid())).or_default().push(entry.path());
        }
    }
    for ((uid, gid), directories) in by_owner {
        if kind == COPIES {
            call(slot, program, &trim_assignment(slot, uid, gid, "copies", &directories))?;
            continue;
        }
        let mut assignment = unrelated_helper(slot, uid, gid, "empty_aside");
        if let Some(fields) = assignment.as_object_mut() {
            fields.insert("aside".to_owned(), serde_json::json!(directories));
        }
        call(slot, program, &assignment)?;
    }
    Ok(())
}

/// Empties the directories that outlive tasks, below a directory of data. Each belongs to the user
/// whose task left it, who may be gone by now; its number is enough.
pub(super) fn empty_kept(data: &Path, program: &Path) -> Result<(), InstallError> {
    let kept = data.join(KEPT);
    let mut by_owner: BTreeMap<(u32, u32), Vec<PathBuf>> = BTreeMap::new();
    // Root's, and nobody else may enter it.
    let Ok(entries) = std::fs::read_dir(&kept) else { return Ok(()) };
    for entry in entries.flatten() {
        let files = entry.path().join("files");
        let Ok(meta) = std::fs::symlink_metadata(&files) else { continue };
        if meta.is_dir() && meta.uid() != 0 {
            by_owner.entry((meta.uid(), meta.gid())).or_default().push(files);
        }
    }
    for ((uid, gid), files) in by_owner {
        let assignment = trim_assignment(&kept, uid, gid, "gone", &files);
        for _run in 0..MAX_KEPT_RUNS {
            call(&kept, program, &assignment)?;
            if files.iter().all(|files| is_empty(files)) {
                break;
            }
        }
    }
    Ok(())
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Returns the assignment of a helper that trims directories of a user to nothing.
fn trim_assignment(
    slot: &Path,
    uid: u32,
    gid: u32,
    kind: &str,
    paths: &[PathBuf],
) -> serde_json::Value {
    let mut assignment = unrelated_helper(slot, uid, gid, "trim");
    let mut trim = serde_json::json!({"paths": [], "everything": true});
    if let Some(trim) = trim.as_object_mut() {
        trim.insert(kind.to_owned(), serde_json::json!(paths));
    }
    if let Some(fields) = assignment.as_object_mut() {
        fields.insert("trim".to_owned(), trim);
    }
    assignment
}

/// Returns the assignment of a helper that is a user of whom nothing is ended for it.
fn unrelated_helper(slot: &Path, uid: u32, gid: u32, mode: &str) -> serde_json::Value {
    let mut assignment = blank_assignment(slot, uid, gid);
    if let Some(fields) = assignment.as_object_mut() {
        fields.insert("mode".to_owned(), mode.into());
        fields.insert("token".to_owned(), "".into());
        fields.insert(
            "user".to_owned(),
            serde_json::json!({"uid": uid, "gid": gid, "name": null, "dedicated": false}),
        );
    }
    assignment
}

fn call(slot: &Path, program: &Path, assignment: &serde_json::Value) -> Result<(), InstallError> {
    let output = Command::new(program)
        .arg("task-agent")
        .stdin(assignment.to_string())
        .limit(LONGEST)
        .run_ok();
    output
        .map(drop)
        .map_err(|error| InstallError::Slot { path: slot.to_owned(), what: error.to_string() })
}

fn empty_directories(slot: &Path, program: &Path) -> Result<(), InstallError> {
    let home = slot.join("home");
    let Ok(meta) = std::fs::symlink_metadata(&home) else { return Ok(()) };
    if meta.uid() == 0 || !meta.is_dir() {
        return Ok(());
    }
    call(slot, program, &helper_assignment(slot, meta.uid(), meta.gid()))
}

/// Returns the helper's assignment: that of the task's agent, if there is a task, and else only
/// whose directories they are.
fn helper_assignment(slot: &Path, uid: u32, gid: u32) -> serde_json::Value {
    let journal = files::read(&slot.join("journal.json"), MAX_JOURNAL).ok();
    let journal = journal.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    let task =
        journal.and_then(|mut journal| journal.get_mut("assignment").map(serde_json::Value::take));
    let mut assignment = task.unwrap_or_else(|| blank_assignment(slot, uid, gid));
    if let Some(fields) = assignment.as_object_mut() {
        fields.insert("mode".to_owned(), "clean".into());
        // Cleaning needs no token.
        fields.insert("token".to_owned(), "".into());
    }
    assignment
}

fn blank_assignment(slot: &Path, uid: u32, gid: u32) -> serde_json::Value {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    /// A helper that removes what it is told to, with the rights of whoever it is told to become.
    const HELPER: &str = r#"#!/bin/sh
text=$(cat)
echo "$text" >> "$(dirname "$0")/asked"
case "$text" in *'"mode":"trim"'* | *'"mode":"empty_aside"'*) ;; *) exit 0 ;; esac
uid=$(echo "$text" | sed 's/.*"uid":\([0-9]*\).*/\1/')
for dir in $(echo "$text" | sed 's/.*"\(copies\|aside\|gone\)":\[\([^]]*\)\].*/\2/' | tr ',"' '  '); do
  find "$dir" -mindepth 1 -user "$uid" -delete
done
"#;

    #[test]
    fn copies_of_caches_and_what_is_kept_aside_go_by_their_owners_whoever_those_were() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("russet");
        std::fs::write(&program, HELPER).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let state = dir.path().join("state");
        for (owner, name) in [
            (58_310, "caches/58310-a"),
            (58_311, "caches/58311-b"),
            (58_311, "caches/58311-c"),
            (58_311, "aside/1700000000-0-home"),
        ] {
            let copies = state.join("slots/1").join(name);
            std::fs::create_dir_all(&copies).unwrap();
            for path in [copies.join("archive"), copies.clone()] {
                if path != copies {
                    std::fs::write(&path, "x").unwrap();
                }
                std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
            }
        }
        let files = state.join("kept/some-set/files");
        std::fs::create_dir_all(&files).unwrap();
        for path in [files.join("object"), files.clone()] {
            if path != files {
                std::fs::write(&path, "x").unwrap();
            }
            std::os::unix::fs::chown(&path, Some(58_312), Some(58_312)).unwrap();
        }
        crate::install::files::remove_tree(&state).unwrap_err();
        super::empty_kept(&state, &program).unwrap();
        super::empty_all(&state.join("slots"), &program).unwrap();
        crate::install::files::remove_tree(&state).unwrap();
        assert!(!state.exists());
    }
}
