//! Branch, commit and remote of a work tree, read from its files.
//!
//! git itself is not asked: it may be missing, it refuses directories of another user, and it
//! runs programs that a repository's configuration names, which nobody wants as root.

use std::path::{Path, PathBuf};

/// Revision of a project in version control, as far as it is in any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revision {
    /// Branch that is checked out.
    pub(crate) branch: Option<String>,
    /// Commit that is checked out.
    pub(crate) commit: Option<String>,
    /// Address of `origin`, without a user or a password.
    pub(crate) remote: Option<String>,
    /// Set if the branch is the one that `origin` checks out by default. `None` where that is not
    /// known.
    pub(crate) is_default_branch: Option<bool>,
}

/// Reads what is checked out in `dir`.
pub(crate) fn find_revision(dir: &Path) -> Revision {
    let Some(git) = git_dir(dir) else { return Revision::default() };
    // A linked work tree keeps HEAD to itself and everything else in the main one.
    let common = read(&git.join("commondir")).map_or_else(|| git.clone(), |path| git.join(path));
    let remote = read_long(&common.join("config")).as_deref().and_then(origin_url);
    let Some(head) = read(&git.join("HEAD")) else {
        return Revision { remote, ..Revision::default() };
    };
    match head.strip_prefix("ref:").map(str::trim) {
        None => Revision { commit: hash(&head), remote, ..Revision::default() },
        Some(name) if name.split('/').any(|part| part == "..") => {
            Revision { remote, ..Revision::default() }
        }
        Some(name) => {
            let commit = read(&common.join(name))
                .and_then(|text| hash(&text))
                .or_else(|| packed_reference(&common, name));
            let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
            let is_default_branch = branch.as_ref().and_then(|branch| {
                let default = read(&common.join("refs/remotes/origin/HEAD"))?;
                let default = default.strip_prefix("ref: refs/remotes/origin/")?.trim().to_owned();
                Some(default == *branch)
            });
            Revision { branch, commit, remote, is_default_branch }
        }
    }
}

/// The repository of the work tree with its root at `dir`.
fn git_dir(dir: &Path) -> Option<PathBuf> {
    let dot_git = dir.join(".git");
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let file = read(&dot_git)?;
    Some(dir.join(file.strip_prefix("gitdir:")?.trim()))
}

fn packed_reference(common: &Path, name: &str) -> Option<String> {
    let refs = read_long(&common.join("packed-refs"))?;
    let line = refs.lines().find(|line| {
        line.split_once(' ').is_some_and(|(_, packed_name)| packed_name.trim() == name)
    })?;
    hash(line.split(' ').next()?)
}

fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    let is_hash = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}

/// The address of `origin` in a repository's configuration.
fn origin_url(config: &str) -> Option<String> {
    let mut is_origin = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            is_origin = line == "[remote \"origin\"]";
        } else if is_origin
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "url"
        {
            return Some(without_credentials(value.trim()));
        }
    }
    None
}

/// `https://user:token@host/path` is a common way to keep a token; it must not go anywhere.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The user of ssh is `git` everywhere and is needed.
    let is_plain_user =
        scheme == "ssh" && authority.rsplit_once('@').is_some_and(|(user, _)| !user.contains(':'));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let authority = if is_plain_user { authority } else { host };
    if path.is_empty() {
        format!("{scheme}://{authority}")
    } else {
        format!("{scheme}://{authority}/{path}")
    }
}

/// `owner/name` of an address.
pub(crate) fn owner_and_name(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((scheme, rest)) if scheme != "file" => rest.split_once('/')?.1,
        Some(_) => return None,
        // `git@host:owner/name`
        None => url.split_once(':')?.1,
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let mut parts = path.rsplit('/');
    let (name, owner) = (parts.next()?, parts.next()?);
    (!name.is_empty() && !owner.is_empty()).then(|| format!("{owner}/{name}"))
}

fn read(file: &Path) -> Option<String> {
    let text = read_long(file)?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// Reads a file of a sensible size.
fn read_long(file: &Path) -> Option<String> {
    const LARGEST: u64 = 64 * 1024 * 1024;
    let metadata = std::fs::metadata(file).ok()?;
    (metadata.is_file() && metadata.len() <= LARGEST).then_some(())?;
    std::fs::read_to_string(file).ok()
}

#[cfg(test)]
mod tests {
    use super::{Revision, find_revision, origin_url, owner_and_name};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_loose_a_packed_and_a_detached_head_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        std::fs::write(git.join("packed-refs"), format!("# pack\n{COMMIT} refs/heads/main\n"))
            .unwrap();
        let packed = find_revision(dir.path());
        assert_eq!(packed.branch.as_deref(), Some("main"));
        assert_eq!(packed.commit.as_deref(), Some(COMMIT));
        let newer = COMMIT.replace('0', "f");
        std::fs::write(git.join("refs/heads/main"), &newer).unwrap();
        assert_eq!(find_revision(dir.path()).commit, Some(newer));
        std::fs::write(git.join("HEAD"), COMMIT).unwrap();
        assert_eq!(find_revision(dir.path()).branch, None);
        assert_eq!(find_revision(dir.path()).commit.as_deref(), Some(COMMIT));
    }

    #[test]
    fn what_is_no_work_tree_has_no_revision() {
        assert_eq!(find_revision(tempfile::tempdir().unwrap().path()), Revision::default());
    }

    #[test]
    fn a_token_in_the_remote_goes_nowhere() {
        let config = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://me:s3cret@example.com/acme/app.git\n";
        let remote = origin_url(config).unwrap();
        assert_eq!(remote, "https://example.com/acme/app.git");
        assert_eq!(owner_and_name(&remote).as_deref(), Some("acme/app"));
        assert_eq!(owner_and_name("git@example.com:acme/app.git").as_deref(), Some("acme/app"));
        assert_eq!(owner_and_name("ssh://git@example.com/acme/app").as_deref(), Some("acme/app"));
        assert_eq!(owner_and_name("/srv/app.git"), None);
    }
}
