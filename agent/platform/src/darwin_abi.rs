//! Structures and constants of macOS that the libc crate lacks: in one place, and compiled on every
//! system, so that a test compares them with `darwin_abi.table`, which names the header and the
//! version of each.

/// `struct auditinfo_addr` of bsm/audit.h.
#[repr(C)]
#[derive(Debug)]
pub struct AuditInfo {
    /// `ai_auid`.
    pub user: u32,
    /// `ai_mask`.
    pub mask: [u32; 2],
    /// `ai_termid.at_port`.
    pub terminal_port: i32,
    /// `ai_termid.at_type`.
    pub terminal_type: u32,
    /// `ai_termid.at_addr`.
    pub terminal_address: [u32; 4],
    /// `ai_asid`.
    pub session: i32,
    /// `ai_flags`, aligned to 8 bytes.
    pub flags: u64,
}

/// `AU_IPv4` of bsm/audit.h: a terminal has an address of one of two kinds, and may be none.
pub const AU_IPV4: u32 = 4;

/// `AU_ASSIGN_ASID` of bsm/audit.h: the kernel chooses.
pub const AU_ASSIGN_ASID: i32 = -1;

/// `mach_timebase_info_data_t` of mach/mach_time.h.
#[repr(C)]
#[derive(Debug)]
pub struct TimeBase {
    /// Nanoseconds in [`TimeBase::denom`] ticks.
    pub numer: u32,
    /// Ticks.
    pub denom: u32,
}

/// `MNT_FORCE` of sys/mount.h: also while it is in use.
pub const MNT_FORCE: i32 = 0x0008_0000;

/// `KAUTH_FILESEC_SIZE(0)` of sys/kauth.h: a magic number, two ids of 16 bytes, the count of
/// entries and flags.
pub const KAUTH_FILESEC_SIZE: usize = 4 + 16 + 16 + 4 + 4;

/// `KAUTH_FILESEC_MAGIC` of sys/kauth.h.
pub const KAUTH_FILESEC_MAGIC: u32 = 0x012c_c16d;

/// `KAUTH_FILESEC_NOACL` of sys/kauth.h, as the count of entries: there is no list.
pub const KAUTH_FILESEC_NOACL: u32 = u32::MAX;

/// `PROC_ALL_PIDS` of sys/proc_info.h.
pub const PROC_ALL_PIDS: u32 = 1;

/// `PROC_UID_ONLY` of sys/proc_info.h.
pub const PROC_UID_ONLY: u32 = 4;

/// `PROC_RUID_ONLY` of sys/proc_info.h.
pub const PROC_RUID_ONLY: u32 = 5;

/// `ACL_TYPE_EXTENDED` of sys/acl.h: the one kind of access list that macOS has.
pub const ACL_TYPE_EXTENDED: i32 = 0x0000_0100;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::mem::{offset_of, size_of};

    use super::*;

    /// Values as this build has them.
    fn compiled() -> BTreeMap<&'static str, i128> {
        let structures = [
            ("sizeof auditinfo_addr", size_of::<AuditInfo>()),
            ("auditinfo_addr.ai_auid", offset_of!(AuditInfo, user)),
            ("auditinfo_addr.ai_mask", offset_of!(AuditInfo, mask)),
            ("auditinfo_addr.ai_termid.at_port", offset_of!(AuditInfo, terminal_port)),
            ("auditinfo_addr.ai_termid.at_type", offset_of!(AuditInfo, terminal_type)),
            ("auditinfo_addr.ai_termid.at_addr", offset_of!(AuditInfo, terminal_address)),
            ("auditinfo_addr.ai_asid", offset_of!(AuditInfo, session)),
            ("auditinfo_addr.ai_flags", offset_of!(AuditInfo, flags)),
            ("sizeof mach_timebase_info", size_of::<TimeBase>()),
            ("mach_timebase_info.numer", offset_of!(TimeBase, numer)),
            ("mach_timebase_info.denom", offset_of!(TimeBase, denom)),
            ("KAUTH_FILESEC_SIZE(0)", KAUTH_FILESEC_SIZE),
        ];
        let numbers = [
            ("AU_IPv4", i128::from(AU_IPV4)),
            ("AU_ASSIGN_ASID", i128::from(AU_ASSIGN_ASID)),
            ("MNT_FORCE", i128::from(MNT_FORCE)),
            ("KAUTH_FILESEC_MAGIC", i128::from(KAUTH_FILESEC_MAGIC)),
            ("KAUTH_FILESEC_NOACL", i128::from(KAUTH_FILESEC_NOACL)),
            ("PROC_ALL_PIDS", i128::from(PROC_ALL_PIDS)),
            ("PROC_UID_ONLY", i128::from(PROC_UID_ONLY)),
            ("PROC_RUID_ONLY", i128::from(PROC_RUID_ONLY)),
            ("ACL_TYPE_EXTENDED", i128::from(ACL_TYPE_EXTENDED)),
        ];
        let structures = structures.map(|(name, value)| (name, i128::try_from(value).unwrap()));
        structures.into_iter().chain(numbers).collect()
    }

    #[test]
    fn layouts_and_constants_are_those_of_apples_headers() {
        let mut table = BTreeMap::new();
        for line in include_str!("darwin_abi.table").lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let [name, value, header, source] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("not name, value, header and source: {line}");
            };
            assert!(header.ends_with(".h") && source.contains('-'), "{line}");
            let number = value.strip_prefix("0x").map_or_else(
                || value.parse::<i128>().unwrap(),
                |digits| i128::from_str_radix(digits, 16).unwrap(),
            );
            assert_eq!(table.insert(name, number), None, "{name} is there twice");
        }
        assert_eq!(compiled(), table);
    }

    /// A structure or a constant of macOS that is declared elsewhere would not be compared.
    #[test]
    fn nothing_of_macos_declares_a_layout_of_its_own() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/macos");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let is_declared = text.lines().any(|line| line.trim() == "#[repr(C)]");
                assert!(!is_declared, "{}: move it to darwin_abi.rs", path.display());
            }
        }
    }
}
