//! Directories of homes that outlive tasks: warm in the next task and in another slot, and out of
//! reach of forks, of other projects, and of a kill at a bad moment. With real agents and users.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use russet_launch_agent::crash_points::kept_step_names;
use russet_protocol::admin::{Job, Pipeline};
use russet_protocol::local::SlotState;
use russet_protocol::outcome::Outcome;
use serde_json::json;

use crate::support::admin::assert_outcome;
use crate::support::disk::Disk;
use crate::support::user::SlotUser;
use crate::support::{
    Agent, AgentOptions, CLASS, Server, can_be_root, config, run, test_dir, wait_for,
};

/// A server with a class that takes forks, its token, and users for so many slots.
struct Place {
    server: Server,
    token: String,
    users: SlotUser,
}

impl Place {
    /// `None`: the test is skipped.
    fn with_slots(count: u32) -> Option<Self> {
        if !can_be_root("to have users of their own for the slots") {
            return None;
        }
        let server = Server::start();
        let class = json!({ "resource_class": CLASS, "description": "", "allow_forks": true });
        server.admin.post("/api/v3/runner/resource", class);
        let nickname = json!({ "resource_class": CLASS, "nickname": "test" });
        let token = server.admin.post("/api/v3/runner/token", nickname);
        let token = token["token"].as_str().unwrap().to_owned();
        Some(Self { server, token, users: SlotUser::create_several(count) })
    }

    /// Starts an agent whose class keeps `~/cache`, with further keys of the class and the runner.
    fn start(&self, keep: &str, runner: &[&str], state: Option<PathBuf>) -> Agent {
        let slots = self.users.uids().len();
        let class = format!(
            "classes: [{{token: {}, slots: {slots}, allow_forks: true, keep: {{{keep}}}}}]",
            self.token
        );
        let mut options =
            AgentOptions { api: vec!["ca_file:".to_owned()], state, ..self.users.options() };
        options.runner.push(class);
        options.runner.extend(runner.iter().map(|&line| line.to_owned()));
        Agent::start_at(self.server.url(), &self.token, &options)
    }

    fn submit(&self, project: &str, fork: bool, branch: &str, script: &str) -> Pipeline {
        let body = json!({
            "project": project, "config": config(&[&run(script)]), "from_fork": fork,
            "branch": branch,
        });
        serde_json::from_value(self.server.admin.post("/api/v3/pipelines", body)).unwrap()
    }

    /// Runs a job to its end, and returns it with its log.
    #[track_caller]
    fn run(&self, project: &str, fork: bool, branch: &str, script: &str) -> (Job, String) {
        let pipeline = self.submit(project, fork, branch, script);
        self.server.admin.wait(&pipeline);
        let job = self.server.admin.only_job(&pipeline);
        let log = self.server.admin.output(&job);
        (job, log)
    }

    /// The same on the branch `main` of the project `test/a`, which must succeed.
    #[track_caller]
    fn run_main(&self, script: &str) -> String {
        let (job, log) = self.run("test/a", false, "main", script);
        assert_outcome(&self.server.admin, &job, Outcome::Success);
        log
    }
}

const KEEP: &str = "paths: [~/cache]";

/// Says what is in the cache.
const SHOW: &str = "cat ~/cache/* 2>/dev/null || echo nothing";

/// A file at which tasks wait for each other. It is the test's own, so no clean-up removes it.
struct Gate {
    dir: tempfile::TempDir,
}

impl Gate {
    fn new() -> Self {
        let gate = Self { dir: test_dir() };
        std::fs::write(gate.path(), "").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(gate.path(), mode).unwrap();
        gate
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("gate")
    }

    /// A script that waits until so many tasks in all have come here.
    fn wait_for(&self, count: usize) -> String {
        let file = self.path().display().to_string();
        format!("echo here >> {file}; until [ $(wc -l < {file}) -ge {count} ]; do sleep 0.1; done")
    }
}

/// Waits until no slot has a task and each is clean.
fn wait_until_free(agent: &Agent) {
    wait_for("the slots to be free", || {
        let status = agent.status()?;
        let is_free = status.slots.iter().all(|slot| slot.state == SlotState::Free);
        (is_free && !status.slots.is_empty()).then_some(())
    });
}

/// Names of the directories of sets.
fn sets(agent: &Agent) -> Vec<String> {
    let entries = std::fs::read_dir(agent.state().join("kept")).unwrap().flatten();
    let directories = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> =
        directories.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_second_task_is_warm_whoever_its_slot_and_what_failed_changes_nothing() {
    let Some(place) = Place::with_slots(2) else { return };
    let agent = place.start(KEEP, &[], None);
    let write = |text: &str| {
        format!(
            "mkdir -p ~/cache; rm -f ~/cache/*; echo {text} > ~/cache/{text}; chmod 600 ~/cache/*"
        )
    };
    assert!(place.run_main(SHOW).contains("nothing\n"));
    let log = place.run_main(&write("one"));
    assert!(log.contains("~/cache: cop") || log.contains("~/cache: cloned"), "{log}");
    wait_until_free(&agent);
    // Two at a time, so that both slots have one: they wait for each other.
    let gate = Gate::new();
    let meet = format!("{SHOW}; {}", gate.wait_for(2));
    let pipelines = [(); 2].map(|()| place.submit("test/a", false, "main", &meet));
    for pipeline in &pipelines {
        place.server.admin.wait(pipeline);
        let job = place.server.admin.only_job(pipeline);
        assert_outcome(&place.server.admin, &job, Outcome::Success);
        assert!(place.server.admin.output(&job).contains("one\n"));
    }
    let (job, _) = place.run("test/a", false, "main", &format!("{}; false", write("broken")));
    assert_outcome(&place.server.admin, &job, Outcome::Failed);
    let log = place.run_main(&format!("{SHOW}; ls ~/cache"));
    assert!(log.contains("one\n") && !log.contains("broken"), "{log}");
    place.run_main(&write("two"));
    wait_until_free(&agent);
    assert!(place.run_main(SHOW).contains("two\n"));
}

#[test]
fn forks_and_other_projects_read_and_write_nothing_and_branches_only_what_is_theirs() {
    let Some(place) = Place::with_slots(1) else { return };
    let agent = place.start("paths: [~/cache], branches: [main, 'release/*']", &[], None);
    let write = |text: &str| format!("{SHOW}; mkdir -p ~/cache; echo {text} > ~/cache/text");
    for (project, fork, branch, text, found) in [
        ("test/a", false, "main", "main-1", "nothing"),
        ("test/a", true, "main", "fork", "nothing"),
        ("test/a", true, "pull/1", "fork", "nothing"),
        ("test/a", true, "pull/1", "fork", "nothing"),
        ("test/b", false, "main", "b", "nothing"),
        ("test/a", false, "topic", "topic-1", "main-1"),
        ("test/a", false, "main", "main-2", "main-1"),
        // The later of the two that it may read.
        ("test/a", false, "topic", "topic-2", "main-2"),
        ("test/a", false, "another", "topic-3", "topic-2"),
        ("test/a", false, "release/1", "main-3", "main-2"),
        ("test/b", false, "main", "b", "b"),
    ] {
        let (job, log) = place.run(project, fork, branch, &write(text));
        assert_outcome(&place.server.admin, &job, Outcome::Success);
        let case = format!("{project} {fork} {branch} {text}");
        assert!(log.contains(&format!("{found}\n")), "{case}: {log}");
        assert_eq!(log.contains("kept directories") || log.contains("~/cache:"), !fork, "{case}");
    }
    wait_until_free(&agent);
    // Nor does a job find a way there.
    let kept = agent.state().join("kept");
    let look = format!(
        "ls {kept} 2>&1 || true; cat {kept}/*/files/cache/* 2>&1 || true\n\
         ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c '/kept/' || true",
        kept = kept.display()
    );
    let (job, log) = place.run("test/c", false, "main", &look);
    assert_outcome(&place.server.admin, &job, Outcome::Success);
    assert!(log.contains("Permission denied") && log.contains("\n0\n"), "{log}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&kept).unwrap());
    assert_eq!(mode & 0o7777, 0o700);
    // Two projects have a set of `main`; the last task's is thrown away, since there is nothing in it.
    wait_until_free(&agent);
    let is_main = |name: &&String| name.contains("-main-") && !name.starts_with("new-");
    assert_eq!(sets(&agent).iter().filter(is_main).count(), 2, "{:?}", sets(&agent));
}

#[test]
fn a_directory_with_absolute_paths_is_that_of_the_slot() {
    let Some(place) = Place::with_slots(2) else { return };
    let agent = place.start("paths: ['slot:~/cache']", &[], None);
    let gate = Gate::new();
    for round in 0..2 {
        let script = format!(
            "if [ -e ~/cache/home ]; then test \"$(cat ~/cache/home)\" = \"$HOME\" && echo warm || echo cold; fi\n\
             mkdir -p ~/cache; echo $HOME > ~/cache/home\n{}",
            gate.wait_for(2 * (round + 1))
        );
        let pipelines = [(); 2].map(|()| place.submit("test/a", false, "main", &script));
        for pipeline in &pipelines {
            place.server.admin.wait(pipeline);
            let job = place.server.admin.only_job(pipeline);
            assert_outcome(&place.server.admin, &job, Outcome::Success);
            let log = place.server.admin.output(&job);
            assert_eq!(log.contains("warm\n"), round == 1, "{log}");
        }
        wait_until_free(&agent);
    }
    assert_eq!(sets(&agent).len(), 2, "{:?}", sets(&agent));
}

#[test]
fn kept_files_are_clones_where_the_file_system_can() {
    let Some(place) = Place::with_slots(1) else { return };
    let Some(disk) = Disk::cloning() else { return };
    let agent = place.start(KEEP, &[], Some(disk.path().join("state")));
    place.run_main("mkdir -p ~/cache; head -c 3000000 /dev/urandom > ~/cache/large");
    wait_until_free(&agent);
    let shared = "/usr/sbin/filefrag -v ~/cache/large | grep -q shared && echo is shared";
    let log = place.run_main(&format!("{shared}; echo changed >> ~/cache/large"));
    assert!(log.contains("~/cache: cloned 2 entries") && log.contains("is shared"), "{log}");
    assert!(place.run_main("tail -c 8 ~/cache/large").contains("changed\n"));
}

/// Makes a set look as if no task had used it for so many days.
fn age(set: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    std::fs::File::open(set).unwrap().set_modified(then).unwrap();
}

#[test]
fn sets_that_no_task_uses_or_that_are_too_many_go_the_longest_unused_first() {
    let Some(place) = Place::with_slots(1) else { return };
    let mut agent = place.start(KEEP, &["keep: {limit: 5MB, max_age: 240h}"], None);
    let write = "mkdir -p ~/cache; head -c 2000000 /dev/urandom > ~/cache/f";
    for project in ["test/a", "test/b"] {
        let (job, _) = place.run(project, false, "main", write);
        assert_outcome(&place.server.admin, &job, Outcome::Success);
    }
    wait_until_free(&agent);
    let before = sets(&agent);
    assert_eq!(before.len(), 2);
    // One is too old; the next agent looks at once, and empties it as the user that it belongs to.
    agent.kill();
    age(&agent.state().join("kept").join(&before[0]), 11);
    agent.start_again();
    let (_, _) = place.run("test/x", false, "topic", "true");
    wait_for("the old set to go", || (sets(&agent) == before[1..]).then_some(()));
    // Three are more than the limit: the one that was not used for longest goes.
    for project in ["test/c", "test/d"] {
        place.run(project, false, "main", write);
    }
    wait_until_free(&agent);
    agent.kill();
    age(&agent.state().join("kept").join(&before[1]), 2);
    agent.start_again();
    place.run("test/x", false, "topic", "true");
    wait_for("the longest unused to go", || {
        let left = sets(&agent);
        (left.len() == 2 && !left.contains(&before[1])).then_some(())
    });
}

#[test]
fn a_kill_at_any_step_leaves_the_former_set_or_the_new_one() {
    let Some(place) = Place::with_slots(1) else { return };
    let read = |log: &str| -> Vec<String> {
        log.lines().filter(|line| line.starts_with("v=")).map(str::to_owned).collect()
    };
    for (round, step) in kept_step_names().into_iter().enumerate() {
        let mut agent = place.start(KEEP, &[], None);
        let project = format!("test/{round}");
        let write = |number: u32| {
            format!("mkdir -p ~/cache; for n in $(seq 50); do echo v={number} > ~/cache/$n; done")
        };
        let (job, _) = place.run(&project, false, "main", &write(1));
        assert_outcome(&place.server.admin, &job, Outcome::Success);
        wait_until_free(&agent);
        agent.kill();
        std::fs::write(agent.state().join("crash-at"), format!("{step}:1")).unwrap();
        agent.start_again();
        let pipeline = place.submit(&project, false, "main", &write(2));
        wait_for(step, || (!agent.process().is_running()).then_some(()));
        std::fs::remove_file(agent.state().join("crash-at")).unwrap();
        agent.start_again();
        place.server.admin.wait(&pipeline);
        let (_, log) = place.run(&project, false, "main", SHOW);
        let found = read(&log);
        assert_eq!(found.len(), 50, "{step}: {log}");
        assert!(found.iter().all(|line| *line == found[0]), "{step}: {log}");
        assert_eq!(found[0], "v=2", "{step}: what was whole is not lost");
        wait_until_free(&agent);
        wait_for("what went to be removed", || {
            place.run(&project, true, "pull/1", "true");
            sets(&agent).iter().all(|name| !name.starts_with("gone-")).then_some(())
        });
        assert_eq!(sets(&agent).len(), 1, "{step}: {:?}", sets(&agent));
    }
}

#[test]
fn a_task_that_is_killed_while_it_fills_a_set_leaves_the_former_one() {
    let Some(place) = Place::with_slots(1) else { return };
    let agent = place.start(KEEP, &[], None);
    place.run_main("mkdir -p ~/cache; echo v=1 > ~/cache/f");
    wait_until_free(&agent);
    let many = "mkdir -p ~/cache; cd ~/cache; seq 60000 | xargs touch; echo v=2 > f";
    let pipeline = place.submit("test/a", false, "main", many);
    let kept = agent.state().join("kept");
    // It has begun to fill one.
    wait_for("a set to be filled", || {
        let new = std::fs::read_dir(&kept).unwrap().flatten();
        let mut new = new.filter(|entry| entry.file_name().to_string_lossy().starts_with("new-"));
        let filled = new.next()?.path().join("files/cache");
        (std::fs::read_dir(filled).ok()?.count() > 100).then_some(())
    });
    for pid in agent.task_agents() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
            .ok();
    }
    place.server.admin.wait(&pipeline);
    let log = place.run_main("ls ~/cache | wc -l; cat ~/cache/f");
    assert!(log.contains("1\nv=1\n"), "{log}");
}
