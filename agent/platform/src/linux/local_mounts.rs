//! The file systems of this machine's own disks and memory.

use std::path::PathBuf;

use super::mountinfo::MountLine;

/// File systems without files of users, and those that lie elsewhere: asking them may take for ever.
const EXCLUDED: [&[u8]; 36] = [
    b"9p",
    b"afs",
    b"autofs",
    b"beegfs",
    b"binfmt_misc",
    b"bpf",
    b"ceph",
    b"cgroup",
    b"cgroup2",
    b"cifs",
    b"coda",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"efivarfs",
    b"fuse",
    b"fuseblk",
    b"fusectl",
    b"glusterfs",
    b"gpfs",
    b"lustre",
    b"mqueue",
    b"ncpfs",
    b"nfs",
    b"nfs4",
    b"nfsd",
    b"nsfs",
    b"proc",
    b"pstore",
    b"rpc_pipefs",
    b"securityfs",
    b"selinuxfs",
    b"smb3",
    b"sysfs",
    b"tracefs",
    b"virtiofs",
];

/// Lists the mount points of local file systems that can be written to.
pub fn local_mounts() -> Vec<PathBuf> {
    parse_mounts(&std::fs::read("/proc/self/mountinfo").unwrap_or_default())
}

fn parse_mounts(table: &[u8]) -> Vec<PathBuf> {
    let is_local = |line: &MountLine<'_>| {
        !EXCLUDED.contains(&line.kind) && !line.kind.starts_with(b"fuse.") && !line.is_read_only
    };
    let lines = table.split(|byte| *byte == b'\n').filter_map(MountLine::parse);
    lines.filter(is_local).map(|line| line.point()).collect()
}

#[cfg(test)]
mod tests {
    use super::parse_mounts;
    use std::path::Path;

    #[test]
    fn only_local_file_systems_that_can_be_written_to_are_listed() {
        let table = b"22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n\
            27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
            28 27 0:25 / /mnt/a\\040disk rw - xfs /dev/vdb rw\n\
            29 27 0:26 / /ro ro,nosuid - tmpfs none rw\n\
            30 27 0:27 / /mnt/nfs rw - nfs4 host:/x rw\n\
            31 27 0:28 / /mnt/ssh rw - fuse.sshfs host:/x rw,user_id=1\n";
        assert_eq!(parse_mounts(table), [Path::new("/"), Path::new("/mnt/a disk")]);
    }
}
