//! The control plane, as the launch agent calls it: claims with the token of a class, everything
//! else with the token of a task.

mod address;
mod api;
mod claimer;
mod log_once;
mod machine_facts;
mod token;

pub(super) use api::{Answer, Api};
pub(super) use claimer::Claimer;
pub(super) use log_once::LogOnce;
pub(super) use machine_facts::MachineFacts;
pub(super) use token::TokenSource;
