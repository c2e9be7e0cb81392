//! Reasons why tasks wait, over real binaries and with several machines: the same words from the API,
//! the command line and the pages.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use russet_protocol::admin::{Items, Pipeline, ResourceClassItem};
use russet_protocol::local::State;
use russet_protocol::machine::{MachineState, WaitReason};
use russet_protocol::outcome::Phase;

use crate::machines::{agents, named, quick_server, runner_well, submit_waiting, wait_for_state};
use crate::support::command_line::CommandLine;
use crate::support::{
    Agent, AgentOptions, CLASS, Process, Server, config, run, russet, test_dir, wait_for,
};
use crate::xcodes::{applications, install_xcode, options, with_xcode};

/// Waits until a job waits for this reason, and checks that everybody is told so in the same words.
/// Returns the words.
#[track_caller]
fn words_everywhere(server: &Server, pipeline: &Pipeline, reason: WaitReason) -> String {
    let job = wait_for(&format!("the job to wait for {reason:?}"), || {
        let job = server.admin.only_job(pipeline);
        job.waiting.as_ref().is_some_and(|waiting| waiting.reason == reason).then_some(job)
    });
    let words = job.waiting.unwrap().text;
    assert_eq!(job.message.as_ref(), Some(&words), "the message of the API");
    let dir = test_dir();
    std::fs::write(dir.path().join("token"), server.admin.token()).unwrap();
    let people = CommandLine::new(server, dir.path());
    for command in [["pipeline", "show", pipeline.id.as_str()], ["job", "show", job.id.as_str()]] {
        let shown = people.succeed(&command);
        assert!(shown.contains(&words), "{command:?}: `{words}` in {shown}");
    }
    for path in [format!("/pipelines/{}", pipeline.id), format!("/jobs/{}", job.id), "/".to_owned()]
    {
        let page = server.admin.page(&path);
        assert!(page.contains(&words), "{path}: `{words}` in {page}");
    }
    let out = dir.path().join("watched");
    let _watch = watch_in_a_pipe(server, pipeline, &out);
    wait_for(&format!("`{words}` from `pipeline watch`"), || {
        std::fs::read_to_string(&out).unwrap().contains(&words).then_some(())
    });
    words
}

/// `russet pipeline watch`, whose output goes to a file.
fn watch_in_a_pipe(server: &Server, pipeline: &Pipeline, out: &Path) -> Process {
    let child = Command::new(russet())
        .args(["pipeline", "watch", pipeline.id.as_str(), "--url", server.url(), "--token-file"])
        .arg(server.admin_token_file())
        .stdout(File::create(out).unwrap())
        .stderr(Stdio::null())
        .spawn();
    Process(child.unwrap())
}

fn submit_one(server: &Server) -> Pipeline {
    server.admin.submit(&config(&[&run("true")]))
}

#[test]
fn a_class_that_is_not_there_and_one_to_which_no_machine_ever_came_say_so() {
    let server = quick_server();
    server.admin.class_token(CLASS);
    let pipeline = submit_one(&server);
    let words = words_everywhere(&server, &pipeline, WaitReason::NoRunner);
    assert!(words.starts_with(&format!("no runner of {CLASS} has ever come")), "{words}");
    let classes: Items<ResourceClassItem> =
        server.admin.get("/api/v3/runner/resource?namespace=test");
    let path = format!("/api/v3/runner/resource/{}/force", classes.items[0].id);
    let (status, _) = server.admin.send(reqwest::Method::DELETE, &path, None).unwrap();
    assert_eq!(status, 204);
    let words = words_everywhere(&server, &pipeline, WaitReason::NoClass);
    assert!(words.starts_with(&format!("there is no resource class {CLASS}")), "{words}");
}

#[test]
fn machines_that_are_away_are_named_with_how_they_went() {
    let server = quick_server();
    let [mut killed, left] = agents(&server, ["killed", "left"]);
    for name in ["killed", "left"] {
        wait_for_state(&server, name, MachineState::Idle);
    }
    killed.kill();
    left.signal(Signal::SIGTERM);
    wait_for_state(&server, "killed", MachineState::Lost);
    wait_for_state(&server, "left", MachineState::Offline);
    let pipeline = submit_one(&server);
    let words = words_everywhere(&server, &pipeline, WaitReason::Offline);
    assert!(words.starts_with(&format!("no runner of {CLASS} is online: ")), "{words}");
    assert!(words.contains("killed lost, last seen 20"), "{words}");
    assert!(words.contains("left offline, last seen 20"), "{words}");
    killed.start_again();
    server.admin.wait(&pipeline);
}

#[test]
fn busy_machines_are_counted_and_held_ones_named_beside_them() {
    let server = quick_server();
    let agents = agents(&server, ["one", "two", "three"]);
    for name in ["one", "two", "three"] {
        wait_for_state(&server, name, MachineState::Idle);
    }
    let reason = ["pause", "three", "--as", "anna", "--reason", "new disk"];
    runner_well(&server, &reason);
    let dir = test_dir();
    let file = dir.path().join("go");
    for _ in 0..2 {
        let running = submit_waiting(&server, &file);
        server.admin.wait_for_output(&running, "begun");
    }
    let waiting = submit_one(&server);
    let words = words_everywhere(&server, &waiting, WaitReason::Busy);
    let begin = format!("all runners of {CLASS} are busy: 2 tasks run, the oldest since 20");
    assert!(words.starts_with(&begin), "{words}");
    assert!(words.ends_with("; three: paused by anna: new disk"), "{words}");
    std::fs::write(&file, "").unwrap();
    server.admin.wait(&waiting);
    // Nobody is left, and then the class as a whole.
    for name in ["one", "two"] {
        runner_well(&server, &["drain", name, "--as", "bo"]);
    }
    let waiting = submit_one(&server);
    let words = words_everywhere(&server, &waiting, WaitReason::Paused);
    assert!(words.starts_with(&format!("no runner of {CLASS} takes tasks now: ")), "{words}");
    assert!(words.contains("one: drained by bo") && words.contains("anna: new disk"), "{words}");
    for name in ["one", "two", "three"] {
        runner_well(&server, &["resume", name]);
    }
    server.admin.wait(&waiting);
    runner_well(&server, &["pause", "--resource-class", CLASS, "--as", "anna", "--reason", "heat"]);
    let waiting = submit_one(&server);
    let words = words_everywhere(&server, &waiting, WaitReason::Paused);
    let begin = format!("{CLASS} is paused with its class by anna: heat (since 20");
    assert!(words.starts_with(&begin), "{words}");
    // It is a hold of each machine, and liftable at one for that one.
    let [one, two, _three] = agents;
    for agent in [&one, &two] {
        agent.wait_for_state(State::Paused);
    }
    one.ask_well(&["resume"]);
    server.admin.wait(&waiting);
    assert_eq!(server.admin.only_job(&waiting).runner.as_deref(), Some("one"));
    wait_for_state(&server, "two", MachineState::Paused);
}

#[test]
fn a_machine_without_room_says_so_for_its_class() {
    let server = quick_server();
    let token = server.admin.class_token(CLASS);
    let full = AgentOptions {
        runner: vec!["health: { disk_reserve: 900TB }".to_owned()],
        ..named("full")
    };
    let _agent = Agent::start_at(server.url(), &token, &full);
    wait_for_state(&server, "full", MachineState::Unhealthy);
    let pipeline = submit_one(&server);
    let words = words_everywhere(&server, &pipeline, WaitReason::Unhealthy);
    assert!(words.starts_with(&format!("no runner of {CLASS} takes tasks now: full: ")), "{words}");
    assert!(words.contains("disk"), "{words}");
    let _other = Agent::start_at(server.url(), &token, &named("well"));
    server.admin.wait(&pipeline);
}

#[test]
fn a_task_with_an_xcode_goes_to_machines_that_have_it_alone_and_waits_where_none_has() {
    let server = quick_server();
    let token = server.admin.class_token(CLASS);
    let (old, new) = (applications(), applications());
    for (name, version) in [("Xcode_16.2.1.app", "16.2.1"), ("Xcode_16.2.2.app", "16.2.2")] {
        install_xcode(old.path(), name, version, 0);
    }
    install_xcode(new.path(), "Xcode.app", "26.0", 0);
    let mut agents = [("old", &old), ("new", &new)].map(|(name, dir)| {
        let options = AgentOptions { name: Some(name.to_owned()), ..options(dir.path(), &[]) };
        Agent::start_at(server.url(), &token, &options)
    });
    for name in ["old", "new"] {
        wait_for_state(&server, name, MachineState::Idle);
    }
    let missing = server.admin.submit(&with_xcode("16.4"));
    let words = words_everywhere(&server, &missing, WaitReason::Xcode);
    let [has_new, has_old] = ["new has 26.0 (16C1)", "old has 16.2.2 (16C1), 16.2.1 (16C1)"];
    assert_eq!(words, format!("no runner of {CLASS} has Xcode 16.4: {has_new}; {has_old}"));
    // However often it is asked for, and whoever else is idle; the newest patch where none is named.
    let jobs: Vec<(Pipeline, &str, &str)> = (0..3)
        .flat_map(|_| [("16.2", "old", "16.2.2"), ("26", "new", "26.0")])
        .map(|(xcode, name, version)| (server.admin.submit(&with_xcode(xcode)), name, version))
        .collect();
    for (pipeline, name, version) in &jobs {
        server.admin.wait(pipeline);
        let job = server.admin.only_job(pipeline);
        assert_eq!(job.runner.as_deref(), Some(*name), "{job:?}");
        let output = server.admin.output(&job);
        assert!(output.contains(&format!("Xcode {version} (16C1) in ")), "{output}");
    }
    // The one that has it is paused: the other one is nobody to wait for, and is not named.
    runner_well(&server, &["pause", "new", "--as", "anna"]);
    let held = server.admin.submit(&with_xcode("26"));
    let words = words_everywhere(&server, &held, WaitReason::Paused);
    assert!(words.ends_with("new: paused by anna"), "{words}");
    runner_well(&server, &["resume", "new"]);
    server.admin.wait(&held);
    install_xcode(new.path(), "Xcode_16.4.app", "16.4", 0);
    agents[1].kill();
    agents[1].start_again();
    server.admin.wait(&missing);
    assert_eq!(server.admin.only_job(&missing).runner.as_deref(), Some("new"));
}

#[test]
fn a_job_that_waits_for_its_serial_group_says_so() {
    let server = quick_server();
    let _agents = agents(&server, ["one", "two"]);
    let dir = test_dir();
    let file = dir.path().join("go");
    let script = format!("echo begun\nwhile [ ! -e {} ]; do sleep 0.1; done", file.display());
    let text = config(&[&run(&script)]).replace("jobs: [job]", "jobs: [job: {serial-group: live}]");
    let first = server.admin.submit(&text);
    server.admin.wait_for_output(&first, "begun");
    let second = server.admin.submit(&text);
    let words = words_everywhere(&server, &second, WaitReason::SerialGroup);
    assert!(words.starts_with("it waits for its turn in the serial group `"), "{words}");
    std::fs::write(&file, "").unwrap();
    server.admin.wait(&second);
}

#[test]
fn a_server_without_room_says_so() {
    let why = "it starts it again with another reserve: below it nothing can be submitted";
    let mut server = Server::start_alone(why, &["--lease", "6s"]);
    server.admin.class_token(CLASS);
    let pipeline = submit_one(&server);
    server.stop();
    server.start_again_with(&["--lease", "6s", "--disk-reserve", "900TB"]);
    let words = words_everywhere(&server, &pipeline, WaitReason::Disk);
    assert!(words.contains("make room in its data directory"), "{words}");
    assert_eq!(server.admin.only_job(&pipeline).phase, Phase::Queued);
}
