//! Memory of the machine, as both systems report it.

/// Memory of this machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Memory that a new program can have without others being pushed out.
    pub available: u64,
    /// All of it.
    pub total: u64,
}

/// Pressure on memory, as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryPressure {
    /// There is enough.
    Normal,
    /// Programs wait for memory now and then.
    Warning,
    /// They wait for little else, and may be killed.
    Critical,
}

/// Space for memory on disk, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// Its contents.
    pub used: u64,
    /// All of it. macOS makes more as it needs.
    pub total: u64,
}
