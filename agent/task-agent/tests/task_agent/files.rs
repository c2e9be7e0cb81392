//! Sources that come in, artifacts and test results that go out.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use russet_protocol::outcome::Outcome;
use russet_protocol::runner::TestOutcome;
use russet_protocol::task::{Action, Source, When};

use crate::plane::Fault;
use crate::task::{Task, run, steps};

fn checkout() -> (When, Action) {
    (When::OnSuccess, Action::Checkout { path: None, method: Default::default() })
}

fn script(text: &str) -> (When, Action) {
    (When::OnSuccess, Action::Run(run(text)))
}

fn artifacts(path: &str, destination: Option<&str>) -> (When, Action) {
    let destination = destination.map(str::to_owned);
    (When::OnSuccess, Action::StoreArtifacts { path: path.to_owned(), destination })
}

fn snapshot() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(12);
    header.set_mode(0o755);
    builder.append_data(&mut header, "bin/run.sh", &b"echo it runs"[..]).unwrap();
    zstd::bulk::compress(&builder.into_inner().unwrap(), 3).unwrap()
}

#[tokio::test]
async fn a_snapshot_is_checked_out_also_when_it_breaks_off_at_first() {
    let mut task = Task::new(steps(vec![checkout(), script("./bin/run.sh")])).await;
    let packed = snapshot();
    let id = blake3::hash(&packed).to_hex().to_string();
    task.config.source = Some(Source::Snapshot { id: id.as_str().into() });
    task.plane.set_source(packed);
    let broken = std::sync::atomic::AtomicBool::new(false);
    task.plane.set_faults(move |_, path| {
        let is_first =
            path.ends_with("/source") && !broken.swap(true, std::sync::atomic::Ordering::Relaxed);
        is_first.then_some(Fault::Truncate)
    });
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(2), "it runs\n");
}

/// A repository that anybody may read, with two commits; the hash of the first.
fn repository() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = "git init -q -b main . && git config user.name t && git config user.email t@t && \
                  echo one > file && git add file && git commit -q -m one && git rev-parse HEAD && \
                  echo two > file && git commit -q -a -m two && \
                  git config uploadpack.allowFilter true && \
                  git config uploadpack.allowAnySHA1InWant true && chmod -R a+rX .";
    let output = Command::new("sh").args(["-c", script]).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (dir, String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[tokio::test]
async fn a_commit_of_a_repository_is_checked_out_again_and_again() {
    let (repository, revision) = repository();
    let mut task = Task::new(steps(vec![
        // A repository of somebody else's is only served where that is allowed.
        script("git config --global safe.directory '*'"),
        checkout(),
        script("cat file; git rev-parse --abbrev-ref HEAD; echo changed > file"),
        checkout(),
        script("cat file"),
        (
            When::OnSuccess,
            Action::Checkout { path: Some("~/.config".to_owned()), method: Default::default() },
        ),
    ]))
    .await;
    task.config.source = Some(Source::Git {
        url: format!("file://{}", repository.path().display()),
        revision,
        branch: Some("topic/x".to_owned()),
        tag: None,
    });
    let home = task.assignment.dirs.home.join(".config/not-git");
    let dirs = home.clone();
    task.config.steps[0].action = Action::Run(run(&format!(
        "git config --global safe.directory '*'; mkdir -p {}",
        dirs.display()
    )));
    task.run_to(Outcome::Failed).await;
    assert_eq!(task.text(3), "one\ntopic/x\n", "{}", task.text(2));
    assert_eq!(task.text(5), "one\n", "{}", task.text(4));
    assert!(task.text(6).contains("neither empty nor a git repository"), "{}", task.text(6));
}

#[tokio::test]
async fn artifacts_are_the_jobs_own_files_and_nothing_else() {
    let task = Task::new(steps(vec![
        script(
            "mkdir -p out/sub; echo one > out/one; head -c 3000000 /dev/urandom > 'out/sub/a b?'; \
             ln -s /etc/shadow out/shadow; ln -s /etc/passwd out/passwd; mkfifo out/fifo; \
             ln -s one out/link; mkdir out/locked; chmod 0 out/locked; echo x > single",
        ),
        artifacts("out", None),
        artifacts("out", Some("../up")),
        artifacts("single", Some("renamed.txt")),
        artifacts("nothing/here", None),
    ]))
    .await;
    task.run_to(Outcome::Failed).await;
    let held = task.plane.held.borrow();
    let names: Vec<&str> = held.artifacts.keys().map(String::as_str).collect();
    assert_eq!(names, ["out/link", "out/one", "out/sub/a b?", "renamed.txt"]);
    let big = std::fs::read(task.assignment.dirs.work.join("out/sub/a b?")).unwrap();
    assert!(held.artifacts["out/sub/a b?"] == big);
    assert!(held.text(2).contains("out/fifo is no file"), "{}", held.text(2));
    assert!(held.text(3).contains("`..`"), "{}", held.text(3));
    assert!(held.text(5).contains("No artifacts"), "{}", held.text(5));
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_stored_or_named() {
    let mut writer = run("while :; do head -c 20000000 /dev/zero >> out/grows; \
                          head -c 20000000 /dev/zero > out/shrinks; : > out/shrinks; done");
    writer.background = true;
    let task = Task::new(steps(vec![
        script("mkdir out; echo steady > out/steady"),
        (When::OnSuccess, Action::Run(writer)),
        script("until test -s out/grows; do :; done"),
        artifacts("out", None),
    ]))
    .await;
    let ended = task.run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let held = task.plane.held.borrow();
    assert_eq!(held.artifacts["out/steady"], b"steady\n");
    assert!(held.artifacts.contains_key("out/grows"), "{}", held.text(4));
}

#[tokio::test]
async fn test_results_are_stored_in_batches_and_a_bad_report_is_noted() {
    let task = Task::new(steps(vec![
        script(
            "mkdir results; { echo '<testsuite name=\"s\">'; for i in $(seq 1 700); do \
             echo \"<testcase name=\\\"t$i\\\" time=\\\"0.1\\\"/>\"; done; \
             echo '<testcase name=\"bad\"><failure message=\"no\"/></testcase></testsuite>'; \
             } > results/a.xml; echo 'no xml' > results/b.xml; echo '<x' > results/c.txt; exit 1",
        ),
        (When::OnSuccess, Action::StoreTestResults { path: "results".to_owned() }),
    ]))
    .await;
    task.run_to(Outcome::Failed).await;
    let held = task.plane.held.borrow();
    let sizes: Vec<usize> = held.results.values().map(Vec::len).collect();
    assert_eq!(sizes, [500, 201]);
    let last = held.results[&1].last().unwrap();
    assert_eq!((last.name.as_str(), last.result), ("bad", TestOutcome::Failure));
    assert!(held.text(2).contains("b.xml"), "{}", held.text(2));
    assert!(held.text(2).contains("701 tests: 700 passed, 1 failed"), "{}", held.text(2));
}
