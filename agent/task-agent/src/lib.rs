//! The task agent: one process that runs one task as the slot's user, and the programs that its
//! steps call.

pub mod archive;
pub mod bundle;
pub mod continuation;
mod git_socket;
pub mod helper;
mod hold_request;
pub mod mask;
mod path_error;
mod stderr;
pub mod task;
