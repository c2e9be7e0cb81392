//! Retention: pipelines and what they leave go when their time has come, or when somebody deletes
//! them, and the room that they held is given back.
//!
//! Everything here may be killed anywhere, and be done by several servers at once: a pipeline is
//! marked and then removed in bounded transactions (`store::removal`), which note the objects whose
//! rows they remove; noted objects are deleted after that (`objects`), and objects that nothing
//! names or notes are found by listing (`orphans`). `scheduler::retention` decides.

mod error;
mod objects;
mod orphans;
mod rounds;

pub(crate) use objects::delete_objects;
pub(crate) use rounds::{delete_pipeline, run_keeper};
