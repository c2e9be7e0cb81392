//! Things in the way of a clean-up: files that the system refuses to delete, and a file system whose
//! server has stopped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Lacks, skip, wait_for};

/// Files and directories below a path that only root can delete, after it took the flag away: the
/// same as a data vault of macOS to their owner. It goes when this is dropped.
pub struct Protected(PathBuf);

impl Protected {
    /// Returns true if the file system of a directory has such files; otherwise the test is skipped.
    #[track_caller]
    pub fn are_possible(dir: &Path) -> bool {
        let probe = dir.join("probe");
        std::fs::write(&probe, "").unwrap();
        let is_set = change_flag("+i", &probe);
        let is_gone = change_flag("-i", &probe);
        std::fs::remove_file(probe).unwrap();
        if !is_set || !is_gone {
            skip(Lacks::Machine, "a file system with immutable files");
        }
        is_set && is_gone
    }

    /// Takes flags away below a path in the end.
    pub fn below(path: PathBuf) -> Self {
        Self(path)
    }

    /// Protects a file or directory.
    pub fn add(&self, path: &Path) {
        assert!(path.starts_with(&self.0) && change_flag("+i", path), "{path:?}");
    }
}

impl Drop for Protected {
    fn drop(&mut self) {
        Command::new("chattr").args(["-R", "-f", "-i"]).arg(&self.0).status().ok();
    }
}

fn change_flag(how: &str, path: &Path) -> bool {
    let output = Command::new("chattr").arg(how).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

/// Opcode of the first request of the FUSE protocol (linux/fuse.h), and its version that we speak.
const FUSE_INIT: u32 = 26;
const FUSE_VERSION: [u32; 2] = [7, 31];

/// A file system whose server takes requests and answers none. Whoever looks into it waits, and
/// cannot be killed: the kernel lets nobody go whose request a server has read.
pub struct StalledFileSystem {
    point: PathBuf,
    server: Option<File>,
}

impl StalledFileSystem {
    /// Mounts one. `None`, which is said: this machine has no FUSE.
    #[track_caller]
    pub fn mount(point: &Path) -> Option<Self> {
        let mut options = File::options();
        let options = options.read(true).write(true).custom_flags(libc_nonblock());
        let Ok(server) = options.open("/dev/fuse") else {
            skip(Lacks::Machine, "FUSE");
            return None;
        };
        std::fs::create_dir_all(point).unwrap();
        let made = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o"])
            .arg("fd=0,rootmode=40000,user_id=0,group_id=0,allow_other")
            .arg("stalled")
            .arg(point)
            .stdin(Stdio::from(server.try_clone().unwrap()))
            .output()
            .unwrap();
        if !made.status.success() {
            skip(Lacks::Machine, "the right to mount FUSE");
            return None;
        }
        let mut mounted = Self { point: point.to_owned(), server: Some(server) };
        mounted.introduce();
        Some(mounted)
    }

    /// Answers the first request.
    fn introduce(&mut self) {
        let request = self.next_request();
        assert_eq!(u32::from_ne_bytes(request[4..8].try_into().unwrap()), FUSE_INIT);
        // `fuse_out_header` and `fuse_init_out`: the version, and zeros but for the largest write.
        let mut answer = vec![0_u8; 16 + 64];
        let mut put = |at: usize, number: u32| {
            answer[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        };
        put(0, 16 + 64);
        put(16, FUSE_VERSION[0]);
        put(20, FUSE_VERSION[1]);
        put(36, 4096);
        answer[8..16].copy_from_slice(&request[8..16]);
        self.server.as_mut().unwrap().write_all(&answer).unwrap();
    }

    /// Waits until somebody looks into it, who waits from then on.
    pub fn wait_for_reader(&mut self) {
        self.next_request();
    }

    fn next_request(&mut self) -> Vec<u8> {
        let server = self.server.as_mut().unwrap();
        wait_for("a request to the file system", || {
            let mut request = vec![0_u8; 64 * 1024];
            let length = server.read(&mut request).ok()?;
            request.truncate(length);
            Some(request)
        })
    }

    /// Ends the server: whoever waits gets an error, and ends.
    pub fn end_server(&mut self) {
        drop(self.server.take());
    }
}

impl Drop for StalledFileSystem {
    fn drop(&mut self) {
        self.end_server();
        Command::new("umount").arg("-l").arg(&self.point).output().ok();
    }
}

fn libc_nonblock() -> i32 {
    nix::fcntl::OFlag::O_NONBLOCK.bits()
}
