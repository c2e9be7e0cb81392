//! Sockets of a slot: the channel to its task agent, the relay to the control plane, and the port for
//! SSH.

mod channel;
mod direct;
mod relay;
mod socket;

pub(super) use channel::{LastWords, TaskAgentChannel};
pub(super) use direct::{IsTaskAgent, PortRange, start_direct_port};
pub(super) use relay::{Circumstances, RelayTarget, is_relay_wanted, start_relay};
