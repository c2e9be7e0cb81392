//! Addresses of Git remotes: which are taken. Pure.
//!
//! Threat: `git` runs a command for `ext::…`, reads this machine's files for a path or `file://`, and takes
//! an address that begins with `-` for an option. So nothing is passed on that was not taken apart here.

/// Longest address, in bytes.
const MAX_URL_BYTES: usize = 2_000;

/// Way to a remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Https,
    Http,
    Ssh,
    /// A repository of this machine.
    File,
}

impl Transport {
    /// Returns the name of the protocol in git's settings `protocol.NAME.allow`.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Ssh => 22,
            Self::File => 0,
        }
    }
}

/// Address of a remote, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteUrl {
    /// The address as git takes it, without a password.
    pub(crate) text: String,
    pub(crate) transport: Transport,
    /// Host, in lower case; empty for one of this machine.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path on the host, with a slash before it.
    pub(crate) path: String,
}

/// Transports that the operator of the server allows beside https and ssh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AllowedTransports {
    pub(crate) http: bool,
    pub(crate) file: bool,
}

/// Reason why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("the URL is empty, or longer than {MAX_URL_BYTES} bytes")]
    Length,
    #[error("the URL has a blank, a control character or a character outside ASCII")]
    Characters,
    #[error("the URL begins with `-`, which git would take for an option")]
    Option,
    #[error(
        "`{0}` is not a way to a repository that this server takes; write https://HOST/PATH, \
         ssh://git@HOST/PATH or git@HOST:PATH"
    )]
    Scheme(String),
    #[error(
        "plain http sends tokens and code in the clear; start the server with --allow-git-http"
    )]
    Http,
    #[error("repositories of the server's own machine are taken with --allow-git-file alone")]
    File,
    #[error("the URL has no host")]
    Host,
    #[error("the URL has no path to a repository")]
    Path,
    #[error("the port in the URL is not a number from 1 to 65535")]
    Port,
    #[error("the URL has a password or token in it; give it as the token instead")]
    Password,
    #[error("the user in the URL may have letters, digits, `-`, `_` and `.`")]
    User,
}

impl RemoteUrl {
    /// Takes an address apart, if it is of a kind that is allowed.
    pub(crate) fn parse(text: &str, allowed: AllowedTransports) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_URL_BYTES {
            return Err(UrlError::Length);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Characters);
        }
        if text.starts_with('-') {
            return Err(UrlError::Option);
        }
        match text.split_once("://") {
            Some((scheme, rest)) => Self::with_scheme(scheme, rest, allowed),
            None => Self::scp_form(text),
        }
    }

    fn with_scheme(scheme: &str, rest: &str, allowed: AllowedTransports) -> Result<Self, UrlError> {
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "https" => Transport::Https,
            "http" if allowed.http => Transport::Http,
            "http" => return Err(UrlError::Http),
            "ssh" => Transport::Ssh,
            "file" if allowed.file => Transport::File,
            "file" => return Err(UrlError::File),
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        let (authority, path) = rest.split_once('/').ok_or(UrlError::Path)?;
        let path = checked_path(&format!("/{path}"))?;
        if transport == Transport::File {
            // A host in it would be another machine's.
            let is_here = authority.is_empty();
            let url = Self {
                text: format!("file://{path}"),
                transport,
                host: String::new(),
                port: 0,
                path,
            };
            return if is_here { Ok(url) } else { Err(UrlError::Host) };
        }
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(checked_user(user, transport)?), host),
            None => (None, authority),
        };
        let (host, port) = split_port(host)?;
        let host = checked_host(host)?;
        let shown_port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let shown_user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let text = format!("{}://{shown_user}{host}{shown_port}{path}", transport.protocol());
        let port = port.unwrap_or_else(|| transport.default_port());
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { text, transport, host, port, path })
    }

    /// Takes `git@host:owner/name` apart, which is written as a URL from then on.
    fn scp_form(text: &str) -> Result<Self, UrlError> {
        let unknown = || UrlError::Scheme(text.split(['/', ':']).next().unwrap_or(text).to_owned());
        let (authority, path) = text.split_once(':').ok_or_else(unknown)?;
        // `ext::…` and other helpers of git, and paths.
        if path.starts_with(':') || authority.contains('/') {
            return Err(unknown());
        }
        let (user, host) = authority.split_once('@').ok_or_else(unknown)?;
        let user = checked_user(user, Transport::Ssh)?;
        let host = checked_host(host)?;
        let path = checked_path(&format!("/{}", path.trim_start_matches('/')))?;
        let text = format!("ssh://{user}@{host}{path}");
        Ok(Self { text, transport: Transport::Ssh, host, port: 22, path })
    }

    /// Returns `owner/name` of the path: its last two parts, without `.git`.
    pub(crate) fn owner_and_name(&self) -> Option<(&str, &str)> {
        let path = self.path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let mut parts = path.rsplit('/');
        let (name, owner) = (parts.next()?, parts.next()?);
        (!name.is_empty() && !owner.is_empty()).then_some((owner, name))
    }
}

/// Returns a user without a password. Over http the user goes with the token.
fn checked_user(user: &str, transport: Transport) -> Result<&str, UrlError> {
    if user.contains(':') || matches!(transport, Transport::Http | Transport::Https) {
        return Err(UrlError::Password);
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if user.is_empty() || user.starts_with('-') || !user.chars().all(is_plain) {
        return Err(UrlError::User);
    }
    Ok(user)
}

fn split_port(host: &str) -> Result<(&str, Option<u16>), UrlError> {
    let after = host.rfind(']').map_or(0, |at| at + 1);
    let Some(at) = host.get(after..).and_then(|rest| rest.find(':')) else {
        return Ok((host, None));
    };
    let (host, port) = host.split_at(after + at);
    let port = port.trim_start_matches(':').parse().ok().filter(|port| *port != 0);
    Ok((host, Some(port.ok_or(UrlError::Port)?)))
}

fn checked_host(host: &str) -> Result<String, UrlError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_good = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.starts_with(['-', '.']) && host.chars().all(is_plain),
    };
    if is_good { Ok(host.to_ascii_lowercase()) } else { Err(UrlError::Host) }
}

/// Returns a path. One that a shell of the other end, or git, could read as something else is refused.
fn checked_path(path: &str) -> Result<String, UrlError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%+@=,".contains(c);
    let is_step = |part: &str| matches!(part, "." | "..") || part.starts_with('-');
    if path.len() < 2 || !path.chars().all(is_plain) || path.split('/').any(is_step) {
        return Err(UrlError::Path);
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{AllowedTransports, RemoteUrl, Transport, UrlError};

    const NONE: AllowedTransports = AllowedTransports { http: false, file: false };
    const ALL: AllowedTransports = AllowedTransports { http: true, file: true };

    #[test]
    fn usual_addresses_are_taken_apart() {
        let parse = |text| RemoteUrl::parse(text, ALL).unwrap();
        let https = parse("https://GitHub.com/acme/app.git");
        assert_eq!((https.host.as_str(), https.port), ("github.com", 443));
        assert_eq!(https.owner_and_name(), Some(("acme", "app")));
        let scp = parse("git@git.example:acme/app.git");
        assert_eq!(scp.text, "ssh://git@git.example/acme/app.git");
        assert_eq!((scp.transport, scp.port), (Transport::Ssh, 22));
        let ssh = parse("ssh://git@[fd00::1]:2222/~me/app");
        assert_eq!((ssh.host.as_str(), ssh.port), ("fd00::1", 2222));
        assert_eq!(ssh.text, "ssh://git@[fd00::1]:2222/~me/app");
        assert_eq!(parse("http://host:8080/a/b").port, 8080);
        assert_eq!(parse("file:///srv/app.git").text, "file:///srv/app.git");
        assert_eq!(parse("https://host/app").owner_and_name(), None);
    }

    #[test]
    fn options_helpers_and_other_ways_into_git_are_refused() {
        for (text, why) in [
            ("--upload-pack=touch /tmp/x", UrlError::Characters),
            ("--upload-pack=/tmp/x", UrlError::Option),
            ("-oProxyCommand=x:y", UrlError::Option),
            ("https://host/a\nb", UrlError::Characters),
            ("https://host/a\0", UrlError::Characters),
            ("ssh://-oProxyCommand=x/a", UrlError::Host),
            ("ssh://-x@host/a", UrlError::User),
            ("https://host/--upload-pack=x", UrlError::Path),
            ("https://host/a/../../b", UrlError::Path),
            ("https://host/$(x)", UrlError::Path),
            ("ssh://git@host/a';x;'", UrlError::Path),
            ("https://me:secret@host/a", UrlError::Password),
            ("https://ghp_token@host/a", UrlError::Password),
            ("https://host:0/a", UrlError::Port),
            ("https://host:x/a", UrlError::Port),
            ("https:///a", UrlError::Host),
            ("https://host", UrlError::Path),
            ("http://host/a", UrlError::Http),
            ("file:///etc", UrlError::File),
            ("", UrlError::Length),
        ] {
            assert_eq!(RemoteUrl::parse(text, NONE), Err(why), "{text:?}");
        }
        for text in [
            "ext::sh -c x",
            "ext::x",
            "fd::3",
            "git://host/a",
            "/etc",
            "a/b:c",
            "host:a",
            "ftp://h/a",
        ] {
            assert!(RemoteUrl::parse(text, ALL).is_err(), "{text}");
        }
        assert!(RemoteUrl::parse(&format!("https://host/{}", "a".repeat(3000)), ALL).is_err());
        assert_eq!(RemoteUrl::parse("file://host/etc", ALL), Err(UrlError::Host));
    }
}
