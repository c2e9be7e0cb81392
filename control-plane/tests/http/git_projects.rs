//! Projects that are connected to a Git remote: real repositories, reached by real git.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use russet_control_plane::{GitSettings, ManualClock};
use russet_protocol::admin::{Page, Pipeline};
use russet_protocol::projects::{ConnectionDetails, TriggerState};
use serde_json::{Value, json};

use crate::git_remote::GitHttp;
use crate::support::{Harness, Home, LIMIT, ok, refused};

const PATH: &str = "/api/v3/projects/acme%2Fapp/connection";

pub(crate) const CONFIG: &str = "
version: 2.1
jobs:
  one:
    machine: true
    resource_class: acme/mini
    steps:
      - checkout
      - run: {name: On << pipeline.git.branch >>, command: 'echo << pipeline.trigger_source >> << pipeline.git.commit.subject >>'}
workflows:
  main:
    jobs: [one]
";

/// A repository with a work tree, from which commits are pushed to a bare one.
pub(crate) struct Repository {
    temp: tempfile::TempDir,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let it = Self { temp };
        git(it.temp.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "app.git"]);
        git(it.temp.path(), &["init", "--quiet", "--initial-branch=main", "work"]);
        git(&it.work(), &["remote", "add", "origin", "../app.git"]);
        it.write(".circleci/config.yml", CONFIG);
        it.commit("first");
        it.push("main");
        it
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.temp.path().join("work")
    }

    /// Directory of the bare repository.
    pub(crate) fn root(&self) -> &Path {
        self.temp.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}/app.git", self.temp.path().display())
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.work().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// Commits everything. Returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        git(&self.work(), &["add", "--all"]);
        git(&self.work(), &["commit", "--quiet", "--allow-empty", "-m", message]);
        git(&self.work(), &["rev-parse", "HEAD"])
    }

    pub(crate) fn push(&self, what: &str) {
        git(&self.work(), &["push", "--quiet", "--force", "origin", what]);
    }
}

pub(crate) fn git(dir: &Path, words: &[&str]) -> String {
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

/// Starts a server with other settings for remotes than the usual.
pub(crate) async fn start(change: impl FnOnce(&mut GitSettings)) -> Harness {
    let harness = Harness::start_with(Home::new(), ManualClock::new(), |settings| {
        settings.git.allow_file = true;
        change(&mut settings.git);
    });
    let harness = harness.await;
    harness.class().await;
    harness
}

pub(crate) async fn details(harness: &Harness) -> ConnectionDetails {
    harness.get(PATH).await
}

/// Connects the project and waits until its baseline is known.
pub(crate) async fn connect(harness: &Harness, wish: Value) {
    ok(harness.as_admin(Method::PUT, PATH).json(&wish)).await;
    wait_until(harness, |of| of.connection.has_baseline).await;
}

/// Waits for a condition of the connection.
pub(crate) async fn wait_until(
    harness: &Harness,
    done: impl Fn(&ConnectionDetails) -> bool,
) -> ConnectionDetails {
    let wait = async {
        loop {
            let of = details(harness).await;
            if done(&of) {
                return of;
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(LIMIT, wait).await {
        Ok(of) => of,
        Err(_) => panic!("it does not get there: {:?}", details(harness).await),
    }
}

pub(crate) async fn poll(harness: &Harness) {
    ok(harness.as_admin(Method::POST, &format!("{PATH}/poll"))).await;
}

/// Waits until so many triggers have ended.
pub(crate) async fn wait_for_ended(harness: &Harness, count: usize) -> ConnectionDetails {
    let is_ended = |of: &ConnectionDetails| {
        of.triggers.iter().filter(|of| of.state != TriggerState::Waiting).count() >= count
    };
    wait_until(harness, is_ended).await
}

pub(crate) async fn pipelines(harness: &Harness) -> Vec<Value> {
    harness.get::<Page<Value>>("/api/v3/pipelines").await.items
}

/// Advances the clock past a poll, and waits for it.
async fn poll_again(harness: &Harness) {
    let before = details(harness).await.connection;
    let since = before.last_poll.map(|poll| poll.at_ms);
    harness.clock.advance(Duration::from_secs(90));
    wait_until(harness, |of| of.connection.last_poll.as_ref().map(|poll| poll.at_ms) > since).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_becomes_one_pipeline_with_its_config_and_source_and_the_baseline_becomes_none() {
    let repository = Repository::new();
    let harness = start(|_| {}).await;
    connect(&harness, json!({"url": repository.url()})).await;
    assert!(pipelines(&harness).await.is_empty(), "the baseline builds nothing");
    repository.write("src/main.c", "int main;\n");
    let revision = repository.commit("second");
    repository.push("main");
    poll_again(&harness).await;
    let of = wait_for_ended(&harness, 1).await;
    let trigger = &of.triggers[0];
    assert_eq!(trigger.state, TriggerState::Built, "{trigger:?}");
    assert_eq!(trigger.revision, revision);
    let id = trigger.pipeline.clone().unwrap();
    let pipeline: Pipeline = harness.get(&format!("/api/v3/pipelines/{id}")).await;
    assert_eq!(pipeline.branch.as_deref(), Some("main"));
    assert_eq!(pipeline.revision.as_deref(), Some(revision.as_str()));
    assert_eq!(pipeline.author.as_deref(), Some("Ana"));
    // Nothing changed: nothing more, however often it is polled.
    poll_again(&harness).await;
    poll_again(&harness).await;
    assert_eq!(pipelines(&harness).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_of_a_commit_is_a_clean_checkout_that_git_understands() {
    use std::os::unix::fs::symlink;
    let repository = Repository::new();
    let harness = start(|_| {}).await;
    let token = harness.token().await.token.unwrap().expose().to_owned();
    connect(&harness, json!({"url": repository.url()})).await;
    repository.write("a/b.txt", "text\n");
    repository.write("not-exported", "x");
    repository.write(".gitattributes", "not-exported export-ignore\n");
    let long = format!("{}/file", "d".repeat(180));
    repository.write(&long, "long\n");
    symlink("/etc/passwd", repository.work().join("link")).unwrap();
    let revision = repository.commit("with files");
    repository.push("main");
    poll(&harness).await;
    wait_for_ended(&harness, 1).await;
    let agent = harness.claim(&token).await.unwrap();
    let config: Value =
        ok(agent.call(Method::GET, "/api/v2/task/config")).await.json().await.unwrap();
    assert_eq!(config["steps"][1]["name"], "On main");
    assert!(config.to_string().contains("echo webhook with files"), "{config}");
    let archive = ok(agent.call(Method::GET, "/api/v3/task/source")).await.bytes().await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let bytes = zstd::decode_all(&*archive).unwrap();
    tar::Archive::new(bytes.as_slice()).unpack(out.path()).unwrap();
    let safe = |words: &[&str]| {
        let all = [&["-c", "safe.directory=*"], words].concat();
        git(out.path(), &all)
    };
    assert_eq!(safe(&["rev-parse", "HEAD"]), revision);
    assert_eq!(safe(&["branch", "--show-current"]), "main");
    assert_eq!(safe(&["status", "--porcelain"]), "");
    assert_eq!(std::fs::read_to_string(out.path().join(long)).unwrap(), "long\n");
    assert!(out.path().join("not-exported").exists());
    let link = std::fs::read_link(out.path().join("link")).unwrap();
    assert_eq!(link, Path::new("/etc/passwd"));
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_tags_and_a_return_to_an_old_commit_are_built_once_each() {
    let repository = Repository::new();
    let harness = start(|_| {}).await;
    connect(&harness, json!({"url": repository.url()})).await;
    let first = git(&repository.work(), &["rev-parse", "HEAD"]);
    git(&repository.work(), &["tag", "-a", "v1", "-m", "release"]);
    git(&repository.work(), &["branch", "feature/x"]);
    repository.push("v1");
    repository.push("feature/x");
    repository.commit("second");
    repository.push("main");
    poll(&harness).await;
    let of = wait_for_ended(&harness, 3).await;
    let mut names: Vec<&str> = of.triggers.iter().map(|of| of.reference.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["refs/heads/feature/x", "refs/heads/main", "refs/tags/v1"]);
    let tag = of.triggers.iter().find(|of| of.reference == "refs/tags/v1").unwrap();
    assert_eq!(tag.revision, first, "a tag stands for its commit");
    assert_eq!(tag.state, TriggerState::Skipped, "tags run nothing without a filter for them");
    git(&repository.work(), &["reset", "--quiet", "--hard", &first]);
    repository.push("main");
    poll(&harness).await;
    let of = wait_for_ended(&harness, 4).await;
    assert_eq!(of.triggers[0].revision, first);
    git(&repository.work(), &["push", "--quiet", "origin", ":feature/x"]);
    poll_again(&harness).await;
    let of = details(&harness).await;
    assert_eq!(of.triggers.len(), 4, "a deleted branch builds nothing");
    let built = of.triggers.iter().filter(|of| of.state == TriggerState::Built).count();
    assert_eq!(built, 3, "{:?}", of.triggers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_says_so_is_skipped_and_can_be_built_by_hand() {
    let repository = Repository::new();
    let harness = start(|_| {}).await;
    connect(&harness, json!({"url": repository.url()})).await;
    repository.commit("docs [skip ci]");
    repository.push("main");
    poll(&harness).await;
    let of = wait_for_ended(&harness, 1).await;
    assert_eq!(of.triggers[0].state, TriggerState::Skipped);
    assert!(pipelines(&harness).await.is_empty());
    ok(harness.as_admin(Method::POST, &format!("{PATH}/build")).json(&json!({}))).await;
    let of = wait_for_ended(&harness, 2).await;
    assert_eq!((of.triggers[0].state, &*of.triggers[0].kind), (TriggerState::Built, "api"));
    let wrong = json!({"branch": "none"});
    let call = harness.as_admin(Method::POST, &format!("{PATH}/build")).json(&wrong);
    assert_eq!(call.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_is_a_link_or_missing_or_wrong_fails_with_the_reason() {
    use std::os::unix::fs::symlink;
    let repository = Repository::new();
    let harness = start(|_| {}).await;
    connect(&harness, json!({"url": repository.url()})).await;
    let config = repository.work().join(".circleci/config.yml");
    let fails = async |count: usize, words: &str| {
        repository.commit("change");
        repository.push("main");
        poll(&harness).await;
        let of = wait_for_ended(&harness, count).await;
        let trigger = &of.triggers[0];
        assert_eq!(trigger.state, TriggerState::Failed, "{trigger:?}");
        assert!(trigger.message.as_deref().unwrap().contains(words), "{trigger:?}");
    };
    std::fs::remove_file(&config).unwrap();
    symlink("/etc/passwd", &config).unwrap();
    fails(1, "a symbolic link").await;
    std::fs::remove_dir_all(repository.work().join(".circleci")).unwrap();
    symlink("/etc", repository.work().join(".circleci")).unwrap();
    fails(2, "a symbolic link").await;
    std::fs::remove_file(repository.work().join(".circleci")).unwrap();
    fails(3, "has no .circleci/config.yml").await;
    repository.write(
        ".circleci/config.yml",
        "version: 2.1\njobs: {a: {machine: true, steps: []}}\nworkflows: {m: {jobs: [b]}}\n",
    );
    fails(4, "cannot be run").await;
    assert!(pipelines(&harness).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_beyond_the_limits_is_refused_by_name() {
    let repository = Repository::new();
    let harness = start(|git| (git.max_files, git.max_bytes) = (10, 1 << 20)).await;
    connect(&harness, json!({"url": repository.url()})).await;
    for number in 0..12 {
        repository.write(&format!("f{number}"), "x");
    }
    repository.commit("many files");
    repository.push("main");
    poll(&harness).await;
    let of = wait_for_ended(&harness, 1).await;
    assert!(of.triggers[0].message.as_deref().unwrap().contains("more than 10 files"), "{of:?}");
    git(
        &repository.work(),
        &["rm", "--quiet", "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8"],
    );
    repository.write("big", &"x".repeat(2 << 20));
    repository.commit("a big file");
    repository.push("main");
    poll(&harness).await;
    let of = wait_for_ended(&harness, 2).await;
    assert!(of.triggers[0].message.as_deref().unwrap().contains("larger than"), "{of:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_with_options_helpers_and_this_machine_are_refused() {
    let harness = start(|git| git.allow_file = false).await;
    for url in [
        "--upload-pack=/bin/sh",
        "ext::sh -c id",
        "file:///etc",
        "/etc",
        "-oProxyCommand=id",
        "https://host/a\nb",
        "https://me:secret@host/a",
        "http://host/a",
    ] {
        let call = harness.as_admin(Method::PUT, PATH).json(&json!({"url": url}));
        assert_eq!(call.send().await.unwrap().status(), StatusCode::BAD_REQUEST, "{url}");
    }
    // Well formed, and at addresses that only this machine may see: the poll says so.
    for url in ["https://127.0.0.1/a/b", "https://169.254.169.254/a/b", "ssh://git@localhost/a/b"] {
        let call = harness.as_admin(Method::PUT, PATH);
        ok(call.json(&json!({"url": url, "host_kind": "git"}))).await;
        let of = wait_until(&harness, |of| of.connection.last_poll.is_some()).await;
        let poll = of.connection.last_poll.unwrap();
        assert!(poll.error.unwrap().contains("an address of this machine"), "{url}");
        assert!(poll.hint.unwrap().contains("--allow-git-to"));
    }
    // Nor are they asked what they are.
    for url in ["https://127.0.0.1/a/b", "https://169.254.169.254/a/b", "https://localhost/a/b"] {
        let problem =
            refused(harness.as_admin(Method::PUT, PATH).json(&json!({"url": url})), 400).await;
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains("an address of this machine"), "{message}");
        assert!(message.contains("--allow-git-to"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_a_private_repository_over_http_and_is_stored_sealed() {
    let repository = Repository::new();
    let served = GitHttp::start(repository.root(), "x-access-token", "s3cret-token").await;
    let harness = start(|git| {
        git.allow_http = true;
        git.allow_to = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let url = format!("{}/app.git", served.url);
    ok(harness.as_admin(Method::PUT, PATH).json(&json!({"url": url}))).await;
    let of = wait_until(&harness, |of| of.connection.last_poll.is_some()).await;
    let poll_item = of.connection.last_poll.unwrap();
    assert!(poll_item.hint.unwrap().contains("--git-token-file"), "{:?}", poll_item.error);
    connect(&harness, json!({"url": url, "token": "s3cret-token"})).await;
    let revision = repository.commit("second");
    repository.push("main");
    poll(&harness).await;
    let of = wait_for_ended(&harness, 1).await;
    assert_eq!((of.triggers[0].state, &of.triggers[0].revision), (TriggerState::Built, &revision));
    let stored = harness.dir.stored_bytes();
    assert!(!stored.windows(12).any(|part| part == b"s3cret-token"));
    let shown = ok(harness.as_admin(Method::GET, PATH)).await.text().await.unwrap();
    assert!(!shown.contains("s3cret"), "{shown}");
    // A redirect is not followed, to wherever it leads.
    let elsewhere = format!("{}/moved/app.git", served.url);
    ok(harness
        .as_admin(Method::PUT, PATH)
        .json(&json!({"url": elsewhere, "token": "s3cret-token"})))
    .await;
    let of = wait_until(&harness, |of| of.connection.last_poll.is_some()).await;
    assert!(of.connection.last_poll.unwrap().error.is_some());
    assert_eq!(served.followed(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_in_between_builds_each_push_once() {
    let repository = Repository::new();
    let mut harness = start(|_| {}).await;
    connect(&harness, json!({"url": repository.url()})).await;
    for round in 0..3 {
        repository.commit(&format!("round {round}"));
        repository.push("main");
        poll(&harness).await;
        // Stopped at once: in the poll, before the build or in it.
        harness.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, harness.running).await.unwrap().unwrap();
        let (dir, clock) = (harness.dir, harness.clock);
        harness = Harness::start_with(dir, clock, |settings| settings.git.allow_file = true).await;
        // What a server that went had taken is due again after its lease.
        harness.clock.advance(Duration::from_secs(3600));
        let of = wait_for_ended(&harness, round + 1).await;
        assert_eq!(of.triggers.len(), round + 1, "{:?}", of.triggers);
        assert!(of.triggers.iter().all(|of| of.state == TriggerState::Built), "{:?}", of.triggers);
        assert_eq!(pipelines(&harness).await.len(), round + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_with_a_lock_that_a_killed_git_left_is_made_anew() {
    let repository = Repository::new();
    let harness = start(|_| {}).await;
    connect(&harness, json!({"url": repository.url()})).await;
    for round in 1..=2 {
        repository.commit(&format!("round {round}"));
        repository.push("main");
        poll(&harness).await;
        let of = wait_for_ended(&harness, round).await;
        assert_eq!(of.triggers[0].state, TriggerState::Built, "{:?}", of.triggers);
        let mirrors = harness.dir.path().join("data/git/mirrors");
        for mirror in std::fs::read_dir(mirrors).unwrap() {
            std::fs::write(mirror.unwrap().path().join("shallow.lock"), "").unwrap();
        }
    }
}
