//! Runners of other makers on the same Mac: they share its Xcodes, simulators, ports and memory with
//! us, and neither knows of the other's tasks.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::launchctl;
use crate::command::Tools;

const LAUNCHCTL: &str = "/bin/launchctl";

/// Directories in which launchd looks for jobs of all users.
const DAEMONS: &str = "Library/LaunchDaemons";
const AGENTS: &str = "Library/LaunchAgents";

/// A job of another maker's runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRunner {
    /// Its maker.
    pub maker: &'static str,
    /// Its file.
    pub file: PathBuf,
    /// The domain that it is, or would be, loaded into: `system`, `gui/501`, `user/501`.
    pub domain: String,
    /// Its label, which is its file's name.
    pub label: String,
    /// Set if launchd has it now.
    pub is_loaded: bool,
}

/// Returns whose runner a launchd job is, by its label: as CircleCI's installers and cask, GitHub's
/// `svc.sh`, GitLab's `gitlab-runner install`, Buildkite's instructions and Homebrew's services name
/// them.
fn maker_of(label: &str) -> Option<&'static str> {
    let bare = label.strip_prefix("homebrew.mxcl.").unwrap_or(label);
    match bare {
        _ if bare.starts_with("com.circleci.") || bare.starts_with("circleci-runner") => {
            Some("CircleCI")
        }
        _ if bare.starts_with("actions.runner.") => Some("GitHub"),
        _ if bare.starts_with("gitlab-runner") => Some("GitLab"),
        _ if bare.contains("buildkite-agent") => Some("Buildkite"),
        _ => None,
    }
}

/// Lists the runners that launchd has, or that start again with the Mac or a login: all but those
/// that are disabled. Files are below `root`; `uids` are users that have processes. As root it sees
/// those of everybody.
#[must_use]
pub fn list_runners(tools: &Tools, root: &Path, uids: &BTreeSet<u32>) -> Vec<OtherRunner> {
    let mut found = Vec::new();
    for (maker, file, label) in jobs_in(&root.join(DAEMONS)) {
        found.extend(look_at(tools, (maker, &file, &label), &["system".to_owned()]));
    }
    let people: Vec<u32> = uids.iter().copied().filter(|uid| *uid >= FIRST_PERSON).collect();
    for (maker, file, label) in jobs_in(&root.join(AGENTS)) {
        found.extend(look_at(tools, (maker, &file, &label), &domains_of(&people)));
    }
    for home in entries_of(&root.join("Users")) {
        let Ok(owner) = std::fs::metadata(&home).map(|meta| meta.uid()) else { continue };
        for (maker, file, label) in jobs_in(&home.join(AGENTS)) {
            let logged_in: Vec<u32> = people.iter().copied().filter(|uid| *uid == owner).collect();
            found.extend(look_at(tools, (maker, &file, &label), &domains_of(&logged_in)));
        }
    }
    found
}

/// The first user id of people.
const FIRST_PERSON: u32 = 500;

/// A user's jobs are in the domain of the session at the screen, or without one in the user's.
fn domains_of(uids: &[u32]) -> Vec<String> {
    uids.iter().flat_map(|uid| [format!("gui/{uid}"), format!("user/{uid}")]).collect()
}

fn look_at(
    tools: &Tools,
    (maker, file, label): (&'static str, &Path, &str),
    domains: &[String],
) -> Option<OtherRunner> {
    let runner = |domain: &str, is_loaded| OtherRunner {
        maker,
        file: file.to_owned(),
        domain: domain.to_owned(),
        label: label.to_owned(),
        is_loaded,
    };
    let has = |domain: &&String| {
        let target = format!("{domain}/{label}");
        tools.command(LAUNCHCTL).args(["print", &target]).run_ok().is_ok()
    };
    if let Some(domain) = domains.iter().find(has) {
        return Some(runner(domain, true));
    }
    let is_disabled = |domain: &String| {
        let printed = tools.command(LAUNCHCTL).args(["print-disabled", domain]).run_ok();
        printed.is_ok_and(|output| launchctl::is_disabled(&output.text(), label))
    };
    if domains.iter().any(is_disabled) {
        return None;
    }
    Some(runner(domains.first().map_or("gui/UID", String::as_str), false))
}

/// Lists the runners' jobs in a directory of launchd's.
fn jobs_in(directory: &Path) -> Vec<(&'static str, PathBuf, String)> {
    let job = |path: PathBuf| {
        let label = path.file_name()?.to_str()?.strip_suffix(".plist")?.to_owned();
        Some((maker_of(&label)?, path, label))
    };
    entries_of(directory).into_iter().filter_map(job).collect()
}

fn entries_of(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::MetadataExt as _;

    use super::{list_runners, maker_of};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    #[test]
    fn runners_are_known_by_the_labels_that_their_installers_use() {
        for (label, maker) in [
            ("com.circleci.runner", Some("CircleCI")),
            ("actions.runner.acme-app.mini-7", Some("GitHub")),
            ("gitlab-runner", Some("GitLab")),
            ("homebrew.mxcl.gitlab-runner", Some("GitLab")),
            ("com.buildkite.buildkite-agent", Some("Buildkite")),
            ("homebrew.mxcl.buildkite-agent", Some("Buildkite")),
            ("dev.russet.agent", None),
            ("com.apple.runner", None),
        ] {
            assert_eq!(maker_of(label), maker, "{label}");
        }
    }

    #[test]
    fn one_that_runs_or_starts_again_is_listed_and_one_that_is_disabled_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for folder in
            ["Library/LaunchDaemons", "Library/LaunchAgents", "Users/anna/Library/LaunchAgents"]
        {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let write = |path: &str| std::fs::write(root.join(path), "").unwrap();
        write("Library/LaunchDaemons/com.circleci.runner.plist");
        write("Library/LaunchDaemons/dev.russet.agent.plist");
        write("Library/LaunchAgents/gitlab-runner.plist");
        write("Users/anna/Library/LaunchAgents/actions.runner.acme-app.mini.plist");
        let owner = std::fs::metadata(root.join("Users/anna")).unwrap().uid();
        // The test's own user owns the home: a person if it is none of the system's.
        fake_tool(
            dir.path(),
            "launchctl",
            "case $1/$2 in
             print/system/com.circleci.runner) ;;
             print-disabled/gui/501) printf '\\t\"gitlab-runner\" => disabled\\n';;
             print-disabled/*) ;;
             *) exit 113;; esac",
        );
        let tools = Tools::below(dir.path());
        let found = list_runners(&tools, &root, &BTreeSet::from([0, 501, owner]));
        let told: Vec<_> =
            found.iter().map(|one| (one.maker, one.label.as_str(), one.is_loaded)).collect();
        let expected = [
            ("CircleCI", "com.circleci.runner", true),
            ("GitHub", "actions.runner.acme-app.mini", false),
        ];
        assert_eq!(told, expected);
        assert_eq!(found[0].domain, "system");
    }
}
