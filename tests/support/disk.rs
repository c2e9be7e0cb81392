//! A disk that loses its power.
//!
//! A file system on a loop device writes to its image what it was made to write, and keeps the
//! rest in memory. So a copy of the image, taken while the file system is mounted, is what a
//! machine finds after its power was cut at that moment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{can_be_root, test_dir};

/// Enough for a journal and a few seconds of a test.
const SIZE: u64 = 96 << 20;

/// A small disk, unmounted when the test ends.
pub struct Disk {
    /// Images so far; the last one is mounted.
    images: u32,
    dir: tempfile::TempDir,
}

impl Disk {
    /// Makes and mounts one. `None`, which is said, where this machine lets nobody do that.
    pub fn create() -> Option<Self> {
        if !can_be_root("to mount a disk") {
            return None;
        }
        let disk = Self { images: 1, dir: test_dir() };
        std::fs::create_dir(disk.path()).unwrap();
        std::fs::File::create(disk.image(1)).unwrap().set_len(SIZE).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk.image(1)).output();
        let failure = match made {
            Ok(made) if made.status.success() => disk.mount().err(),
            Ok(made) => Some(said(&made)),
            Err(error) => Some(format!("mkfs.ext4: {error}")),
        };
        if let Some(failure) = failure {
            eprintln!("skipped: no disk can be made here: {}", failure.trim());
            return None;
        }
        Some(disk)
    }

    /// Where it is mounted.
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
        // Five minutes between commits that nobody asked for: the test takes seconds.
        command.args(["-o", "loop,commit=300"]).arg(self.image(self.images)).arg(self.path());
        let output = command.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(said(&output)) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.path(), &["-l"]);
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
