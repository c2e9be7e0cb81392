//! The agent as a service: the real `russet-boot` under a supervisor that reads the real launchd
//! file, through crashes, restarts and bad versions, with tasks that notice nothing.
//!
//! Everything here needs root, as the service does.

#[cfg(target_os = "linux")]
mod groups;
mod way_back;

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use russet_protocol::admin::Pipeline;
use russet_protocol::boot_files::PROBATION;
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::installation::can_run_service;
use crate::support::{FaultProxy, Installation, Server, Version, config, run, wait_for};

/// A probation that a real version never fails.
const LONG: u64 = 300;

/// A task that counts until the file is there.
fn counting(until: &Path) -> String {
    config(&[&run(&format!(
        "i=0\nwhile [ ! -e {} ]; do i=$((i+1)); echo $i; sleep 0.02; done\necho end $i",
        until.display()
    ))])
}

/// Starts a task that counts, and waits until it runs.
fn start_counting(server: &Server, agent: &Installation) -> Pipeline {
    let pipeline = server.admin.submit(&counting(&agent.file("go")));
    server.admin.wait_for_output(&pipeline, "3\n");
    pipeline
}

/// Lets the task end, and looks that it succeeded with every line once and in order.
fn end_counting(server: &Server, agent: &Installation, pipeline: &Pipeline) {
    std::fs::write(agent.file("go"), "").unwrap();
    server.admin.wait(pipeline);
    let job = server.admin.only_job(pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    let (last, counted) = lines.split_last().unwrap();
    for (index, line) in counted.iter().enumerate() {
        assert_eq!(line.parse(), Ok(index + 1), "{output}");
    }
    assert_eq!(*last, format!("end {}", counted.len()));
    // The slot is clean, and takes the next task.
    let job = server.admin.run(&config(&[&run("echo next")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

#[test]
fn a_task_outlives_an_agent_that_is_killed_and_is_adopted() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let first = agent.wait_proved(None);
    let pipeline = start_counting(&server, &agent);
    kill(first, Signal::SIGKILL).unwrap();
    agent.wait_proved(Some(first));
    assert!(agent.log().contains("was killed by signal 9"), "{}", agent.log());
    end_counting(&server, &agent, &pipeline);
}

#[test]
fn a_task_outlives_a_restart_of_the_service_and_of_russet_boot_itself() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let pipeline = start_counting(&server, &agent);
    let first = agent.wait_proved(None);
    agent.supervisor().restart();
    let second = agent.wait_proved(Some(first));
    agent.wait_log("running tasks go on and are adopted");
    // As a crash of russet-boot: its agent notices, and leaves its tasks to the next one.
    kill(agent.supervisor().pid().unwrap(), Signal::SIGKILL).unwrap();
    agent.wait_proved(Some(second));
    end_counting(&server, &agent, &pipeline);
}

#[test]
fn journals_of_an_older_and_of_a_newer_version_are_gone_on_with() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::start(&server);
    let pipeline = start_counting(&server, &agent);
    let path = agent.layout.state().join("slots/1/journal.json");
    type Change = fn(&mut serde_json::Map<String, serde_json::Value>);
    let older: Change = |journal| {
        // What the first version did not write.
        journal.remove("task_id");
        journal.remove("heartbeat_ms");
    };
    let newer: Change = |journal| {
        journal.insert("version".to_owned(), 7.into());
        journal.insert("added_later".to_owned(), serde_json::json!({ "deep": [1, 2] }));
    };
    for change in [older, newer] {
        let before = agent.wait_proved(None);
        agent.supervisor.take().unwrap().bootout();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut journal: serde_json::Value = serde_json::from_str(&text).unwrap();
        change(journal.as_object_mut().unwrap());
        std::fs::write(&path, journal.to_string()).unwrap();
        agent.bootstrap();
        agent.wait_proved(Some(before));
    }
    assert_eq!(agent.log().matches("adopted a running task").count(), 2, "{}", agent.log());
    end_counting(&server, &agent, &pipeline);
}

#[test]
fn a_service_ends_in_time_although_the_network_is_silent_and_its_task_goes_on() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let proxy = FaultProxy::start(server.url());
    let mut agent = Installation::new(&server, &[]);
    let direct = std::fs::read_to_string(agent.layout.config()).unwrap();
    agent.write_config(&direct.replace(server.url(), proxy.url()));
    agent.bootstrap();
    agent.wait_proved(None);
    let pipeline = start_counting(&server, &agent);
    proxy.set(crate::support::Fault::Cut);
    let began = std::time::Instant::now();
    agent.supervisor.take().unwrap().bootout();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    proxy.set(crate::support::Fault::None);
    agent.bootstrap();
    end_counting(&server, &agent, &pipeline);
}

#[test]
fn what_ended_while_no_agent_ran_is_reported_from_its_record() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::start(&server);
    let pipeline = start_counting(&server, &agent);
    agent.supervisor.take().unwrap().bootout();
    std::fs::write(agent.file("go"), "").unwrap();
    server.admin.wait(&pipeline);
    agent.bootstrap();
    end_counting(&server, &agent, &pipeline);
}

#[test]
fn a_version_that_proves_itself_stays_and_adopts_the_task() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::start(&server);
    let first = agent.wait_proved(None);
    let old = agent.bundle();
    let pipeline = start_counting(&server, &agent);
    agent.update("2.0.0", Version::Real, LONG);
    kill(first, Signal::SIGTERM).unwrap();
    let second = agent.wait_proved(Some(first));
    wait_for("the end of the probation", || agent.boot_file(PROBATION).is_none().then_some(()));
    assert_ne!(agent.bundle(), old);
    assert_eq!(agent.bad(), []);
    // From now on its crashes are its own affair: it is started again and again.
    kill(second, Signal::SIGKILL).unwrap();
    let third = agent.wait_proved(Some(second));
    kill(third, Signal::SIGKILL).unwrap();
    agent.wait_proved(Some(third));
    assert_ne!(agent.bundle(), old);
    end_counting(&server, &agent, &pipeline);
}

#[test]
fn a_wrong_configuration_is_said_once_and_tried_again_slowly() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    let right = std::fs::read_to_string(agent.layout.config()).unwrap();
    agent.write_config(&right.replace("runner:", "runnner:"));
    agent.bootstrap();
    agent.wait_log("exited with code 3 (the configuration cannot be read or has errors)");
    assert!(agent.log().contains("next start in 60 s") && agent.log().contains("runnner"));
    agent.write_config(&right);
    agent.supervisor().restart();
    agent.wait_proved(None);
    assert_eq!(agent.log().matches("exited with code 3").count(), 1);
}

#[test]
fn an_agent_that_ended_as_its_owner_wanted_stays_down() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &["mode: single-task"]);
    agent.bootstrap();
    let job = server.admin.run(&config(&[&run("echo once")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    agent.wait_log("exited with code 0, as asked; it stays so until it is started again");
    let boot = agent.supervisor().pid();
    let next = server.admin.submit(&config(&[&run("echo twice")]));
    assert!(boot.is_some() && agent.supervisor().pid() == boot);
    agent.supervisor().restart();
    server.admin.wait(&next);
    assert_ne!(agent.supervisor().pid(), boot);
}

#[test]
fn nothing_that_others_can_change_is_run() {
    use std::os::unix::fs::PermissionsExt;
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&agent.layout.bundle(), 0o775);
    agent.bootstrap();
    let bundle = agent.layout.bundle().display().to_string();
    agent.wait_log(&format!("{bundle} can be changed by others than root"));
    mode(&agent.layout.bundle(), 0o755);
    agent.supervisor().restart();
    let first = agent.wait_proved(None);
    agent.supervisor.take().unwrap().bootout();
    mode(&agent.layout.code(), 0o777);
    agent.bootstrap();
    agent.wait_log(&format!("{} can be changed by others", agent.layout.code().display()));
    mode(&agent.layout.code(), 0o755);
    agent.wait_proved(Some(first));
}

#[test]
fn an_agent_that_does_not_end_is_killed_before_launchd_would_kill_russet_boot() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    let script = "trap '' TERM\necho pid $$ >&2\nwhile :; do sleep 0.05; done";
    agent.replace(Version::Script(script));
    agent.bootstrap();
    agent.wait_log("pid ");
    let began = std::time::Instant::now();
    let log = agent.log();
    agent.supervisor.take().unwrap().bootout();
    let took = began.elapsed();
    assert!(took > Duration::from_secs(40) && took < Duration::from_secs(60), "{took:?}");
    let pid = log.lines().find_map(|line| line.strip_prefix("pid ")).unwrap().parse().unwrap();
    assert!(kill(nix::unistd::Pid::from_raw(pid), None).is_err(), "it still runs");
}

#[test]
fn russet_boot_is_for_root() {
    use std::os::unix::process::CommandExt;
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let agent = Installation::new(&server, &[]);
    let output = std::process::Command::new(agent.layout.boot()).uid(65_534).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has to be started by root"), "{said}");
}

#[test]
fn an_agent_that_exits_with_0_though_nobody_asked_is_started_again() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    agent.replace(Version::Script("exit 0"));
    agent.bootstrap();
    agent.wait_log("exited with code 0, though nobody asked it to end; next start in 2 s");
    agent.replace(Version::Real);
    agent.wait_proved(None);
}

/// A test of the supervisor that the other tests rely on.
#[test]
fn the_supervisor_starts_no_sooner_than_launchd_and_gives_no_more() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    let script = "#!/bin/sh\ntrap 'echo term >&2; exit 0' TERM\nulimit -n >&2; env >&2; \
                  echo started >&2\nwhile :; do sleep 0.02; done\n";
    let boot = agent.layout.boot();
    std::fs::remove_file(&boot).unwrap();
    let write = "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", write, "sh"])
        .arg(&boot)
        .arg(script)
        .status();
    assert!(status.unwrap().success());
    let began = std::time::Instant::now();
    agent.bootstrap();
    agent.wait_log("started");
    agent.supervisor().restart();
    wait_for("a second start", || (agent.log().matches("started").count() == 2).then_some(()));
    assert!(began.elapsed() >= Duration::from_secs(10));
    let log = agent.log();
    assert!(log.contains("8192") && log.contains("PATH=/usr/bin:/bin:/usr/sbin:/sbin"), "{log}");
    assert!(!log.contains("HOME=") && log.contains("term"), "{log}");
}

/// A machine on which launchd's file and ours are one, as on a Mac.
fn share_logs(agent: &Installation) {
    let mine = agent.layout.logs();
    std::fs::create_dir_all(&mine).unwrap();
    let launchds = agent.layout.root().join("Library/Logs/Russet");
    if launchds != mine {
        std::fs::create_dir_all(launchds.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&mine, launchds).unwrap();
    }
}

#[test]
fn an_agent_logs_to_its_own_file_and_russet_boot_makes_room_in_the_one_of_launchd() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    share_logs(&agent);
    let boot_log = agent.layout.boot_log();
    std::fs::write(&boot_log, "of before\n".repeat(150_000)).unwrap();
    agent.bootstrap();
    let first = agent.wait_proved(None);
    let kept = russet_launch_agent::logs::numbered_path(&boot_log, 1);
    assert_eq!(std::fs::metadata(&kept).unwrap().len(), 1_500_000);
    let said = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    assert!(!said(&boot_log).contains("of before"));
    assert!(said(&agent.layout.agent_log()).contains("claiming tasks"));
    kill(first, Signal::SIGKILL).unwrap();
    agent.wait_proved(Some(first));
    // What russet-boot says goes on in launchd's file, what the agent says in its own.
    assert!(said(&boot_log).contains("was killed by signal 9"), "{}", said(&boot_log));
    assert!(!said(&boot_log).contains("claiming tasks"));
    assert_eq!(said(&agent.layout.agent_log()).matches("claiming tasks").count(), 2);
}
