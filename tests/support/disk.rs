//! Disks of a test: one that loses its power, and one whose file system clones files.
//!
//! A file system on a loop device writes to its image what it was made to write, and keeps the
//! rest in memory. So a copy of the image, taken while the file system is mounted, is what a
//! machine finds after its power was cut at that moment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Lacks, can_be_root, skip, test_dir};

/// Parameters of a disk.
struct Kind {
    mkfs: &'static [&'static str],
    /// Bytes, of which an image takes those that were written to.
    size: u64,
    options: &'static str,
}

/// Enough for a journal and a few seconds of a test. Five minutes between commits that nobody asked
/// for: the test takes seconds.
const EXT4: Kind =
    Kind { mkfs: &["mkfs.ext4", "-q", "-F"], size: 96 << 20, options: "loop,commit=300" };

/// Room enough that a runner keeps copies of caches.
const BTRFS: Kind = Kind { mkfs: &["mkfs.btrfs", "-q"], size: 20 << 30, options: "loop" };
const XFS: Kind = Kind { mkfs: &["mkfs.xfs", "-q"], size: 20 << 30, options: "loop" };

/// A small disk, unmounted when the test ends.
pub struct Disk {
    kind: Kind,
    /// Images so far; the last one is mounted.
    images: u32,
    dir: tempfile::TempDir,
}

impl Disk {
    /// Makes and mounts one that can lose its power. `None`, which is said, where this machine lets
    /// nobody do that.
    pub fn create() -> Option<Self> {
        Self::first_of([EXT4])
    }

    /// Makes and mounts one whose file system clones files. `None`, which is said, where there is
    /// none here.
    pub fn cloning() -> Option<Self> {
        Self::first_of([BTRFS, XFS])
    }

    fn first_of<const N: usize>(kinds: [Kind; N]) -> Option<Self> {
        if !can_be_root("to mount a disk") {
            return None;
        }
        let is_missing = |kind: &Kind| Command::new(kind.mkfs[0]).arg("-V").output().is_err();
        let lacks = if kinds.iter().all(is_missing) { Lacks::Tool } else { Lacks::Machine };
        let mut failures = Vec::new();
        for kind in kinds {
            match Self::make(kind) {
                Ok(disk) => return Some(disk),
                Err(failure) => failures.push(failure.trim().to_owned()),
            }
        }
        skip(lacks, &format!("no disk can be made here: {}", failures.join("; ")));
        None
    }

    fn make(kind: Kind) -> Result<Self, String> {
        let disk = Self { kind, images: 1, dir: test_dir() };
        std::fs::create_dir(disk.path()).unwrap();
        std::fs::File::create(disk.image(1)).unwrap().set_len(disk.kind.size).unwrap();
        let (program, arguments) = disk.kind.mkfs.split_first().unwrap();
        let made = Command::new(program).args(arguments).arg(disk.image(1)).output();
        match made {
            Ok(made) if made.status.success() => disk.mount()?,
            Ok(made) => return Err(said(&made)),
            Err(error) => return Err(format!("{program}: {error}")),
        }
        // Slots' users go through it to their slots.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(disk.path(), mode).unwrap();
        Ok(disk)
    }

    /// Mount point.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Cuts the power and starts the machine again. Nobody may have a file open there.
    pub fn lose_power(&mut self) {
        std::fs::copy(self.image(self.images), self.image(self.images + 1)).unwrap();
        unmount(&self.path(), &[]);
        self.images += 1;
        self.mount().unwrap();
    }

    fn image(&self, number: u32) -> PathBuf {
        self.dir.path().join(format!("image-{number}"))
    }

    fn mount(&self) -> Result<(), String> {
        let mut command = Command::new("mount");
        command.args(["-o", self.kind.options]).arg(self.image(self.images)).arg(self.path());
        let output = command.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(said(&output)) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.path(), &["-l"]);
    }
}

/// Fills a disk with a file, to the last byte.
pub fn fill_disk(file: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(file).unwrap();
    let mut block = vec![0_u8; 1 << 20];
    while !block.is_empty() {
        if file.write_all(&block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
}

fn unmount(path: &Path, options: &[&str]) {
    let output = Command::new("umount").args(options).arg(path).output().unwrap();
    if !output.status.success() && options.is_empty() {
        panic!("umount: {}", said(&output));
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
