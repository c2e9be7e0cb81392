//! Addresses of targets: what is taken, and which machines are never called.
//!
//! An address is set with the admin token, and a target on the same network is a usual one (a chat of
//! the company). Threat: somebody who can add a target has the server fetch what only its machine may
//! see, above all a cloud's metadata at a link-local address. So those are refused, as are credentials
//! in the URL and other protocols; redirects are not followed, and of an answer nothing but its status
//! is shown.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;

/// Reason why an address is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("the address is not a URL that begins with https:// or http://")]
    NotAUrl,
    #[error("the URL has a user or a password, which receivers of webhooks do not take")]
    Credentials,
    #[error("{0} is a link-local address, which alerts are not sent to")]
    LinkLocal(String),
    #[error("the address is not a mail address")]
    NotMail,
}

/// Returns the host of a URL, which is what people are shown of it.
pub(crate) fn check_url(text: &str) -> Result<String, AddressError> {
    let url = Url::parse(text).map_err(|_| AddressError::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressError::NotAUrl);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    let host = url.host_str().ok_or(AddressError::NotAUrl)?;
    let bare = host.trim_matches(['[', ']']);
    if bare.parse().is_ok_and(is_link_local) {
        return Err(AddressError::LinkLocal(host.to_owned()));
    }
    Ok(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.is_link_local(),
            None => address.is_unicast_link_local(),
        },
    }
}

/// Leaves out the addresses of a host that are never called.
pub(super) fn choose_addresses(
    host: &str,
    found: &[SocketAddr],
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let is_allowed = |address: &&SocketAddr| !is_link_local(address.ip());
    let allowed: Vec<SocketAddr> = found.iter().filter(is_allowed).copied().collect();
    if allowed.is_empty() {
        return Err(AddressError::LinkLocal(host.to_owned()).into());
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use super::check_url;

    #[test]
    fn only_the_host_of_a_url_is_shown_and_metadata_of_clouds_is_refused() {
        assert_eq!(check_url("https://hooks.slack.com/services/T/B/x").unwrap(), "hooks.slack.com");
        assert_eq!(check_url("http://10.0.0.5:8065/hooks/x").unwrap(), "10.0.0.5:8065");
        for wrong in [
            "http://169.254.169.254/latest",
            "http://[fe80::1]/x",
            "http://[::ffff:169.254.169.254]/",
            "http://2852039166/",
            "https://u:p@host/",
            "file:///etc/passwd",
            "gopher://host/",
            "no url",
            "",
        ] {
            assert!(check_url(wrong).is_err(), "{wrong}");
        }
    }
}
