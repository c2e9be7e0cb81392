//! YAML text to a tree of nodes that know their places, within limits.
//!
//! One reader for everything that is YAML here: configurations of projects, of the agent and of the
//! command line. Aliases and merge keys are resolved, so that what follows sees plain trees. The
//! texts are written by others (whoever can push to a project), so everything has a limit; see
//! [`Limits`]. Pure: no I/O.
//!
//! The tree is built from the parser's events, since reading a dynamic tree through serde loses
//! what is needed: places inside buffered values, merge keys that are given twice in one mapping
//! (which real configurations do), the names of anchors and the places of aliases.

#![forbid(unsafe_code)]

mod build;
mod explain;
mod fault;
mod limits;
mod merge;
mod node;
mod source;
mod suggest;

pub use build::parse;
pub use fault::Fault;
pub use limits::Limits;
pub use node::{Entry, Kind, Mapping, NODE_SIZE, Node, Value};
pub use source::{Place, Snippet, Source, Span, article, quoted};
pub use suggest::{Suggestions, did_you_mean, nearest};
