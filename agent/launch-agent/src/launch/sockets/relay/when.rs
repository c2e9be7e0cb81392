//! Decides if the task agents of this machine go through the relay.

use crate::config::Relay;

/// Facts that the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(in crate::launch) struct Circumstances {
    /// Only root is exempt from the local network's privacy.
    pub(in crate::launch) is_root: bool,
    pub(in crate::launch) is_macos: bool,
    /// The control plane is on this machine, which is no network.
    pub(in crate::launch) is_loopback: bool,
    /// A proxy is configured for the agents.
    pub(in crate::launch) has_proxy: bool,
}

/// Decides if there is a relay. With a proxy there is none unless the owner says so: the relay
/// dials the control plane itself, which may be reachable by the proxy alone.
pub(in crate::launch) fn is_relay_wanted(setting: Relay, now: Circumstances) -> bool {
    match setting {
        Relay::Always => true,
        Relay::Never => false,
        Relay::Auto => now.is_root && now.is_macos && !now.is_loopback && !now.has_proxy,
    }
}

impl Circumstances {
    /// Those of this process and the control plane at `api_url`.
    pub(in crate::launch) fn of(api_url: &str) -> Self {
        let proxies = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            is_root: nix::unistd::geteuid().is_root(),
            is_macos: cfg!(target_os = "macos"),
            is_loopback: reqwest::Url::parse(api_url)
                .is_ok_and(|url| russet_platform::http::is_loopback(&url)),
            has_proxy: proxies.iter().any(|name| is_set(name) || is_set(&name.to_lowercase())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Circumstances, is_relay_wanted};
    use crate::config::Relay;

    #[test]
    fn it_is_on_by_itself_as_root_on_macos_for_a_server_that_is_elsewhere_and_behind_no_proxy() {
        let mac =
            Circumstances { is_root: true, is_macos: true, is_loopback: false, has_proxy: false };
        assert!(is_relay_wanted(Relay::Auto, mac));
        for other in [
            Circumstances { is_root: false, ..mac },
            Circumstances { is_macos: false, ..mac },
            Circumstances { is_loopback: true, ..mac },
            Circumstances { has_proxy: true, ..mac },
        ] {
            assert!(!is_relay_wanted(Relay::Auto, other), "{other:?}");
            assert!(is_relay_wanted(Relay::Always, other), "{other:?}");
        }
        assert!(!is_relay_wanted(Relay::Never, mac));
    }
}
