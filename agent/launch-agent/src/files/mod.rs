//! Files and folders that belong to root, handled without following a link that somebody else put
//! there.

mod compare;
mod directory;
mod newest;
mod tree;

pub(crate) use compare::have_same_content;
pub(crate) use directory::{make_own_directory, open_directory};
pub(crate) use newest::all_but_newest;
pub(crate) use tree::{remove_tree, remove_tree_but, remove_tree_of};
