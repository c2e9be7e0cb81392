//! Reruns with SSH, as far as the owner of the machine allows them.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use russet_protocol::ssh::{Forwarding, SshOffer, SshPolicy};

use super::build::Build;
use super::error::ConfigError;

/// Names of kinds of forwarding, in `runner.ssh.allow_forwarding`.
const AGENT: &str = "agent";
const PORTS: &str = "ports";

const BIND_HINT: &str = "write the address of this machine that people reach, or `0.0.0.0` for all";
const PORTS_HINT: &str = "write as many as there are slots, as in `54782-54785`; none below 1024";

/// Lowest port that may be opened: those below belong to services of the system.
const MIN_PORT: u16 = 1024;

/// Permission for reruns with SSH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssh {
    /// Set if tasks of forks may be reached too.
    pub allow_forks: bool,
    /// Kinds of forwarding that are allowed.
    pub forwarding: Forwarding,
    /// Ports of the machine at which people reach tasks; none: they come through the control plane.
    pub direct: Option<DirectPorts>,
}

/// Ports of the machine for SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectPorts {
    /// Address at which they are opened.
    pub bind: IpAddr,
    /// The ports, one for each task at once.
    pub ports: RangeInclusive<u16>,
    /// Host that people are told, and the port where it is not the one that is opened.
    pub advertised: String,
}

impl Ssh {
    /// Returns what task agents are told.
    /// `socket` is where connections to the ports are handed over.
    pub(crate) fn policy(&self, socket: PathBuf) -> SshPolicy {
        SshPolicy {
            allow_forks: self.allow_forks,
            forwarding: self.forwarding,
            advertised: self.direct.as_ref().map(|direct| direct.advertised.clone()),
            socket: self.direct.is_some().then_some(socket),
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
        let direct = self.direct_ports()?;
        Ok(is_enabled.then_some(Ssh { allow_forks, forwarding, direct }))
    }

    /// Reads the ports. They are the owner's to name: none is opened by default.
    fn direct_ports(&self) -> Result<Option<DirectPorts>, ConfigError> {
        let values = self.values;
        let (bind_key, ports_key) = ("runner.ssh.bind", "runner.ssh.ports");
        let wrong =
            |key, message: &str, hint: &str| Err(values.error(self.file, key, message, Some(hint)));
        let (bind, ports) = match (values.text(bind_key), values.text(ports_key)) {
            (Some(bind), Some(ports)) => (bind, ports),
            (None, None) => return Ok(None),
            (Some(_), None) => return wrong(bind_key, "needs `runner.ssh.ports`", PORTS_HINT),
            (None, Some(_)) => return wrong(ports_key, "needs `runner.ssh.bind`", BIND_HINT),
        };
        let Ok(bind) = bind.parse() else {
            return wrong(bind_key, &format!("is `{bind}`, which is no address"), BIND_HINT);
        };
        let Some(ports) = parse_ports(&ports) else {
            return wrong(
                ports_key,
                &format!("is `{ports}`, which is no range of ports"),
                PORTS_HINT,
            );
        };
        let advertised = values.text("runner.ssh.advertise_addr");
        let advertised = advertised.unwrap_or_else(russet_platform::hostname);
        Ok(Some(DirectPorts { bind, ports, advertised }))
    }
}

/// Reads `54782` or `54782-54785`.
fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first >= MIN_PORT && first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::parse_ports;

    #[test]
    fn ports_are_one_or_a_range_above_those_of_the_system() {
        assert_eq!(parse_ports("54782"), Some(54782..=54782));
        assert_eq!(parse_ports("54782-54785"), Some(54782..=54785));
        for wrong in ["22", "54785-54782", "54782-", "a", "", "1-70000"] {
            assert_eq!(parse_ports(wrong), None, "{wrong}");
        }
    }
}
