//! Tests of the release tool and of the package's scripts: real programs, independent readers, and
//! a notarization service of the tests' own.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed step of a test is its failure"
)]

mod notary;
mod release;
mod scripts;
mod service;
