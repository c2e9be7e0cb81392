//! Reruns with SSH, as far as the owner of the machine allows them.

use russet_protocol::ssh::{Forwarding, SshOffer, SshPolicy};

use super::build::Build;
use super::error::ConfigError;

/// Names of kinds of forwarding, in `runner.ssh.allow_forwarding`.
const AGENT: &str = "agent";
const PORTS: &str = "ports";

/// Permission for reruns with SSH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssh {
    /// Set if tasks of forks may be reached too.
    pub allow_forks: bool,
    /// Kinds of forwarding that are allowed.
    pub forwarding: Forwarding,
}

impl Ssh {
    /// Returns what task agents are told.
    pub(crate) fn policy(&self) -> SshPolicy {
        SshPolicy {
            allow_forks: self.allow_forks,
            forwarding: self.forwarding,
            advertised: None,
            socket: None,
        }
    }

    /// Returns what the control plane is told.
    pub(crate) fn offer(&self) -> SshOffer {
        SshOffer { allow_forks: self.allow_forks }
    }
}

impl Build<'_> {
    /// Reads the permission. An address that CircleCI's runner would show is one, as there.
    pub(super) fn ssh(&self) -> Result<Option<Ssh>, ConfigError> {
        let values = self.values;
        let has_address = values.text("runner.ssh.advertise_addr").is_some();
        let is_enabled = values.flag("runner.ssh.enabled").unwrap_or(has_address);
        let mut forwarding = Forwarding::default();
        for name in values.words("runner.ssh.allow_forwarding").unwrap_or_default() {
            match name.as_str() {
                AGENT => forwarding.agent = true,
                PORTS => forwarding.ports = true,
                _ => {
                    let message = format!("knows no forwarding of `{name}`");
                    let hint = "write `agent`, `ports` or both; X11 is never forwarded";
                    let key = "runner.ssh.allow_forwarding";
                    return Err(values.error(self.file, key, &message, Some(hint)));
                }
            }
        }
        let allow_forks = values.flag("runner.ssh.allow_forks").unwrap_or_default();
        Ok(is_enabled.then_some(Ssh { allow_forks, forwarding }))
    }
}
