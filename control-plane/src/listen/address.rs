//! Addresses of clients: that of the other end, or where that is a proxy of ours, the one that it
//! says.

use std::net::IpAddr;
use std::str::FromStr;

use axum::http::HeaderMap;

/// Addresses of proxies: one, or all with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyRange {
    base: IpAddr,
    bits: u8,
}

/// A text is neither an address nor a range of addresses.
#[derive(Debug, thiserror::Error)]
#[error("write an address or a range of them, as in `10.0.0.7` or `10.0.0.0/8`")]
pub struct NotARange;

impl FromStr for ProxyRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse::<u8>().map_err(|_| NotARange)?)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| NotARange)?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err(NotARange);
        }
        Ok(Self { base, bits })
    }
}

impl ProxyRange {
    /// Returns true for an address within the range.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (base, address, width) = match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (u128::from(u32::from(base)), u128::from(u32::from(address)), 32)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => (u128::from(base), u128::from(address), 128),
            _ => return false,
        };
        // A shift by all bits is none in Rust.
        let shift = width - u32::from(self.bits);
        base.checked_shr(shift).unwrap_or(0) == address.checked_shr(shift).unwrap_or(0)
    }
}

/// The same address for a client that comes over IPv4 to a socket for both.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Returns true for the address of a proxy.
pub(super) fn is_proxy(proxies: &[ProxyRange], address: IpAddr) -> bool {
    proxies.iter().any(|range| range.contains(address))
}

/// Returns the address of a client. `X-Forwarded-For` is believed as far as proxies of ours wrote
/// it: from its end to the first address that is none of theirs. Whoever is no proxy of ours can
/// write there what it likes.
pub(super) fn client(proxies: &[ProxyRange], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut client = peer;
    let all = headers.get_all("x-forwarded-for");
    let lines: Vec<&str> = all.iter().filter_map(|value| value.to_str().ok()).collect();
    let mut said = lines.iter().rev().flat_map(|line| line.rsplit(','));
    while is_proxy(proxies, client) {
        match said.next().and_then(|text| text.trim().parse().ok()) {
            Some(address) => client = plain(address),
            None => break,
        }
    }
    client
}

/// The part of an address that one client has: with IPv6 a network of 64 bits is the least that
/// anybody is given, so its addresses count as one.
pub(super) fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            IpAddr::from((u128::from(address) & !u128::from(u64::MAX)).to_be_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_proxies_wrote_is_believed() {
        let proxies: Vec<ProxyRange> =
            ["10.0.0.0/8", "fd00::1"].iter().map(|text| text.parse().unwrap()).collect();
        let client_of = |peer: &str, said: &str| {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static("x-forwarded-for"),
                said.parse().unwrap(),
            )]);
            client(&proxies, peer.parse().unwrap(), &headers).to_string()
        };
        assert_eq!(client_of("192.0.2.1", "198.51.100.9"), "192.0.2.1");
        assert_eq!(client_of("10.1.2.3", "198.51.100.9"), "198.51.100.9");
        assert_eq!(client_of("10.1.2.3", "6.6.6.6, 198.51.100.9, 10.9.9.9"), "198.51.100.9");
        assert_eq!(client_of("fd00::1", "nonsense"), "fd00::1");
        assert_eq!(client_of("fd00::2", "198.51.100.9"), "fd00::2");
    }

    #[test]
    fn ranges_are_read_and_nonsense_is_not() {
        let has = |range: &str, address: &str| {
            range.parse::<ProxyRange>().unwrap().contains(address.parse().unwrap())
        };
        assert!(has("0.0.0.0/0", "8.8.8.8"));
        assert!(has("10.0.0.0/9", "10.127.0.1") && !has("10.0.0.0/9", "10.128.0.1"));
        assert!(has("::/0", "fd00::2") && !has("::/0", "1.2.3.4"));
        for wrong in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/-1"] {
            assert!(wrong.parse::<ProxyRange>().is_err(), "{wrong}");
        }
    }
}
