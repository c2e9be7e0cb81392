//! Decisions of the launch agent: inputs in, actions out.
//!
//! Pure: no clock, no I/O, no async. The time is an argument, and [`Machine::next_wakeup`] says
//! when to come again without an input. The agent has a phase (`Phase`), and each slot a state
//! of its own (`slot::State`); everything that follows from both is here and in `slot`.

mod failures;
mod holds;
mod machine;
pub(crate) mod slot;
#[cfg(test)]
mod tests;
mod types;

pub(crate) use machine::Machine;
pub(crate) use types::{Action, End, Input, Settings, TaskEnd, TaskResult, View};
