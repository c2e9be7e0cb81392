//! No file, no mount and no process of a job takes a slot away without a word: what the system
//! refuses to delete is kept aside, what is mounted is detached, and a process that cannot be killed
//! holds the slot by name until it ends.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_protocol::admin::Pipeline;
use russet_protocol::local::{HealthLevel, Slot, SlotState, State};
use russet_protocol::outcome::Outcome;
use serde_json::Value;

use crate::slots::{assert_takes_tasks, only_slot};
use crate::support::admin::assert_outcome;
use crate::support::obstacle::{Protected, StalledFileSystem};
use crate::support::{
    Agent, AgentOptions, Server, can_be_root, config, http_get, run, test_dir, wait_for,
};

/// Starts a task and returns the directory of its slot.
fn slot_with_task(server: &Server, agent: &Agent) -> (Pipeline, PathBuf) {
    let pipeline = server.admin.submit(&config(&[&run("echo ready; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "ready");
    (pipeline, agent.state().join("slots/1"))
}

fn kill_task_agent(slot: &Path) {
    let text = std::fs::read(slot.join("journal.json")).unwrap();
    let journal: Value = serde_json::from_slice(&text).unwrap();
    let pid = i32::try_from(journal["process"]["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// A finding of `russet agent doctor`; null: there is none of the name.
fn doctor_finding(agent: &Agent, name: &str) -> Value {
    let output = agent.ask(&["doctor", "--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).cloned().unwrap_or_default()
}

/// Waits until the only slot is held for a reason with these words.
#[track_caller]
fn wait_until_held(agent: &Agent, words: &str) -> Slot {
    wait_for(&format!("the slot to be held: {words}"), || {
        let held = only_slot(agent).filter(|slot| slot.state == SlotState::Held)?;
        held.reason.as_ref()?.contains(words).then_some(held)
    })
}

/// Waits until the only slot is free.
#[track_caller]
fn wait_until_free(agent: &Agent) -> Slot {
    wait_for("the slot to be free", || {
        only_slot(agent).filter(|slot| slot.state == SlotState::Free)
    })
}

/// A file system of root's that somebody uses, until it is dropped.
struct BusyMount {
    point: PathBuf,
    _in_use: std::fs::File,
}

impl BusyMount {
    fn at(point: PathBuf) -> Self {
        std::fs::create_dir_all(&point).unwrap();
        let made = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&point).status();
        assert!(made.unwrap().success(), "mount failed");
        let in_use = std::fs::File::create(point.join("in-use")).unwrap();
        Self { point, _in_use: in_use }
    }
}

impl Drop for BusyMount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.point).output().ok();
    }
}

/// Gives everything in the directories of a slot to its user, as if the job had made it.
fn give_to_user(slot: &Path) {
    let uid = std::fs::metadata(slot.join("home")).unwrap().uid();
    for name in ["home", "work", "tmp"] {
        let mut command = Command::new("chown");
        let given = command.args(["-R", &uid.to_string()]).arg(slot.join(name)).status();
        assert!(given.unwrap().success(), "chown failed");
    }
}

fn names_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn metrics(agent: &Agent) -> String {
    http_get(UnixStream::connect(agent.socket()).unwrap(), "/v1/metrics")
}

/// Waits until the only slot is free and so many of its directories are kept aside.
#[track_caller]
fn wait_for_aside(agent: &Agent, wanted: u32) -> Slot {
    wait_for(&format!("{wanted} directories to be kept aside"), || {
        let slot = only_slot(agent).filter(|slot| slot.state == SlotState::Free)?;
        let directories = slot.aside.as_ref().map_or(0, |aside| aside.directories);
        (directories == wanted).then_some(slot)
    })
}

#[test]
fn a_file_that_the_system_refuses_to_delete_is_kept_aside_until_it_can_be_deleted() {
    let dir = test_dir();
    if !can_be_root("to protect a file from its owner") || !Protected::are_possible(dir.path()) {
        return;
    }
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let (pipeline, slot) = slot_with_task(&server, &agent);
    let vault = slot.join("home/Library/Containers/box");
    std::fs::create_dir_all(&vault).unwrap();
    std::fs::write(vault.join("metadata"), vec![1; 40_000]).unwrap();
    std::fs::write(slot.join("home/other"), "x").unwrap();
    give_to_user(&slot);
    let protected = Protected::below(slot.clone());
    protected.add(&vault.join("metadata"));
    kill_task_agent(&slot);
    server.admin.wait(&pipeline);

    // The slot comes back with a home in which nothing of it is, and from which none leads there.
    let script = "ls -A ~; cd ~/..; ! ls aside; ! cat aside/*/Library/Containers/box/metadata";
    let job = server.admin.run(&config(&[&run(script)]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert!(!server.admin.output(&job).contains("other"));
    let kept = wait_for_aside(&agent, 1).aside.unwrap();
    let aside = slot.join("aside");
    assert_eq!(kept.path.as_deref(), aside.to_str());
    assert!(kept.bytes >= 40_000 && kept.bytes < 1_000_000, "{kept:?}");
    let meta = std::fs::metadata(&aside).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (0, 0o700));
    // All the rest of it is gone.
    let [home] = &names_in(&aside)[..] else { panic!("{:?}", names_in(&aside)) };
    assert!(home.join("Library/Containers/box/metadata").exists() && !home.join("other").exists());

    // Everybody who looks is told, and nothing is held.
    let status = agent.status().unwrap();
    assert_eq!(status.state, State::Idle);
    let check = status.health.iter().find(|check| check.name == "kept aside").unwrap();
    assert_eq!(check.level, HealthLevel::Warning);
    let shown = agent.ask_well(&["status"]);
    assert!(shown.contains("kept aside in ") && shown.contains("slots/1/aside"), "{shown}");
    let found = doctor_finding(&agent, "kept aside");
    assert_eq!(found["level"], "warning", "{found}");
    let counted = metrics(&agent);
    let line = "russet_agent_aside_directories{class=\"api.auth_token\"} 1";
    assert!(counted.lines().any(|have| have == line), "{counted}");
    assert!(agent.log().contains("the slot takes tasks again"), "{}", agent.log());

    // The next agent tries at once: as long as it is refused it stays.
    agent.kill();
    agent.start_again();
    wait_for_aside(&agent, 1);
    drop(protected);
    agent.kill();
    agent.start_again();
    wait_for_aside(&agent, 0);
    assert_eq!(names_in(&aside), [] as [PathBuf; 0]);
    assert!(doctor_finding(&agent, "kept aside").is_null());
    assert_takes_tasks(&server);
}

#[test]
fn a_busy_mount_in_a_slots_directory_is_detached_and_the_slot_comes_back() {
    if !can_be_root("to mount something in a slot") {
        return;
    }
    let server = Server::start();
    let agent = Agent::start(&server);
    for name in ["home/Library/mounts/a b", "work/x", "tmp/x"] {
        let (pipeline, slot) = slot_with_task(&server, &agent);
        let mount = BusyMount::at(slot.join(name));
        give_to_user(&slot);
        kill_task_agent(&slot);
        server.admin.wait(&pipeline);
        assert_takes_tasks(&server);
        let table = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!table.contains(slot.to_str().unwrap()), "{name}: {table}");
        // It is detached, and not deleted in.
        assert_eq!(only_slot(&agent).unwrap().aside, None, "{name}");
        drop(mount);
    }
}

/// A job that leaves a process behind which looks into a directory, and says so in its arguments. It
/// waits for a file: a process that has not looked yet when the job ends is killed with it.
fn look_into(path: &Path, has_looked: &Path) -> String {
    let (path, has_looked) = (path.display(), has_looked.display());
    format!(
        "(exec cat {path}/file) </dev/null >/dev/null 2>&1 &
        until test -e {has_looked}; do sleep 0.05; done"
    )
}

#[test]
fn a_process_that_cannot_be_killed_holds_the_slot_by_name_until_it_ends() {
    if !can_be_root("to mount a file system") {
        return;
    }
    let dir = test_dir();
    let Some(mut stalled) = StalledFileSystem::mount(&dir.path().join("stalled")) else { return };
    let server = Server::start();
    let agent = Agent::start(&server);
    let has_looked = dir.path().join("has-looked");
    let script = look_into(&dir.path().join("stalled"), &has_looked);
    let pipeline = server.admin.submit(&config(&[&run(&script)]));
    stalled.wait_for_reader();
    std::fs::write(&has_looked, "").unwrap();
    server.admin.wait(&pipeline);
    assert_outcome(&server.admin, &server.admin.only_job(&pipeline), Outcome::Success);

    // It is named with its number, the slot takes nothing, and no helper waits beside it.
    let reason = wait_until_held(&agent, "does not end").reason.unwrap();
    let uid = std::fs::metadata(agent.state().join("slots/1/home")).unwrap().uid();
    let left = russet_platform::processes_of(uid);
    let [pid] = left[..] else { panic!("{left:?}: {reason}") };
    assert!(reason.contains(&format!("cat (pid {pid})")), "{reason}");
    let waiting = server.admin.submit(&config(&[&run("echo next")]));
    let again = |agent: &Agent| agent.log().matches("could not be cleaned").count();
    wait_for("three attempts", || (again(&agent) >= 3).then_some(()));
    assert_eq!(russet_platform::processes_of(uid), [pid]);
    let found = doctor_finding(&agent, "slots");
    assert!(found["found"].as_str().unwrap().contains(&format!("pid {pid}")), "{found}");
    let held = only_slot(&agent).unwrap();
    assert_eq!((held.state, held.aside), (SlotState::Held, None));

    stalled.end_server();
    server.admin.wait(&waiting);
    assert_outcome(&server.admin, &server.admin.only_job(&waiting), Outcome::Success);
    assert_eq!(wait_until_free(&agent).reason, None);
}

#[test]
fn a_file_system_in_a_slot_whose_server_has_stopped_is_detached_with_those_who_wait_for_it() {
    if !can_be_root("to mount a file system in a slot") {
        return;
    }
    let server = Server::start();
    let agent = Agent::start(&server);
    let (pipeline, slot) = slot_with_task(&server, &agent);
    let point = slot.join("tmp/stalled");
    let Some(mut stalled) = StalledFileSystem::mount(&point) else { return };
    let uid = std::fs::metadata(slot.join("home")).unwrap().uid();
    let mut reader = Command::new("setpriv")
        .args(["--reuid", &uid.to_string(), "--clear-groups", "cat"])
        .arg(point.join("file"))
        .spawn()
        .unwrap();
    stalled.wait_for_reader();
    kill_task_agent(&slot);
    server.admin.wait(&pipeline);
    assert_takes_tasks(&server);
    assert!(!reader.wait().unwrap().success());
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!table.contains(point.to_str().unwrap()), "{table}");
}

/// Makes the directories of a slot in which as much is kept aside as may be, by another user.
fn fill_aside(state: &Path) -> Protected {
    let aside = state.join("slots/1/aside");
    let protected = Protected::below(aside.clone());
    for number in 0..3 {
        let home = aside.join(format!("1700000000-{number}-home"));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("vault"), "x").unwrap();
        protected.add(&home.join("vault"));
        std::os::unix::fs::chown(&home, Some(58_777), Some(58_777)).unwrap();
    }
    protected
}

#[test]
fn a_slot_that_cannot_be_cleaned_is_held_by_name_until_what_is_in_the_way_is_gone() {
    let dir = test_dir();
    if !can_be_root("to protect files from their owner") || !Protected::are_possible(dir.path()) {
        return;
    }
    let server = Server::start();
    let state = dir.path().join("state");
    let earlier = fill_aside(&state);
    let options = AgentOptions { state: Some(state), ..AgentOptions::default() };
    let mut agent = Agent::start_with(&server, &options);
    let (pipeline, slot) = slot_with_task(&server, &agent);
    // In the place of a log, so that the helper that sends what is left fails as well.
    let protected = Protected::below(slot.clone());
    std::fs::create_dir(slot.join("spool/9.log")).unwrap();
    protected.add(&slot.join("spool/9.log"));
    kill_task_agent(&slot);

    // The launch agent reports the task itself, with the reason.
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    let message = job.message.unwrap_or_default();
    assert!(message.contains("SIGKILL") && message.contains("could not be sent"), "{message}");

    // The slot is not free, and everybody who looks is told why.
    let full = "3 directories of earlier tasks are kept aside already";
    let reason = wait_until_held(&agent, full).reason.unwrap();
    assert!(reason.contains("slots/1/spool"), "{reason}");
    let status = agent.wait_for_state(State::Unhealthy);
    let check = status.health.iter().find(|check| check.name == "slots").unwrap();
    assert_eq!(check.level, HealthLevel::Bad);
    let shown = agent.ask_well(&["status"]);
    assert!(shown.contains("held: it could not be cleaned"), "{shown}");
    assert!(shown.contains("slots/1/spool") && !shown.contains("free"), "{shown}");
    let found = doctor_finding(&agent, "slots");
    assert_eq!(found["level"], "bad", "{found}");
    assert!(found["found"].as_str().unwrap().contains("slots/1/spool"), "{found}");

    let runners = wait_for("the control plane to hear of it", || {
        let runners: Value = server.admin.get("/api/v3/runner?namespace=test");
        let held = runners["items"][0]["held_slots"][0].clone();
        (!held.is_null()).then_some(held)
    });
    assert!(runners["reason"].as_str().unwrap().contains("slots/1/spool"), "{runners}");

    // A drain of it does not end well.
    let output = agent.ask(&["drain", "--wait"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("not drained: slot 1 could not be cleaned"), "{said}");
    agent.ask_well(&["resume"]);

    // The next launch agent finds the same, and no task that it could report anew.
    agent.kill();
    agent.start_again();
    wait_until_held(&agent, "slots/1/spool");

    // With room aside, one file of a job holds nothing.
    drop(earlier);
    let free = wait_until_free(&agent);
    assert_eq!(free.aside.map(|aside| aside.directories), Some(1));
    assert_eq!(doctor_finding(&agent, "slots")["level"], "ok");
    wait_for("the control plane to hear that it is over", || {
        let runners: Value = server.admin.get("/api/v3/runner?namespace=test");
        runners["items"][0]["held_slots"].is_null().then_some(())
    });
    assert_takes_tasks(&server);
    assert_outcome(&server.admin, &server.admin.only_job(&pipeline), Outcome::InfrastructureFail);
}
