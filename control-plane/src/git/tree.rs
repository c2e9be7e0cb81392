//! Reading of a commit: its message, and the files that say what is built.

use super::command::GitCall;
use super::error::GitError;
use super::mirror::Mirror;
use super::run::{CallLimits, run_git};

/// Most of a commit that is read, in bytes.
const MAX_COMMIT_BYTES: u64 = 1 << 20;

/// Most bytes of the orbs that a project brings along.
const MAX_ORB_BYTES: u64 = 4 << 20;

/// Most files of them.
const MAX_ORBS: usize = 200;

/// Folder of the orbs that a project brings along, and its lock file.
const ORBS_DIR: &str = ".circleci/orbs";

/// A commit's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) author_name: String,
    pub(crate) author_email: String,
}

/// Files of a commit that say what is built.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigFiles {
    pub(crate) config: String,
    /// Orbs that the project brings along: name, version and text.
    pub(crate) orbs: Vec<(String, String, String)>,
}

/// Reads the message and author of a commit.
pub(crate) async fn read_head(mirror: &Mirror, revision: &str) -> Result<Head, GitError> {
    let call = GitCall::new("log", &mirror.path).args([
        "-1",
        "--no-show-signature",
        "--encoding=UTF-8",
        "--format=%an%x00%ae%x00%s%x00%b",
        revision,
        "--",
    ]);
    let output = run_git(&call, CallLimits::local(MAX_COMMIT_BYTES)).await?;
    let text = String::from_utf8_lossy(&output);
    let mut parts = text.splitn(4, '\0').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (author_name, author_email, subject, body) = (next(), next(), next(), next());
    Ok(Head { subject, body: body.trim_end().to_owned(), author_name, author_email })
}

/// An entry of a tree.
#[derive(Debug)]
struct Entry {
    mode: String,
    object: String,
    path: String,
}

/// Lists entries of a commit's tree.
async fn list_entries(
    mirror: &Mirror,
    revision: &str,
    (options, paths): (&[&str], &[&str]),
) -> Result<Vec<Entry>, GitError> {
    // Not as patterns: a path with `*` is that path.
    let mut call = GitCall::new("ls-tree", &mirror.path)
        .args(["-z", "--full-tree"])
        .args(options)
        .args([revision, "--"])
        .args(paths);
    call.variables.push(("GIT_LITERAL_PATHSPECS", "1".into()));
    let output = run_git(&call, CallLimits::local(MAX_COMMIT_BYTES)).await?;
    let text = String::from_utf8_lossy(&output);
    let read = |line: &str| {
        let (facts, path) = line.split_once('\t')?;
        let mut facts = facts.split(' ').map(str::to_owned);
        let (mode, _kind, object) = (facts.next()?, facts.next()?, facts.next()?);
        Some(Entry { mode, object, path: path.to_owned() })
    };
    let lines = text.split('\0').filter(|line| !line.is_empty());
    lines
        .map(|line| read(line).ok_or_else(|| GitError::Unreadable(line.chars().take(80).collect())))
        .collect()
}

/// Reads a file of at most `limit` bytes. No link on the way to it is followed.
async fn read_file(
    mirror: &Mirror,
    revision: &str,
    path: &str,
    limit: u64,
) -> Result<String, GitError> {
    let steps = path.match_indices('/').filter_map(|(at, _)| path.get(..at)).chain([path]);
    let steps: Vec<&str> = steps.collect();
    let entries = list_entries(mirror, revision, (&[], &steps)).await?;
    for entry in &entries {
        let kind = match entry.mode.as_str() {
            "120000" => "a symbolic link",
            "160000" => "a submodule",
            "040000" if entry.path == path => "a directory",
            _ => continue,
        };
        return Err(GitError::NotAFile { path: entry.path.clone(), kind });
    }
    let file = entries.iter().find(|entry| entry.path == path);
    let file = file.ok_or_else(|| GitError::NoConfig(path.to_owned()))?;
    read_blob(mirror, &file.object, limit).await?.ok_or_else(|| GitError::NotText(path.to_owned()))
}

/// Reads the text of an object; `None`: it is not text.
async fn read_blob(mirror: &Mirror, object: &str, limit: u64) -> Result<Option<String>, GitError> {
    let call = GitCall::new("cat-file", &mirror.path).args(["blob", object]);
    let output = run_git(&call, CallLimits::local(limit)).await.map_err(|error| match error {
        GitError::TooLarge { limit, .. } => GitError::TooLarge { what: "the configuration", limit },
        error => error,
    })?;
    Ok(String::from_utf8(output).ok())
}

/// Reads the configuration of a commit, and the orbs that it brings along.
pub(crate) async fn read_config_files(
    mirror: &Mirror,
    revision: &str,
    config_path: &str,
) -> Result<ConfigFiles, GitError> {
    let most = russet_pipeline::MAX_BYTES as u64;
    let config = read_file(mirror, revision, config_path, most).await?;
    let inside = format!("{ORBS_DIR}/");
    let entries = list_entries(mirror, revision, (&["-r"], &[&inside])).await?;
    let mut orbs = Vec::new();
    let mut left = MAX_ORB_BYTES;
    for entry in entries.iter().filter(|entry| entry.mode.starts_with("100")).take(MAX_ORBS) {
        let Some((name, version)) = entry.path.strip_prefix(&inside).and_then(orb_name) else {
            continue;
        };
        let Some(text) = read_blob(mirror, &entry.object, left).await? else { continue };
        left = left.saturating_sub(text.len() as u64);
        orbs.push((name, version, text));
    }
    Ok(ConfigFiles { config, orbs })
}

/// Returns name and version of an orb from its file, `namespace/name@1.2.3.yml`.
fn orb_name(file: &str) -> Option<(String, String)> {
    let file = file.strip_suffix(".yml").or_else(|| file.strip_suffix(".yaml"))?;
    let (name, version) = file.split_once('@')?;
    Some((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::orb_name;

    #[test]
    fn orbs_are_named_by_their_files() {
        let named = orb_name("acme/tools@1.2.3.yml").unwrap();
        assert_eq!(named, ("acme/tools".to_owned(), "1.2.3".to_owned()));
        assert!(orb_name("acme/tools.yml").is_none() && orb_name("README.md").is_none());
    }
}
