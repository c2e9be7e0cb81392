//! Setting this machine up, step by step.
//!
//! A step looks first, acts where something is missing, and looks again: so a set-up that ran
//! before does nothing, one that was interrupted goes on, and nothing is said to be done that is
//! not. What only a person can do is a step that says how.

pub mod gui;
pub mod prepare;
mod step;

pub use step::{AfterFailure, Found, Moment, Outcome, Report, SetupError, Step, run_steps};
