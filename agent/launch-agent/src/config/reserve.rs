//! The reserve of disk space for tasks.

/// Free space on the disk of the state directory below which no task is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserve(
    /// Bytes; `None`: a gigabyte, or a twentieth of the file system where that is less.
    pub Option<u64>,
);

impl Reserve {
    /// Returns the reserve in bytes, on a file system of `size` bytes.
    #[must_use]
    pub fn bytes(self, size: u64) -> u64 {
        self.0.unwrap_or_else(|| (size / 20).min(1_000_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::Reserve;

    #[test]
    fn a_small_file_system_keeps_a_twentieth() {
        assert_eq!(Reserve(None).bytes(64_000_000), 3_200_000);
        assert_eq!(Reserve(None).bytes(1_000_000_000_000), 1_000_000_000);
    }
}
