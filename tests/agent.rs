//! `russet agent run` as its owner runs it: signals, hooks, classes, a token that is revoked,
//! another task agent, sources from git.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::Outcome;
use serde_json::{Value, json};

use crate::support::admin::assert_outcome;
use crate::support::{
    Agent, AgentOptions, CLASS, FaultProxy, Server, config, run, test_dir, wait_for,
};

/// A program that any user may run. A shell writes it: a file that is open for writing while
/// another test forks could not be run.
fn program(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    let script = "printf '%s' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let written = Command::new("sh").args(["-c", script, "sh"]).arg(&path).arg(text).status();
    assert!(written.unwrap().success());
    path
}

/// An agent with a task that has printed `ready`.
fn with_a_task(script: &str) -> (Server, Agent, Pipeline) {
    let server = Server::start();
    let agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run(script)]));
    server.admin.wait_for_output(&pipeline, "ready");
    (server, agent, pipeline)
}

#[test]
fn term_lets_the_task_finish_and_takes_no_other() {
    let dir = test_dir();
    let go = dir.path().join("go");
    let script = format!("echo ready; until test -e {}; do sleep 0.02; done", go.display());
    let (server, mut agent, pipeline) = with_a_task(&script);
    let next = server.admin.submit(&config(&[&run("echo next")]));
    agent.signal(Signal::SIGTERM);
    wait_for("the agent to say so", || agent.log().contains("drain").then_some(()));
    std::fs::write(go, "").unwrap();
    assert_eq!(agent.process().wait(), Some(0), "{}", agent.log());
    assert_outcome(&server.admin, &server.admin.only_job(&pipeline), Outcome::Success);
    assert_eq!(server.admin.only_job(&next).outcome, None);
}

#[test]
fn a_second_term_cancels_the_task_and_the_control_plane_hears_of_it() {
    let (server, mut agent, pipeline) =
        with_a_task("trap 'echo got TERM; exit 1' TERM; echo ready; sleep 1000 & wait");
    agent.signal(Signal::SIGTERM);
    wait_for("the agent to say so", || agent.log().contains("drain").then_some(()));
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.process().wait(), Some(0), "{}", agent.log());
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Canceled);
    assert!(server.admin.output(&job).contains("got TERM"), "{}", server.admin.output(&job));
}

/// An agent of these classes, which have the tokens.
fn with_classes(server: &Server, classes: &str) -> Agent {
    // Anything but a token.
    let api = vec!["ca_file:".to_owned()];
    let options =
        AgentOptions { api, runner: vec![format!("classes: {classes}")], ..Default::default() };
    Agent::start_at(server.url(), "", &options)
}

fn with_hooks(hooks: &str) -> (Server, Agent) {
    let server = Server::start();
    let token = server.admin.class_token(CLASS);
    let agent = with_classes(&server, &format!("[{{token: {token}, hooks: {hooks}}}]"));
    (server, agent)
}

#[test]
fn hooks_run_before_and_after_each_task_as_its_user() {
    let dir = test_dir();
    let pre = program(dir.path(), "pre", "#!/bin/sh\necho \"pre as $(id -u)\"\n");
    let post = program(dir.path(), "post", "#!/bin/sh\necho \"post as $(id -u)\"\n");
    let hooks = format!("{{pre_task: {}, post_task: {}}}", pre.display(), post.display());
    let (server, _agent) = with_hooks(&hooks);
    let job = server.admin.run(&config(&[&run("echo \"step as $(id -u)\"; exit 1")]));
    assert_outcome(&server.admin, &job, Outcome::Failed);
    let log = server.admin.output(&job);
    let step = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    let uid = step.trim().strip_prefix("step as ").unwrap();
    assert_ne!(uid, "0", "it ran as root");
    assert!(log.contains(&format!("pre as {uid}\n")), "{log}");
    assert!(log.contains(&format!("post as {uid}\n")), "{log}");
}

#[test]
fn a_pre_task_hook_that_fails_fails_the_task_before_its_first_step() {
    let dir = test_dir();
    let pre = program(dir.path(), "pre", "#!/bin/sh\necho no licence\nexit 4\n");
    let (server, _agent) = with_hooks(&format!("{{pre_task: {}}}", pre.display()));
    let job = server.admin.run(&config(&[&run("echo never")]));
    assert_outcome(&server.admin, &job, Outcome::Failed);
    let log = server.admin.output(&job);
    assert!(log.contains("no licence") && !log.contains("never"), "{log}");
    let message = job.message.unwrap_or_default();
    assert!(message.contains("hook") && message.contains('4'), "{message}");
}

#[test]
fn several_classes_take_their_own_tasks_at_the_same_time() {
    let server = Server::start();
    let [one, two] = ["test/one", "test/two"].map(|class| server.admin.class_token(class));
    let _agent = with_classes(&server, &format!("[{{token: {one}, slots: 2}}, {{token: {two}}}]"));
    let one = config(&[&run("echo ready; sleep 1000")]);
    let two = one.replace("test/one", "test/two");
    let pipelines = [&one, &one, &two].map(|config| server.admin.submit(config));
    for pipeline in &pipelines {
        server.admin.wait_for_output(pipeline, "ready");
    }
    for pipeline in &pipelines {
        server.admin.post(&format!("/api/v3/pipelines/{}/cancel", pipeline.id), json!({}));
        server.admin.wait(pipeline);
    }
}

#[test]
fn a_revoked_token_is_said_with_the_fix_and_what_runs_goes_on() {
    let dir = test_dir();
    let go = dir.path().join("go");
    let server = Server::start();
    let token = server.admin.class_token(CLASS);
    let proxy = FaultProxy::start(server.url());
    // A second slot, whose claim is what meets the revoked token.
    let runner = vec!["slots: 2".to_owned()];
    let mut agent =
        Agent::start_at(proxy.url(), &token, &AgentOptions { runner, ..Default::default() });
    let script = format!("echo ready; until test -e {}; do sleep 0.02; done", go.display());
    let pipeline = server.admin.submit(&config(&[&run(&script)]));
    server.admin.wait_for_output(&pipeline, "ready");
    let path = format!("/api/v3/runner/token?resource-class={CLASS}");
    let tokens: Value = server.admin.get(&path);
    let id = tokens["items"][0]["id"].as_str().unwrap();
    let path = format!("/api/v3/runner/token/{id}");
    let (status, _) = server.admin.send(reqwest::Method::DELETE, &path, None).unwrap();
    assert!((200..300).contains(&status), "{status}");
    wait_for("the agent to name the fix", || {
        agent.log().contains("russet token create").then_some(())
    });
    assert!(!agent.log().contains(&token), "{}", agent.log());
    std::fs::write(go, "").unwrap();
    server.admin.wait(&pipeline);
    assert_outcome(&server.admin, &server.admin.only_job(&pipeline), Outcome::Success);
    assert!(agent.process().is_running(), "{}", agent.log());
    // One refusal for each slot and the calls of one short task: no loop.
    assert!(proxy.requests() < 60, "{} requests", proxy.requests());
}

#[test]
fn another_task_agent_that_fails_is_an_infrastructure_failure_with_its_last_words() {
    let dir = test_dir();
    let text = "#!/bin/sh\ncat > /dev/null\necho 'the disk is on fire' >&2\nexit 3\n";
    let other = program(dir.path(), "circleci-agent", text);
    let server = Server::start();
    let runner = vec![format!("task_agent: {}", other.display())];
    let _agent = Agent::start_with(&server, &AgentOptions { runner, ..Default::default() });
    let job = server.admin.run(&config(&[&run("echo never")]));
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    let message = job.message.unwrap_or_default();
    assert!(message.contains("the disk is on fire"), "{message}");
}

#[test]
fn a_commit_of_a_repository_is_checked_out_where_no_snapshot_was_submitted() {
    let dir = test_dir();
    let repository = dir.path().join("repository");
    std::fs::create_dir(&repository).unwrap();
    let script = "git init -q -b main . && git config user.name t && git config user.email t@t && \
                  echo one > file && git add file && git commit -q -m one && git rev-parse HEAD && \
                  echo two > file && git commit -q -a -m two && \
                  git config uploadpack.allowAnySHA1InWant true";
    let output = Command::new("sh").args(["-c", script]).current_dir(&repository).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let commit = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&repository, open).unwrap();
    let server = Server::start();
    let _agent = Agent::start(&server);
    // A repository of somebody else's is only served where its reader allows that.
    let allow = run("git config --global safe.directory '*'");
    let show = run("cat file; git rev-parse HEAD; git status --short");
    let pipeline: Pipeline = serde_json::from_value(server.admin.post(
        "/api/v3/pipelines",
        json!({
            "project": "acme/app",
            "config": config(&[&allow, "checkout", &show]),
            "repository_url": format!("file://{}", repository.display()),
            "revision": commit,
            "branch": "topic/x",
        }),
    ))
    .unwrap();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let shown = String::from_utf8(server.admin.step_output(&job, 3)).unwrap();
    assert_eq!(shown, format!("one\n{commit}\n"));
}
