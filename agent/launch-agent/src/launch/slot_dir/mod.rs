//! The directory of a slot: what belongs to its user, what root keeps in it, and the journal.

mod aside;
mod copies;
mod directories;
mod journal;

pub(super) use aside::AsideDirectories;
pub(super) use copies::copies_scope;
pub(super) use directories::{SlotDir, find_obstacle, make_state, make_work};
pub(super) use journal::{Found, Identity, Journal, VERSION as JOURNAL_VERSION};
