//! Orbs of configurations: where they are found, and which are sent along with a pipeline.
//!
//! - `directories`: those that `--orb-path` names, and `.circleci/orbs` of a project;
//! - `lock`: `.circleci/orbs.lock`, which pins versions and hashes;
//! - `registry`: the options that name a registry;
//! - `local`: all of them together, completed from a control plane and a registry;
//! - `sent`: those that a control plane is given.

mod directories;
mod local;
mod lock;
mod registry;
mod sent;
mod server;

pub(crate) use directories::{DIRECTORY, all, project_of};
pub(crate) use local::Local;
pub(crate) use lock::edit as edit_lock;
pub(crate) use lock::write_file;
pub(crate) use registry::RegistryArgs;
pub(crate) use sent::{Sent, sent};
