//! People: what each may do ([`mod@decide`]), and how passwords are kept and guesses slowed. Nothing here
//! knows the store.

mod decide;
mod device;
mod namespace;
mod passwords;
mod person;
mod throttle;
mod user_name;

pub(crate) use decide::{Denial, Needs, Place, Rights, decide, decide_in};
pub(crate) use device::{
    DeviceState, DeviceTimes, SLOWED_BY_S, answer_poll, counted_source, plain_user_code,
    shown_user_code, user_code_from,
};
pub(crate) use namespace::{Reach, events_within, namespace_of};
pub(crate) use passwords::{PasswordError, hash_password, matches_password, refuse_password};
pub(crate) use person::{Person, TokenRef};
pub(crate) use throttle::{Attempts, Counted, counted_for};
pub(crate) use user_name::check_user_name;
