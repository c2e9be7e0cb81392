//! The file that launchd makes our standard error: nobody rotates it from outside, since launchd
//! gives us the open file and not its name. Little is said there, but for years.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A longer file is begun anew; what is in it is kept beside it, once.
const LONGEST: u64 = 1_000_000;

/// Makes room in our standard error, where it is the file `path`. Call it while no agent runs: an
/// agent says there what it says before its own log is open, and how it panicked.
pub(crate) fn make_room(path: &Path) {
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map(File::from);
    if let Err(error) = stderr.and_then(|file| shorten(&file, path)) {
        crate::signals::log_line(&format!("could not make room in {}: {error}", path.display()));
    }
}

/// It is emptied in place, which every process that has it open survives. Killed in between, it is
/// kept twice.
fn shorten(file: &File, path: &Path) -> io::Result<()> {
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() <= LONGEST {
        return Ok(());
    }
    let reading = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
    let Ok(mut from) = reading else { return Ok(()) };
    let there = from.metadata()?;
    if (there.dev(), there.ino()) != (meta.dev(), meta.ino()) {
        // Standard error is another file, which is not ours to empty.
        return Ok(());
    }
    let (kept, draft) = (beside(path, ".1"), beside(path, ".1.new"));
    let mut to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&draft)?;
    io::copy(&mut from, &mut to)?;
    std::fs::rename(&draft, kept)?;
    set_append(file)?;
    file.set_len(0)
}

/// From now on each write goes to the end of the file, wherever that is.
fn set_append(file: &File) -> io::Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY: fcntl with integers, on a descriptor that is open.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    // SAFETY: as above; flags that could not be read are refused.
    let set = unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_APPEND) };
    if flags < 0 || set < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, beside, shorten};
    use std::io::Write as _;

    #[test]
    fn a_long_file_is_kept_once_and_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("russet-boot.log");
        // As launchd might open it: without a mind to append.
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"short\n").unwrap();
        shorten(&file, &path).unwrap();
        assert!(!beside(&path, ".1").exists());
        let long = "x".repeat(usize::try_from(LONGEST).unwrap());
        file.write_all(long.as_bytes()).unwrap();
        shorten(&file, &path).unwrap();
        file.write_all(b"later\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "later\n");
        assert!(std::fs::read_to_string(beside(&path, ".1")).unwrap().starts_with("short\nxxx"));
    }

    #[test]
    fn a_file_that_is_not_our_standard_error_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("russet-boot.log"), dir.path().join("other"));
        let long = "x".repeat(usize::try_from(LONGEST).unwrap() + 1);
        std::fs::write(&path, &long).unwrap();
        std::fs::write(&other, &long).unwrap();
        shorten(&std::fs::File::open(&other).unwrap(), &path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        shorten(&std::fs::File::open(&other).unwrap(), &path).unwrap();
        assert_eq!(std::fs::metadata(&other).unwrap().len(), LONGEST + 1);
    }
}
