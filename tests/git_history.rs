//! The history of a project's repository in a job: `git` in steps reads it from the control plane, while the
//! repository itself is out of the job's reach.

use std::path::{Path, PathBuf};
use std::process::Command;

use russet_protocol::admin::{Job, Pipeline};
use russet_protocol::outcome::Outcome;
use russet_protocol::projects::{ConnectionDetails, TriggerItem, TriggerState};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Agent, AgentOptions, Server, config, has_tool, run, test_dir, wait_for};

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
        Self::start_with(format, &[], &[])
    }

    /// Starts one with these options of the server and lines of the agent's configuration.
    fn start_with(format: &str, more: &[&str], runner: &[&str]) -> Self {
        let dir = test_dir();
        let format = format!("--object-format={format}");
        git(
            dir.path(),
            &["init", "--quiet", "--bare", "--initial-branch=main", &format, "app.git"],
        );
        git(dir.path(), &["init", "--quiet", "--initial-branch=main", &format, "work"]);
        let server = Server::start_alone(
            "what it takes is looked at",
            &[&["--allow-git-file"], more].concat(),
        );
        let runner = runner.iter().map(|&line| line.to_owned()).collect();
        let options = AgentOptions { runner, ..AgentOptions::default() };
        let it = Self { _agent: Agent::start_with(&server, &options), server, dir };
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
        self.commit_all(message)
    }

    fn commit_all(&self, message: &str) -> String {
        git(&self.work(), &["add", "--all"]);
        git(&self.work(), &["commit", "--quiet", "-m", message]);
        git(&self.work(), &["rev-parse", "HEAD"])
    }

    /// Pushes a configuration with these steps, connects the project, and builds it.
    #[track_caller]
    fn submit(&self, steps: &[&str]) -> Pipeline {
        self.commit(".circleci/config.yml", &config(steps), "configuration");
        git(&self.work(), &["push", "--quiet", "origin", "main", "side", "v1"]);
        let admin = &self.server.admin;
        let look = || admin.get::<ConnectionDetails>(PROJECT);
        let wish = json!({"url": self.url()});
        let answer = admin.send(reqwest::Method::PUT, PROJECT, Some(wish)).unwrap();
        assert!(answer.0 < 300, "{}", String::from_utf8_lossy(&answer.1));
        wait_for("the baseline", || look().connection.has_baseline.then_some(()));
        let earlier: Vec<String> = look().triggers.into_iter().map(|of| of.id).collect();
        admin.post(&format!("{PROJECT}/build"), json!({}));
        let trigger = wait_for("a pipeline", || {
            let is_it =
                |of: &TriggerItem| of.state != TriggerState::Waiting && !earlier.contains(&of.id);
            look().triggers.into_iter().find(is_it)
        });
        let pipeline = trigger.pipeline.unwrap_or_else(|| panic!("{:?}", trigger.message));
        admin.pipeline(&pipeline)
    }

    /// The same, and waits for its one job.
    #[track_caller]
    fn build(&self, steps: &[&str]) -> Job {
        let admin = &self.server.admin;
        admin.only_job(&admin.wait(&self.submit(steps)))
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
             git config remote.origin.url\n\
             git ls-remote $(git config remote.origin.url)-other 2>&1 || true";
        let output = of.succeed(&["checkout", &run(script)]);
        assert!(output.contains("count=4\n"), "{output}");
        assert!(output.contains("side=second\n"), "{output}");
        assert!(output.contains("described=v1-3-g"), "{output}");
        assert!(output.contains("ref: refs/heads/main\tHEAD"), "{output}");
        let url = of.url();
        assert!(output.contains(&format!("\n{url}\n")), "{output}");
        // Of another repository, whose address begins with this one's.
        assert!(
            output.contains(&format!("has {url} for this task, and not {url}-other")),
            "{output}"
        );
    }
}

#[test]
fn a_checkout_that_names_a_method_brings_all_branches_and_tags() {
    if !has_tool("git") {
        return;
    }
    let of = Connected::start("sha1");
    let full = of.succeed(&[
        "checkout: {method: full}",
        &run("echo shallow=$(git rev-parse --is-shallow-repository)\n\
             echo described=$(git describe origin/side)\n\
             echo missing=$(git rev-list --objects --missing=print HEAD | grep -c '^?')\n\
             echo push=$(git remote get-url --push origin)\n\
             echo on=$(git branch --show-current)"),
    ]);
    assert!(full.contains("shallow=false\n"), "{full}");
    assert!(full.contains("described=v1-1-g"), "{full}");
    assert!(full.contains("missing=0\n"), "{full}");
    assert!(full.contains(&format!("push={}\n", of.url())), "{full}");
    assert!(full.contains("on=main\n"), "{full}");

    let blobless = of.succeed(&[
        "checkout: {method: blobless}",
        &run("echo count=$(git rev-list --count HEAD)\n\
             echo missing=$(git rev-list --objects --missing=print HEAD | grep -c '^?')\n\
             echo lines=$(git show v1:large.txt | wc -l)"),
    ]);
    assert!(blobless.contains("count=5\n"), "{blobless}");
    assert!(!blobless.contains("missing=0\n"), "{blobless}");
    // What is looked at comes when it is.
    assert!(blobless.contains("lines=10000\n"), "{blobless}");
}

/// Bytes that do not get smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length / 8).flat_map(|_| next()).collect()
}

#[test]
fn a_history_that_is_too_large_is_refused_with_a_next_step_and_the_commit_is_not() {
    if !has_tool("git") {
        return;
    }
    let of = Connected::start_with("sha1", &["--git-size-limit", "1MB"], &[]);
    std::fs::write(of.work().join("noise"), noise(3_000_000)).unwrap();
    of.commit_all("noise");
    std::fs::remove_file(of.work().join("noise")).unwrap();
    let output = of.succeed(&["checkout", &run("git fetch --unshallow origin 2>&1 || true")]);
    let refused =
        "the repository with its history is larger than 1000000 bytes; raise --git-size-limit";
    assert!(output.contains(refused), "{output}");
    let job = of.build(&["checkout: {method: full}"]);
    assert_eq!(job.outcome, Some(Outcome::Failed));
    let output = of.server.admin.output(&job);
    assert!(output.contains(refused) && output.contains("could not fetch the history"), "{output}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_history_passes_through_a_server_that_does_not_grow() {
    if !has_tool("git") {
        return;
    }
    const SIZE: usize = 48 << 20;
    let of = Connected::start("sha1");
    std::fs::write(of.work().join("noise"), noise(SIZE)).unwrap();
    of.commit_all("noise");
    std::fs::remove_file(of.work().join("noise")).unwrap();
    let status = format!("/proc/{}/status", of.server.pid());
    let peak_kb = || -> usize {
        let status = std::fs::read_to_string(&status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    of.succeed(&["checkout", &run("true")]);
    let before = peak_kb();
    let output = of.succeed(&["checkout: {method: full}", &run("git cat-file -s HEAD~2:noise")]);
    assert!(output.contains(&SIZE.to_string()), "{output}");
    let grown = (peak_kb() - before) * 1024;
    assert!(grown < SIZE / 2, "{grown} bytes");
}

#[test]
fn a_job_without_a_repository_is_told_so_and_nothing_is_pushed_to_a_mirror() {
    if !has_tool("git") {
        return;
    }
    let of = Connected::start("sha1");
    let admin = &of.server.admin;
    let job = admin.run(&config(&[&run("git ls-remote russet::any 2>&1 || true")]));
    let output = admin.output(&job);
    assert!(output.contains("the control plane has no repository for this task"), "{output}");
    let push = run("git push russet::any HEAD:refs/heads/made 2>&1 || true");
    let output = of.succeed(&["checkout", &push]);
    assert!(output.contains("`git-receive-pack` is not possible here"), "{output}");
}

#[test]
fn a_fetch_through_the_relay_waits_for_a_control_plane_that_restarts() {
    if !has_tool("git") {
        return;
    }
    let mut of = Connected::start_with("sha1", &[], &["relay: always"]);
    let gate = of.dir.path().join("gate");
    let script = format!(
        "echo in; while [ ! -e {} ]; do sleep 0.05; done\n\
         git fetch --quiet --unshallow origin 2>&1\n\
         echo count=$(git rev-list --count HEAD)",
        gate.display()
    );
    let pipeline = of.submit(&["checkout", &run(&script)]);
    of.server.admin.wait_for_output(&pipeline, "in");
    of.server.stop();
    std::fs::write(&gate, "").unwrap();
    of.server.start_again();
    let pipeline = of.server.admin.wait(&pipeline);
    let output = of.server.admin.output(&of.server.admin.only_job(&pipeline));
    assert!(output.contains("count=4\n"), "{output}");
}
