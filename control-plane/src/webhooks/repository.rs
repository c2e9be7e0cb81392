//! The repository that a payload names, beside those of connections. Pure.

use crate::git::{AllowedTransports, RemoteUrl};

use super::payload::Repository;

/// Addresses of a repository.
#[derive(Clone, Debug)]
pub(crate) struct NamedRepository(Vec<RemoteUrl>);

impl NamedRepository {
    /// Reads the addresses of a payload; those that this server would not call are left out.
    pub(crate) fn of(repository: &Repository, allowed: AllowedTransports) -> Self {
        let all = [&repository.clone_url, &repository.ssh_url];
        Self(all.iter().filter_map(|text| RemoteUrl::parse(text, allowed).ok()).collect())
    }

    /// Returns true for an address of the same repository, whatever way leads there.
    pub(crate) fn is_at(&self, url: &RemoteUrl) -> bool {
        self.0.iter().any(|own| place_of(own) == place_of(url))
    }
}

/// Host and path of a repository, as they are compared: GitHub makes no difference of case.
fn place_of(url: &RemoteUrl) -> (String, String) {
    // GitHub takes SSH at this host too, for networks that close port 22
    // (docs.github.com/authentication/troubleshooting-ssh/using-ssh-over-the-https-port).
    let host = if url.host == "ssh.github.com" { "github.com" } else { url.host.as_str() };
    let path = url.path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (host.to_owned(), path.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::NamedRepository;
    use crate::git::{AllowedTransports, RemoteUrl};
    use crate::webhooks::payload::Repository;

    #[test]
    fn a_repository_is_the_same_by_https_and_ssh_and_in_any_case_and_no_other_is() {
        let allowed = AllowedTransports::default();
        let named = Repository {
            clone_url: "https://github.com/Acme/App.git".to_owned(),
            ssh_url: "git@github.com:Acme/App.git".to_owned(),
            ..Repository::default()
        };
        let named = NamedRepository::of(&named, allowed);
        let is_it = |url: &str| named.is_at(&RemoteUrl::parse(url, allowed).unwrap());
        for same in [
            "https://github.com/acme/app",
            "https://GitHub.com/ACME/app.git/",
            "git@github.com:acme/app.git",
            "ssh://git@ssh.github.com:443/acme/app.git",
        ] {
            assert!(is_it(same), "{same}");
        }
        for other in [
            "https://github.com/acme/app2",
            "https://github.com/x/acme/app",
            "https://github.com.evil.example/acme/app",
            "https://evil.example/acme/app",
        ] {
            assert!(!is_it(other), "{other}");
        }
        let nothing = NamedRepository::of(&Repository::default(), allowed);
        assert!(!nothing.is_at(&RemoteUrl::parse("https://github.com/acme/app", allowed).unwrap()));
    }
}
