//! Addresses of machines that remotes may be at. Pure but for the look-up of a name.
//!
//! Threat: somebody who may connect a project has the server fetch what only its machine may see: a
//! service on loopback, a cloud's metadata. So those addresses are refused after the name is resolved,
//! unless the operator allows them, and git gets the address that was checked: a name that changes between
//! the two look-ups leads nowhere else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::listen::ProxyRange;

/// Longest time that a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reason why a remote's machine is not called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("the host `{0}` has no address")]
    Unknown(String),
    #[error("the host `{host}` is at {address}, an address of this machine or of its link alone")]
    Refused { host: String, address: IpAddr },
}

/// Addresses of metadata services of clouds that are neither loopback nor link-local: of AWS over IPv6
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>), and of
/// Alibaba Cloud.
const METADATA: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

/// Returns true for an address that is never called unless the operator allows it.
fn is_local(address: IpAddr) -> bool {
    let address = match address {
        // NAT64 leads to the IPv4 address in its end.
        IpAddr::V6(v6) if v6.segments().starts_with(&[0x64, 0xff9b, 0, 0, 0, 0]) => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::from([a, b, c, d])
        }
        other => other.to_canonical(),
    };
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(v4) => {
                v4.is_loopback()
                    || v4.is_link_local()
                    || v4.is_multicast()
                    || v4.octets().first() == Some(&0)
                    || v4.is_broadcast()
            }
            IpAddr::V6(v6) => {
                v6.is_loopback()
                    || v6.is_unicast_link_local()
                    || v6.is_unspecified()
                    || v6.is_multicast()
            }
        }
}

/// Chooses the address that is called: all that a name has must be allowed.
pub(crate) fn choose_address(
    host: &str,
    found: &[IpAddr],
    allowed: &[ProxyRange],
) -> Result<IpAddr, AddressError> {
    let is_refused = |address: &&IpAddr| {
        let canonical = address.to_canonical();
        is_local(**address) && !allowed.iter().any(|range| range.contains(canonical))
    };
    if let Some(address) = found.iter().find(is_refused) {
        return Err(AddressError::Refused { host: host.to_owned(), address: *address });
    }
    let first_v4 = found.iter().find(|address| address.is_ipv4());
    first_v4.or(found.first()).copied().ok_or_else(|| AddressError::Unknown(host.to_owned()))
}

/// Resolves a host, and chooses its address.
pub(crate) async fn resolve_host(
    host: &str,
    port: u16,
    allowed: &[ProxyRange],
) -> Result<IpAddr, AddressError> {
    let unknown = || AddressError::Unknown(host.to_owned());
    let looked_up = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((host, port)));
    let found: Vec<SocketAddr> =
        looked_up.await.map_err(|_| unknown())?.map_err(|_| unknown())?.collect();
    let addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
    choose_address(host, &addresses, allowed)
}

#[cfg(test)]
mod tests {
    use super::choose_address;
    use crate::listen::ProxyRange;

    #[test]
    fn loopback_links_and_metadata_are_refused_and_private_networks_are_not() {
        let choose = |address: &str, allowed: &[ProxyRange]| {
            choose_address("host", &[address.parse().unwrap()], allowed)
        };
        for refused in [
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "100.100.100.200",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(choose(refused, &[]).is_err(), "{refused}");
        }
        for taken in ["10.0.0.5", "192.168.1.9", "140.82.112.3", "fd00::7", "2606:50c0::1"] {
            assert!(choose(taken, &[]).is_ok(), "{taken}");
        }
        let loopback = ["127.0.0.0/8".parse().unwrap()];
        assert!(
            choose("127.0.0.1", &loopback).is_ok() && choose("::ffff:127.0.0.1", &loopback).is_ok()
        );
        assert!(choose("169.254.169.254", &loopback).is_err());
    }

    #[test]
    fn a_name_with_one_refused_address_is_refused_and_ipv4_is_preferred() {
        let of = |all: &[&str]| {
            let all: Vec<_> = all.iter().map(|one| one.parse().unwrap()).collect();
            choose_address("host", &all, &[]).map(|address| address.to_string())
        };
        assert!(of(&["10.0.0.1", "127.0.0.1"]).is_err() && of(&[]).is_err());
        assert_eq!(of(&["fd00::1", "10.0.0.1"]).unwrap(), "10.0.0.1");
    }
}
