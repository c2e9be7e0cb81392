//! Check of the steps' own access to a control plane in the local network.
//!
//! From macOS 15 on, what launchd started and is not root is silently refused there. Task agents
//! have the relay; a step that uploads to a server next door has not. So the doctor, as root,
//! starts itself once more as a slot's user and connects.

use std::net::{IpAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::config::Config;
use crate::health::{Check, Level};

const NAME: &str = "local network";

/// Timeout of a connection.
const LIMIT: Duration = Duration::from_secs(5);

/// Connects to `HOST:PORT`, as whoever runs this. What the hidden option `--probe` does.
///
/// # Errors
///
/// The connection failed, with the system's reason.
pub fn probe_address(address: &str) -> std::io::Result<()> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, LIMIT) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Looks, where the control plane is in the local network and there is a slot's user to be.
#[expect(
    clippy::disallowed_methods,
    reason = "it runs this program as a slot's user, with nothing of root's environment"
)]
pub(super) fn check_reach(config: &Config, program: &Path) -> Option<Check> {
    let url = reqwest::Url::parse(&config.api_url).ok()?;
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    let address = format!("{host}:{port}");
    let is_near = address.to_socket_addrs().ok()?.any(|address| is_local(address.ip()));
    if !is_near || !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = nix::unistd::User::from_name(&format!("{}1", config.user_prefix)).ok()??;
    let child = Command::new(program)
        .args(["agent", "doctor", "--probe", &address])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .uid(user.uid.as_raw())
        .gid(user.gid.as_raw())
        .output();
    Some(judge_connection(
        &user.name,
        &address,
        child.map(|output| {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            (output.status.success(), said)
        }),
    ))
}

/// Addresses that macOS counts to the local network, as far as they can be told by themselves.
/// This machine's own are not among them.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn judge_connection(user: &str, address: &str, tried: std::io::Result<(bool, String)>) -> Check {
    match tried {
        Ok((true, _)) => {
            let found = format!(
                "{user} reaches {address} from here; under launchd macOS may still refuse steps what \
                 it allows in a terminal"
            );
            Check::new(NAME, Level::Ok, found, "")
        }
        Ok((false, said)) => {
            let found = format!("{user} does not reach {address}: {said}");
            let hint = "task agents go through the relay (`runner.relay`); for steps see \
                        docs/networking.md";
            Check::new(NAME, Level::Warning, found, hint)
        }
        Err(error) => {
            let found = format!("it could not be tried as {user}: {error}");
            Check::new(NAME, Level::Unknown, found, "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, is_local, judge_connection, probe_address};

    #[test]
    fn private_addresses_are_in_the_local_network_and_loopback_is_not() {
        for near in ["10.1.2.3", "172.16.0.1", "192.168.1.9", "169.254.1.1", "fd00::1", "fe80::1"] {
            assert!(is_local(near.parse().unwrap()), "{near}");
        }
        for far in ["127.0.0.1", "8.8.8.8", "172.32.0.1", "::1", "2001:db8::1"] {
            assert!(!is_local(far.parse().unwrap()), "{far}");
        }
    }

    #[test]
    fn a_probe_connects_or_says_why_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        probe_address(&address).unwrap();
        // Bound and not listened at: a port that is free may be taken by another test.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(probe_address(&silent.local_addr().unwrap().to_string()).is_err());
        assert!(probe_address("nonsense").is_err());
    }

    #[test]
    fn what_steps_do_not_reach_is_a_warning_with_a_way_out() {
        let check =
            judge_connection("_russet1", "10.0.0.1:80", Ok((false, "No route to host".to_owned())));
        assert_eq!(check.level, Level::Warning);
        assert!(check.found.contains("No route to host") && check.hint.is_some());
        let failed = Err(std::io::ErrorKind::PermissionDenied.into());
        assert_eq!(judge_connection("_russet1", "10.0.0.1:80", failed).level, Level::Unknown);
    }
}
