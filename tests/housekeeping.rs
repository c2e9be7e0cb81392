//! What is left of a task when it has ended: nothing, and a table that says what there was. As
//! root on Linux with real users.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed step of a test is its failure"
)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use russet_protocol::outcome::Outcome;
use support::admin::assert_outcome;
use support::user::SlotUser;
use support::{Agent, Server, config, is_root, run, wait_for};

/// Whether the test can run; says so where it can not.
fn can_run() -> bool {
    if !is_root() {
        eprintln!("skipped: needs root, to have other users");
    }
    is_root()
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
    assert!(row("shared files").contains("KiB"), "{table}");
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

#[test]
fn what_can_not_be_emptied_holds_the_slot_until_it_can() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let agent = Agent::start_with(&server, &user.options());
    // Root puts a file system into the task's home, which the slot's user can neither empty nor
    // unmount.
    let step = run("mkdir ~/mounted; echo ready; while [ ! -e ~/go ]; do sleep 0.05; done");
    let pipeline = server.admin.submit(&config(&[&step]));
    server.admin.wait_for_output(&pipeline, "ready");
    let home = agent.state().join("slots/1/home");
    let mounted = home.join("mounted");
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs"])
        .arg(&mounted)
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    if !mount.success() {
        eprintln!("skipped: mounting is forbidden here");
        std::fs::write(home.join("go"), "").unwrap();
        server.admin.wait(&pipeline);
        return;
    }
    std::fs::write(mounted.join("the owner's"), "keep").unwrap();
    std::fs::write(home.join("go"), "").unwrap();
    server.admin.wait(&pipeline);
    wait_for("the slot to be held", || agent.log().contains("takes no task until").then_some(()));
    assert!(agent.log().contains("could not empty"), "{}", agent.log());
    let next = server.admin.submit(&config(&[&run("ls -A ~ | wc -l")]));
    let kept = std::fs::read_to_string(mounted.join("the owner's")).unwrap();
    let outcome = server.admin.pipeline(&next.id).workflows[0].outcome;
    std::process::Command::new("umount").arg(&mounted).status().unwrap();
    assert_eq!((kept.as_str(), outcome), ("keep", None));
    // It comes back by itself.
    server.admin.wait(&next);
    let job = server.admin.only_job(&next);
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_eq!(server.admin.output(&job).trim(), "0", "the home is fresh");
}
