//! Artifacts and test results: what is stored, and what is refused.

use std::path::Path;
use std::process::Command;

use russet_protocol::admin::Job;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::TestOutcome;

use crate::support::admin::assert_outcome;
use crate::support::{Agent, Server, config, run, russet};

#[test]
fn files_and_directories_are_stored_under_their_destination_byte_for_byte() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let job = server.admin.run(&config(&[
        &run("mkdir -p out/deep; printf 'a\\000b' > out/one; head -c 3000000 /dev/zero > out/deep/two; \
              echo three > 'with space and ü.txt'"),
        "store_artifacts: {path: out, destination: results}",
        "store_artifacts: {path: with space and ü.txt}",
    ]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let mut stored: Vec<(String, u64)> =
        server.admin.artifacts(&job).into_iter().map(|item| (item.path, item.size)).collect();
    stored.sort();
    let expected =
        [("results/deep/two", 3_000_000), ("results/one", 3), ("with space and ü.txt", 6)];
    assert_eq!(stored, expected.map(|(path, size)| (path.to_owned(), size)));
    let path = format!("/api/v3/jobs/{}/artifacts/results/one", job.id);
    assert_eq!(
        server.admin.send(reqwest::Method::GET, &path, None).unwrap(),
        (200, b"a\0b".into())
    );
}

/// Steps of `shared/cases/agent/app-bundle`: a bundle as Xcode lays it out.
const APP_BUNDLE: &str = "f=Out/Demo.app/Contents/Frameworks/Kit.framework; \
    mkdir -p $f/Versions/A/Resources Out/Demo.app/Contents/MacOS Out/Demo.app/Contents/Empty; \
    printf '#!/bin/sh\\necho hello from the app\\n' > Out/Demo.app/Contents/MacOS/Demo; \
    chmod 755 Out/Demo.app/Contents/MacOS/Demo; printf lib > $f/Versions/A/Kit; \
    chmod 755 $f/Versions/A/Kit; echo '<plist/>' > $f/Versions/A/Resources/Info.plist; \
    ln -s A $f/Versions/Current; ln -s Versions/Current/Kit $f/Kit; \
    ln -s Versions/Current/Resources $f/Resources; echo log > Out/log";

#[test]
fn a_bundle_is_one_zip_on_the_page_and_comes_back_whole_and_working() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let job = server
        .admin
        .run(&config(&[&run(APP_BUNDLE), "store_artifacts: {path: Out, destination: got}"]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let mut stored: Vec<String> =
        server.admin.artifacts(&job).into_iter().map(|item| item.path).collect();
    stored.sort();
    assert_eq!(stored, ["got/Demo.app.zip", "got/log"], "{}", server.admin.output(&job));

    // What the page gives: one zip, which anything unpacks.
    let path = format!("/api/v3/jobs/{}/artifacts/got/Demo.app.zip", job.id);
    let (_, bytes) = server.admin.send(reqwest::Method::GET, &path, None).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let link = "Demo.app/Contents/Frameworks/Kit.framework/Resources";
    assert!(archive.by_name(link).unwrap().is_symlink());
    assert!(archive.by_name("Demo.app/Contents/Empty/").unwrap().is_dir());

    let dir = tempfile::tempdir().unwrap();
    // Twice: what was there is replaced.
    for _ in 0..2 {
        let fetched = fetch_artifacts(&server, &job, dir.path());
        assert!(fetched.contains("got/Demo.app\n"), "{fetched}");
    }
    let app = dir.path().join("got/Demo.app");
    let ran = Command::new(app.join("Contents/MacOS/Demo")).output().unwrap();
    assert_eq!(ran.stdout, b"hello from the app\n");
    let kit = app.join("Contents/Frameworks/Kit.framework");
    assert_eq!(std::fs::read(kit.join("Kit")).unwrap(), b"lib");
    assert_eq!(std::fs::read_link(kit.join("Versions/Current")).unwrap().to_str(), Some("A"));
    assert!(app.join("Contents/Empty").is_dir());
    assert!(!dir.path().join("got/Demo.app.zip").exists());
}

/// Runs `russet job artifacts --download`, and returns all that it says.
fn fetch_artifacts(server: &Server, job: &Job, dir: &Path) -> String {
    job_command(server, &["artifacts", job.id.as_str(), "--download", dir.to_str().unwrap()])
}

/// Runs `russet job`, and returns all that it says.
fn job_command(server: &Server, arguments: &[&str]) -> String {
    let output = Command::new(russet())
        .arg("job")
        .args(arguments)
        .env("RUSSET_URL", server.url())
        .env("RUSSET_TOKEN_FILE", server.admin_token_file())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn an_archive_that_a_job_made_to_lead_out_stays_packed_and_the_client_says_so() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.set_comment("russet: one bundle").unwrap();
    let options = zip::write::SimpleFileOptions::default();
    zip.add_symlink("Evil.app/out", "../../..", options).unwrap();
    zip.start_file("Evil.app/out/escaped", options).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let job = server.admin.run(&config(&[
        &run(&format!("mkdir out; echo {text} | base64 -d > out/Evil.app.zip; echo x > out/z")),
        "store_artifacts: {path: out}",
    ]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let dir = tempfile::tempdir().unwrap();
    let said = fetch_artifacts(&server, &job, dir.path());
    assert!(said.contains("Evil.app.zip stays packed") && said.contains("leads out"), "{said}");
    let mut found: Vec<_> = dir.path().join("out").read_dir().unwrap().collect();
    found.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
    let names: Vec<_> = found.into_iter().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["Evil.app.zip", "z"]);
}

#[test]
fn a_test_that_passed_at_the_second_attempt_says_so_on_the_command_line() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let job = server.admin.run(&config(&[
        &run("mkdir r; echo '<testsuite><testcase classname=\"c\" name=\"flaky\">\
<flakyFailure message=\"first\"/></testcase><testcase classname=\"c\" name=\"firm\"/></testsuite>' > r/a.xml"),
        "store_test_results: {path: r}",
    ]));
    let listed = job_command(&server, &["tests", job.id.as_str()]);
    let line = |name: &str| listed.lines().find(|line| line.ends_with(name)).unwrap().to_owned();
    assert!(line("flaky").starts_with("success (2 attempts) "), "{listed}");
    assert!(line("firm").starts_with("success "), "{listed}");
    assert!(!line("firm").contains("attempts"), "{listed}");
}

#[test]
fn links_to_secrets_fifos_and_ways_out_store_nothing_and_hang_nothing() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let job = server.admin.run(&config(&[
        &run(
            "mkdir out; ln -s /etc/shadow out/shadow; mkfifo out/fifo; ln -s /dev/zero out/zero; \
              ln -s . out/loop; echo fine > out/fine; ln -s /etc/shadow shadow; mkfifo fifo",
        ),
        "store_artifacts: {path: out}",
        "store_artifacts: {path: shadow}",
        "store_artifacts: {path: fifo}",
        "store_artifacts: {path: /etc/shadow}",
    ]));
    assert!(job.outcome.is_some());
    let stored: Vec<String> =
        server.admin.artifacts(&job).into_iter().map(|item| item.path).collect();
    assert_eq!(stored, ["out/fine"], "{}", server.admin.output(&job));
    assert!(!server.admin.output(&job).contains("root:"));
    let log = server.admin.output(&job);
    assert!(log.contains("fifo"), "the log does not say why the FIFO was left out: {log}");
}

#[test]
fn a_path_that_leads_out_of_the_job_is_read_with_the_steps_rights_and_named_without_dots() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let up = "../".repeat(20);
    let job = server.admin.run(&config(&[
        &run("echo mine > ../beside"),
        "store_artifacts: {path: ../beside}",
        &format!("store_artifacts: {{path: \"{up}etc/hostname\"}}"),
        &format!("store_artifacts: {{path: \"{up}etc/shadow\"}}"),
        &format!("store_artifacts: {{path: \"{up}root\"}}"),
    ]));
    let log = server.admin.output(&job);
    for item in server.admin.artifacts(&job) {
        assert!(!item.path.contains("..") && !item.path.contains("shadow"), "{}", item.path);
        assert!(!item.path.contains("root/"), "{}", item.path);
    }
    assert!(log.contains("etc/shadow"), "{log}");
}

#[test]
fn a_destination_outside_of_the_job_is_refused_before_anything_runs() {
    let server = Server::start();
    let config = config(&["store_artifacts: {path: out, destination: ../../escaped}"]);
    let body = serde_json::json!({ "project": "test/project", "config": config });
    let answer = server.admin.send(reqwest::Method::POST, "/api/v3/pipelines", Some(body));
    let (status, body) = answer.unwrap();
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, 422, "{text}");
    assert!(text.contains("without `..`"), "{text}");
}

#[test]
fn a_file_that_changes_while_it_is_read_hangs_nothing_and_the_log_says_so_or_it_is_whole() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let job = server.admin.run(&config(&[
        "run: {name: writer, background: true, command: \"while :; do echo more >> growing; done\"}",
        &run("head -c 20000000 /dev/zero > growing; while ! test -s growing; do :; done"),
        "store_artifacts: {path: growing}",
    ]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let items = server.admin.artifacts(&job);
    assert_eq!(items.len(), 1, "{}", server.admin.output(&job));
    let path = format!("/api/v3/jobs/{}/artifacts/growing", job.id);
    let (_, body) = server.admin.send(reqwest::Method::GET, &path, None).unwrap();
    assert_eq!(body.len() as u64, items[0].size);
    assert_eq!(blake3::hash(&body).to_hex().to_string(), items[0].blake3);
}

#[test]
fn artifacts_and_test_results_are_stored_after_a_failed_step_and_not_after_a_cancel() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let steps = [
        &run("echo report > report; exit 4"),
        "store_artifacts: {path: report}",
        "run: {name: never, command: echo never}",
        "run: {name: after, when: on_fail, command: echo after a failure}",
    ];
    let job = server.admin.run(&config(&steps));
    assert_outcome(&server.admin, &job, Outcome::Failed);
    assert_eq!(server.admin.artifacts(&job).len(), 1);
    let log = server.admin.output(&job);
    assert!(log.contains("after a failure") && !log.contains("never\n"), "{log}");

    let steps =
        [&run("echo report > report; echo ready; sleep 1000"), "store_artifacts: {path: report}"];
    let pipeline = server.admin.submit(&config(&steps));
    server.admin.wait_for_output(&pipeline, "ready");
    server.admin.post(&format!("/api/v3/pipelines/{}/cancel", pipeline.id), serde_json::json!({}));
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Canceled);
    assert!(server.admin.artifacts(&job).is_empty());
}

#[test]
fn junit_reports_are_read_and_a_broken_one_does_not_hide_the_others() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let job = server.admin.run(&config(&[
        &run("mkdir r\n\
              echo '<testsuites><testsuite name=\"s\"><testcase classname=\"c\" name=\"good\" time=\"0.5\"/>\
<testcase classname=\"c\" name=\"bad\"><failure message=\"expected &lt;1&gt;\"/></testcase>\
<testcase name=\"left out\"><skipped/></testcase></testsuite></testsuites>' > r/a.xml\n\
              echo '<testsuite><testcase' > r/broken.xml\n\
              echo '<testsuite name=\"t\"><testcase name=\"other\"/></testsuite>' > r/b.xml"),
        "store_test_results: {path: r}",
    ]));
    let mut tests = server.admin.tests(&job);
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    let found: Vec<_> = tests.iter().map(|test| (test.name.as_str(), test.result)).collect();
    let expected = [
        ("bad", TestOutcome::Failure),
        ("good", TestOutcome::Success),
        ("left out", TestOutcome::Skipped),
        ("other", TestOutcome::Success),
    ];
    assert_eq!(found, expected, "{}", server.admin.output(&job));
    assert_eq!(tests[0].message.as_deref(), Some("expected <1>"));
    assert!(server.admin.output(&job).contains("broken.xml"));
}
