//! Facts about this machine.

use std::path::Path;

use russet_platform::{Memory, MemoryPressure, Swap};

/// Facts that the checks are made of. What is not known here is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The file system that tasks work on.
    pub disk: Option<Disk>,
    /// Memory.
    pub memory: Option<Memory>,
    /// Pressure on memory.
    pub pressure: Option<MemoryPressure>,
    /// Space for memory on disk.
    pub swap: Option<Swap>,
    /// Number of processes that wanted to run over the last minute.
    pub load: Option<f64>,
    /// Number of processors.
    pub cores: u32,
    /// Number of files that a process of a task may open.
    pub open_files: u64,
    /// Seconds by which this clock is behind the control plane's.
    pub clock_skew_s: Option<i64>,
}

/// A file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that a user who is not root may still write.
    pub free: u64,
    /// Bytes in all.
    pub size: u64,
}

/// Looks.
#[must_use]
pub fn gather_facts(state: &Path) -> Facts {
    Facts {
        disk: find_disk(state),
        memory: russet_platform::memory(),
        pressure: russet_platform::memory_pressure(),
        swap: russet_platform::swap(),
        load: russet_platform::load_average(),
        cores: std::thread::available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        open_files: nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
            .map_or(0, |(soft, hard)| russet_platform::os::open_files(soft, hard)),
        clock_skew_s: None,
    }
}

/// The file system of a directory; of the nearest one that is there.
pub(crate) fn find_disk(path: &Path) -> Option<Disk> {
    let there = path.ancestors().find(|path| path.exists())?;
    let stat = nix::sys::statvfs::statvfs(there).ok()?;
    #[cfg_attr(
        target_os = "linux",
        expect(clippy::useless_conversion, reason = "u32 on macOS, u64 on Linux")
    )]
    let (free, all) = (u64::from(stat.blocks_available()), u64::from(stat.blocks()));
    let block = stat.fragment_size();
    Some(Disk { free: free.saturating_mul(block), size: all.saturating_mul(block) })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn this_machine_has_a_disk_and_memory() {
        let facts = super::gather_facts(Path::new("/var/lib/not/made/yet"));
        let disk = facts.disk.unwrap();
        assert!(disk.size >= disk.free && disk.size > 0, "{disk:?}");
        let memory = facts.memory.unwrap();
        assert!(memory.total >= memory.available && memory.available > 0, "{memory:?}");
        assert!(facts.open_files > 0 && facts.cores > 0);
        assert!(facts.load.unwrap() >= 0.0);
    }
}
