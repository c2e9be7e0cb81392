//! Things that a job leaves behind, and the look for them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::libc;

/// Directories that everybody may write to, or that hold things of users.
const SHARED: [&str; 8] = [
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
    "/run",
    "/var/lock",
    "/var/spool/cron",
    "/var/mail",
];

/// `KEY_SPEC_USER_KEYRING` of keyctl(2).
const USER_KEYRING: i64 = -4;

/// `KEYCTL_READ` of keyctl(2).
const KEYCTL_READ: i64 = 11;

/// Keys that each user has for ever once it used any: its keyring, and that of its sessions.
const KEYS_OF_EVERY_USER: u64 = 2;

/// Shell text that fails where something of an earlier task is met, and leaves much behind.
pub fn script(key: u64) -> String {
    let (keyctl, add_key) = (libc::SYS_keyctl, libc::SYS_add_key);
    format!(
        "left=$(find /tmp /var/tmp /dev/shm -maxdepth 1 -user \"$(id -u)\" ! -path \"$TMPDIR\" 2>/dev/null || true)\n\
         if [ -n \"$left\" ]; then echo \"met $left\"; exit 1; fi\n\
         if ipcs -m | grep -qw \"$(id -un)\"; then echo 'met shared memory'; exit 1; fi\n\
         perl -e 'my $b = \"x\" x 64; my $n = syscall({keyctl}, {KEYCTL_READ}, {USER_KEYRING}, $b, 64); \
                  if ($n > 0) {{ print \"met a key\\n\"; exit 1 }}'\n\
         (setsid sleep 100001 >/dev/null 2>&1 </dev/null &)\n\
         nohup sleep 100002 >/dev/null 2>&1 </dev/null &\n\
         (trap '' TERM HUP; setsid bash -c 'trap \"\" TERM; while :; do sleep 1; done' >/dev/null 2>&1 </dev/null &)\n\
         mkdir -p /tmp/chaos-{key}/deep/er; echo x > /tmp/chaos-{key}/deep/er/x; chmod 000 /tmp/chaos-{key}/deep\n\
         echo x > /dev/shm/chaos-{key}; mkfifo /var/tmp/chaos-{key}; ln -s /etc/passwd /tmp/chaos-{key}-link\n\
         ipcmk -M 4096 -S 1 -Q >/dev/null\n\
         perl -e 'my ($t, $d, $p) = (\"user\", \"chaos-{key}\", \"secret\"); \
                  syscall({add_key}, $t, $d, $p, 6, {USER_KEYRING}) >= 0 or die \"no key: $!\\n\"'\n"
    )
}

/// Lists what is left of a user: processes, files, IPC objects and keys. Of the slots below `state`
/// the directories themselves may be the user's, if they are empty.
pub fn list_remains(uid: u32, state: &Path) -> Vec<String> {
    let mut found = list_processes(uid);
    for directory in SHARED {
        collect_files(Path::new(directory), uid, &mut found);
    }
    let slots = entries(&state.join("slots"));
    for own in slots.iter().flat_map(|slot| entries(slot)) {
        collect_files(&own, uid, &mut found);
    }
    found.extend(list_ipc(uid));
    found.extend(list_keys(uid));
    found.sort();
    found.dedup();
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let list = std::fs::read_dir(directory).into_iter().flatten();
    list.flatten().map(|entry| entry.path()).collect()
}

/// Lists the processes of a user.
pub fn list_processes(uid: u32) -> Vec<String> {
    let mut found = Vec::new();
    for process in entries(Path::new("/proc")) {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
        if ids.split_whitespace().any(|id| id == uid.to_string()) {
            let name = status.lines().next().unwrap_or_default();
            found.push(format!("process {} {name}", process.display()));
        }
    }
    found
}

/// Adds the files of a user below a directory, on its file system.
fn collect_files(directory: &Path, uid: u32, found: &mut Vec<String>) {
    let Ok(top) = std::fs::symlink_metadata(directory) else { return };
    if !top.is_dir() {
        return;
    }
    for path in entries(directory) {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if is_of_a_test(&path) {
            continue;
        }
        if meta.uid() == uid && !is_slot_directory(&path) {
            found.push(format!("file {}", path.display()));
        } else if meta.is_dir() && meta.dev() == top.dev() {
            collect_files(&path, uid, found);
        }
    }
}

/// Returns true for the directory of a test, this one or another: users' numbers are used again, and
/// one that was killed leaves files of a number that is another user's now. Slots are looked at by
/// themselves.
fn is_of_a_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    path.parent() == Some(Path::new("/var/tmp"))
        && name.to_string_lossy().starts_with("russet-test-")
}

/// Returns true for the directories in a slot that belong to its user, and for those in which copies
/// of archives live on by design, which are made anew for each project and user.
fn is_slot_directory(path: &Path) -> bool {
    let name_of = |level: usize| path.ancestors().nth(level).and_then(Path::file_name);
    let is = |level: usize, name: &str| name_of(level).is_some_and(|found| found == name);
    is(2, "slots") || (is(1, "caches") && is(3, "slots"))
}

fn list_ipc(uid: u32) -> Vec<String> {
    let mut found = Vec::new();
    for kind in ["shm", "sem", "msg"] {
        let table = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let is_of = |line: &&str| line.split_whitespace().any(|word| word == uid.to_string());
        found.extend(table.lines().skip(1).filter(is_of).map(|line| format!("{kind} {line}")));
    }
    found
}

fn list_keys(uid: u32) -> Vec<String> {
    let mut found = Vec::new();
    let in_keyring = read_keyring(uid);
    if in_keyring > 0 {
        found.push(format!("{in_keyring} bytes of keys in the keyring of user {uid}"));
    }
    let table = std::fs::read_to_string("/proc/key-users").unwrap_or_default();
    let of_user = table.lines().find_map(|line| line.trim().strip_prefix(&format!("{uid}: ")));
    let count =
        of_user.and_then(|line| line.split_whitespace().nth(1)?.split('/').next()?.parse().ok());
    if count.is_some_and(|count: u64| count > KEYS_OF_EVERY_USER) {
        found.push(format!("keys of user {uid}: {}", of_user.unwrap_or_default()));
    }
    found
}

/// Returns the bytes of key numbers in a user's keyring, as that user reads it.
fn read_keyring(uid: u32) -> i64 {
    let read = move || {
        let mut numbers = [0_u8; 256];
        // SAFETY: three integers. The system call changes this thread alone, which ends soon.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
        assert_eq!(changed, 0);
        let (at, length) = (numbers.as_mut_ptr(), numbers.len());
        // SAFETY: the kernel writes at most `length` bytes to the buffer, which lives longer.
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_READ, USER_KEYRING, at, length) }
    };
    std::thread::spawn(read).join().unwrap()
}
