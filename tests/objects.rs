//! A server whose objects are in a bucket, and one whose disk has little room, with real agents and
//! tasks.

use std::process::Command;

use russet_protocol::machine::WaitReason;
use russet_protocol::outcome::Outcome;
use russet_test_object_store::bucket_apart;

use crate::support::admin::assert_outcome;
use crate::support::command_line::CommandLine;
use crate::support::disk::{Disk, fill_disk};
use crate::support::{Agent, AgentOptions, CLASS, Server, config, run, russet, test_dir, wait_for};

/// Starts one, whose log is `server.log` in the directory.
fn start(bucket: &russet_test_object_store::Bucket, dir: &std::path::Path) -> Server {
    let mut options = bucket.options();
    options.extend(["--log-file".to_owned(), dir.join("server.log").display().to_string()]);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Server::start_in(&dir.join("data"), &options)
}

#[test]
fn caches_artifacts_and_output_go_to_a_bucket_and_come_back() {
    let Some(bucket) = bucket_apart() else { return };
    let dir = test_dir();
    let server = start(&bucket, dir.path());
    let _agent = Agent::start(&server);
    let job = server.admin.run(&config(&[
        // Larger than a part of an upload.
        &run("head -c 20000000 /dev/urandom > big; sha256sum big > sum; seq 100000"),
        "save_cache: {key: k, paths: [big, sum]}",
        "store_artifacts: {path: sum}",
    ]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert!(server.admin.output(&job).contains("\n99999\n100000\n"));
    assert_eq!(server.admin.artifacts(&job).len(), 1);
    let job = server
        .admin
        .run(&config(&["restore_cache: {keys: [k]}", &run("sha256sum -c sum && echo whole")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert!(server.admin.output(&job).contains("whole\n"));
    let objects = bucket.objects();
    for prefix in ["archives/", "artifacts/", "output/"] {
        assert!(objects.iter().any(|name| name.starts_with(prefix)), "{prefix}: {objects:?}");
    }
    let in_directory = std::fs::read_dir(dir.path().join("data/objects"));
    assert!(in_directory.is_err(), "objects are in the directory too");
    // The time of each line.
    let logs = Command::new(russet())
        .args(["job", "logs", job.id.as_str(), "--timestamps", "--url", server.url()])
        .env("RUSSET_TOKEN", server.admin.token())
        .output()
        .unwrap();
    let text = String::from_utf8(logs.stdout).unwrap();
    let line = text.lines().find(|line| line.ends_with("Z whole")).expect(&text);
    let time: jiff::Timestamp = line.split(' ').next().unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().as_millisecond() - time.as_millisecond();
    assert!((0..600_000).contains(&age), "{line}");
}

#[test]
fn a_bucket_that_goes_away_and_comes_back_loses_nothing_of_a_task_that_runs() {
    let Some(bucket) = bucket_apart() else { return };
    let dir = test_dir();
    let server = start(&bucket, dir.path());
    let _agent = Agent::start(&server);
    let go = dir.path().join("go");
    let script = format!(
        "echo begun; until test -e {}; do sleep 0.05; done; head -c 3000000 /dev/urandom | base64; \
         echo whole",
        go.display()
    );
    let pipeline =
        server.admin.submit(&config(&[&run(&script), "store_artifacts: {path: /etc/hostname}"]));
    server.admin.wait_for_output(&pipeline, "begun");
    bucket.gateway().stop();
    std::fs::write(&go, "").unwrap();
    let log = || std::fs::read_to_string(dir.path().join("server.log")).unwrap_or_default();
    let is_named = || log().contains("the bucket s3://").then_some(());
    wait_for("the log to name what fails", is_named);
    bucket.gateway().start_again();
    let job = server.admin.only_job(&server.admin.wait(&pipeline));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = server.admin.output(&job);
    assert!(output.contains("\nwhole\n") && output.len() > 4_000_000, "{} bytes", output.len());
    assert_eq!(server.admin.artifacts(&job).len(), 1);
}

#[test]
fn below_the_reserve_no_task_is_given_out_until_there_is_room() {
    let Some(disk) = Disk::create() else { return };
    let dir = test_dir();
    let log = dir.path().join("server.log");
    let options = ["--disk-reserve", "30MB", "--log-file", log.to_str().unwrap()];
    let server = Server::start_in(&disk.path().join("data"), &options);
    let token = server.admin.class_token(CLASS);
    let pipeline = server.admin.submit(&config(&[&run("echo ran")]));
    let filler = disk.path().join("filler");
    fill_disk(&filler);
    // There is room for the server's own needs, and less than the reserve.
    let file = std::fs::OpenOptions::new().write(true).open(&filler).unwrap();
    file.set_len(file.metadata().unwrap().len() - 15_000_000).unwrap();
    // An open file keeps its room when it is removed.
    drop(file);
    let _agent = Agent::start_at(server.url(), &token, &AgentOptions::default());
    let is_said = || std::fs::read_to_string(&log).unwrap().contains("no task is given out");
    wait_for("the server to say that its disk is short", || is_said().then_some(()));
    let job = server.admin.only_job(&server.admin.pipeline(&pipeline.id));
    assert_eq!(job.outcome, None);
    assert!(job.started_ms.is_none(), "it was given out");
    // Everybody is told why, and whoever submits now too.
    assert_eq!(job.waiting.unwrap().reason, WaitReason::Disk);
    std::fs::write(dir.path().join("token"), server.admin.token()).unwrap();
    let cli = CommandLine::new(&server, dir.path());
    let shown = cli.succeed(&["pipeline", "show", pipeline.id.as_str()]);
    assert!(shown.contains("keeps the rest of its disk"), "{shown}");
    std::fs::remove_file(&filler).unwrap();
    let job = server.admin.only_job(&server.admin.wait(&pipeline));
    assert_outcome(&server.admin, &job, Outcome::Success);
}
