//! Decisions, and nothing else: no clock, no database, no network. What is true goes in, what is
//! to be done comes out.

pub(crate) mod leases;
pub(crate) mod rerun;
pub(crate) mod retention;
pub(crate) mod workflow;
