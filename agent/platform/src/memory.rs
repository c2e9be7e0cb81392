//! Memory of the machine, as both systems report it.

/// Memory of this machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Memory that a new program can have without others being pushed out.
    pub available: u64,
    /// All of it.
    pub total: u64,
}
