//! People: what each may do ([`decide`], pure), who somebody is ([`person`]).

mod decide;
mod person;
mod token_uses;

pub(crate) use decide::{Denial, Needs, Rights, decide};
pub(crate) use person::{Person, TokenRef, find_person};
pub(crate) use token_uses::{PersonalUses, run_token_uses, write_token_uses};
