//! YAML text to a tree of nodes that know their places.
//!
//! Aliases and merge keys are resolved here, so that what follows sees plain trees. The text comes
//! from whoever can push to a project, so everything has a limit; see [`limits`].

mod build;
mod explain;
pub(crate) mod limits;
mod merge;
mod node;

pub(crate) use build::parse;
pub(crate) use node::{Entry, Kind, Mapping, Node, Value};
