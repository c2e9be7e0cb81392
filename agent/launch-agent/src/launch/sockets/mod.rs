//! Sockets of a slot: the channel to its task agent, and the relay to the control plane.

mod channel;
mod relay;
mod socket;

pub(super) use channel::{LastWords, TaskAgentChannel};
pub(super) use relay::{Circumstances, RelayTarget, is_relay_wanted, start_relay};
