//! The SSH server within a task that is rerun for a person.
//!
//! It serves streams, wherever they come from: it opens no port and knows no control plane. It runs
//! as the slot's user, lets in the holders of given public keys alone, and starts their shells through
//! its [`Host`], which waits for them and ends what they leave like everything else of the task.

mod config;
mod connection;
mod forward;
mod gate;
mod keys;
mod server;
mod session;
mod sftp;

pub use config::{Forwarding, Settings};
pub use keys::{HostKey, KeyError, PersonKeys};
pub use server::{Connection, SshServer};
pub use session::{Host, Started};
