//! The address of this machine, as a control plane would see it without anything between.
//!
//! A UDP socket that is connected sends nothing, and has the address that the system would use on
//! the way. No name is looked up: that could take as long as a network that is away lets it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Stands for any address outside: RFC 5737 keeps it for documentation, and it leads over the
/// default route.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Returns the address that calls to `url` come from. `None`: there is no way there.
pub(super) fn towards(url: &str) -> Option<IpAddr> {
    let url = reqwest::Url::parse(url).ok()?;
    let target = match url.host_str()? {
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        host => host.trim_matches(['[', ']']).parse().unwrap_or(ELSEWHERE),
    };
    let any: SocketAddr = match target {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((target, 9)).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_unspecified()).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::towards;

    #[test]
    fn the_way_to_this_machine_begins_at_this_machine() {
        for url in ["http://127.0.0.1:1", "http://localhost:8080/x"] {
            assert_eq!(
                towards(url).map(|it| it.to_string()).as_deref(),
                Some("127.0.0.1"),
                "{url}"
            );
        }
        assert_eq!(towards("no address"), None);
        // Whether there is a way outside depends on where the test runs.
        assert!(towards("https://ci.example.com").is_none_or(|it| !it.is_unspecified()));
    }
}
