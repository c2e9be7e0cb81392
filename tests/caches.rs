//! Caches on a machine and on a server, and servers that send something else for one: with real
//! servers, agents and file systems.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use russet_protocol::outcome::Outcome;
use tar::{EntryType, Header};

use crate::support::admin::assert_outcome;
use crate::support::disk::Disk;
use crate::support::scripted_runner::ScriptedRunner;
use crate::support::user::SlotUser;
use crate::support::{
    Agent, AgentOptions, CLASS, Lacks, Server, can_be_root, config, is_root, run, skip, test_dir,
    wait_for,
};

/// Runs one job that must succeed, and returns its log.
#[track_caller]
fn log_of(server: &Server, steps: &[&str]) -> String {
    let job = server.admin.run(&config(steps));
    assert_outcome(&server.admin, &job, Outcome::Success);
    server.admin.output(&job)
}

/// The one directory of copies of an agent that has run tasks of one project, and what is in it.
fn copies(agent: &Agent) -> Option<(PathBuf, Vec<String>)> {
    let scope = std::fs::read_dir(agent.state().join("slots/1/caches")).ok()?.next()?.ok()?.path();
    let entries = std::fs::read_dir(&scope).ok()?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    Some((scope, names))
}

const SAVE: &str = "save_cache: {key: k, paths: [tree]}";
const RESTORE: &str = "restore_cache: {keys: [k]}";

/// Makes a tree of everything that an archive keeps.
fn grow() -> String {
    run("mkdir -p tree/sub; cd tree; head -c 3000000 /dev/urandom > sub/large; echo text > small\n\
         chmod 751 sub/large; ln sub/large same; ln -s sub/large link\n\
         python3 -c 'import os; os.setxattr(\"sub/large\", \"user.test\", b\"value\")'\n\
         touch -d '2001-02-03T04:05:06.789Z' sub/large sub; sha256sum same")
}

/// Says what is there of it, and whether a file shares its blocks with another one.
fn look() -> String {
    run("cd tree; sha256sum same; cat small; readlink link; stat -c '%a %h %s' sub/large\n\
         date -u -r sub/large +%FT%T.%3N; date -u -r sub +%FT%T.%3N\n\
         python3 -c 'import os; print(os.getxattr(\"sub/large\", \"user.test\"))'\n\
         /usr/sbin/filefrag -v sub/large | grep -q shared && echo cloned\n\
         echo changed >> sub/large")
}

#[test]
fn what_is_used_again_is_cloned_from_a_copy_that_no_job_can_change() {
    let Some(disk) = Disk::cloning() else { return };
    let (server, user) = (Server::start(), SlotUser::create());
    let state = Some(disk.path().join("state"));
    let mut agent = Agent::start_with(&server, &AgentOptions { state, ..user.options() });
    let log = log_of(&server, &[&grow(), SAVE]);
    let sum: String = log.chars().take(64).collect();
    let wanted = format!(
        "{sum}  same\ntext\nsub/large\n751 2 3000000\n2001-02-03T04:05:06.789\n\
         2001-02-03T04:05:06.789\nb'value'\n"
    );
    let again = |how: &str| {
        let log = log_of(&server, &[RESTORE, &look()]);
        assert!(log.contains(&wanted), "{log}");
        assert!(
            log.contains(&format!("{how} 6 entries of 3.0 MB, from the copy on this")),
            "{log}"
        );
        assert_eq!(log.contains("cloned\n"), how == "Cloned", "{log}");
    };
    again("Unpacked");
    // The job before changed its file, and the copy is as it was.
    again("Cloned");
    again("Cloned");
    let (scope, names) = copies(&agent).unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    let copy = scope.join(&names[1]);
    // One that is not what it was is made again, of the archive.
    let content = copy.join("0");
    std::fs::OpenOptions::new().write(true).open(&content).unwrap().set_len(17).unwrap();
    again("Unpacked");
    again("Cloned");
    // What a task that was killed left is never used, nor what is from before a restart.
    agent.kill();
    std::fs::rename(&copy, scope.join(format!("{}-1-0123456789abcdef", names[0]))).unwrap();
    let half = scope.join(".draft-1-1");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("0"), "half").unwrap();
    std::os::unix::fs::chown(&half, Some(user.uid()), Some(user.uid())).unwrap();
    agent.start_again();
    again("Unpacked");
    assert_eq!(copies(&agent).unwrap().1, names);
    again("Cloned");
}

#[test]
fn a_workspace_is_cloned_too_and_a_conflict_in_it_is_found() {
    let Some(disk) = Disk::cloning() else { return };
    let server = Server::start();
    let state = Some(disk.path().join("state"));
    let _agent = Agent::start_with(&server, &AgentOptions { state, ..AgentOptions::default() });
    let make = "mkdir ws; head -c 100000 /dev/zero | tr '\\0' $NAME > ws/same; cp ws/same ws/$NAME";
    let job = |name: &str, requires: &str, steps: &[&str]| {
        let mut text = format!(
            "  {name}:\n    machine: true\n    resource_class: {CLASS}\n    \
             environment: {{NAME: {name}}}\n    steps:\n"
        );
        for step in steps {
            text += &format!("      - {step}\n");
        }
        (text, format!("      - {name}: {{requires: [{requires}]}}\n"))
    };
    let (make, persist) = (format!("run: {make}"), "persist_to_workspace: {root: ws, paths: [.]}");
    let attach = "attach_workspace: {at: here}";
    let jobs = [
        job("a", "", &[&make, persist]),
        job("b", "", &[&make, persist]),
        job("c", "a", &[attach, attach, attach, "run: grep -c a here/same"]),
        job("d", "a, b, c", &[attach]),
        job("e", "a, b, c", &[attach]),
    ];
    let (bodies, listed): (String, String) = jobs.into_iter().unzip();
    let text = format!("version: 2.1\njobs:\n{bodies}workflows:\n  main:\n    jobs:\n{listed}");
    let pipeline = server.admin.wait(&server.admin.submit(&text));
    let jobs: Vec<_> =
        pipeline.workflows[0].jobs.iter().map(|job| server.admin.job(&job.id)).collect();
    assert_outcome(&server.admin, &jobs[2], Outcome::Success);
    let log = server.admin.output(&jobs[2]);
    assert_eq!(log.matches("Unpacked 3 entries").count(), 1, "{log}");
    assert_eq!(log.matches("Cloned 3 entries").count(), 2, "{log}");
    for job in &jobs[3..] {
        assert_outcome(&server.admin, job, Outcome::Failed);
        let log = server.admin.output(job);
        assert!(log.contains("Cloned 3 entries"), "{log}");
        assert!(log.contains("the same file into the workspace: same, by a and by b"), "{log}");
    }
}

/// Makes everything in a directory look as if it was not used for ten days.
fn age(dir: &Path) {
    let then = SystemTime::now() - Duration::from_secs(10 * 86_400);
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            age(&entry.path());
        }
        std::fs::File::open(entry.path()).unwrap().set_modified(then).unwrap();
    }
}

#[test]
fn copies_that_were_not_used_for_a_week_go() {
    if !can_be_root("to have a user of its own for the slot") {
        return;
    }
    let disk = Disk::cloning();
    let state = disk.as_ref().map(|disk| disk.path().join("state"));
    let (server, user) = (Server::start(), SlotUser::create());
    let mut agent = Agent::start_with(&server, &AgentOptions { state, ..user.options() });
    log_of(&server, &[&run("mkdir tree; head -c 90000 /dev/urandom > tree/f"), SAVE]);
    log_of(&server, &[RESTORE]);
    let Some((scope, names)) = copies(&agent) else {
        skip(Lacks::Machine, "this disk has no room for copies");
        return;
    };
    assert_eq!(names.len(), if disk.is_some() { 2 } else { 1 }, "{names:?}");
    let kept = || copies(&agent).map(|(_, names)| names).unwrap_or_default();
    // A task later they are there still.
    log_of(&server, &[&run("true")]);
    assert_eq!(kept(), names);
    agent.kill();
    age(&scope);
    agent.start_again();
    log_of(&server, &[&run("true")]);
    let kept = || copies(&agent).map(|(_, names)| names).unwrap_or_default();
    wait_for("the copies to go", || kept().is_empty().then_some(()));
    let log = log_of(&server, &[RESTORE, &run("wc -c < tree/f")]);
    assert!(log.contains("90000\n") && !log.contains("from the copy"), "{log}");
    assert_eq!(kept(), names[..1]);
}

#[test]
fn a_cache_that_needs_more_room_than_the_task_has_left_is_not_unpacked() {
    let server = Server::start();
    let runner = vec!["limits: {disk: 60MB}".to_owned()];
    let _agent = Agent::start_with(&server, &AgentOptions { runner, ..AgentOptions::default() });
    let save = "save_cache: {key: k, paths: [big]}";
    log_of(&server, &[&run("head -c 20000000 /dev/urandom > big"), save]);
    let other = run("head -c 45000000 /dev/urandom > other");
    let job = server.admin.run(&config(&[&other, RESTORE]));
    assert_outcome(&server.admin, &job, Outcome::Failed);
    let log = server.admin.output(&job);
    assert!(log.contains("the archive needs more room than the"), "{log}");
    assert!(log.contains("the owner of this runner sets the limit"), "{log}");
    // With room it is.
    assert!(log_of(&server, &[RESTORE, &run("stat -c %s big")]).ends_with("20000000\n"));
}

#[test]
fn caches_of_a_project_beyond_the_limit_go_the_oldest_first() {
    let dir = test_dir();
    let server = Server::start_in(&dir.path().join("data"), &["--cache-limit", "1MB"]);
    let _agent = Agent::start(&server);
    let (admin, files) = (&server.admin, dir.path().join("data/objects/archives"));
    let stored = || {
        let mut sizes = Vec::new();
        for task in std::fs::read_dir(&files).into_iter().flatten().flatten() {
            let archives = std::fs::read_dir(task.path()).into_iter().flatten().flatten();
            sizes.extend(archives.map(|archive| archive.metadata().unwrap().len()));
        }
        sizes
    };
    for key in ["one", "two", "three"] {
        let make = run("head -c 400000 /dev/urandom > f");
        log_of(&server, &[&make, &format!("save_cache: {{key: {key}, paths: [f]}}")]);
    }
    let is_there = |key: &str| {
        let log = log_of(&server, &[&format!("restore_cache: {{keys: [{key}]}}")]);
        log.contains("Found a cache")
    };
    assert!(!is_there("one") && is_there("two") && is_there("three"));
    let sizes = stored();
    assert!(sizes.len() == 2 && sizes.iter().sum::<u64>() <= 1_000_000, "{sizes:?}");
    // One that is larger by itself is stored, and alone.
    let make = run("head -c 1500000 /dev/urandom > f");
    log_of(&server, &[&make, "save_cache: {key: large, paths: [f]}"]);
    assert!(!is_there("two") && !is_there("three") && is_there("large"));
    assert_eq!(stored().len(), 1);
    // Another project has a limit of its own.
    let body = serde_json::json!({
        "project": "test/other", "branch": "main",
        "config": config(&[&make, "save_cache: {key: other, paths: [f]}"]),
    });
    let other = serde_json::from_value(admin.post("/api/v3/pipelines", body)).unwrap();
    admin.wait(&other);
    assert!(is_there("large"));
    assert_eq!(stored().len(), 2);
}

fn header(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o6755);
    header.set_size(size);
    header.set_cksum();
    header
}

fn link(kind: EntryType, name: &str, target: &str) -> Header {
    let mut header = header(kind, name, 0);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    header
}

/// Headers, each with what follows it, as an archive that a server sends.
fn archive(entries: &[(Header, &[u8])]) -> Vec<u8> {
    let mut out = zstd::Encoder::new(Vec::new(), 3).unwrap();
    for (header, body) in entries {
        out.write_all(header.as_bytes()).unwrap();
        out.write_all(body).unwrap();
        out.write_all(&vec![0; body.len().next_multiple_of(512) - body.len()]).unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
    out.finish().unwrap()
}

#[test]
fn what_a_server_sends_is_not_believed() {
    let server = Server::start();
    let token = server.admin.class_token(CLASS);
    let runner = ScriptedRunner::claim_with(&server, &token);
    let _agent = Agent::start_at(server.url(), &token, &AgentOptions::default());
    let outside = test_dir();
    std::fs::write(outside.path().join("theirs"), "theirs").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(outside.path(), mode).unwrap();
    let out = outside.path().to_str().unwrap();
    let theirs = format!("{out}/theirs");
    let evil = format!("root/{}/evil", out.trim_start_matches('/'));
    let file = |name: &str| (header(EntryType::Regular, name, 1), &b"x"[..]);
    let plain = |header: Header| (header, &b""[..]);
    // A key, what is stored under it, and what the error says.
    type Case<'a> = (&'a str, Vec<(Header, &'a [u8])>, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("up", vec![file("work/../../evil")], "it leads out of where it may be"),
        ("absolute", vec![file(&format!("{out}/evil"))], "it leads out of where it may be"),
        ("other", vec![file("nowhere/evil")], "it leads out of where it may be"),
        (
            "hard",
            vec![plain(link(EntryType::Link, "work/h", &theirs))],
            "a link to a file that is not of the archive",
        ),
        ("device", vec![plain(header(EntryType::Char, "work/c", 0))], "it is neither a file"),
        (
            "sparse",
            vec![plain(header(EntryType::GNUSparse, "work/s", 0))],
            "it is neither a file nor a directory nor a link",
        ),
        (
            "huge",
            vec![plain(header(EntryType::Regular, "work/huge", 2 << 40))],
            "the archive: it says that it holds more than 1.1 GB",
        ),
        (
            "records",
            vec![plain(header(EntryType::XHeader, "pax", 1 << 30))],
            "an extended header is too large",
        ),
    ];
    let restore = |key: &str| format!("restore_cache: {{keys: [{key}]}}");
    for (key, entries, wanted) in &cases {
        runner.save_cache(key, archive(entries));
        let job = server.admin.run(&config(&[&restore(key)]));
        assert_outcome(&server.admin, &job, Outcome::Failed);
        let log = server.admin.output(&job);
        assert!(log.contains("error: could not unpack") && log.contains(wanted), "{key}: {log}");
    }
    let names = || std::fs::read_dir(outside.path()).unwrap().count();
    assert_eq!(names(), 1, "nothing was written there");
    // A link is made, and not gone through: what comes below it gets a directory in its place.
    let through = [
        plain(link(EntryType::Symlink, "work/dir", out)),
        file("work/dir/evil"),
        plain(link(EntryType::Symlink, "work/f", &theirs)),
        file("work/f"),
    ];
    runner.save_cache("through", archive(&through));
    let log = log_of(&server, &[&restore("through"), &run("cat dir/evil f; ls -ld dir f")]);
    assert!(log.contains("xx") && !log.contains("->"), "{log}");
    assert_eq!((names(), std::fs::read_to_string(&theirs).unwrap()), (1, "theirs".to_owned()));
    // What is said to be of the whole machine is, as far as its user may write.
    let whole = [file(&evil), plain(header(EntryType::Directory, "root/root/evil", 0))];
    runner.save_cache("whole", archive(&whole));
    let job = server.admin.run(&config(&[&restore("whole")]));
    if is_root() {
        assert_outcome(&server.admin, &job, Outcome::Failed);
        let log = server.admin.output(&job);
        assert!(log.contains("`root/root/evil`: Operation not permitted"), "{log}");
        assert!(!Path::new("/root/evil").exists());
    }
    // Bits that give privileges are not set, and zeros take no room.
    let zeros = vec![0; 100 << 20];
    let odd = [file("work/setuid"), (header(EntryType::Regular, "work/zeros", 100 << 20), &*zeros)];
    let small = archive(&odd);
    assert!(small.len() < 100_000);
    runner.save_cache("odd", small);
    let look = run("stat -c '%a %s' setuid zeros; test $(stat -c %b zeros) -lt 2000");
    let log = log_of(&server, &[&restore("odd"), &look]);
    assert!(log.contains("755 1\n755 104857600\n"), "{log}");
    // The runner is none the worse for it.
    assert!(log_of(&server, &[&run("echo fine")]).contains("fine\n"));
}
