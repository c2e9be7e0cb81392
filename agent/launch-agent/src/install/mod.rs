//! Installing the agent on a machine, and removing it with all its traces.
//!
//! An installation is a list of actions (`plan`), each of which can say in a sentence
//! what it does, look whether that is done already, do it, and undo it. Before each one the receipt
//! says that it begins, so a run that was killed anywhere is finished by the next one, and
//! `uninstall` undoes exactly what was done: what was there before stays as it was.
//!
//! Threat: root installs what root will run. Everything lies below directories that only root can
//! change, which is checked first; the configuration, which holds a token, is written 0600 from
//! the first byte on; a token comes from a file or standard input, never from arguments.

mod act;
mod bundle;
mod developer;
mod error;
mod files;
mod health;
mod homes;
mod leftovers;
mod lock;
mod owned;
mod plan;
mod receipt;
mod remove;
mod repair;
mod report;
mod run;
mod seal;
mod server;
mod slots;

pub use error::InstallError;
pub use health::{agent_concerns, socket_path, wait_for_health};
pub use homes::{follow_slots, note_directory};
pub use leftovers::{Leftover, list_leftovers};
pub use lock::{InstallationLock, lock_installation};
pub use plan::{ConfigSource, Settings, Step, plan_install};
pub use receipt::{Before, Entry, Item, Progress, Receipt};
pub use remove::{Removal, busy_slots, uninstall_agent};
pub use repair::{Repair, look_at_users, repair_installation, request_repair, user_faults};
pub use report::{Moment, Outcome, Report, Watch};
pub use run::{install_agent, installed_program, require_root};
pub use seal::{Seal, SealedMachine, Verdict};
pub use server::{
    ServerRemoval, ServerSettings, Unit, install_server, job_text, lock_server_installation,
    server_options, server_service, supervisor_command, uninstall_server,
};
pub use slots::adopted_note;

#[cfg(test)]
mod tests;
