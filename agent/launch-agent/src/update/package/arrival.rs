//! The note of a package, and the directory that it lies in.

use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::PackageError;
use crate::files::remove_tree;
use russet_platform::layout::Layout;
use russet_platform::replace::sync_directory;

/// Name of the note.
const NOTE: &str = "complete";

/// Longest note that is read, in bytes.
const MAX_NOTE_BYTES: u64 = 1024;

/// Longest version, in bytes.
const MAX_VERSION_BYTES: usize = 64;

/// Longest hold: a note is no way to stop a machine for good.
const MAX_HOLD: Duration = Duration::from_secs(24 * 3600);

/// Text of a package's note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) version: String,
    /// Time from the writing of the note on in which no task is claimed for its sake.
    pub(super) hold: Duration,
    pub(super) allows_downgrade: bool,
}

impl Note {
    /// Parses lines of `key value`; a key that is not known is of a later version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let get = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ').map(str::trim))
        };
        let version = get("version")?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
        if version.is_empty() || version.len() > MAX_VERSION_BYTES || !version.chars().all(is_plain)
        {
            return None;
        }
        let hold = get("hold").map_or(Some(0), |text| text.parse().ok())?;
        Some(Self {
            version: version.to_owned(),
            hold: Duration::from_secs(hold).min(MAX_HOLD),
            allows_downgrade: get("downgrade") == Some("yes"),
        })
    }
}

/// A package's files that are complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) directory: PathBuf,
    pub(super) note: Note,
    /// Time at which the note was written, in milliseconds since 1970.
    pub(super) written_ms: u64,
}

impl Arrival {
    /// Returns the bundle's path.
    pub(super) fn bundle(&self, layout: &Layout) -> PathBuf {
        let bundle = layout.bundle();
        self.agent().join(bundle.file_name().unwrap_or_default())
    }

    /// Returns the executable's path.
    pub(super) fn executable(&self, layout: &Layout) -> PathBuf {
        let (bundle, executable) = (layout.bundle(), layout.executable());
        self.bundle(layout).join(executable.strip_prefix(&bundle).unwrap_or(&executable))
    }

    /// Returns the directory of the agent's own component.
    pub(super) fn agent(&self) -> PathBuf {
        self.directory.join("agent")
    }

    /// Returns the companion's path.
    pub(super) fn menubar(&self, layout: &Layout) -> PathBuf {
        let bundle = layout.menubar_bundle();
        self.directory.join("menubar").join(bundle.file_name().unwrap_or_default())
    }

    /// Returns the end of the hold, in milliseconds since 1970; `None` once it is over. A note from
    /// the future was written by another clock and holds nothing longer than it may.
    pub(super) fn hold_until_ms(&self, now_ms: u64) -> Option<u64> {
        let hold = russet_platform::clock::whole_millis(self.note.hold);
        let until = self.written_ms.saturating_add(hold).min(now_ms.saturating_add(hold));
        (until > now_ms).then_some(until)
    }
}

/// Returns true if a package's files lie complete where Installer put them, or cannot be read.
#[must_use]
pub fn is_incoming(layout: &Layout) -> bool {
    !matches!(read(&layout.incoming()), Ok(None))
}

/// Removes what has arrived, once nothing of it is needed any more.
///
/// # Errors
///
/// It cannot be removed.
pub fn forget_arrived(layout: &Layout) -> Result<(), PackageError> {
    let arrived = layout.arrived();
    remove_tree(&arrived).map_err(PackageError::file("remove", &arrived))
}

/// Takes what came complete: from then on it is the agent's, and Installer begins another
/// directory. Returns false where nothing has come.
pub(super) fn take_incoming(layout: &Layout) -> Result<bool, PackageError> {
    let (incoming, arrived) = (layout.incoming(), layout.arrived());
    if read(&incoming)?.is_none() {
        return Ok(false);
    }
    forget_arrived(layout)?;
    std::fs::rename(&incoming, &arrived).map_err(PackageError::file("take", &incoming))?;
    let code = layout.code();
    sync_directory(&code).map_err(PackageError::file("sync", &code))?;
    // A script of another installation began to empty it just before it had another name. It takes
    // the note away first.
    if read(&arrived)?.is_none() {
        forget_arrived(layout)?;
        return Ok(false);
    }
    Ok(true)
}

/// Returns what has arrived and was not put in place as a whole.
pub(super) fn read_arrived(layout: &Layout) -> Result<Option<Arrival>, PackageError> {
    read(&layout.arrived())
}

/// Reads a directory's note. `None`: it is not complete, or not there.
fn read(directory: &Path) -> Result<Option<Arrival>, PackageError> {
    let looked = PackageError::file("look at", directory);
    match directory.symlink_metadata() {
        Ok(meta) => check_own(directory, &meta)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(looked(error)),
    }
    russet_platform::trust::check_directory(directory)?;
    let path = directory.join(NOTE);
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = match options.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PackageError::file("open", &path)(error)),
    };
    let meta = file.metadata().map_err(PackageError::file("look at", &path))?;
    let mut text = String::new();
    let is_read = file.take(MAX_NOTE_BYTES).read_to_string(&mut text).is_ok();
    let note = Note::parse(&text).filter(|_| is_read && meta.is_file());
    let note = note.ok_or_else(|| PackageError::Note(path.clone()))?;
    let written = meta.modified().ok();
    let written = written.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let written_ms = russet_platform::clock::whole_millis(written.unwrap_or_default());
    Ok(Some(Arrival { directory: directory.to_owned(), note, written_ms }))
}

/// Checks that a directory is this user's alone: nobody else can even look into it.
fn check_own(path: &Path, meta: &std::fs::Metadata) -> Result<(), PackageError> {
    let fault = if !meta.is_dir() {
        "it is not a directory"
    } else if meta.uid() != nix::unistd::geteuid().as_raw() {
        "it belongs to somebody other than root"
    } else if meta.mode() & 0o077 != 0 {
        "others than root can look into it"
    } else {
        return Ok(());
    };
    Err(PackageError::Untrusted { path: path.to_owned(), fault })
}
