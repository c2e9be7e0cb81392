//! Control groups: macOS has none.

use std::io;
use std::path::Path;

/// There is none of these.
#[derive(Debug)]
pub enum Groups {}

impl Groups {
    /// The one of this process.
    #[must_use]
    pub fn delegated() -> Option<Self> {
        None
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match *self {}
    }

    /// Moves a process into the group of a slot.
    ///
    /// # Errors
    /// None: there is no value to call it on.
    pub fn put(&self, _slot: u32, _pid: u32) -> io::Result<()> {
        match *self {}
    }

    /// Ends everything in the group of a slot.
    ///
    /// # Errors
    /// None: there is no value to call it on.
    pub fn kill(&self, _slot: u32) -> io::Result<()> {
        match *self {}
    }
}
