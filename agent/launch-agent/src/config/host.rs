//! The starter of the launch agent, which decides how it logs and what signals mean.

/// Program that started the launch agent, which decides the meaning of TERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// A person or CircleCI's way of running it: TERM drains, and TERM again cancels.
    Foreground,
    /// `russet-boot` under launchd: TERM ends the launch agent alone, soon, and tasks live on to
    /// be adopted.
    Launchd,
    /// The same under systemd.
    Systemd,
}

impl Host {
    /// Returns true if somebody starts the launch agent again when it has ended.
    #[must_use]
    pub fn is_service(self) -> bool {
        self != Self::Foreground
    }
}
