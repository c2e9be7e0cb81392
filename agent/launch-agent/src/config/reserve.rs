//! The reserve of disk space for tasks.

/// Reserve unless configured, in bytes. A simulator takes some GB of its own data and of swap, on the
/// same container, and a Mac with less room deletes caches while it builds.
const DEFAULT_BYTES: u64 = if cfg!(target_os = "macos") { 20_000_000_000 } else { 1_000_000_000 };

/// Free space on the disk of the state directory below which no task is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserve(
    /// Bytes; `None`: 20 GB on macOS and 1 GB elsewhere, or a twentieth of the file system where
    /// that is less.
    pub Option<u64>,
);

impl Reserve {
    /// Returns the reserve in bytes, on a file system of `size` bytes.
    #[must_use]
    pub fn bytes(self, size: u64) -> u64 {
        self.0.unwrap_or_else(|| (size / 20).min(DEFAULT_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_BYTES, Reserve};

    #[test]
    fn a_small_file_system_keeps_a_twentieth() {
        assert_eq!(Reserve(None).bytes(64_000_000), 3_200_000);
        assert_eq!(Reserve(None).bytes(1_000_000_000_000), DEFAULT_BYTES);
    }
}
