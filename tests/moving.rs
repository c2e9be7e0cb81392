//! Moves, backups and restores of a server's data, with real binaries.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use russet_protocol::admin::{Job, Pipeline};
use russet_protocol::outcome::Outcome;
use russet_test_object_store::bucket;
use russet_test_postgres::{Database, database};

use crate::support::admin::assert_outcome;
use crate::support::{Agent, AgentOptions, Process, Server, config, run, russet, test_dir};

/// Exit code and all output of a command on a server's data.
fn on_data(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(russet()).arg("server").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[track_caller]
fn do_well(arguments: &[&str]) -> String {
    let (code, text) = on_data(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {text}");
    text
}

#[track_caller]
fn do_refused(arguments: &[&str], wanted: &str) {
    let (code, text) = on_data(arguments);
    assert_eq!(code, Some(5), "{arguments:?}: {text}");
    assert!(text.contains(wanted), "{arguments:?}: {text}");
}

/// Starts a command and kills it after so many milliseconds; true where it had ended by itself.
fn kill_after(arguments: &[&str], ms: u64) -> bool {
    let mut command = Command::new(russet());
    command.arg("server").args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process(command.spawn().unwrap());
    std::thread::sleep(Duration::from_millis(ms));
    let has_ended = !process.is_running();
    process.kill();
    has_ended
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Points in time at which a process is killed, in milliseconds.
const KILLS: [u64; 12] = [3, 8, 15, 25, 40, 60, 80, 100, 130, 170, 220, 300];

/// A server with data of all kinds.
struct Filled {
    dir: tempfile::TempDir,
    server: Server,
    agent: Option<Agent>,
    jobs: Vec<(Job, String)>,
}

/// A job that leaves a cache, an artifact, test results and long output, and knows a secret.
fn job_with_everything() -> String {
    config(&[
        &run("test \"$SECRET\" = hunter22; seq 1 60000; mkdir out; seq 1 9999 > out/a\n\
              echo kept > cached; echo '<testsuite><testcase name=\"t\" classname=\"c\" time=\"1\"/></testsuite>' > out/t.xml"),
        "save_cache: {key: 'k', paths: [cached]}",
        "store_artifacts: {path: out, destination: got}",
        "store_test_results: {path: out}",
        "persist_to_workspace: {root: ., paths: [out]}",
    ])
}

/// A job that finds the cache and knows the secret.
fn job_after() -> String {
    config(&[
        "restore_cache: {keys: [k]}",
        &run("cat cached; test \"$SECRET\" = hunter22; echo well"),
    ])
}

impl Filled {
    fn start(options: &[&str]) -> Self {
        let dir = test_dir();
        let server = Server::start_in(&dir.path().join("data"), options);
        let agent = Agent::start_with(
            &server,
            &AgentOptions { runner: vec!["slots: 2".to_owned()], ..AgentOptions::default() },
        );
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "hunter22").unwrap();
        let output = Command::new(russet())
            .args(["project", "env", "set", "test/project", "SECRET", "--from", text(&secret)])
            .env("RUSSET_URL", server.url())
            .env("RUSSET_TOKEN_FILE", server.admin_token_file())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut filled = Self { dir, server, agent: Some(agent), jobs: Vec::new() };
        for _ in 0..3 {
            filled.add_job();
        }
        filled
    }

    fn add_job(&mut self) {
        let job = self.server.admin.run(&job_with_everything());
        assert_outcome(&self.server.admin, &job, Outcome::Success);
        let log = self.server.admin.output(&job);
        self.jobs.push((job, log));
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the URL of a database to a file, as a password would ask for.
    fn url_file(&self, database: &Database) -> PathBuf {
        let file = self.path("database-url");
        std::fs::write(&file, database.url()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// A pipeline whose task runs until it is let go.
    fn running(&self) -> (Pipeline, PathBuf) {
        let go = self.path("go");
        let wait = format!("until test -e {}; do sleep 0.05; done; echo whole", go.display());
        let pipeline = self.server.admin.submit(&config(&[&run(&format!("echo begun; {wait}"))]));
        self.server.admin.wait_for_output(&pipeline, "begun");
        (pipeline, go)
    }

    fn stop(&mut self) {
        self.server.stop();
    }
}

/// All that was there is there.
#[track_caller]
fn assert_same(server: &Server, jobs: &[(Job, String)]) {
    for (job, log) in jobs {
        let now = server.admin.job(&job.id);
        assert_outcome(&server.admin, &now, Outcome::Success);
        assert!(server.admin.output(&now) == *log, "the log of {} differs", job.id);
        assert_eq!(server.admin.artifacts(&now).len(), 2);
        let path = format!("/api/v3/jobs/{}/artifacts/got/a", job.id);
        let (status, body) = server.admin.send(reqwest::Method::GET, &path, None).unwrap();
        assert!(status == 200 && body.ends_with(b"\n9999\n"), "{status}");
        assert_eq!(server.admin.tests(&now).len(), 1);
    }
}

#[test]
fn a_server_moves_to_postgresql_and_its_agents_go_on_with_the_task_that_runs() {
    let Some(database) = database() else { return };
    let mut filled = Filled::start(&[]);
    let (data, url) = (filled.data(), filled.url_file(&database));
    let (running, go) = filled.running();
    let first = ["migrate", "--data-dir", text(&data), "--to-file", text(&url)];
    for ms in &KILLS[..6] {
        kill_after(&first, *ms);
    }
    let said = do_well(&first);
    assert!(said.contains("run this again with --final"), "{said}");
    filled.add_job();
    let last = [&first[..], &["--final"]].concat();
    do_refused(&last, "a server uses");
    do_refused(
        &["--data-dir", text(&filled.path("other")), "--database-file", text(&url)],
        "a move into it has not ended",
    );
    filled.stop();
    for ms in KILLS {
        kill_after(&last, ms);
    }
    let said = do_well(&[&last[..], &["--output", "json"]].concat());
    let moved: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(moved["is_ended"], true);
    assert_eq!(moved["tables"]["pipelines"]["rows"], 5);
    // Nobody goes on with what was left.
    do_refused(&["--data-dir", text(&data)], "went to postgres://");
    filled.server.start_again_with(&["--database-file", text(&url)]);
    assert_same(&filled.server, &filled.jobs);
    std::fs::write(&go, "").unwrap();
    let job = filled.server.admin.only_job(&filled.server.admin.wait(&running));
    assert_outcome(&filled.server.admin, &job, Outcome::Success);
    assert!(filled.server.admin.output(&job).ends_with("whole\n"));
    let job = filled.server.admin.run(&job_after());
    assert_outcome(&filled.server.admin, &job, Outcome::Success);
    assert!(filled.server.admin.output(&job).contains("kept\n"));
    // What was done since is not overwritten.
    filled.stop();
    do_refused(&last, "has been changed there since");
    filled.agent = None;
}

#[test]
fn a_server_moves_to_postgresql_and_a_bucket_though_it_is_killed_on_the_way() {
    let (Some(database), Some(bucket)) = (database(), bucket()) else { return };
    let mut filled = Filled::start(&[]);
    let (data, url) = (filled.data(), filled.url_file(&database));
    let credentials = bucket.credentials_file();
    let (to, endpoint) = (bucket.url(), bucket.endpoint());
    let of_bucket = |name: &str| {
        [
            name.to_owned(),
            to.clone(),
            format!("{name}-endpoint"),
            endpoint.clone(),
            format!("{name}-allow-http"),
            format!("{name}-credentials-file"),
            credentials.display().to_string(),
        ]
    };
    let objects_to = of_bucket("--objects-to");
    let first: Vec<&str> = ["migrate", "--data-dir", text(&data), "--to-file", text(&url)]
        .into_iter()
        .chain(objects_to.iter().map(String::as_str))
        .collect();
    for ms in KILLS {
        kill_after(&first, ms);
    }
    do_well(&first);
    filled.add_job();
    filled.stop();
    let last = [&first[..], &["--final"]].concat();
    for ms in KILLS {
        kill_after(&last, ms);
    }
    let said = do_well(&[&last[..], &["--output", "json"]].concat());
    // Notes for people stand around it.
    let json = &said[said.find("{\n").unwrap()..=said.rfind("\n}").unwrap() + 1];
    let moved: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(moved["is_ended"], true);
    assert_eq!(moved["tables"]["pipelines"]["rows"], 4);
    assert_eq!(moved["damaged"].as_array().map(Vec::len), Some(0), "{said}");
    // Each object is there with the bytes that it had, and nothing is there besides, but for the
    // looks at the bucket of those that were killed while they looked.
    let is_own = |name: &String| name == "identity" || name.starts_with("check/");
    let names: Vec<String> = bucket.objects().into_iter().filter(|name| !is_own(name)).collect();
    assert_eq!(moved["objects"], names.len(), "{names:?}");
    for name in &names {
        let before = std::fs::read(data.join("objects").join(name)).unwrap();
        let after = std::fs::read(bucket.dir().join("russet").join(name)).unwrap();
        assert!(blake3::hash(&before) == blake3::hash(&after), "{name}");
    }
    do_refused(&["--data-dir", text(&data)], "went to");
    let objects = of_bucket("--objects");
    let options: Vec<&str> = ["--database-file", text(&url)]
        .into_iter()
        .chain(objects.iter().map(String::as_str))
        .collect();
    filled.server.start_again_with(&options);
    assert_same(&filled.server, &filled.jobs);
    let job = filled.server.admin.run(&job_after());
    assert_outcome(&filled.server.admin, &job, Outcome::Success);
    assert!(filled.server.admin.output(&job).contains("kept\n"));
}

#[test]
fn a_move_into_what_is_not_empty_is_refused() {
    let Some(database) = database() else { return };
    let mut filled = Filled::start(&[]);
    let url = filled.url_file(&database);
    let other = Server::start_in(&filled.path("other"), &["--database-file", text(&url)]);
    other.admin.class_token("test/other");
    let data = filled.data();
    let last = ["migrate", "--data-dir", text(&data), "--to-file", text(&url), "--final"];
    filled.stop();
    do_refused(&last, "a server uses postgres://");
    drop(other);
    do_refused(&last, "is not empty");
    // Nothing was marked: the server starts again.
    filled.server.start_again();
    assert_same(&filled.server, &filled.jobs);
}

fn back_up_and_restore(database: Option<&Database>, other: Option<&Database>) {
    let dir = test_dir();
    let url = database.map(|database| {
        let file = dir.path().join("url");
        std::fs::write(&file, database.url()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    });
    let named: Vec<&str> =
        url.as_deref().map_or_else(Vec::new, |url| vec!["--database-file", text(url)]);
    let mut filled = Filled::start(&named);
    let (data, into) = (filled.data(), filled.path("backups"));
    let (running, go) = filled.running();
    let back_up = ["backup", text(&into), "--data-dir", text(&data), "--keep", "2"];
    let back_up = [&back_up[..], &named].concat();
    for ms in KILLS {
        kill_after(&back_up, ms);
    }
    do_well(&back_up);
    filled.add_job();
    let said = do_well(&[&back_up[..], &["--output", "json"]].concat());
    // Notes for people stand around it.
    let json = &said[said.find("{\n").unwrap()..=said.rfind("\n}").unwrap() + 1];
    let backup: serde_json::Value = serde_json::from_str(json).unwrap();
    let (all, now) = (backup["object_bytes"].as_u64(), backup["bytes_copied"].as_u64());
    assert!(now.unwrap() > 0 && now < all, "objects of before are copied again: {said}");
    assert_eq!(backup["needs_key"], true);
    let backup = PathBuf::from(backup["path"].as_str().unwrap());
    assert_private(&backup);
    assert!(!backup.join("secrets.key").exists());
    do_well(&[&back_up[..], &["--with-keys"]].concat());
    assert_eq!(wholes(&into).len(), 2, "--keep 2");
    // What is done after the backup is not in it.
    std::fs::write(&go, "").unwrap();
    filled.server.admin.wait(&running);
    filled.stop();

    let (restored, key) = (filled.path("restored"), data.join("secrets.key"));
    let place = ["--data-dir", text(&restored)];
    let restore = ["restore", text(&backup), "--secrets-key-file", text(&key)];
    let restore = [&restore[..], &place].concat();
    std::fs::create_dir(&restored).unwrap();
    std::fs::write(restored.join("something"), "").unwrap();
    do_refused(&restore, "is not empty");
    std::fs::remove_file(restored.join("something")).unwrap();
    let wrong = filled.path("wrong.key");
    std::fs::write(&wrong, [7; 32]).unwrap();
    let with_wrong = ["restore", text(&backup), "--secrets-key-file", text(&wrong)];
    do_refused(&[&with_wrong[..], &place].concat(), "is not the key");
    // An object of the backup that was changed is found, and no server starts on half a restore.
    let object = an_object(&into);
    let before = std::fs::read(&object).unwrap();
    std::fs::write(&object, vec![b'x'; before.len()]).unwrap();
    do_refused(&restore, "this backup is damaged");
    do_refused(&place, "a restore into it has not ended");
    std::fs::write(&object, before).unwrap();
    for ms in KILLS {
        kill_after(&restore, ms);
    }
    if !restored.join("russet.db").exists() || restored.join("restoring").exists() {
        do_well(&restore);
    }
    assert_private(&restored);
    let server = Server::start_in(&restored, &[]);
    assert_same(&server, &filled.jobs);
    assert!(server.admin.pipeline(&running.id).workflows[0].outcome.is_none());
    let token = server.admin.class_token("test/two");
    filled.agent = None;
    let agent = Agent::start_at(server.url(), &token, &AgentOptions::default());
    let here = job_after().replace("test/one", "test/two");
    let job = server.admin.run(&here);
    // Caches are shared by tasks of the same class.
    assert_outcome(&server.admin, &job, Outcome::Failed);
    assert!(!server.admin.output(&job).contains("well"));
    drop((agent, server));

    // The other database, from the newest backup, with the keys that it brings.
    let Some(other) = other else { return };
    let url = filled.dir.path().join("other-url");
    std::fs::write(&url, other.url()).unwrap();
    std::fs::set_permissions(&url, std::fs::Permissions::from_mode(0o600)).unwrap();
    let elsewhere = filled.path("elsewhere");
    let place = ["--data-dir", text(&elsewhere), "--database-file", text(&url)];
    let restore = [&["restore", text(&into)][..], &place].concat();
    for ms in KILLS {
        kill_after(&restore, ms);
    }
    if elsewhere.join("restoring").exists() || !elsewhere.join("secrets.key").exists() {
        do_well(&restore);
    }
    let server = Server::start_in(&elsewhere, &["--database-file", text(&url)]);
    assert_same(&server, &filled.jobs);
    assert_eq!(server.admin_token_on_disk(), filled.server.admin_token_on_disk());
}

#[track_caller]
fn assert_private(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
    }
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o077, 0);
}

/// The backups in a directory.
fn wholes(into: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(into).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.join("manifest.json").exists()).collect()
}

/// An object that backups share.
fn an_object(into: &Path) -> PathBuf {
    let dirs = std::fs::read_dir(into.join("objects")).unwrap();
    dirs.flat_map(|dir| std::fs::read_dir(dir.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .next()
        .unwrap()
}

#[test]
fn a_backup_of_a_running_server_is_restored_there_or_on_postgresql() {
    let other = database();
    back_up_and_restore(None, other.as_ref());
}

#[test]
fn a_backup_of_a_server_on_postgresql_is_restored_without_it_or_on_another_one() {
    let (Some(one), Some(other)) = (database(), database()) else { return };
    back_up_and_restore(Some(&one), Some(&other));
}

#[test]
fn objects_move_to_another_directory_and_damaged_ones_are_named() {
    let mut filled = Filled::start(&[]);
    let (data, to) = (filled.data(), filled.path("moved"));
    let artifacts = data.join("objects/artifacts");
    let task = std::fs::read_dir(&artifacts).unwrap().next().unwrap().unwrap().path();
    let object = std::fs::read_dir(&task).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&object).unwrap();
    std::fs::write(&object, [&bytes[1..], b"x"].concat()).unwrap();
    let move_all = ["migrate", "--data-dir", text(&data), "--objects-to", text(&to)];
    for ms in &KILLS[..6] {
        kill_after(&move_all, *ms);
    }
    do_well(&move_all);
    let name = object.strip_prefix(data.join("objects")).unwrap().to_str().unwrap();
    let (code, said) =
        on_data(&["backup", text(&filled.path("backups")), "--data-dir", text(&data)]);
    assert!(code == Some(5) && said.contains("lost") && said.contains(name), "{code:?} {said}");
    filled.stop();
    let last = [&move_all[..], &["--final"]].concat();
    do_refused(&last, name);
    std::fs::write(&object, bytes).unwrap();
    for ms in &KILLS[..6] {
        kill_after(&last, *ms);
    }
    do_well(&last);
    do_refused(&["--data-dir", text(&data)], "its objects went to");
    let mut names: Vec<PathBuf> = vec![to.clone()];
    let mut found = 0;
    while let Some(dir) = names.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names.push(path);
                continue;
            }
            // Files beside the folders of objects are marks of servers.
            // One with `#` is half of an object: a move was killed while it wrote it.
            if path.parent() == Some(&*to) || path.to_str().unwrap().contains('#') {
                continue;
            }
            let before = data.join("objects").join(path.strip_prefix(&to).unwrap());
            assert!(before.exists(), "{} was not there", path.display());
            assert!(std::fs::read(&path).unwrap() == std::fs::read(before).unwrap());
            found += 1;
        }
    }
    assert!(found >= 9, "{found}");
}
