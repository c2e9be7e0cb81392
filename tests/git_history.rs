//! The history of a project's repository in a job: `git` in steps reads it from the control plane, while the
//! repository itself is out of the job's reach.

use std::path::{Path, PathBuf};
use std::process::Command;

use russet_protocol::admin::Job;
use russet_protocol::outcome::Outcome;
use russet_protocol::projects::{ConnectionDetails, TriggerState};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Agent, Server, config, has_tool, run, test_dir, wait_for};

const PROJECT: &str = "/api/v3/projects/acme%2Fapp/connection";

/// A repository with a history, of a project that is connected, and an agent.
struct Connected {
    server: Server,
    _agent: Agent,
    dir: TempDir,
}

fn git(dir: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ana", "-c", "user.email=ana@example.com"])
        .args(words)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Connected {
    fn start(format: &str) -> Self {
        let dir = test_dir();
        let format = format!("--object-format={format}");
        git(
            dir.path(),
            &["init", "--quiet", "--bare", "--initial-branch=main", &format, "app.git"],
        );
        git(dir.path(), &["init", "--quiet", "--initial-branch=main", &format, "work"]);
        let server = Server::start_alone("its mirrors are looked at", &["--allow-git-file"]);
        let it = Self { _agent: Agent::start(&server), server, dir };
        git(&it.work(), &["remote", "add", "origin", &it.url()]);
        it.commit("large.txt", &"x\n".repeat(10_000), "first");
        git(&it.work(), &["tag", "-a", "v1", "-m", "one"]);
        it.commit("large.txt", "small\n", "second");
        git(&it.work(), &["branch", "side"]);
        it.commit("note.txt", "note\n", "third");
        it
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn url(&self) -> String {
        format!("file://{}/app.git", self.dir.path().display())
    }

    fn commit(&self, name: &str, text: &str, message: &str) -> String {
        let file = self.work().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        git(&self.work(), &["add", "--all"]);
        git(&self.work(), &["commit", "--quiet", "-m", message]);
        git(&self.work(), &["rev-parse", "HEAD"])
    }

    /// Pushes a configuration with these steps, connects the project, and runs its one job.
    #[track_caller]
    fn build(&self, steps: &[&str]) -> Job {
        self.commit(".circleci/config.yml", &config(steps), "configuration");
        git(&self.work(), &["push", "--quiet", "origin", "main", "side", "v1"]);
        let admin = &self.server.admin;
        let wish = json!({"url": self.url()});
        let answer = admin.send(reqwest::Method::PUT, PROJECT, Some(wish)).unwrap();
        assert!(answer.0 < 300, "{}", String::from_utf8_lossy(&answer.1));
        let look = || admin.get::<ConnectionDetails>(PROJECT);
        wait_for("the baseline", || look().connection.has_baseline.then_some(()));
        admin.post(&format!("{PROJECT}/build"), json!({}));
        let trigger = wait_for("a pipeline", || {
            look().triggers.into_iter().find(|of| of.state != TriggerState::Waiting)
        });
        let pipeline = trigger.pipeline.unwrap_or_else(|| panic!("{:?}", trigger.message));
        let pipeline = admin.wait(&admin.pipeline(&pipeline));
        admin.only_job(&pipeline)
    }

    #[track_caller]
    fn succeed(&self, steps: &[&str]) -> String {
        let job = self.build(steps);
        let output = self.server.admin.output(&job);
        assert_eq!(job.outcome, Some(Outcome::Success), "{output}");
        output
    }
}

#[test]
fn a_step_fetches_the_history_from_origin_without_a_credential() {
    if !has_tool("git") {
        return;
    }
    for format in ["sha1", "sha256"] {
        let of = Connected::start(format);
        let script = "git rev-list --count HEAD\n\
             git fetch --quiet --unshallow origin\n\
             echo count=$(git rev-list --count HEAD)\n\
             git fetch --quiet origin side v1\n\
             echo side=$(git log -1 --format=%s FETCH_HEAD)\n\
             git fetch --quiet --tags origin\n\
             echo described=$(git describe)\n\
             git ls-remote --symref origin HEAD\n\
             git config remote.origin.url";
        let output = of.succeed(&["checkout", &run(script)]);
        assert!(output.contains("count=4\n"), "{output}");
        assert!(output.contains("side=second\n"), "{output}");
        assert!(output.contains("described=v1-3-g"), "{output}");
        assert!(output.contains("ref: refs/heads/main\tHEAD"), "{output}");
        assert!(output.contains(&of.url()), "{output}");
    }
}
