//! Text that every program of Russet reads or writes in the same way.
//!
//! Sizes and durations, text from elsewhere made safe to print, errors with their causes, parts of
//! URLs, server-sent events. Pure: no I/O, no clock.

#![forbid(unsafe_code)]

mod duration;
mod error;
mod number;
mod percent;
mod printable;
mod size;
mod sse;

pub use duration::{ParseDurationError, format_duration, parse_duration};
pub use error::{error_chain, root_cause};
pub use percent::{encode_component, encode_path, encode_segment};
pub use printable::{is_printable, one_line, one_line_within, printable_lines};
pub use size::{ParseSizeError, format_size, parse_size};
pub use sse::{EventReader, EventTooLong};
