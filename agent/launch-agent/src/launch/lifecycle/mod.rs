//! From a start to an end: what has to be there first, the loop around the state machine, and the
//! signals that end it.

mod awake;
mod boot;
mod data;
mod prepare;
mod reports;
mod run;
mod shutdown_hook;
mod slots;
mod starts;
mod stop_requests;
mod survey;
mod task_user;

pub use run::run;
