//! Fetching artifacts into a directory.
//!
//! Their paths come from a job, by way of the control plane, and neither is trusted with where
//! this process writes: a path that would leave the directory is refused, and a symbolic link
//! that stands in the directory is not followed.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use russet_protocol::admin::ArtifactItem;
use russet_task_agent::bundle::{self, BundleError, Restored};

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::plain;

/// Place of a fetched artifact.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Path of the file, or of the bundle that it held.
    pub(crate) path: PathBuf,
    /// Remark for people.
    pub(crate) note: Option<String>,
}

/// Fetches one artifact to `dir/<its path>`, checks its hash, and restores a bundle from its
/// archive. `progress` hears of every part that came.
pub(crate) async fn fetch_artifact(
    client: &Client,
    job: &str,
    item: &ArtifactItem,
    dir: &Path,
    progress: impl Fn(u64),
) -> Result<Placed> {
    let Some(relative) = safe_path(&item.path) else {
        let message = format!("the artifact path {:?} leads outside of its directory", item.path);
        return Err(CliError::new(Exit::ControlPlane, message));
    };
    let failed = |error| {
        CliError::local(format!("could not write {}", dir.join(&relative).display()), error)
    };
    let file = prepare_parent(dir, &relative).map_err(failed)?;
    // Never opens what is there: neither a link nor a FIFO that somebody put in the way.
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&file)
        .map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let damaged = || {
        let message = format!("the artifact {} came damaged", file.display());
        CliError::new(Exit::ControlPlane, message).hint("fetch it again")
    };
    let mut body = client.artifact(job, &item.path).await?;
    let mut size = 0;
    while let Some(bytes) = body.next().await? {
        size += u64::try_from(bytes.len()).unwrap_or_default();
        if size > item.size {
            return Err(damaged());
        }
        hasher.update(&bytes);
        out.write_all(&bytes).map_err(failed)?;
        progress(u64::try_from(bytes.len()).unwrap_or_default());
    }
    if hasher.finalize().to_hex().as_str() != item.blake3 {
        return Err(damaged());
    }
    drop(out);
    tokio::task::spawn_blocking(move || restore_bundle(file))
        .await
        .map_err(|error| CliError::local("could not restore a bundle", error))?
}

/// Restores a bundle from its archive. An archive that would lead out of the directory is kept as it
/// is: it is what the job stored.
fn restore_bundle(file: PathBuf) -> Result<Placed> {
    let shown = file.display().to_string();
    let shown = plain(&shown);
    match bundle::restore(&file) {
        Ok(Restored::NotABundle) => Ok(Placed { path: file, note: None }),
        Ok(Restored::Bundle { path, lost_attributes: 0 }) => Ok(Placed { path, note: None }),
        Ok(Restored::Bundle { path, lost_attributes }) => {
            let note = format!("{shown}: {lost_attributes} files lost extended attributes");
            Ok(Placed { path, note: Some(note) })
        }
        Err(error @ BundleError::Io { .. }) => {
            Err(CliError::local(format!("could not restore the bundle in {shown}"), error))
        }
        Err(error) => {
            let note = format!("{shown} stays packed: {error}");
            Ok(Placed { path: file, note: Some(note) })
        }
    }
}

/// The path, if it stays below where it is put.
fn safe_path(path: &str) -> Option<PathBuf> {
    let relative = Path::new(path);
    let stays = relative.components().all(|part| matches!(part, Component::Normal(_)));
    (stays && !path.is_empty() && !path.contains('\0')).then(|| relative.to_owned())
}

/// Makes the directories of `relative` below `dir` and clears its place.
fn prepare_parent(dir: &Path, relative: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let mut at = dir.to_owned();
    for part in relative.parent().into_iter().flat_map(Path::components) {
        at.push(part);
        match std::fs::symlink_metadata(&at) {
            Ok(there) if there.is_dir() => {}
            // A link or a file of an earlier run: what is fetched now takes its place.
            Ok(_) => {
                std::fs::remove_file(&at)?;
                std::fs::create_dir(&at)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir(&at)?;
            }
            Err(error) => return Err(error),
        }
    }
    let file = dir.join(relative);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(file),
    }
}

/// A directory for each of these jobs, none for two: jobs of different workflows may have the same
/// name. File systems that ignore case are thought of.
pub(crate) fn directory_names(jobs: &[&str]) -> Vec<String> {
    let mut taken = std::collections::HashSet::new();
    let free = |job: &&str| {
        let name = directory_name(job);
        let numbered = (2u64..).map(|number| format!("{name}-{number}"));
        std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| taken.insert(name.to_lowercase()))
            .unwrap_or(name)
    };
    jobs.iter().map(free).collect()
}

/// A job's name as the name of a directory.
fn directory_name(job: &str) -> String {
    let clean = |c: char| if c == '/' || !russet_text::is_printable(c) { '_' } else { c };
    let name: String = job.chars().map(clean).take(100).collect();
    if name.trim_start_matches('.').is_empty() { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::{directory_name, directory_names, prepare_parent, safe_path};
    use std::path::Path;

    #[test]
    fn a_path_that_leads_outside_is_refused() {
        assert!(safe_path("report/index.html").is_some());
        for bad in ["", "..", "a/../../b", "/etc/passwd", "./a", "a\0b"] {
            assert!(safe_path(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_link_in_the_way_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("report")).unwrap();
        let file = prepare_parent(dir.path(), Path::new("report/index.html")).unwrap();
        std::fs::write(&file, "x").unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn jobs_of_the_same_name_do_not_share_a_directory() {
        let names = directory_names(&["test", "a/b", "Test", "a_b", "test"]);
        assert_eq!(names, ["test", "a_b", "Test-2", "a_b-2", "test-3"]);
    }

    #[test]
    fn names_of_jobs_are_safe_as_directories() {
        assert_eq!(directory_name("a/b"), "a_b");
        assert_eq!(directory_name(".."), "_..");
        assert_eq!(directory_name("build-1.2"), "build-1.2");
    }
}
