//! What is kept, deleted and given back: over the real server, killed at any moment; the command
//! line; and what a submit stores of a project that was submitted before.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use russet_protocol::admin::{Items, Pipeline};
use russet_protocol::keeping::Usage;
use russet_protocol::runner::ClaimResponse;
use serde_json::{Value, json};

use super::support::scripted_runner::{Acknowledged, ScriptedRunner};
use super::support::{Agent, CLASS, Server, config, run, russet, test_dir, wait_for};

/// Options with which a server looks for what is to go all the time.
const EAGER: [&str; 4] = ["--retention-interval", "100ms", "--orphan-age", "1s"];

/// Sum of the files of objects, in bytes.
fn object_bytes(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sum += object_bytes(&path);
        } else if path.file_name().is_none_or(|name| name != "identity") {
            sum += std::fs::metadata(&path).map_or(0, |file| file.len());
        }
    }
    sum
}

fn send(server: &Server, method: Method, path: &str, body: Value) -> u16 {
    server.admin.send(method, path, Some(body)).unwrap().0
}

/// Plays the agent of one pipeline, which leaves output and artifacts in objects.
fn run_pipeline(server: &Server, token: &str) -> Pipeline {
    let source = format!("source {}", rand_text());
    let id = blake3::hash(source.as_bytes()).to_hex().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = server.url();
        let admin = |method, path: &str| {
            client
                .request(method, format!("{url}{path}"))
                .header("circle-token", server.admin.token())
        };
        let ok = async |request: reqwest::RequestBuilder| {
            request.send().await.unwrap().error_for_status().unwrap()
        };
        ok(admin(Method::PUT, &format!("/api/v3/sources/{id}")).body(source)).await;
        let body = json!({"project": "acme/app", "config": config(&[&run("true")]), "source": id});
        let pipeline: Pipeline =
            ok(admin(Method::POST, "/api/v3/pipelines").json(&body)).await.json().await.unwrap();
        let claim = client
            .post(format!("{url}/api/v3/runner/claim"))
            .bearer_auth(token)
            .json(&json!({"name": "hand", "hostname": "h", "ip": "", "version": "0"}));
        let claim: ClaimResponse = ok(claim).await.json().await.unwrap();
        let task = |method, path: &str| {
            client
                .request(method, format!("{url}/api/v3/task/{path}"))
                .bearer_auth(claim.task_token.expose())
                .header("russet-allocation", claim.allocation.as_str())
        };
        let output = task(Method::PATCH, "steps/1/output").header("upload-offset", 0);
        ok(output.body(vec![b'x'; 40_000])).await;
        for number in 0..3 {
            ok(task(Method::PUT, &format!("artifacts/a{number}")).body(vec![7; 30_000])).await;
        }
        let finish = json!({"allocation": claim.allocation, "outcome": "success", "last_seq": 0,
                            "output": {"1": 40_000}});
        ok(task(Method::POST, "finish").json(&finish)).await;
        pipeline
    })
}

/// A text that no other has.
fn rand_text() -> String {
    russet_protocol::ids::TaskId::generate().as_str().to_owned()
}

/// Every row's object is there, and every object has a row.
fn check_objects(server: &Server, objects: &Path) {
    let settled = || {
        let usage: Usage = server.admin.get("/api/v3/usage");
        (usage.unnamed_objects == 0 && usage.objects == object_bytes(objects)).then_some(usage)
    };
    let usage = wait_for("objects to be those that rows name", settled);
    assert!(usage.objects > 0, "{usage:?}");
    let list: Items<Pipeline> = server.admin.get("/api/v3/pipelines?project=acme/app");
    for pipeline in list.items {
        let job = server.admin.only_job(&pipeline);
        if job.outcome.is_none() {
            continue;
        }
        assert_eq!(server.admin.step_output(&job, 1).len(), 40_000);
        for artifact in server.admin.artifacts(&job) {
            let path = format!("/api/v3/jobs/{}/artifacts/{}", job.id, artifact.path);
            let (status, body) = server.admin.send(Method::GET, &path, None).unwrap();
            assert_eq!((status, body.len()), (200, 30_000), "{path}");
        }
    }
}

/// Kills a server while it deletes pipelines and while others write, at ever later moments.
fn kill_anywhere(options: &[&str]) {
    let dir = test_dir();
    let data = dir.path().join("data");
    let options: Vec<&str> = EAGER.iter().chain(options).copied().collect();
    let mut server = Server::start_in(&data, &options);
    let token = server.admin.class_token(CLASS);
    let keep = json!({"pipelines": 0, "bytes": 0});
    for round in 0..12_u64 {
        assert_eq!(send(&server, Method::PUT, "/api/v3/retention", keep.clone()), 204);
        for _ in 0..4 {
            run_pipeline(&server, &token);
        }
        let writer = ScriptedRunner::claim_with(&server, &token);
        // All of them are to go, and the kill comes somewhere on the way.
        assert_eq!(send(&server, Method::PUT, "/api/v3/retention", json!({"pipelines": 1})), 204);
        let pid = server.pid();
        writer.write_until(
            || {
                std::thread::sleep(Duration::from_millis(round * round));
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            },
            Acknowledged::default(),
        );
        server.kill();
        server.start_again();
    }
    run_pipeline(&server, &token);
    check_objects(&server, &data.join("objects"));
}

#[test]
fn a_server_that_is_killed_while_it_deletes_leaves_no_object_without_a_row_and_no_row_without_one()
{
    kill_anywhere(&[]);
}

#[test]
fn nor_does_one_on_postgresql() {
    let Some(database) = russet_test_postgres::database() else { return };
    let dir = test_dir();
    let file = dir.path().join("database-url");
    std::fs::write(&file, database.url()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    kill_anywhere(&["--database-file", file.to_str().unwrap()]);
}

/// Runs `russet`. Returns whether it succeeded, and all that it said.
fn russet_says(server: &Server, args: &[&str]) -> (bool, String) {
    let output = Command::new(russet())
        .args(args)
        .env("RUSSET_URL", server.url())
        .env("RUSSET_TOKEN_FILE", server.admin_token_file())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[track_caller]
fn russet_does(server: &Server, args: &[&str]) -> String {
    let (done, said) = russet_says(server, args);
    assert!(done, "{args:?}: {said}");
    said
}

#[test]
fn retention_pins_deletion_and_usage_are_at_the_command_line() {
    let dir = test_dir();
    let server = Server::start_in(&dir.path().join("data"), &EAGER);
    let token = server.admin.class_token(CLASS);
    let pinned = run_pipeline(&server, &token).id.to_string();
    let other = run_pipeline(&server, &token);
    russet_does(&server, &["pipeline", "pin", &pinned]);
    let usage = russet_does(&server, &["server", "usage"]);
    assert!(usage.contains("acme/app") && usage.contains("OUTPUT (WHOLE)"), "{usage}");
    let usage: Usage =
        serde_json::from_str(&russet_does(&server, &["server", "usage", "--output", "json"]))
            .unwrap();
    assert_eq!((usage.projects[0].pipelines, usage.projects[0].artifacts), (2, 180_000));
    // Nobody is here to be asked.
    let job = server.admin.only_job(&other).id.to_string();
    let (done, said) = russet_says(&server, &["job", "delete-artifact", &job, "a0"]);
    assert!(!done && said.contains("--yes"), "{said}");
    russet_does(&server, &["job", "delete-artifact", &job, "a0", "--yes"]);
    assert_eq!(server.admin.artifacts(&server.admin.only_job(&other)).len(), 2);
    let set = ["server", "retention", "set", "--project", "acme/app", "--pipelines", "1"];
    russet_does(&server, &set);
    let shown = russet_does(&server, &["server", "retention", "show"]);
    assert!(shown.contains("acme/app") && shown.contains("(all others)"), "{shown}");
    run_pipeline(&server, &token);
    let numbers = || -> Vec<u64> {
        let list: Items<Pipeline> = server.admin.get("/api/v3/pipelines");
        list.items.iter().map(|pipeline| pipeline.number).collect()
    };
    wait_for("the one that is neither pinned nor the newest to go", || {
        (numbers() == [3, 1]).then_some(())
    });
    let (done, said) = russet_says(&server, &["pipeline", "delete", &pinned, "--yes"]);
    assert!(!done && said.contains("unpin it first"), "{said}");
    russet_does(&server, &["pipeline", "unpin", &pinned]);
    // Without its pin it is beyond what is kept, so that it may be gone by itself.
    let (done, said) = russet_says(&server, &["pipeline", "delete", &pinned, "--yes"]);
    assert!(done || said.contains("there is no pipeline"), "{said}");
    russet_does(&server, &["project", "delete", "acme/app", "--yes"]);
    assert!(numbers().is_empty());
    let data = server.admin_token_file().parent().unwrap().to_owned();
    // Sources stay for a day, for those who are about to submit them again.
    let objects = data.join("objects");
    let others = || object_bytes(&objects) - object_bytes(&objects.join("sources"));
    wait_for("all objects but sources to go", || (others() == 0).then_some(()));
    // A server runs there.
    let vacuum = ["server", "vacuum", "--data-dir", data.to_str().unwrap()];
    let (done, said) = russet_says(&server, &vacuum);
    assert!(!done && said.contains("another server uses"), "{said}");
    let mut server = server;
    server.kill();
    let said = russet_does(&server, &vacuum);
    assert!(said.contains("has"), "{said}");
    server.start_again();
    run_pipeline(&server, &token);
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", dir)
        .output()
        .unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Text that is packed to about half of it.
fn source_text(seed: u64, lines: u64) -> String {
    let mut state = seed;
    let mut text = String::new();
    for _ in 0..lines {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("let value_{} = {};\n", state >> 48, state >> 16));
    }
    text
}

#[test]
fn a_project_s_history_is_stored_once_however_often_it_is_submitted() {
    // Not eager: what is uploaded for longer than the age of an orphan would be sent again.
    let server = Server::start();
    server.admin.class_token(CLASS);
    let dir = test_dir();
    let project = dir.path().join("app");
    std::fs::create_dir_all(project.join(".circleci")).unwrap();
    std::fs::create_dir_all(project.join("src")).unwrap();
    std::fs::write(project.join(".circleci/config.yml"), config(&[&run("true")])).unwrap();
    for file in 0..60 {
        let text = source_text(file, 1200);
        std::fs::write(project.join(format!("src/file{file}.rs")), text).unwrap();
    }
    git(&project, &["init", "-q", "-b", "main"]);
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-q", "-m", "first"]);
    let submit = || {
        russet_does(&server, &["pipeline", "submit", project.to_str().unwrap()]);
        server.admin.get::<Usage>("/api/v3/usage").sources
    };
    let first = submit();
    assert!(first > 1_500_000, "{first} bytes");
    let mut last = first;
    for commit in 0..3 {
        let file = project.join(format!("src/file{}.rs", commit * 20));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("// one line more\n{text}")).unwrap();
        git(&project, &["commit", "-q", "-a", "-m", "one line"]);
        last = submit();
    }
    // As git does with objects that it would write again, such as those of files that changed within a
    // second of the last commit.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(90);
    let mut find = Command::new("find");
    let found = find.args([".git/objects", "-type", "f"]).current_dir(&project).output().unwrap();
    let touched = String::from_utf8(found.stdout).unwrap();
    for (n, object) in touched.lines().enumerate() {
        let object = std::fs::File::open(project.join(object)).unwrap();
        object.set_modified(later + std::time::Duration::from_secs(n as u64)).unwrap();
    }
    assert_eq!(submit(), last);
    eprintln!("a project of {first} bytes has {last} after three commits of one line");
    assert!(last < first + first / 2, "{first} bytes became {last}");
    // The same again adds nothing.
    assert_eq!(submit(), last);
}

/// Prints the bytes of a trivial pipeline: a tiny project that is submitted again, with one job of one
/// step. `RUSSET_MEASURE_PIPELINES=200` for the number of `docs/keeping.md`.
#[test]
fn a_trivial_pipeline_takes_a_few_kilobytes_of_disk() {
    let count: u64 = std::env::var("RUSSET_MEASURE_PIPELINES")
        .map_or(20, |count| count.parse().expect("RUSSET_MEASURE_PIPELINES is a number"));
    let mut server = Server::start_alone("measures the files of one server", &[]);
    let data = server.admin_token_file().parent().unwrap().to_owned();
    let dir = test_dir();
    let project = dir.path().join("tiny");
    std::fs::create_dir_all(project.join(".circleci")).unwrap();
    std::fs::write(project.join(".circleci/config.yml"), config(&[&run("echo hello")])).unwrap();
    let submit_all = |server: &Server, count: u64| {
        for _ in 0..count {
            russet_does(server, &["pipeline", "submit", project.to_str().unwrap(), "--watch"]);
        }
    };
    let _agent = Agent::start(&server);
    // A server that ends writes its log into its database.
    let held = |server: &mut Server| {
        server.stop();
        let bytes = std::fs::metadata(data.join("russet.db")).unwrap().len();
        let held = (bytes, object_bytes(&data.join("objects")));
        server.start_again();
        held
    };
    submit_all(&server, 10);
    let (database, objects) = held(&mut server);
    submit_all(&server, count);
    let (database, objects) = {
        let (now, objects_now) = held(&mut server);
        (now.saturating_sub(database), objects_now.saturating_sub(objects))
    };
    let (database, objects) = (database / count, objects / count);
    eprintln!("a trivial pipeline: {database} bytes of the database, {objects} bytes of objects");
    assert!(database + objects < 32 * 1024, "{database} + {objects} bytes");
}
