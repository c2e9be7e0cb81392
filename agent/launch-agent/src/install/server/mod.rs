//! The control plane as a service: installed and removed through the same plan of actions as the
//! agent, with a receipt of its own. Of the control plane itself nothing is known here but its
//! program and its options.
//!
//! Threat: root installs what a service runs as another user. The program and the job's file are
//! root's, below directories that only root can change; what the service writes is its user's
//! alone, and root runs nothing of it.

mod plan;
#[cfg(any(target_os = "macos", test))]
mod plist;
mod remove;
mod run;
mod unit;

pub use plan::{ServerSettings, job_text, supervisor_command};
pub use remove::{ServerRemoval, uninstall_server};
pub use run::{install_server, lock_server_installation, server_options, server_service};
pub use unit::Unit;
