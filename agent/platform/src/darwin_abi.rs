//! Structures and constants of macOS that the libc crate lacks.
//!
//! They are written down here, and compared by a test on every system with `darwin_abi.tsv`, which was
//! taken from the headers that it names. The systems have the same sizes of these types.

/// `struct auditinfo_addr`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditInfo {
    pub(crate) user: u32,
    pub(crate) mask: [u32; 2],
    pub(crate) terminal_port: i32,
    pub(crate) terminal_type: u32,
    pub(crate) terminal_address: [u32; 4],
    pub(crate) session: i32,
    pub(crate) flags: u64,
}

/// `struct mach_timebase_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeBase {
    pub(crate) numer: u32,
    pub(crate) denom: u32,
}

/// `AU_IPv4`: a terminal has an address of one of two kinds, and may be none.
pub(crate) const AU_IPV4: u32 = 4;
/// `AU_ASSIGN_ASID`: the kernel chooses the session.
pub(crate) const AU_ASSIGN_ASID: i32 = -1;
/// `PROC_ALL_PIDS`: every process.
pub(crate) const PROC_ALL_PIDS: u32 = 1;
/// `PROC_UID_ONLY`: those of an effective user.
pub(crate) const PROC_UID_ONLY: u32 = 4;
/// `PROC_RUID_ONLY`: those of a real user.
pub(crate) const PROC_RUID_ONLY: u32 = 5;
/// `PROC_PIDPATHINFO_MAXSIZE`: bytes of the longest path of a program.
pub(crate) const PROC_PIDPATHINFO_MAXSIZE: u32 = 4096;
/// `MNT_FORCE`: also while it is in use.
pub(crate) const MNT_FORCE: i32 = 0x0008_0000;
/// `KAUTH_FILESEC_MAGIC`: the beginning of a `kauth_filesec`.
pub(crate) const KAUTH_FILESEC_MAGIC: u32 = 0x012c_c16d;
/// `KAUTH_FILESEC_NOACL`: it has no access list.
pub(crate) const KAUTH_FILESEC_NOACL: u32 = u32::MAX;
/// Bytes of a `struct kauth_filesec` whose list is empty.
pub(crate) const FILESEC_BYTES: usize = 4 + 16 + 16 + 4 + 4;
/// `POSIX_SPAWN_SETEXEC`: replace this process instead of making one.
pub(crate) const POSIX_SPAWN_SETEXEC: i16 = 0x0040;
/// `ACL_TYPE_EXTENDED`: the one kind of access list that macOS has.
pub(crate) const ACL_TYPE_EXTENDED: i32 = 0x0000_0100;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::mem::offset_of;

    use super::*;

    /// Name, value, C declaration, header, source and version; a structure's value is its size, and
    /// a field's its offset.
    const TABLE: &str = include_str!("darwin_abi.tsv");

    #[test]
    fn what_the_libc_crate_lacks_is_as_the_headers_have_it() {
        let ours: BTreeMap<&str, i64> = [
            ("AuditInfo", size_of::<AuditInfo>()),
            ("AuditInfo.user", offset_of!(AuditInfo, user)),
            ("AuditInfo.mask", offset_of!(AuditInfo, mask)),
            ("AuditInfo.terminal_port", offset_of!(AuditInfo, terminal_port)),
            ("AuditInfo.terminal_type", offset_of!(AuditInfo, terminal_type)),
            ("AuditInfo.terminal_address", offset_of!(AuditInfo, terminal_address)),
            ("AuditInfo.session", offset_of!(AuditInfo, session)),
            ("AuditInfo.flags", offset_of!(AuditInfo, flags)),
            ("TimeBase", size_of::<TimeBase>()),
            ("TimeBase.numer", offset_of!(TimeBase, numer)),
            ("TimeBase.denom", offset_of!(TimeBase, denom)),
            ("FILESEC_BYTES", FILESEC_BYTES),
        ]
        .map(|(name, value)| (name, i64::try_from(value).unwrap()))
        .into_iter()
        .chain([
            ("AU_IPV4", i64::from(AU_IPV4)),
            ("AU_ASSIGN_ASID", i64::from(AU_ASSIGN_ASID)),
            ("PROC_ALL_PIDS", i64::from(PROC_ALL_PIDS)),
            ("PROC_UID_ONLY", i64::from(PROC_UID_ONLY)),
            ("PROC_RUID_ONLY", i64::from(PROC_RUID_ONLY)),
            ("PROC_PIDPATHINFO_MAXSIZE", i64::from(PROC_PIDPATHINFO_MAXSIZE)),
            ("MNT_FORCE", i64::from(MNT_FORCE)),
            ("KAUTH_FILESEC_MAGIC", i64::from(KAUTH_FILESEC_MAGIC)),
            ("KAUTH_FILESEC_NOACL", i64::from(KAUTH_FILESEC_NOACL)),
            ("POSIX_SPAWN_SETEXEC", i64::from(POSIX_SPAWN_SETEXEC)),
            ("ACL_TYPE_EXTENDED", i64::from(ACL_TYPE_EXTENDED)),
        ])
        .collect();
        let mut theirs = BTreeMap::new();
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [name, value, declaration, header, source] = columns.as_slice() else {
                panic!("{line:?}");
            };
            for text in [declaration, header] {
                assert!(!text.is_empty(), "{line:?}");
            }
            // A version, without which nobody could look again.
            let (project, version) = source.split_once('-').unwrap();
            assert!(["xnu", "Libc"].contains(&project), "{line:?}");
            assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{line:?}");
            theirs.insert(*name, value.parse::<i64>().unwrap());
        }
        assert_eq!(ours, theirs);
    }
    /// A structure of macOS that is declared elsewhere would not be compared.
    #[test]
    fn no_other_file_of_macos_declares_a_layout() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/macos");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let is_declared = text.lines().any(|line| line.trim() == "#[repr(C)]");
            assert!(!is_declared, "{}: move it to darwin_abi.rs", path.display());
        }
    }
}
