//! Paths of requests.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Returns the absolute path, without links where it exists. The last part need not exist: that is how
/// clients make paths of files that they are about to write.
pub(crate) fn real_path(base: &Path, path: &str) -> io::Result<PathBuf> {
    let whole = base.join(path);
    match whole.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Some(parent), Some(Component::Normal(name))) =
                (whole.parent(), whole.components().next_back())
            else {
                return Err(error);
            };
            Ok(parent.canonicalize()?.join(name))
        }
        result => result,
    }
}

/// Replaces `~` at the beginning by the home directory.
pub(crate) fn expand_home(path: &str, home: Option<&Path>) -> Option<PathBuf> {
    let rest = path.strip_prefix('~')?;
    let home = home?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(home.join(rest)),
        // Somebody else's home is not ours to know.
        None => rest.is_empty().then(|| home.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{expand_home, real_path};
    use std::path::{Path, PathBuf};

    #[test]
    fn a_path_is_made_absolute_even_if_its_last_part_is_yet_to_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("real")).unwrap();
        std::os::unix::fs::symlink("real", base.join("link")).unwrap();
        assert_eq!(real_path(&base, ".").unwrap(), base);
        assert_eq!(real_path(&base, "link/..").unwrap(), base);
        assert_eq!(real_path(&base, "link/new").unwrap(), base.join("real/new"));
        assert_eq!(real_path(&base, "/").unwrap(), Path::new("/"));
        assert!(real_path(&base, "none/new").is_err());
    }

    #[test]
    fn a_tilde_is_the_home_of_the_user_alone() {
        let home = Some(Path::new("/home/slot"));
        assert_eq!(expand_home("~/a", home), Some(PathBuf::from("/home/slot/a")));
        assert_eq!(expand_home("~", home), Some(PathBuf::from("/home/slot")));
        assert_eq!(expand_home("~root", home), None);
        assert_eq!(expand_home("a", home), None);
    }
}
