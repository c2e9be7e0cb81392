//! FUSE file systems of a user on Linux: finding them in the mount table and taking them down.
//!
//! Only the table is looked at: asking such a file system anything means asking a program of the
//! job, which may never answer.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{CommandError, Tools};

/// The set-uid programs with which users take their own FUSE file systems down; version 3 first.
const FUSERMOUNT: [&str; 2] = ["/usr/bin/fusermount3", "/usr/bin/fusermount"];

/// Timeout of one of them.
const LIMIT: Duration = Duration::from_secs(10);

/// Lists the FUSE mounts of `uid`, in the order of the table (proc_pid_mountinfo(5)).
pub(super) fn of_user(table: &[u8], uid: u32) -> Vec<PathBuf> {
    table.split(|byte| *byte == b'\n').filter_map(|line| of_line(line, uid)).collect()
}

/// A line of the table:
/// `36 35 98:0 /root /mount/point options optional… - type source super-options`
pub(super) struct MountLine<'a> {
    /// Number of the mount, unlike that of any other until it is gone.
    pub(super) id: u32,
    point: &'a [u8],
    pub(super) kind: &'a [u8],
    super_options: &'a [u8],
    pub(super) is_read_only: bool,
}

impl<'a> MountLine<'a> {
    /// Reads a line; one that is none is left out.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let point = fields.nth(3)?;
        let options = fields.next()?;
        fields.find(|field| *field == b"-")?;
        let kind = fields.next()?;
        let super_options = fields.nth(1)?;
        let is_read_only = [options, super_options]
            .iter()
            .any(|options| options.split(|byte| *byte == b',').any(|option| option == b"ro"));
        Some(Self { id, point, kind, super_options, is_read_only })
    }

    /// Returns the mount point.
    pub(super) fn point(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(unescape_field(self.point)))
    }
}

fn of_line(line: &[u8], uid: u32) -> Option<PathBuf> {
    let line = MountLine::parse(line)?;
    let options = std::str::from_utf8(line.super_options).ok()?;
    let is_fuse =
        line.kind == b"fuse" || line.kind == b"fuseblk" || line.kind.starts_with(b"fuse.");
    let wanted = format!("user_id={uid}");
    let is_owned = options.split(',').any(|option| option == wanted);
    (is_fuse && is_owned).then(|| line.point())
}

/// Space, tab, line end and backslash stand as three octal digits after a backslash.
fn unescape_field(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = after.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

/// Takes one down, also while it is in use.
pub(super) fn unmount(tools: &Tools, path: &Path) -> Result<(), CommandError> {
    let mut last = None;
    for tool in FUSERMOUNT {
        let command = tools.command(tool).args(["-u", "-z", "--"]).arg(path).limit(LIMIT);
        match command.run_ok() {
            Ok(_) => return Ok(()),
            Err(error @ CommandError::NotFound { .. }) if last.is_some() => drop(error),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::{of_user, unmount};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;
    use std::path::Path;

    /// The form of proc_pid_mountinfo(5); the FUSE lines are those of sshfs and rclone.
    const TABLE: &[u8] = b"22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n\
        401 27 0:52 / /tmp/a\\040mount rw,nosuid,nodev,relatime shared:210 - fuse.sshfs \
        host:/dir rw,user_id=59001,group_id=59001\n\
        402 27 0:53 / /mnt/other rw - fuse.rclone remote: rw,user_id=590010,group_id=1\n\
        403 27 0:54 / /mnt/theirs rw - fuse x rw,user_id=1000\n\
        404 27 0:55 / /mnt/two rw shared:1 master:2 - fuse x rw,user_id=59001\n\
        405 27 0:56 / /mnt/tmpfs rw - tmpfs tmpfs rw,user_id=59001\n\
        broken line\n";

    #[test]
    fn only_what_the_user_mounted_is_found() {
        assert_eq!(of_user(TABLE, 59001), [Path::new("/tmp/a mount"), Path::new("/mnt/two")]);
        assert!(of_user(b"", 59001).is_empty());
    }

    #[test]
    fn a_mount_point_that_looks_like_an_option_is_unmounted_and_an_older_tool_does() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        let error = unmount(&tools, Path::new("/mnt/x")).unwrap_err().to_string();
        assert!(error.contains("fusermount"), "{error}");
        let said = dir.path().join("said");
        fake_tool(dir.path(), "fusermount", &format!("echo \"$@\" > {}", said.display()));
        unmount(&tools, Path::new("-x")).unwrap();
        assert_eq!(std::fs::read_to_string(said).unwrap(), "-u -z -- -x\n");
        fake_tool(dir.path(), "fusermount", "echo not mounted >&2; exit 1");
        let error = unmount(&tools, Path::new("/mnt/x")).unwrap_err().to_string();
        assert!(error.contains("not mounted"), "{error}");
    }
}
