//! Times at which schedules fire. Pure: the clock and the database are elsewhere (`api/firing.rs`).

mod due;
mod times;

pub(crate) use due::find_due;
pub(crate) use times::{InvalidTimes, Times};
