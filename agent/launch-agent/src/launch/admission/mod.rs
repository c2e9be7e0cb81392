//! The owner's rules for claimed tasks: which may run here, and with which credentials.

mod grants;
mod policy;

pub(super) use grants::{Granted, grant_credentials};
pub(super) use policy::find_refusal;
