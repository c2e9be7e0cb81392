//! The two agents of a Mac: the launch agent (root: claims, starts, watches, cleans) and the
//! task agent (the slot's user: runs one task).

pub mod archive;
mod causes;
pub mod clock;
pub mod config;
pub mod continuation;
pub mod health;
pub mod helper;
pub mod http;
pub mod install;
pub mod launch;
pub mod layout;
mod local_api;
pub mod logs;
pub mod mask;
pub(crate) mod metrics;
pub mod platform;
mod replace;
mod size;
pub mod task;
pub mod update;
pub mod vault;
