//! Receipt of an installation, for undoing exactly what it did.
//!
//! An entry is written, and synced, before its action begins, and marked when the action is done.
//! So whatever exists because of us is in the receipt, also after a loss of power in the middle;
//! and what was there before us is not, or is with how it was.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::InstallError;
use super::files;
use russet_platform::account::{Ids, Wanted};

/// The version that this code writes, and the only one there is.
const VERSION: u32 = 1;

/// A receipt larger than this is none.
const MAX_BYTES: u64 = 1 << 20;

/// One thing that an installation makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Item {
    /// A directory that others use too (`/opt`): removed if it is empty.
    SharedDirectory {
        /// Path.
        path: PathBuf,
    },
    /// A directory of the agent's: removed with everything in it.
    Directory {
        /// Path.
        path: PathBuf,
    },
    /// A directory of what a service's own user writes: its data is kept unless it is asked for.
    OwnedDirectory {
        /// Path.
        path: PathBuf,
    },
    /// A file.
    File {
        /// Path.
        path: PathBuf,
    },
    /// A link.
    Link {
        /// Path.
        path: PathBuf,
    },
    /// The agent's code.
    Bundle {
        /// Path.
        path: PathBuf,
    },
    /// A slot's user, with its group.
    User {
        /// Expected record.
        #[serde(flatten)]
        wanted: Wanted,
    },
    /// A receipt that Installer keeps of a package.
    Package {
        /// The package's identifier.
        identifier: String,
    },
    /// Developer mode of macOS. An older version that does not know it cannot read the receipt.
    DeveloperMode,
    /// The membership of a slot's user in the group of those who may debug.
    Member {
        /// The user.
        user: String,
    },
    /// The job in launchd or systemd.
    Job,
}

impl Item {
    /// Returns true if it is the same thing, whatever is known about it.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::User { wanted: a }, Self::User { wanted: b }) => a.name == b.name,
            (a, b) => a == b,
        }
    }
}

/// Progress of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It may have done everything, something or nothing.
    Begun,
    /// It is done.
    Done,
}

/// State of something on this machine, compared with what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// As it should be.
    Same,
    /// There, and otherwise.
    Different(Option<Before>),
    /// Not there.
    Absent,
}

/// State of a directory before us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Its owner.
    pub uid: u32,
    /// Its mode.
    pub mode: u32,
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Thing that it makes.
    pub item: Item,
    /// Progress.
    pub progress: Progress,
    /// State of the directory before, if it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
}

/// All actions, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Version of this document.
    version: u32,
    /// The version of russet that wrote it last.
    russet: String,
    entries: Vec<Entry>,
    #[serde(skip)]
    path: PathBuf,
}

impl Receipt {
    /// An empty one, not written yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let russet = env!("CARGO_PKG_VERSION").to_owned();
        Self { version: VERSION, russet, entries: Vec::new(), path: path.to_owned() }
    }

    /// Reads the one at `path`. `None`: nothing was installed.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is of a version that this code does not know.
    pub fn read(path: &Path) -> Result<Option<Self>, InstallError> {
        let meta = match std::fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(InstallError::file("look at", path)(error)),
        };
        // Threat: root removes what it names.
        if !meta.is_file() || meta.uid() != 0 {
            let what = "is not a file of root's".to_owned();
            return Err(InstallError::InTheWay { path: path.to_owned(), what });
        }
        let text = files::read(path, MAX_BYTES).map_err(InstallError::file("read", path))?;
        let broken = |source| InstallError::BrokenReceipt { path: path.to_owned(), source };
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_str(&text).map_err(broken)?;
        if version != VERSION {
            return Err(InstallError::Receipt { path: path.to_owned(), version });
        }
        let receipt: Self = serde_json::from_str(&text).map_err(broken)?;
        Ok(Some(Self { path: path.to_owned(), ..receipt }))
    }

    /// The entries, in the order in which they were done.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of an item.
    #[must_use]
    pub fn entry(&self, item: &Item) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.item.is(item))
    }

    /// The users that were made.
    pub fn users(&self) -> impl Iterator<Item = &Wanted> {
        self.entries.iter().filter_map(|entry| match &entry.item {
            Item::User { wanted } => Some(wanted),
            _ => None,
        })
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// These were made before there was a directory for the receipt. They come into it together:
    /// a receipt that had only the first of them would leave the others to nobody.
    pub(super) fn made(&mut self, items: Vec<Item>) -> Result<(), InstallError> {
        let done = |item| Entry { item, progress: Progress::Done, before: None };
        self.entries.extend(items.into_iter().map(done));
        self.write()
    }

    /// An action begins.
    pub(super) fn begin(
        &mut self,
        item: &Item,
        before: Option<Before>,
    ) -> Result<(), InstallError> {
        match self.entries.iter_mut().find(|entry| entry.item.is(item)) {
            // How a directory was before us is what it was before the first time.
            Some(entry) => {
                entry.progress = Progress::Begun;
                entry.item = update_item(&entry.item, item);
            }
            None => {
                let progress = Progress::Begun;
                self.entries.push(Entry { item: item.clone(), progress, before });
            }
        }
        self.write()
    }

    /// An action is done.
    pub(super) fn done(&mut self, item: &Item) -> Result<(), InstallError> {
        for entry in self.entries.iter_mut().filter(|entry| entry.item.is(item)) {
            entry.progress = Progress::Done;
        }
        self.write()
    }

    /// A user has these ids, to have them again.
    pub(crate) fn has_ids(&mut self, name: &str, ids: &Ids) -> Result<(), InstallError> {
        for entry in &mut self.entries {
            if let Item::User { wanted } = &mut entry.item
                && wanted.name == name
            {
                wanted.before = Some(ids.clone());
            }
        }
        self.write()
    }

    /// A user's home is elsewhere from now on.
    pub(super) fn has_home(&mut self, name: &str, home: &Path) -> Result<(), InstallError> {
        for entry in &mut self.entries {
            if let Item::User { wanted } = &mut entry.item
                && wanted.name == name
            {
                home.clone_into(&mut wanted.home);
            }
        }
        self.write()
    }

    /// An action is undone.
    pub(super) fn forget(&mut self, item: &Item) -> Result<(), InstallError> {
        self.entries.retain(|entry| !entry.item.is(item));
        self.write()
    }

    fn write(&mut self) -> Result<(), InstallError> {
        env!("CARGO_PKG_VERSION").clone_into(&mut self.russet);
        let broken = |source| InstallError::BrokenReceipt { path: self.path.clone(), source };
        let text = serde_json::to_vec_pretty(&self).map_err(broken)?;
        files::write(&self.path, &text, 0o600).map_err(InstallError::file("write", &self.path))
    }
}

/// Returns the wanted item, with the ids that are known from before.
fn update_item(old: &Item, new: &Item) -> Item {
    match (old, new) {
        (Item::User { wanted: old }, Item::User { wanted: new }) => {
            let before = new.before.clone().or_else(|| old.before.clone());
            Item::User { wanted: Wanted { before, ..new.clone() } }
        }
        _ => new.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Before, Item, Progress, Receipt};
    use russet_platform::account::{Ids, Wanted};
    use std::path::{Path, PathBuf};

    /// Receipt of the first version. It must be readable for ever.
    const OLD: &str = r#"{
        "version": 1, "russet": "0.1.0", "entries": [
          {"item": {"kind": "directory", "path": "/var/lib/russet"}, "progress": "done",
           "before": {"uid": 0, "mode": 493}},
          {"item": {"kind": "user", "name": "_russet1", "full_name": "Russet slot 1",
            "home": "/var/lib/russet/slots/1/home", "before": {"uid": 350, "gid": 351,
            "generated_uid": "95CA4ABC"}}, "progress": "begun"},
          {"item": {"kind": "job"}, "progress": "begun"}
        ]}"#;

    #[test]
    fn a_receipt_of_the_first_version_is_understood() {
        if !russet_test_skip::can_be_root("to own what is installed") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipt.json");
        std::fs::write(&path, OLD).unwrap();
        let receipt = Receipt::read(&path).unwrap().unwrap();
        let first = receipt.entries().first().unwrap();
        assert_eq!(first.before, Some(Before { uid: 0, mode: 0o755 }));
        assert_eq!(first.progress, Progress::Done);
        let user = receipt.users().next().unwrap();
        assert_eq!(user.before.as_ref().unwrap().generated_uid, "95CA4ABC");
    }

    #[test]
    fn a_receipt_of_another_version_or_none_at_all_is_told_apart() {
        if !russet_test_skip::can_be_root("to own what is installed") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipt.json");
        assert_eq!(Receipt::read(&path).unwrap(), None);
        std::fs::write(&path, r#"{"version": 9, "more": []}"#).unwrap();
        let error = Receipt::read(&path).unwrap_err();
        assert!(error.to_string().contains("version 9"), "{error}");
        std::fs::write(&path, "{").unwrap();
        assert!(Receipt::read(&path).unwrap_err().hint().unwrap().contains("move"));
        std::fs::write(&path, OLD).unwrap();
        std::os::unix::fs::chown(&path, Some(58_400), None).unwrap();
        let error = Receipt::read(&path).unwrap_err();
        assert!(error.to_string().contains("not a file of root's"), "{error}");
    }

    #[test]
    fn what_was_before_the_first_time_and_ids_stay_known() {
        if !russet_test_skip::can_be_root("to own what is installed") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipt.json");
        let mut receipt = Receipt::new(&path);
        let item = Item::Directory { path: PathBuf::from("/x") };
        receipt.begin(&item, Some(Before { uid: 7, mode: 0o700 })).unwrap();
        receipt.begin(&item, Some(Before { uid: 0, mode: 0o755 })).unwrap();
        let wanted = |home: &str| Wanted {
            name: "_russet1".to_owned(),
            full_name: String::new(),
            home: Path::new(home).to_owned(),
            before: None,
        };
        receipt.begin(&Item::User { wanted: wanted("/a") }, None).unwrap();
        let ids = Ids { uid: 1, gid: 2, generated_uid: String::new() };
        receipt.has_ids("_russet1", &ids).unwrap();
        receipt.begin(&Item::User { wanted: wanted("/b") }, None).unwrap();
        receipt.done(&Item::User { wanted: wanted("/b") }).unwrap();
        let read = Receipt::read(&path).unwrap().unwrap();
        assert_eq!(read, receipt);
        assert_eq!(read.entry(&item).unwrap().before, Some(Before { uid: 7, mode: 0o700 }));
        let user = read.users().next().unwrap();
        assert_eq!((user.home.as_path(), user.before.as_ref()), (Path::new("/b"), Some(&ids)));
        receipt.forget(&item).unwrap();
        assert_eq!(receipt.entry(&item), None);
    }
}
