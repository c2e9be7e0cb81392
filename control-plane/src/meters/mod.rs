//! Counters and measurements of this server, counted as things happen: an addition each, and nothing
//! while nobody reads them. What others know already is looked at when somebody asks (`api/metrics`).
//!
//! Labels are resource classes, routes and fixed words, never a project, a job or a token, so that there
//! are as many numbers however long a server runs.

mod database;
mod http;
mod labels;
mod objects;
mod process;
mod sign_ins;
mod tally;

pub(crate) use database::StoreMeters;
pub(crate) use http::HttpMeters;
pub(crate) use labels::ByClass;
pub(crate) use objects::{ObjectMeters, Operation};
pub(crate) use process::{Process, note_start};
pub(crate) use sign_ins::SignInMeters;
pub(crate) use tally::{FailureReason, Tally};
