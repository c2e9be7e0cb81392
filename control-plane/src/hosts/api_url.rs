//! Address of a host's API. Pure.

use reqwest::Url;
use russet_protocol::projects::HostKind;

use crate::git::{RemoteUrl, Transport};

/// Longest address, in bytes.
const MAX_BYTES: usize = 1_000;

/// Reason why an address of an API is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiUrlError {
    #[error("the API's address is not a URL that begins with https:// and has a host")]
    NotAUrl,
    #[error("the API's address has a user, a query or a fragment")]
    Extra,
    #[error("plain http sends tokens in the clear; start the server with --allow-git-http")]
    Http,
    #[error("a repository of this machine has no host with an API")]
    NoHost,
}

/// Returns the address of the API of a repository's host, without a slash at its end: the one that was
/// given, or the usual one of that software.
pub(crate) fn api_url(
    kind: HostKind,
    remote: &RemoteUrl,
    given: Option<&str>,
    allow_http: bool,
) -> Result<Option<String>, ApiUrlError> {
    if kind == HostKind::Git {
        return Ok(None);
    }
    let Some(given) = given else { return usual(kind, remote).map(Some) };
    let url = Url::parse(given).map_err(|_| ApiUrlError::NotAUrl)?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => return Err(ApiUrlError::Http),
        _ => return Err(ApiUrlError::NotAUrl),
    }
    if url.host_str().is_none_or(str::is_empty) || given.len() > MAX_BYTES {
        return Err(ApiUrlError::NotAUrl);
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(ApiUrlError::Extra);
    }
    Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
}

/// Returns the usual address: <https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api>
/// and, for GitHub Enterprise, its pages "Getting started" of Server and of Cloud with data residency.
fn usual(kind: HostKind, remote: &RemoteUrl) -> Result<String, ApiUrlError> {
    let origin = web_origin(remote)?;
    Ok(match kind {
        HostKind::Github if is_github_cloud(&remote.host) => {
            format!("https://api.{}", remote.host.trim_start_matches("www."))
        }
        HostKind::Github => format!("{origin}/api/v3"),
        HostKind::Gitea => format!("{origin}/api/v1"),
        HostKind::Git => origin,
    })
}

/// Returns true for GitHub's own hosts: github.com, and those of enterprises with their data in a region.
pub(super) fn is_github_cloud(host: &str) -> bool {
    matches!(host, "github.com" | "www.github.com" | "ssh.github.com") || host.ends_with(".ghe.com")
}

/// Returns the origin at which a host has its pages and its API.
pub(super) fn web_origin(remote: &RemoteUrl) -> Result<String, ApiUrlError> {
    let host = match remote.host.contains(':') {
        true => format!("[{}]", remote.host),
        false => remote.host.clone(),
    };
    match remote.transport {
        Transport::File => Err(ApiUrlError::NoHost),
        Transport::Ssh => Ok(format!("https://{host}")),
        Transport::Https if remote.port == 443 => Ok(format!("https://{host}")),
        Transport::Https => Ok(format!("https://{host}:{}", remote.port)),
        Transport::Http => Ok(format!("http://{host}:{}", remote.port)),
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::projects::HostKind::{Git, Github};

    use super::{ApiUrlError, api_url};
    use crate::git::{AllowedTransports, RemoteUrl};

    fn of(remote: &str, given: Option<&str>) -> Result<Option<String>, ApiUrlError> {
        let allowed = AllowedTransports { http: true, file: true };
        api_url(Github, &RemoteUrl::parse(remote, allowed).unwrap(), given, false)
    }

    #[test]
    fn the_api_of_github_follows_from_the_repository() {
        let usual = |remote: &str| of(remote, None).unwrap().unwrap();
        assert_eq!(usual("https://github.com/acme/app"), "https://api.github.com");
        assert_eq!(usual("git@github.com:acme/app.git"), "https://api.github.com");
        assert_eq!(usual("https://acme.ghe.com/acme/app"), "https://api.acme.ghe.com");
        assert_eq!(usual("https://git.acme.example/a/b"), "https://git.acme.example/api/v3");
        assert_eq!(
            usual("https://git.acme.example:8443/a/b"),
            "https://git.acme.example:8443/api/v3"
        );
        assert_eq!(usual("ssh://git@git.acme.example:2222/a/b"), "https://git.acme.example/api/v3");
        assert_eq!(usual("http://10.0.0.5/a/b"), "http://10.0.0.5:80/api/v3");
        assert_eq!(of("file:///srv/app.git", None), Err(ApiUrlError::NoHost));
        // Not GitHub's, however it looks.
        assert_eq!(
            usual("https://github.com.evil.example/a/b"),
            "https://github.com.evil.example/api/v3"
        );
    }

    #[test]
    fn an_address_that_is_given_has_to_be_one_that_tokens_can_go_to() {
        let given = |text: &str| of("https://github.com/acme/app", Some(text));
        assert_eq!(given("https://api.example/x/").unwrap().unwrap(), "https://api.example/x");
        assert_eq!(given("http://api.example"), Err(ApiUrlError::Http));
        for wrong in ["", "api.example", "file:///x", "ext::x", "https://"] {
            assert_eq!(given(wrong), Err(ApiUrlError::NotAUrl), "{wrong}");
        }
        for extra in ["https://u:p@api.example", "https://api.example?x", "https://api.example/#x"]
        {
            assert_eq!(given(extra), Err(ApiUrlError::Extra), "{extra}");
        }
        let remote =
            RemoteUrl::parse("https://x.example/a/b", AllowedTransports::default()).unwrap();
        assert_eq!(api_url(Git, &remote, None, false), Ok(None));
    }
}
