//! The PATH that path_helper(8) makes: the lines of `/etc/paths`, then those of the files in
//! `/etc/paths.d` in the order of their names, each once.
//!
//! The tool itself is not run: it prints a line of shell, and puts what its caller's PATH has
//! behind.

use std::collections::BTreeSet;
use std::path::Path;

/// Reads `/etc/paths` and `/etc/paths.d` below `root`. What cannot be read is left out.
#[must_use]
pub fn path(root: &Path) -> Vec<String> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir(root.join("etc/paths.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let mut texts = vec![read(&root.join("etc/paths"))];
    texts.extend(files.iter().map(|path| read(path)));
    merge(&texts)
}

/// The lines of the texts, each once, where it stands first. A line that is no absolute path, or
/// would be two, is left out.
fn merge(texts: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(str::trim)
        .filter(|line| line.starts_with('/') && !line.contains(':'))
        .filter(|line| seen.insert((*line).to_owned()))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{merge, path};

    #[test]
    fn etc_paths_come_first_and_files_in_the_order_of_their_names() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/paths.d")).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(root.path().join("etc").join(name), text).unwrap();
        };
        // As macOS 14 has it.
        write(
            "paths",
            "/usr/local/bin\n/System/Cryptexes/App/usr/bin\n/usr/bin\n/bin\n/usr/sbin\n/sbin\n",
        );
        write("paths.d/russet", "/opt/russet/bin\n");
        write("paths.d/100-rvictl", "/Library/Apple/usr/bin\n");
        write(
            "paths.d/10-cryptex",
            "/var/run/com.apple.security.cryptexd/codex.system/bootstrap/usr/bin\n/usr/bin\n",
        );
        let found = path(root.path());
        assert_eq!(
            found,
            [
                "/usr/local/bin",
                "/System/Cryptexes/App/usr/bin",
                "/usr/bin",
                "/bin",
                "/usr/sbin",
                "/sbin",
                "/var/run/com.apple.security.cryptexd/codex.system/bootstrap/usr/bin",
                "/Library/Apple/usr/bin",
                "/opt/russet/bin",
            ]
        );
        assert!(path(&root.path().join("nowhere")).is_empty());
    }

    #[test]
    fn lines_that_are_no_directory_are_left_out() {
        let text = "\n  /a b \nrelative\n/x:/y\n~/bin\n/a b\n";
        assert_eq!(merge(&[text.to_owned()]), ["/a b"]);
    }
}
