//! Orbs of a registry: fetching them, pinning them, and choosing among their versions.
//!
//! Orbs are programs of other people's that run with a job's secrets. So nothing is fetched unless
//! the owner names a registry, what is fetched is pinned by its hash, and a source that does not
//! have that hash is not read.
//!
//! - `registry` asks a registry, within limits of size and time;
//! - `lock` is the file that pins name, version and hash;
//! - `shelf` is where the compiler finds orbs: local ones, pinned, completed from a registry.

mod error;
mod lock;
mod registry;
mod shelf;
mod wire;

pub use error::RegistryError;
pub use lock::{Lock, LockError, hash};
pub use registry::{Published, Registry, RegistryUrlError};
pub use shelf::{Fetched, Shelf};
