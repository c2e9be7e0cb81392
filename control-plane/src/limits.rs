//! Limits of what callers may take: connections, calls, time and memory.
//!
//! Threats: whoever can reach the port can open connections and never speak, send heads and bodies
//! a byte at a time, or send many large bodies at once. Without limits that takes the descriptors
//! and the memory of the server from those who have a token.

use std::time::Duration;

/// Limits of what callers may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. Fewer where the system gives fewer descriptors.
    pub connections: usize,
    /// Connections of these that runners cannot take from administrators.
    pub kept_connections: usize,
    /// Connections of one address that have not shown a token. The oldest is closed for a new one.
    pub connections_per_address: usize,
    /// Calls with one token at the same time.
    pub calls_per_token: usize,
    /// Calls without a token from one address at the same time.
    pub calls_per_address: usize,
    /// Bytes of the bodies of callers without a token that are in memory at the same time.
    pub anonymous_body_bytes: usize,
    /// The same of runners and tasks.
    pub runner_body_bytes: usize,
    /// The same of administrators.
    pub admin_body_bytes: usize,
    /// Time for the head of a request on a connection that has not shown a token.
    pub head_timeout: Duration,
    /// Time between the requests of a connection that has.
    pub idle_timeout: Duration,
    /// Time for a whole call without a token. Releases are downloaded so.
    pub anonymous_timeout: Duration,
    /// Time without a byte of a body.
    pub body_timeout: Duration,
    /// Time for which the other end may take no byte of an answer.
    pub write_timeout: Duration,
    /// Free bytes on the disk of the data directory below which no pipeline is taken and no task
    /// handed out. `None`: 1 GB, or a twentieth of a smaller disk.
    pub disk_reserve: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            kept_connections: 32,
            connections_per_address: 2048,
            calls_per_token: 8192,
            calls_per_address: 1024,
            anonymous_body_bytes: 32 << 20,
            runner_body_bytes: 192 << 20,
            admin_body_bytes: 64 << 20,
            head_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(120),
            anonymous_timeout: Duration::from_secs(600),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            disk_reserve: None,
        }
    }
}

/// Open files that the server asks the system for.
const WANTED_OPEN_FILES: u64 = 65_536;

/// Open files besides connections: the database, objects that are read and written, logs.
const OTHER_OPEN_FILES: u64 = 512;

impl Limits {
    /// Lowers the number of connections to what open files allow: accepting must not fail, and
    /// objects have to be opened for those who are connected.
    #[must_use]
    pub(crate) fn within(mut self, open_files: u64) -> Self {
        let half = open_files / 2;
        let left = open_files.saturating_sub(OTHER_OPEN_FILES).max(half);
        self.connections = self.connections.min(usize::try_from(left).unwrap_or(usize::MAX));
        self.connections_per_address =
            self.connections_per_address.min(self.connections / 2).max(1);
        self
    }
}

/// Raises the number of files that this process may have open to what the system allows, at most
/// [`WANTED_OPEN_FILES`]. Returns how many it may have open now.
pub(crate) fn raise_open_files() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 256 };
    // macOS says "no limit" and takes no more than OPEN_MAX, which is 10,240.
    let tries = [WANTED_OPEN_FILES.min(hard), 10_240.min(hard)];
    for wanted in tries.into_iter().filter(|wanted| *wanted > soft) {
        if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() {
            return wanted;
        }
    }
    soft
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn few_descriptors_leave_room_for_objects() {
        let of = |open_files| Limits::default().within(open_files).connections;
        assert_eq!(of(65_536), 16_384);
        assert_eq!(of(10_240), 9728);
        assert_eq!(of(256), 128);
        assert_eq!(Limits::default().within(256).connections_per_address, 64);
    }
}
