//! Cleaning after a task: nothing is left but a table of what there was. As
//! root on Linux with real users.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::user::SlotUser;
use crate::support::{Agent, Server, can_be_root, config, run, test_dir, wait_for};

/// Returns true if the test can run; otherwise it is skipped.
#[track_caller]
fn can_run() -> bool {
    can_be_root("to have other users")
}

/// Number of the step in which the agent says what the job left.
const CLEAN_UP: u32 = 10_003;

#[test]
fn what_a_job_left_stands_in_a_table_with_counts_and_masked_names() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let agent = Agent::start_with(&server, &user.options());
    let mark = user.name();
    // Where nobody looks: in a directory of somebody else's that everybody may write to.
    let open = Path::new("/tmp").join(format!("open-to-all-{mark}"));
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let script = format!(
        "setsid sleep 2001 & setsid sleep 2002 &\n\
         head -c 100000 /dev/zero > /tmp/{mark}-s3cr3t-v4lue\n\
         touch /var/tmp/{mark}-file {open}/{mark}-hidden /dev/shm/{mark}-shm\n\
         ipcmk -M 4096\n\
         if command -v crontab; then echo '0 0 * * * echo from-cron' | crontab -; fi\n\
         if command -v at; then echo 'echo from-at' | at now + 1 hour 2>&1; fi\n\
         echo end",
        open = open.display(),
    );
    let body = config(&[&run(&script)]);
    let body =
        body.replace("    steps:\n", "    environment: {MY_TOKEN: s3cr3t-v4lue}\n    steps:\n");
    let job = server.admin.run(&body);
    let left = std::fs::read_dir(&open).unwrap().count();
    std::fs::remove_dir_all(&open).unwrap();
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_eq!(left, 0, "a file in a directory of others was not found");
    let table = String::from_utf8(server.admin.step_output(&job, CLEAN_UP)).unwrap();
    let row = |what: &str| {
        let line = table.lines().find(|line| line.starts_with(what)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no row `{what}` in:\n{table}"))
    };
    assert!(row("processes").contains(" 2 "), "{table}");
    assert!(table.contains("sleep 2001") && table.contains("sleep 2002"), "{table}");
    assert!(row("IPC objects").contains(" 2 "), "{table}");
    assert!(row("shared files").contains(" 3 "), "{table}");
    assert!(row("shared files").contains(" kB"), "{table}");
    if Path::new("/usr/bin/crontab").exists() {
        assert!(row("crontab").contains("from-cron"), "{table}");
    }
    if Path::new("/usr/bin/at").exists() {
        assert!(row("at jobs").contains(" 1 "), "{table}");
    }
    // A job without leftovers has no such step.
    let job = server.admin.run(&config(&[&run("echo fine")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert!(job.steps.iter().all(|step| step.number != CLEAN_UP), "{:?}", job.steps);
    drop(agent);
}

#[test]
fn a_step_that_hangs_shows_its_processes_before_they_are_ended() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let _agent = Agent::start_with(&server, &user.options());
    // The shell stays, and so does one that left its session.
    let script = "setsid sleep 3001 & (sleep 3002; true) & sleep 3003; true";
    let step = format!("{}\n    no_output_timeout: 2s", run(script));
    let job = server.admin.run(&config(&[&step]));
    assert_outcome(&server.admin, &job, Outcome::Failed);
    let log = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    let head = log.lines().position(|line| line.contains("PPID")).expect(&log);
    let lines: Vec<&str> = log.lines().skip(head + 1).collect();
    for command in ["sleep 3001", "sleep 3002", "sleep 3003"] {
        let found: Vec<_> = lines.iter().filter(|line| line.ends_with(command)).collect();
        assert_eq!(found.len(), 1, "{command} in:\n{log}");
        let fields: Vec<&str> = found[0].split_whitespace().collect();
        assert!(fields[0].parse::<i32>().unwrap() > 1, "{log}");
        assert_eq!(fields[2], "S", "{log}");
        assert!(fields[3].starts_with("0:0"), "the age is seconds: {log}");
    }
    // The table comes before the verdict.
    assert!(log.find("PPID") < log.find("was ended"), "{log}");
}

#[test]
fn the_run_time_limit_shows_the_processes_too() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let mut options = user.options();
    options.runner.push("max_run_time: 3s".to_owned());
    let _agent = Agent::start_with(&server, &options);
    let job = server.admin.run(&config(&[&run("sleep 4001; true")]));
    assert_outcome(&server.admin, &job, Outcome::TimedOut);
    let log = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    assert!(log.lines().any(|line| line.ends_with("  sleep 4001")), "{log}");
}

/// A cache of `uid`'s with one entry that was not used for two months and one that was.
fn cache(dir: &Path, name: &str, uid: u32) -> PathBuf {
    let cache = dir.join(name);
    for (entry, days) in [("old", 60), ("used", 0)] {
        let entry = cache.join(entry);
        std::fs::create_dir_all(&entry).unwrap();
        std::fs::write(entry.join("file"), [1; 5000]).unwrap();
        let then = SystemTime::now() - Duration::from_secs(days * 86_400);
        for path in [&entry.join("file"), &entry] {
            std::fs::File::open(path).unwrap().set_modified(then).unwrap();
            std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
        }
    }
    std::os::unix::fs::chown(&cache, Some(uid), Some(uid)).unwrap();
    cache
}

#[test]
fn caches_are_trimmed_as_their_owner_and_never_as_root() {
    if !can_run() {
        return;
    }
    let (server, user, other) = (Server::start(), SlotUser::create(), SlotUser::create());
    let dir = test_dir();
    let own = cache(dir.path(), "own", user.uid());
    let theirs = cache(dir.path(), "theirs", other.uid());
    let roots = cache(dir.path(), "roots", 0);
    // What is in the cache and not its owner's is not deleted by anybody.
    std::fs::create_dir(theirs.join("old/roots")).unwrap();
    std::fs::write(theirs.join("old/roots/file"), "x").unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(60 * 86_400);
    for path in ["old/roots/file", "old/roots", "old"] {
        std::fs::File::open(theirs.join(path)).unwrap().set_modified(long_ago).unwrap();
    }
    let mut options = user.options();
    let paths = [&own, &theirs, &roots].map(|path| path.display().to_string()).join(", ");
    options.runner.push(format!("housekeeping: {{paths: [{paths}], max_age: 720h}}"));
    let agent = Agent::start_with(&server, &options);
    let job = server.admin.run(&config(&[&run("echo fine")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    wait_for("the old entry to go", || (!own.join("old").exists()).then_some(()));
    wait_for("the others to be refused", || {
        let log = agent.log();
        (log.contains("root deletes nothing") && log.contains("could not trim")).then_some(())
    });
    assert!(own.join("used/file").exists());
    assert!(theirs.join("used/file").exists());
    assert!(theirs.join("old/roots/file").exists(), "a process of root deleted it");
    assert!(roots.join("old/file").exists());
    // The slot is not held by it.
    let job = server.admin.run(&config(&[&run("echo again")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

#[test]
fn the_shutdown_hook_runs_after_the_one_task_when_everything_is_reported() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let dir = test_dir();
    let hook = dir.path().join("power-off");
    let done = dir.path().join("done");
    let script = format!("#!/bin/sh\necho good night; id -u > {}\n", done.display());
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = user.options();
    options.runner.push("mode: single-task".to_owned());
    options.runner.push(format!("shutdown_hook: {}", hook.display()));
    let agent = Agent::start_with(&server, &options);
    let pipeline = server.admin.submit(&config(&[&run("echo fine")]));
    wait_for("the hook", || done.exists().then_some(()));
    // It had been reported by then.
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    wait_for("the agent to end", || agent.log().contains("hook is done").then_some(()));
    assert!(agent.log().contains("good night"), "{}", agent.log());
    assert_eq!(std::fs::read_to_string(&done).unwrap().trim(), "0");
}

#[test]
fn a_shutdown_hook_that_a_user_could_change_is_refused_at_the_start() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let dir = test_dir();
    let hook = dir.path().join("power-off");
    std::fs::write(&hook, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut options = user.options();
    options.runner.push("mode: single-task".to_owned());
    options.runner.push(format!("shutdown_hook: {}", hook.display()));
    let agent = Agent::start_with(&server, &options);
    wait_for("the refusal", || agent.log().contains("can be changed by others").then_some(()));
    assert!(agent.log().contains("nobody else may be able to change it"), "{}", agent.log());
}
