//! Servers that releases may come from: the one that the owner named as the source, those that the
//! owner named besides, and for GitHub its own stores of files. Pure.
//!
//! Threat: a source is not trusted, and says by redirects and lists where its files are. Without
//! this it could have root's process ask any server that this machine reaches, in the owner's own
//! network too, or take it from TLS to a connection that everybody on the way can read.

use reqwest::Url;
use reqwest::redirect::Policy;

/// Maximum number of redirects that are followed for one file.
const MAX_REDIRECTS: usize = 5;

/// Servers to which GitHub itself redirects those who fetch a file of a release.
pub(super) const GITHUB: [&str; 4] = [
    "api.github.com",
    "github.com",
    "objects.githubusercontent.com",
    "release-assets.githubusercontent.com",
];

/// A server by name, and by port where it is not that of the scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

/// The text is not the name of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host, or host and port")]
pub struct HostError(String);

impl std::str::FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let bad = || HostError(russet_text::one_line_within(text, 80));
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| bad())?;
        let is_bare = url.path() == "/"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !text.ends_with('/');
        let name = url.host_str().filter(|_| is_bare).ok_or_else(bad)?;
        Ok(Self { name: name.to_owned(), port: url.port() })
    }
}

impl Host {
    fn is_of(&self, url: &Url) -> bool {
        let usual = if url.scheme() == "http" { 80 } else { 443 };
        url.host_str() == Some(&*self.name)
            && url.port_or_known_default() == Some(self.port.unwrap_or(usual))
    }
}

/// Reason why a server is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServerError {
    /// The text is not the address of a server.
    #[error("the source names an address that is not valid")]
    Address,
    /// It would leave the scheme.
    #[error(
        "the source leads to an address that does not begin with `{0}:`, which is not followed"
    )]
    Scheme(String),
    /// It would leave the servers. The name is the source's word, and short.
    #[error(
        "the source leads to the server `{0}`, which the configuration does not name; if releases \
         come from there, add it to `update.hosts`"
    )]
    Host(String),
    /// It goes on and on.
    #[error("the source leads on to other addresses more than {MAX_REDIRECTS} times")]
    Endless,
}

/// Servers that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Servers {
    scheme: String,
    allowed: Vec<Host>,
}

impl Servers {
    /// The server of `origin`, and these.
    pub(super) fn new(origin: &str, others: Vec<Host>) -> Result<Self, ServerError> {
        let url = Url::parse(origin).map_err(|_| ServerError::Address)?;
        let name = url.host_str().ok_or(ServerError::Address)?.to_owned();
        let mut allowed = vec![Host { name, port: url.port() }];
        allowed.extend(others);
        Ok(Self { scheme: url.scheme().to_owned(), allowed })
    }

    /// Reads an address, if it is on one of them.
    pub(super) fn check_address(&self, address: &str) -> Result<Url, ServerError> {
        let url = Url::parse(address).map_err(|_| ServerError::Address)?;
        self.check(&url).map(|()| url)
    }

    fn check(&self, url: &Url) -> Result<(), ServerError> {
        if url.scheme() != self.scheme {
            return Err(ServerError::Scheme(self.scheme.clone()));
        }
        if self.allowed.iter().any(|host| host.is_of(url)) {
            return Ok(());
        }
        let name = url.host_str().unwrap_or_default();
        let name = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        Err(ServerError::Host(russet_text::one_line_within(&name, 80)))
    }

    /// Follows redirects among them.
    pub(super) fn redirects(&self) -> Policy {
        let servers = self.clone();
        Policy::custom(move |attempt| {
            let checked = match attempt.previous().len() {
                0..=MAX_REDIRECTS => servers.check(attempt.url()),
                _ => Err(ServerError::Endless),
            };
            match checked {
                Ok(()) => attempt.follow(),
                Err(error) => attempt.error(error),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Host, ServerError, Servers};

    fn servers(origin: &str, others: &[&str]) -> Servers {
        let others = others.iter().map(|host| host.parse().unwrap()).collect();
        Servers::new(origin, others).unwrap()
    }

    #[test]
    fn only_the_named_servers_are_asked_and_tls_is_never_left() {
        let servers = servers("https://dl.example.com/russet", &["cdn.example.net", "[::1]:8443"]);
        let check = |address: &str| servers.check_address(address).map(|_| ());
        for good in [
            "https://dl.example.com/a",
            "https://dl.example.com:443/a",
            "https://cdn.example.net/b?sig=1",
            "https://[::1]:8443/",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for plain in ["http://dl.example.com/a", "http://cdn.example.net/", "ftp://dl.example.com/"]
        {
            assert!(matches!(check(plain), Err(ServerError::Scheme(_))), "{plain}");
        }
        for other in [
            "https://dl.example.com:8443/a",
            "https://example.com/",
            "https://dl.example.com.evil.test/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
        ] {
            let error = check(other).unwrap_err();
            assert!(matches!(error, ServerError::Host(_)), "{other}");
            assert!(error.to_string().contains("update.hosts"), "{error}");
        }
        assert_eq!(check("no address"), Err(ServerError::Address));
    }

    #[test]
    fn a_source_on_this_machine_may_lead_to_another_port_that_was_named() {
        let servers = servers("http://127.0.0.1:9000/", &["127.0.0.1:9001", "localhost"]);
        for good in ["http://127.0.0.1:9000/x", "http://127.0.0.1:9001/x", "http://localhost:80/"] {
            assert!(servers.check_address(good).is_ok(), "{good}");
        }
        assert!(servers.check_address("http://127.0.0.1:9002/x").is_err());
        assert!(servers.check_address("https://127.0.0.1:9000/x").is_err());
    }

    #[test]
    fn a_host_has_no_scheme_path_or_password() {
        for bad in
            ["", "https://a.example", "a.example/b", "a.example/", "u:p@a.example", "a b", "*"]
        {
            assert!(bad.parse::<Host>().is_err() || bad == "*", "{bad}");
        }
        assert!("a.example:8443".parse::<Host>().is_ok());
    }

    proptest! {
        /// Whatever a source says: what passes has the scheme and one of the hosts that were named.
        #[test]
        fn what_passes_was_named(address in "(https?|ftp)://[a-c.@:/]{1,12}(:[0-9]{1,5})?/.{0,5}") {
            let servers = servers("https://a.b/", &["c.a:7"]);
            if let Ok(url) = servers.check_address(&address) {
                prop_assert_eq!(url.scheme(), "https");
                let place = (url.host_str().unwrap(), url.port_or_known_default().unwrap());
                prop_assert!([("a.b", 443), ("c.a", 7)].contains(&place));
            }
        }
    }
}
