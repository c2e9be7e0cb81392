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

/// A job that leaves a cache and an artifact.
fn leaves_everything() -> String {
    config(&[
        &run("head -c 9000000 /dev/urandom > big; sha256sum big > sum"),
        "save_cache: {key: k, paths: [big, sum]}",
        "store_artifacts: {path: big}",
    ])
}

/// A job that finds it.
fn finds_it() -> String {
    config(&["restore_cache: {keys: [k]}", &run("sha256sum -c sum && echo whole")])
}

/// Fetches the artifacts of a job with the command line.
fn fetch_artifacts(server: &Server, job: &str, into: &std::path::Path) {
    let output = Command::new(russet())
        .args(["job", "artifacts", job, "--download"])
        .arg(into)
        .args(["--url", server.url()])
        .env("RUSSET_TOKEN", server.admin.token())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::metadata(into.join("big")).unwrap().len(), 9_000_000);
}

#[test]
fn runners_and_people_fetch_from_the_bucket_itself_where_the_owner_lets_them() {
    let Some(bucket) = bucket_apart() else { return };
    for is_direct in [false, true] {
        let dir = test_dir();
        let mut options = bucket.options();
        options.extend(is_direct.then(|| "--objects-direct".to_owned()));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let server = Server::start_in(&dir.path().join("data"), &options);
        let token = server.admin.class_token(CLASS);
        let agent = Agent::start_at(server.url(), &token, &AgentOptions::default());
        let left = server.admin.run(&leaves_everything());
        assert_outcome(&server.admin, &left, Outcome::Success);
        drop(agent);
        let before = bucket.signed_reads();
        // One that has no copies of archives.
        let _agent = Agent::start_at(server.url(), &token, &AgentOptions::default());
        let job = server.admin.run(&finds_it());
        assert_outcome(&server.admin, &job, Outcome::Success);
        assert!(server.admin.output(&job).contains("whole\n"));
        // The store notes a read when it has answered.
        let reads = |count: usize| {
            wait_for("the reads by signed URLs", || {
                (bucket.signed_reads() - before >= count).then_some(())
            });
            assert_eq!(bucket.signed_reads() - before, count, "reads by signed URLs");
        };
        reads(usize::from(is_direct));
        fetch_artifacts(&server, left.id.as_str(), &dir.path().join("fetched"));
        reads(2 * usize::from(is_direct));
    }
}

#[test]
fn what_cannot_be_fetched_from_the_bucket_itself_comes_through_the_server() {
    use std::io::{Read as _, Write as _};
    let Some(bucket) = bucket_apart() else { return };
    let dir = test_dir();
    // A way to the bucket that lets through what the server asks, and no signed URL.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let refused = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let (counted, to) = (std::sync::Arc::clone(&refused), bucket.endpoint().replace("http://", ""));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(mut client), to) = (client, to.clone()) else { continue };
            let counted = std::sync::Arc::clone(&counted);
            std::thread::spawn(move || {
                let mut first = [0; 4096];
                let count = client.read(&mut first).unwrap_or(0);
                if String::from_utf8_lossy(&first[..count]).contains("X-Amz-Signature") {
                    counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let answer =
                        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    client.write_all(answer).ok();
                    return;
                }
                let Ok(mut server) = std::net::TcpStream::connect(to) else { return };
                server.write_all(&first[..count]).ok();
                let (mut from, mut back) =
                    (server.try_clone().unwrap(), client.try_clone().unwrap());
                let answers = std::thread::spawn(move || std::io::copy(&mut from, &mut back).ok());
                std::io::copy(&mut client, &mut server).ok();
                server.shutdown(std::net::Shutdown::Write).ok();
                answers.join().ok();
            });
        }
    });
    let mut options = bucket.options();
    for option in &mut options {
        if *option == bucket.endpoint() {
            option.clone_from(&endpoint);
        }
    }
    options.push("--objects-direct".to_owned());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = Server::start_in(&dir.path().join("data"), &options);
    let token = server.admin.class_token(CLASS);
    let agent = Agent::start_at(server.url(), &token, &AgentOptions::default());
    let left = server.admin.run(&leaves_everything());
    assert_outcome(&server.admin, &left, Outcome::Success);
    drop(agent);
    let _agent = Agent::start_at(server.url(), &token, &AgentOptions::default());
    let job = server.admin.run(&finds_it());
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert!(server.admin.output(&job).contains("whole\n"));
    fetch_artifacts(&server, left.id.as_str(), &dir.path().join("fetched"));
    assert_eq!(refused.load(std::sync::atomic::Ordering::Relaxed), 2, "each was tried");
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
