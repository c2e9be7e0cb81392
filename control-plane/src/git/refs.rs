//! Names and commits that a remote lists. Pure.

use std::collections::BTreeMap;

use super::error::GitError;

/// Longest name of a reference, in bytes.
const MAX_NAME_BYTES: usize = 500;

/// Branches and tags of a remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteRefs {
    /// Commits by full names, `refs/heads/…` and `refs/tags/…`. A tag's is the commit that it is of.
    pub(crate) commits: BTreeMap<String, String>,
    /// Branch that the remote checks out by default.
    pub(crate) default_branch: Option<String>,
    /// References that were left out, since their names cannot be used.
    pub(crate) left_out: usize,
}

/// Returns true for the hash of an object, SHA-1 or SHA-256.
pub(crate) fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the option of `git init` for a repository that has an object of this hash.
pub(super) fn object_format(hash: &str) -> &'static str {
    if hash.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" }
}

/// Returns true for a full name that can be passed on and shown. Stricter than git (git-check-ref-format):
/// a name with a line feed or an option's look never becomes an argument.
pub(crate) fn is_ref_name(name: &str) -> bool {
    let Some(short) = name.strip_prefix("refs/") else { return false };
    let is_bad = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let is_bad_part =
        |part: &str| part.is_empty() || part.starts_with(['.', '-']) || part.ends_with(".lock");
    name.len() <= MAX_NAME_BYTES
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && !name.chars().any(is_bad)
        && !short.split('/').any(is_bad_part)
}

/// Reads what `git ls-remote --symref` prints.
pub(super) fn parse_remote_refs(output: &str) -> Result<RemoteRefs, GitError> {
    let mut refs = RemoteRefs::default();
    let unreadable = |line: &str| GitError::Unreadable(line.chars().take(80).collect());
    for line in output.split('\n').filter(|line| !line.is_empty()) {
        let (hash, name) = line.split_once('\t').ok_or_else(|| unreadable(line))?;
        if let Some(target) = hash.strip_prefix("ref: ") {
            if name == "HEAD" {
                refs.default_branch = target.strip_prefix("refs/heads/").map(str::to_owned);
            }
            continue;
        }
        if !is_hash(hash) {
            return Err(unreadable(line));
        }
        // The commit of an annotated tag follows the tag, as `NAME^{}`.
        let name = name.strip_suffix("^{}").unwrap_or(name);
        if !name.starts_with("refs/heads/") && !name.starts_with("refs/tags/") {
            continue;
        }
        if is_ref_name(name) {
            refs.commits.insert(name.to_owned(), hash.to_owned());
        } else {
            refs.left_out += 1;
        }
    }
    Ok(refs)
}

#[cfg(test)]
mod tests {
    use super::{is_ref_name, parse_remote_refs};

    const A: &str = "0123456789abcdef0123456789abcdef01234567";
    const B: &str = "fedcba9876543210fedcba9876543210fedcba98";

    #[test]
    fn branches_tags_and_the_default_branch_are_read() {
        let output = format!(
            "ref: refs/heads/main\tHEAD\n{A}\tHEAD\n{A}\trefs/heads/main\n{B}\trefs/tags/v1\n\
             {A}\trefs/tags/v1^{{}}\n{A}\trefs/pull/1/head\n"
        );
        let refs = parse_remote_refs(&output).unwrap();
        assert_eq!(refs.default_branch.as_deref(), Some("main"));
        let names: Vec<_> = refs.commits.iter().map(|(name, hash)| (&**name, &**hash)).collect();
        assert_eq!(names, [("refs/heads/main", A), ("refs/tags/v1", A)]);
    }

    #[test]
    fn names_that_could_be_something_else_are_left_out_and_counted() {
        let output = format!("{A}\trefs/heads/-x\n{A}\trefs/heads/a b\n{A}\trefs/heads/ok\r\n");
        let refs = parse_remote_refs(&output).unwrap();
        assert!(refs.commits.is_empty());
        assert_eq!(refs.left_out, 3);
        assert!(
            parse_remote_refs("nothing\n").is_err() && parse_remote_refs("xyz\tHEAD\n").is_err()
        );
    }

    #[test]
    fn only_plain_names_are_taken() {
        for good in ["refs/heads/main", "refs/heads/feature/x-1", "refs/tags/v1.0", "refs/heads/é"]
        {
            assert!(is_ref_name(good), "{good}");
        }
        for bad in [
            "refs/heads/a\nb",
            "refs/heads/--upload-pack=x",
            "refs/heads/a..b",
            "refs/heads/a:b",
            "HEAD",
            "refs/heads/",
            "refs/heads/a//b",
            "refs/heads/a.lock",
            "refs/heads/a*",
            "refs/heads/@{1}",
            "refs/heads/.a",
            "refs/heads/a\0",
            "refs/heads/a.",
            "-x",
            "refs/heads/\u{85}",
        ] {
            assert!(!is_ref_name(bad), "{bad:?}");
        }
    }
}
