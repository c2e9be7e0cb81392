//! `sfltool dumpbtm`, from macOS 13 on: whether somebody switched one of our background items off in
//! System Settings. Such a job is not started any more, whatever launchctl says of it.

use std::path::Path;
use std::time::Duration;

use crate::command::{CommandError, Tools};

const SFLTOOL: &str = "/usr/bin/sfltool";

/// Place of the service's database, below the root.
const DATABASES: &str = "var/db/com.apple.backgroundtaskmanagement";

/// It hangs where the database is damaged.
const LIMIT: Duration = Duration::from_secs(10);

/// A record about an item. There is one for each user that it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The user; -2 and 0 are the system. `None`: the dump does not say.
    pub uid: Option<i64>,
    /// Its label, or the identifier of its bundle.
    pub label: String,
    /// Set if it is registered; one that was taken away leaves its record.
    pub is_enabled: bool,
    /// Set if nobody switched it off.
    pub is_allowed: bool,
}

/// Decision about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// It may run.
    Allowed,
    /// Somebody switched it off.
    Disallowed,
    /// It is known, and not registered any more.
    Disabled,
    /// macOS does not know the item (yet).
    Unknown,
}

/// Reads the records. It is for root: to anybody else macOS shows a question for an
/// administrator's password.
///
/// # Errors
///
/// sfltool does not say; before macOS 13 it knows no `dumpbtm`.
pub fn read_items(tools: &Tools) -> Result<Vec<Item>, CommandError> {
    let dump = tools.command(SFLTOOL).arg("dumpbtm").limit(LIMIT).run_ok()?;
    Ok(parse_dump(&dump.text()))
}

/// Returns the decision about the item with this label. One that is disallowed for any user is
/// disallowed; a record that was left of an earlier place counts only where there is no other.
#[must_use]
pub fn approval_of(items: &[Item], label: &str) -> Approval {
    let ours: Vec<&Item> = items.iter().filter(|item| item.label == label).collect();
    if ours.is_empty() {
        return Approval::Unknown;
    }
    if ours.iter().any(|item| !item.is_allowed) {
        return Approval::Disallowed;
    }
    let is_any_enabled = ours.iter().any(|item| item.is_enabled);
    if is_any_enabled { Approval::Allowed } else { Approval::Disabled }
}

/// Sections begin with `Records for UID 501 : …`, items with `#1:` in a line of their own. The list
/// of embedded items below one has lines such as `#1: 16.com.docker.vmnetd`.
fn parse_dump(text: &str) -> Vec<Item> {
    let mut found = Vec::new();
    let (mut uid, mut disposition) = (None, None);
    for line in text.lines() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix("Records for UID ") {
            uid = section.split_whitespace().next().and_then(|uid| uid.parse().ok());
            disposition = None;
        } else if line.starts_with('#') && line.ends_with(':') {
            disposition = None;
        } else if let Some(words) = line.strip_prefix("Disposition: [") {
            disposition = Some(words.split(']').next().unwrap_or_default());
        } else if let Some(id) = line.strip_prefix("Identifier: ")
            && let Some(words) = disposition
        {
            let has = |wanted: &str| words.split(", ").any(|word| word == wanted);
            found.push(Item {
                uid,
                label: without_kind(id).to_owned(),
                is_enabled: has("enabled"),
                is_allowed: has("allowed"),
            });
        }
    }
    found
}

/// The kind of the item stands before its label as a number, as in `16.us.zoom.ZoomDaemon` (16 is a
/// daemon, 8 an agent, 2 an application); macOS 13 writes the label alone.
fn without_kind(id: &str) -> &str {
    match id.split_once('.') {
        Some((kind, label)) if kind.parse::<u32>().is_ok() => label,
        _ => id,
    }
}

/// Returns the size of the largest database in bytes, below `root`. `None`: there is none, or only
/// root may look.
#[must_use]
pub fn database_size(root: &Path) -> Option<u64> {
    let entries = std::fs::read_dir(root.join(DATABASES)).ok()?.flatten();
    let databases = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "btm"));
    databases.filter_map(|entry| Some(entry.metadata().ok()?.len())).max()
}

#[cfg(test)]
mod tests {
    use super::{Approval, approval_of, database_size, parse_dump};

    const AGENT: &str = "dev.russet.agent";

    /// The form of macOS 14 and later, as tests of other tools hold it (a dump of macOS 27 in
    /// udeck's, one of a Mac with a daemon that was disabled in Keepresso's), with our labels.
    fn dump(disposition: &str) -> String {
        format!(
            "========================\n Records for UID -2 : FFFFEEEE-DDDD-CCCC-BBBB-AAAAFFFFFFFE\n\
             ========================\n\n ServiceManagement migrated: true\n LaunchServices \
             registered: false\n\n Items:\n\n #1:\n                 UUID: EEE834D9\n                 \
             Name: Docker\n                 Type: developer (0x20)\n                Flags: [ curated ] \
             (0x4)\n          Disposition: [disabled, disallowed, not notified] (0)\n           \
             Identifier: Docker\n                  URL: (null)\n  Embedded Item Identifiers:\n    #1: \
             16.dev.russet.agent\n\n #2:\n                 UUID: BBBB-2222\n                 Name: \
             russet-boot\n       Developer Name: (null)\n                 Type: legacy daemon \
             (0x10010)\n                Flags: [  ] (0)\n          Disposition: {disposition}\n           \
             Identifier: 16.dev.russet.agent\n                  URL: \
             file:///Library/LaunchDaemons/dev.russet.agent.plist\n      Executable Path: \
             /opt/russet/russet-boot\n           Generation: 2\n    Parent Identifier: Russet\n\n\
             ========================\n Records for UID 501 : 11112222-3333-4444-5555-666677778888\n\
             ========================\n\n Items:\n\n #1:\n                 Name: russet-menubar\n                 \
             Type: legacy agent (0x10008)\n          Disposition: [enabled, disallowed, notified] \
             (0x9)\n           Identifier: 8.dev.russet.menubar\n"
        )
    }

    fn approval(disposition: &str) -> Approval {
        approval_of(&parse_dump(&dump(disposition)), AGENT)
    }

    #[test]
    fn the_decision_about_our_item_is_told_from_that_about_others() {
        for (disposition, expected) in [
            ("[enabled, allowed, visible, notified] (0xb)", Approval::Allowed),
            ("[enabled, allowed, not notified] (0x3)", Approval::Allowed),
            ("[enabled, disallowed, visible, notified] (0x9)", Approval::Disallowed),
            ("[disabled, disallowed, not notified] (0)", Approval::Disallowed),
            ("[disabled, allowed, not notified] (0x2)", Approval::Disabled),
        ] {
            assert_eq!(approval(disposition), expected, "{disposition}");
        }
        assert_eq!(approval_of(&parse_dump("nothing"), AGENT), Approval::Unknown);
        let items = parse_dump(&dump("[enabled, allowed, notified] (0xb)"));
        assert_eq!(approval_of(&items, "dev.russet.menubar"), Approval::Disallowed);
        assert_eq!(approval_of(&items, "dev.russet.other"), Approval::Unknown);
        let uids: Vec<_> = items.iter().map(|item| item.uid).collect();
        assert_eq!(uids, [Some(-2), Some(-2), Some(501)]);
    }

    /// Labels without the number of their kind, and a disposition whose number has no parentheses.
    #[test]
    fn the_form_of_macos_13_is_understood_and_lines_that_nobody_knows_do_no_harm() {
        let dump = " #7:\n  UUID: 9A9A\n  Name: russet-boot\n  Type: legacy daemon (0x10010)\n  \
                    Disposition: [enabled, allowed, visible, notified] 0xb\n  Something New: yes\n  \
                    Identifier: dev.russet.agent\n  Generation: 4\n";
        assert_eq!(approval_of(&parse_dump(dump), AGENT), Approval::Allowed);
    }

    #[test]
    fn a_record_that_was_left_counts_only_where_there_is_no_other() {
        let left = dump("[disabled, allowed, notified] (0x2)");
        let both = format!("{left}{}", dump("[enabled, allowed, notified] (0xb)"));
        assert_eq!(approval_of(&parse_dump(&both), AGENT), Approval::Allowed);
        assert_eq!(approval_of(&parse_dump(&left), AGENT), Approval::Disabled);
    }

    #[test]
    fn the_size_of_the_largest_database_is_found() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(database_size(root.path()), None);
        let folder = root.path().join(super::DATABASES);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, size) in [("BackgroundItems-v13.btm", 10), ("BackgroundItems-v16.btm", 20)] {
            std::fs::write(folder.join(name), vec![0; size]).unwrap();
        }
        std::fs::write(folder.join("other"), vec![0; 30]).unwrap();
        assert_eq!(database_size(root.path()), Some(20));
    }
}
