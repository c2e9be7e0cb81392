//! Facts about processes, as the system tells them.

/// One process, as the system lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its id.
    pub pid: i32,
    /// Id of its parent.
    pub parent: i32,
    /// Its session.
    pub session: i32,
    /// Its owner.
    pub uid: u32,
    /// Set once it has ended and only waits for its parent to notice.
    pub is_zombie: bool,
    /// Its command line, or its name where that cannot be read.
    pub command: String,
}

/// Resources that a process has used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The state, as ps(1) abbreviates it.
    pub state: char,
    /// Time on a processor, in milliseconds.
    pub cpu_ms: u64,
    /// Memory that it has now, in bytes.
    pub resident_bytes: u64,
    /// Since it began, in milliseconds.
    pub age_ms: u64,
}

/// The real, effective and saved ids of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// User ids.
    pub users: [u32; 3],
    /// Group ids.
    pub groups: [u32; 3],
}
