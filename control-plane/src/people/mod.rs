//! People: what each may do ([`mod@decide`], pure), who somebody is ([`person`]).

mod decide;
mod passwords;
mod person;
mod sign_in;
mod throttle;
mod token_uses;
mod user_name;

pub(crate) use decide::{Denial, Needs, Rights, decide};
pub(crate) use person::{Person, TokenRef, find_person};
pub(crate) use sign_in::{Attempts, SignInError, set_password, sign_in};
pub(crate) use token_uses::{PersonalUses, run_token_uses, write_token_uses};
pub(crate) use user_name::check_user_name;
