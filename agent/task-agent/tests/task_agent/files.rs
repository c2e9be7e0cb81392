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
    task.config.source = Some(Source::Snapshot { id: id.as_str().into(), origin: None });
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
async fn a_checkout_has_all_branches_and_tags_and_no_contents_of_others() {
    let (repository, revision) = repository();
    let more = "git tag -a v1 -m v1 HEAD~1; git switch -q -c feature/x; echo three > large; \
                git add large; git commit -q -m three; git rev-parse HEAD:large; git switch -q main; \
                git tag light; chmod -R a+rX .";
    let made = Command::new("sh").args(["-c", more]).current_dir(repository.path()).output();
    let blob = String::from_utf8(made.unwrap().stdout).unwrap().trim().to_owned();
    let look = format!(
        "git describe --tags; git tag | tr '\\n' ' '; git merge-base origin/main HEAD; \
         git diff --name-only origin/main...HEAD; git rev-parse --verify -q origin/feature/x >&- && \
         echo there; git rev-list --objects --missing=print --all | grep -c '^?{blob}'; \
         git checkout -q main 2>&- && cat file",
    );
    let mut task = Task::new(steps(vec![
        script("git config --global safe.directory '*'"),
        checkout(),
        script(&look),
    ]))
    .await;
    task.config.source = Some(Source::Git {
        url: format!("file://{}", repository.path().display()),
        revision: revision.clone(),
        branch: Some("work".to_owned()),
        tag: None,
    });
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(3), format!("v1\nlight v1 {revision}\nthere\n1\ntwo\n"));
}

#[tokio::test]
async fn a_lock_that_an_earlier_task_left_does_not_fail_the_checkout() {
    let (repository, revision) = repository();
    let mut task = Task::new(steps(vec![
        script("git config --global safe.directory '*'"),
        checkout(),
        script("touch .git/index.lock .git/refs/heads/main.lock"),
    ]))
    .await;
    task.config.source = Some(Source::Git {
        url: format!("file://{}", repository.path().display()),
        revision,
        branch: Some("main".to_owned()),
        tag: None,
    });
    task.run_to(Outcome::Success).await;
    task.plane.held.send_replace(Default::default());
    for file in std::fs::read_dir(&task.assignment.dirs.spool).unwrap().flatten() {
        std::fs::remove_file(file.path()).unwrap();
    }
    task.run_to(Outcome::Success).await;
    let said = task.text(2);
    assert_eq!(said.matches("which a git of an earlier task left").count(), 2, "{said}");
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

#[tokio::test]
async fn a_result_bundle_is_read_through_the_tool_of_xcode() {
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/xcresult-tests.json");
    let results = || (When::Always, Action::StoreTestResults { path: "out".to_owned() });
    let mut task = Task::new(steps(vec![
        script(
            "mkdir -p out/App.xcresult/Data; echo '<x/>' > out/App.xcresult/Data/not-a-report.xml",
        ),
        results(),
        script("touch ~/broken"),
        results(),
    ]))
    .await;
    let tools = task.slot().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let tool = format!(
        "#!/bin/sh\n[ \"$1 $2 $3 $4 $5 $6\" = 'xcresulttool get test-results tests --compact --path' ] || \
         exit 64\ntest -d \"$7/Data\" || exit 66\n\
         test -e ~/broken && {{ echo 'error: unknown option' >&2; exit 64; }}\ncat <<'EOF'\n{}\nEOF\n",
        std::fs::read_to_string(recorded).unwrap()
    );
    std::fs::write(tools.join("xcrun"), tool).unwrap();
    for path in [&tools, &tools.join("xcrun")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    task.assignment.path = vec![tools];
    task.run_to(Outcome::Success).await;
    let said = task.text(2);
    assert!(said.contains("6 tests: 2 passed, 3 failed, 1 skipped; 1 passed after more"), "{said}");
    let said = task.text(4);
    assert!(said.contains("App.xcresult: `xcrun xcresulttool") && said.contains("unknown option"));
    assert!(said.contains("Xcode 16"), "{said}");
    let held = task.plane.held.borrow();
    assert_eq!(held.results.values().map(Vec::len).sum::<usize>(), 6);
}
