//! The launch agent: claims, starts, watches, cleans.
//!
//! Theory of operation. [`run`] owns one state machine (`state`, pure) and feeds it inputs, one at
//! a time; the actions that come out are carried out by tasks of their own (`slot`), which answer
//! with inputs again. So nothing that takes long holds up anything else, and nothing is decided in
//! two places. While there is no work the process waits in one long poll per free slot and in
//! nothing else: there are no periodic timers.
//!
//! As root it never reads what a project supplied, and deletes nothing below a slot's user:
//! helpers that run as that user do.

mod admission;
mod caches;
mod events;
mod exit_reason;
mod kept;
mod lifecycle;
mod options;
mod process;
mod server;
mod shared;
mod slot;
mod slot_dir;
mod sockets;

pub use crate::board::Event;
pub use crate::requests::Stop;
pub use exit_reason::ExitReason;
pub use lifecycle::run;
pub use options::Options;
