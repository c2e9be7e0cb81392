//! State of an Xcode's bundle in two calls of stat(2): enough to see before each claim that nothing
//! has happened to it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// State of a bundle. Another one means: look again. An update by the App Store, a move, a copy that
/// has begun and one that has ended all change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    version: FileStamp,
    tools: FileStamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed_s: i64,
    changed_ns: i64,
}

impl Stamp {
    /// Reads the state of a bundle; `None`: it is not whole.
    #[must_use]
    pub fn read(app: &Path) -> Option<Self> {
        let contents = app.join("Contents");
        Some(Self {
            version: FileStamp::read(&contents.join("version.plist"))?,
            tools: FileStamp::read(&contents.join("Developer/usr/bin/xcodebuild"))?,
        })
    }
}

impl FileStamp {
    fn read(path: &Path) -> Option<Self> {
        let meta: Metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.len(),
            changed_s: meta.ctime(),
            changed_ns: meta.ctime_nsec(),
        })
    }
}
