//! The history of a repository whose one commit was unpacked, from the control plane.
//!
//! `origin` stays what it is, and git is told to fetch it elsewhere: a job has no credential for the host,
//! and need not reach it. What a job pushes goes to the host, as ever.

use std::path::Path;

use russet_protocol::task::CheckoutMethod;

use super::git::{ALL_BRANCHES, Git, GitError, MOST_TRIES};

/// All there is: as `--unshallow`, which is an error for a commit without ancestors.
const WHOLE_DEPTH: &str = "--depth=2147483647";

impl Git<'_> {
    /// Lets `origin` be fetched from the control plane, and brings its history where the configuration
    /// names a method.
    pub(super) async fn add_history(
        &self,
        url: &str,
        method: Option<CheckoutMethod>,
    ) -> Result<(), GitError> {
        if !has_origin(self.target, url) {
            return Ok(());
        }
        for (key, value) in settings(url) {
            let words = ["config", "--local", "--replace-all", key.as_str(), value.as_str()];
            match method {
                Some(_) => self.must(&words).await?,
                // Without git there is nobody who wants to fetch.
                None if !self.quiet(&words).await => return Ok(()),
                None => {}
            }
        }
        match method {
            Some(method) => self.fetch_history(url, method).await,
            None => Ok(()),
        }
    }

    async fn fetch_history(&self, url: &str, method: CheckoutMethod) -> Result<(), GitError> {
        let mut words = vec!["fetch", "--quiet", "--force", "--prune", "--tags", WHOLE_DEPTH];
        if method == CheckoutMethod::Blobless {
            words.push("--filter=blob:none");
        }
        words.extend(["origin", ALL_BRANCHES]);
        for tried in 1..=MOST_TRIES {
            if self.quiet(&words).await {
                return Ok(());
            }
            if self.stop.is_set() || tried == MOST_TRIES {
                break;
            }
            self.output.say("the history did not arrive, trying again");
        }
        Err(GitError::Fetch(format!("the history of {url}")))
    }
}

/// Returns true if the repository's settings name this address. They were just unpacked, as the control
/// plane wrote them.
fn has_origin(target: &Path, url: &str) -> bool {
    let text = std::fs::read_to_string(target.join(".git/config")).unwrap_or_default();
    text.lines().any(|line| line.trim().strip_prefix("url = ").is_some_and(|of| of == url))
}

/// Settings by which git fetches from the control plane what it is to fetch at an address.
fn settings(url: &str) -> Vec<(String, String)> {
    let mut all = vec![
        (format!("url.russet::{url}.insteadOf"), url.to_owned()),
        (format!("url.{url}.pushInsteadOf"), url.to_owned()),
    ];
    if let Some(large) = large_files_of(url) {
        // The longest address counts, so this one stays as it is.
        all.push((format!("url.{large}.insteadOf"), large.clone()));
        all.push(("remote.origin.lfsurl".to_owned(), large));
    }
    all
}

/// Returns the address at which Git LFS looks for large files of a repository (its
/// `docs/api/server-discovery.md`): without it, it would take the control plane for one that has them. Of
/// the two forms of an address over SSH it is the other one, and none with a port, which has no other.
fn large_files_of(url: &str) -> Option<String> {
    if url.starts_with("https://") || url.starts_with("http://") {
        let dot_git = if url.ends_with(".git") { "" } else { ".git" };
        return Some(format!("{}{dot_git}/info/lfs", url.trim_end_matches('/')));
    }
    if let Some(rest) = url.strip_prefix("ssh://") {
        let (host, path) = rest.split_once('/')?;
        return (!host.contains(':')).then(|| format!("{host}:/{path}"));
    }
    let (host, path) = url.split_once(':').filter(|(host, _)| !host.contains('/'))?;
    let path = path.trim_start_matches('/');
    (host != "file").then(|| format!("ssh://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::{has_origin, large_files_of, settings};

    #[test]
    fn fetches_of_an_address_go_elsewhere_and_pushes_and_large_files_do_not() {
        let url = "https://git.example/acme/app.git";
        let all = settings(url);
        let of = |key: &str| all.iter().find(|(of, _)| of == key).map(|(_, value)| value.as_str());
        assert_eq!(of("url.russet::https://git.example/acme/app.git.insteadOf"), Some(url));
        assert_eq!(of("url.https://git.example/acme/app.git.pushInsteadOf"), Some(url));
        let large = "https://git.example/acme/app.git/info/lfs";
        assert_eq!(of("remote.origin.lfsurl"), Some(large));
        assert_eq!(of(&format!("url.{large}.insteadOf")), Some(large));
        assert_eq!(
            settings("https://git.example/a").last().unwrap().1,
            "https://git.example/a.git/info/lfs"
        );
        for (url, large) in [
            ("git@git.example:acme/app.git", Some("ssh://git@git.example/acme/app.git")),
            ("ssh://git@git.example/acme/app.git", Some("git@git.example:/acme/app.git")),
            ("ssh://git@git.example:22/acme/app.git", None),
            ("file:///srv/app.git", None),
        ] {
            assert_eq!(large_files_of(url).as_deref(), large);
        }
    }

    #[test]
    fn another_origin_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!has_origin(dir.path(), "https://a/b"));
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        let text = "[remote \"origin\"]\n\turl = https://a/b.git\n";
        std::fs::write(dir.path().join(".git/config"), text).unwrap();
        assert!(has_origin(dir.path(), "https://a/b.git"));
        assert!(!has_origin(dir.path(), "https://a/b"));
    }
}
