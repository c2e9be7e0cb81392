//! Directories of homes that outlive tasks of one project, class and kind of branch.
//!
//! `kept` in the directory of data is root's, and nobody else may enter it. In it is a directory for
//! each set, root's with a record, in which `files` belongs to the slot's user whose task left it.
//! Root makes, names and renames these, and touches nothing in `files`: task agents clone from one
//! that is opened for them before they drop, and into an empty one of their own.
//!
//! A set takes the place of the one before by one exchange, when its task has succeeded and nothing
//! of the slot's user runs any more. So a launch agent that is killed at any step leaves the former
//! set or the new one. What goes is renamed first, and emptied by a process of its owner, as much
//! each time as there is time for.
//!
//! Threat: whoever writes into a set decides what later tasks build with. So tasks of forks, and
//! those of which the server does not say that they come from none, have no set at all; tasks of
//! branches that the owner does not name read what trusted branches left and write their own; tasks
//! of tags read and write nothing.

mod names;
mod plan;
mod store;

pub(super) use self::names::{Scope, scope_of};
pub(super) use self::plan::{Rules, plan_removal};
pub(super) use self::store::{Gone, KeptStore, Lending};
