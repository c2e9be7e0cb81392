//! A control group for each slot, where systemd delegated one (`Delegate=yes`).
//!
//! A slot's processes are ended by their user, which finds everything but a process of another
//! user (one that a setuid program started). A control group holds those too, and the kernel ends
//! all of it at once, however fast it forks. Where there is none, the user alone has to do.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Number of times that a group is read and killed on kernels without `cgroup.kill` (before 5.14).
const ROUNDS: usize = 50;

/// Attributes that systemd sets on a control group that it leaves to a service: cgroup delegation
/// in systemd's `docs/CGROUP_DELEGATION.md`; `user.` from version 251 on.
const MARKS: [&std::ffi::CStr; 2] = [c"trusted.delegate", c"user.delegate"];

/// The control group that this process was given, and may divide.
#[derive(Debug)]
pub struct Groups {
    path: PathBuf,
}

impl Groups {
    /// The one of this process, if it was delegated to it.
    #[must_use]
    pub fn delegated() -> Option<Self> {
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        // A user may have mounted something at a path that is no text.
        let mounts = std::fs::read("/proc/self/mountinfo").ok()?;
        let mounts = String::from_utf8_lossy(&mounts);
        let path = locate_group(&own, &mounts)?;
        is_delegated(&path).then_some(Self { path })
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves a process into the group of a slot. What it starts from then on is in it too.
    ///
    /// # Errors
    /// The process has ended, or the group cannot be made.
    pub fn put(&self, slot: u32, pid: u32) -> io::Result<()> {
        let group = self.of(slot);
        match std::fs::create_dir(&group) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        std::fs::write(group.join("cgroup.procs"), pid.to_string())
    }

    /// Ends everything in the group of a slot, groups below it included.
    ///
    /// # Errors
    /// The kernel refuses. That there is no such group is no error.
    pub fn kill(&self, slot: u32) -> io::Result<()> {
        let group = self.of(slot);
        if !group.exists() {
            return Ok(());
        }
        let file = std::fs::OpenOptions::new().write(true).open(group.join("cgroup.kill"));
        match file.and_then(|mut file| file.write_all(b"1")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => kill_each(&group),
            other => other,
        }
    }

    fn of(&self, slot: u32) -> PathBuf {
        self.path.join(format!("slot-{slot}"))
    }
}

/// The directory of the process's group in the unified hierarchy, from `/proc/self/cgroup` and
/// `/proc/self/mountinfo`.
fn locate_group(own: &str, mounts: &str) -> Option<PathBuf> {
    // `0::/path`: the unified hierarchy has number 0 and no controllers.
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mount = mounts.lines().find_map(|line| {
        // proc(5): id, parent, device, root, mount point, …, `-`, type, …
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        // One of another root is a part of it that a container was given.
        (kind.starts_with("cgroup2 ") && root == "/").then_some(point)
    })?;
    Some(Path::new(mount).join(own))
}

fn is_delegated(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    MARKS.iter().any(|mark| {
        let mut value = [0_u8; 8];
        // SAFETY: both names end with a zero; as many bytes as the buffer has.
        let length = unsafe {
            libc::getxattr(path.as_ptr(), mark.as_ptr(), value.as_mut_ptr().cast(), value.len())
        };
        length == 1 && value[0] == b'1'
    })
}

/// Kills one after the other, until there is none that was not killed: what forks meanwhile is in
/// the group too.
fn kill_each(group: &Path) -> io::Result<()> {
    let mut killed = BTreeSet::new();
    for _ in 0..ROUNDS {
        let text = std::fs::read_to_string(group.join("cgroup.procs"))?;
        // 0 is one of another namespace, and would mean this process's own group to kill(2).
        let pids = text.lines().filter_map(|line| line.parse().ok()).filter(|pid: &i32| *pid > 0);
        let alive: Vec<i32> = pids.filter(|pid| !killed.contains(pid)).collect();
        if alive.is_empty() {
            return Ok(());
        }
        for pid in alive {
            // One that has ended meanwhile is what is wanted.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
            killed.insert(pid);
        }
    }
    Err(io::Error::other(format!("{} does not get empty", group.display())))
}

#[cfg(test)]
mod tests {
    use super::{Groups, is_delegated, kill_each, locate_group};
    use std::io::Write as _;
    use std::path::{Path, PathBuf};

    /// From a machine with systemd 252 and the unified hierarchy.
    const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - \
                           cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";

    #[test]
    fn the_group_of_this_process_is_found_in_every_layout() {
        let own = "0::/system.slice/russet-agent.service\n";
        let found = Path::new("/sys/fs/cgroup/system.slice/russet-agent.service");
        assert_eq!(locate_group(own, UNIFIED).as_deref(), Some(found));
        // Beside the controllers of the first version, as this may be set up too.
        let own = "9:name=systemd:/\n4:memory:/x\n0::/y\n";
        let mounts = "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 23 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(locate_group(own, mounts).unwrap(), Path::new("/sys/fs/cgroup/unified/y"));
        // Only the first version, or only a part.
        assert_eq!(locate_group("4:memory:/x\n", mounts), None);
        assert_eq!(locate_group(own, &UNIFIED.replace("0:26 / ", "0:26 /part ")), None);
    }

    /// A group in the machine's own hierarchy; `None` where that cannot be written to.
    struct Real(PathBuf);

    impl Real {
        fn make() -> Option<Self> {
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
            let root = locate_group("0::/\n", &mounts)?;
            let path = root.join(format!("russet-unit-test-{}", std::process::id()));
            std::fs::create_dir(&path).ok()?;
            Some(Self(path))
        }
    }

    impl Drop for Real {
        fn drop(&mut self) {
            for path in [self.0.join("slot-1"), self.0.clone()] {
                for _ in 0..200 {
                    if std::fs::remove_dir(&path).is_ok() || !path.exists() {
                        break;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
        }
    }

    #[test]
    fn everything_in_the_group_of_a_slot_is_ended_whatever_user_it_is() {
        let Some(real) = Real::make() else { return };
        assert!(!is_delegated(&real.0));
        let groups = Groups { path: real.0.clone() };
        groups.kill(1).unwrap();
        for by_hand in [false, true] {
            let mut child = std::process::Command::new("sh")
                .args(["-c", "read go; setsid sleep 1000 & echo $!; wait"])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            groups.put(1, child.id()).unwrap();
            child.stdin.take().unwrap().write_all(b"go\n").unwrap();
            let mut line = String::new();
            let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
            std::io::BufRead::read_line(&mut out, &mut line).unwrap();
            let grandchild = line.trim().parse().unwrap();
            if by_hand { kill_each(&real.0.join("slot-1")) } else { groups.kill(1) }.unwrap();
            child.wait().unwrap();
            let gone = || crate::start_time(grandchild).is_none();
            for _ in 0..1000 {
                if gone() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            assert!(gone());
        }
    }
}
