//! Caches that `russet run` keeps between runs, with the real binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{config, run, russet, test_dir};

/// A directory for projects, and for the caches of their runs.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let dir = test_dir();
        // Users of tasks pass through it.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        Self(dir)
    }

    /// Makes a project whose job says which run the cache is of, and saves one if there is none.
    fn project(&self, name: &str) -> PathBuf {
        let dir = self.0.path().join(name);
        std::fs::create_dir_all(dir.join(".circleci")).unwrap();
        let step = "mkdir -p tree; cat tree/of || echo \"no\" \"cache\"\n\
                    [ -e tree/of ] || { echo \"cache of $CIRCLE_WORKFLOW_ID\" > tree/of; \
                    head -c 100000 /dev/urandom > tree/noise; echo \"saves $CIRCLE_WORKFLOW_ID\"; }";
        let steps = [
            "restore_cache: {keys: [k-v1, k-]}",
            &run(step),
            "save_cache: {key: k-v1, paths: [tree]}",
        ];
        std::fs::write(dir.join(".circleci/config.yml"), config(&steps)).unwrap();
        dir
    }

    fn command(&self, project: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(russet());
        command.arg("run").arg(project).args(args).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.0.path().join("state"));
        command.env("XDG_CACHE_HOME", self.0.path().join("cache")).env("NO_COLOR", "1");
        command
    }

    #[track_caller]
    fn run(&self, project: &Path, args: &[&str]) -> String {
        let output = self.command(project, args).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{args:?}: {said}");
        said
    }

    fn kept_bytes(&self) -> u64 {
        fn bytes(dir: &Path) -> u64 {
            let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
            let size = |entry: std::fs::DirEntry| match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => bytes(&entry.path()),
                Ok(metadata) => metadata.len(),
                Err(_) => 0,
            };
            entries.flatten().map(size).sum()
        }
        bytes(&self.0.path().join("cache/russet/run"))
    }
}

/// The run whose cache a run found, and the run that it saved one as.
fn seen(said: &str) -> (Option<String>, Option<String>) {
    let after = |words: &str| {
        let line = said.lines().find_map(|line| line.split_once(words));
        line.map(|(_, id)| id.trim().to_owned())
    };
    let (found, saved) = (after("cache of "), after("saves "));
    assert_eq!(found.is_none(), said.contains("no cache"), "{said}");
    (found, saved)
}

#[test]
fn a_run_finds_the_caches_of_earlier_runs_of_its_project_unless_told_otherwise() {
    let home = Home::new();
    let project = home.project("one/app");
    let (found, first) = seen(&home.run(&project, &[]));
    assert!(found.is_none() && first.is_some());
    assert_eq!(seen(&home.run(&project, &[])), (first.clone(), None));
    let (found, saved) = seen(&home.run(&project, &["--no-cache"]));
    assert!(found.is_none() && saved.is_some());
    assert_eq!(seen(&home.run(&project, &[])).0, first);
    let (found, fresh) = seen(&home.run(&project, &["--fresh"]));
    assert!(found.is_none() && fresh.is_some());
    assert_eq!(seen(&home.run(&project, &[])).0, fresh);
    // Another project of that name.
    let other = home.project("two/app");
    assert_eq!(seen(&home.run(&other, &[])).0, None);
    let said = home.run(&project, &["--clear-cache"]);
    assert!(said.contains("Deleted 1 cache of app"), "{said}");
    assert_eq!(seen(&home.run(&project, &["--no-cache"])).0, None);
    assert!(seen(&home.run(&other, &[])).0.is_some());
}

#[test]
fn what_runs_keep_is_bounded_and_two_runs_at_once_keep_one_whole_cache() {
    let home = Home::new();
    let project = home.project("app");
    home.run(&project, &["--cache-limit", "50KB"]);
    assert!(home.kept_bytes() < 50_000, "{} bytes", home.kept_bytes());
    let start = || home.command(&project, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let both = [start(), start()].map(|child| {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        seen(&said).1
    });
    let found = seen(&home.run(&project, &[])).0;
    assert!(found.is_some() && both.contains(&found), "{found:?} of {both:?}");
    let kept = home.kept_bytes();
    assert!((100_000..150_000).contains(&kept), "{kept} bytes");
    // What somebody deletes between two runs was never there.
    std::fs::remove_dir_all(home.0.path().join("cache")).unwrap();
    assert_eq!(seen(&home.run(&project, &[])).0, None);
}
