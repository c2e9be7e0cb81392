//! Artifacts and test results: what is stored, and what is refused.

use russet_protocol::outcome::Outcome;
use russet_protocol::runner::TestOutcome;

use crate::support::admin::assert_outcome;
use crate::support::{Agent, Server, config, run};

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
