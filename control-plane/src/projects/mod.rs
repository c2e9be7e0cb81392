//! Projects that are connected to a Git remote: polls find what changed there and note it as triggers.
//!
//! A change is noted with the new state of its branch or tag in one transaction (`poll.rs`), and its
//! pipeline with the end of its trigger in another (`api/projects/build.rs`): a server that is killed
//! anywhere loses none and makes none twice.

mod changes;
mod commit_statuses;
mod deliver;
mod due_work;
mod host_access;
mod poll;
mod schedule;
mod sealed;
mod status_times;
mod values;

pub(crate) use changes::{RefChange, trigger_of, trigger_of_call};
pub(crate) use commit_statuses::CommitStatuses;
pub(crate) use due_work::{DueWork, run_due_work};
pub(crate) use host_access::{AccessError, host_access, open_for_git, open_host};
pub(crate) use poll::Polls;
pub(crate) use schedule::{FETCH_LEASE_MS, LAG_MS, next_attempt};
pub(crate) use sealed::{SealedApp, SealedRemote, open_remote, open_sealed, seal_remote};
pub(crate) use status_times::GIVE_UP_AFTER_MS;
pub(crate) use values::{asks_to_skip, pipeline_values, split_reference, variables_of_event};
