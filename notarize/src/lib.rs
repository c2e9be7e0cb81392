//! Makes a release of Russet, on a Mac or on Linux.
//!
//! A release is a row of stages ([`stage`]), each of which makes files of its own from those of the
//! stages before it, and changes none of theirs: what is done and has not changed is not done
//! again. Signing and stapling go through Apple's tools where they are, and through the crate
//! apple-codesign elsewhere; what neither does is here: the writers of `.pkg` ([`package`]), a
//! client of the notarization service ([`notary`]), and a reader that checks the result
//! ([`verify`]).

#![forbid(unsafe_code)]

pub mod archive;
pub mod bundle;
pub mod choices;
pub mod cli;
pub mod credentials;
pub mod hash;
pub mod manifest;
pub mod notary;
pub mod package;
pub mod places;
pub mod process;
pub mod sbom;
pub mod sign;
pub mod source;
pub mod stage;
pub mod staple;
pub mod tree;
pub mod verify;
pub mod xar_table;
