//! Stored tokens and credentials: who gets them, and who tries in vain.
//!
//! As root on Linux with real users; a job here does what a hostile one would.

use std::net::TcpListener;

use russet_protocol::admin::{Job, Pipeline};
use russet_protocol::outcome::Outcome;
use serde_json::{Value, json};

use crate::support::admin::assert_outcome;
use crate::support::user::SlotUser;
use crate::support::{
    Agent, AgentOptions, CLASS, Server, can_be_root, config, run, russet, test_dir, wait_for,
};

/// Returns true if the test can run; otherwise it is skipped.
#[track_caller]
fn can_run() -> bool {
    can_be_root("whose store it is")
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|&word| word.to_owned()).collect()
}

/// An agent that claims with a stored token.
fn agent_with_stored_token(server: &Server, user: &SlotUser) -> (Agent, String) {
    let token = server.admin.class_token(CLASS);
    let options = AgentOptions {
        api: vec!["auth_token_stored: mini".to_owned()],
        stored: vec![(words(&["token", "add", "mini"]), format!("{token}\n"))],
        ..user.options()
    };
    (Agent::start_at(server.url(), "", &options), token)
}

fn submit(server: &Server, more: Value, steps: &[&str]) -> Job {
    // Tags run nothing unless a filter says so.
    let config =
        config(steps).replace("jobs: [job]", "jobs: [{job: {filters: {tags: {only: /.*/}}}}]");
    let mut body = json!({ "project": "test/project", "config": config });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let pipeline = server.admin.post("/api/v3/pipelines", body);
    let pipeline: Pipeline = serde_json::from_value(pipeline).unwrap();
    server.admin.wait(&pipeline);
    server.admin.only_job(&pipeline)
}

#[test]
fn a_stored_token_claims_is_never_shown_and_is_exchanged_while_the_agent_runs() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let (agent, first) = agent_with_stored_token(&server, &user);
    let job = server.admin.run(&config(&[&run("echo one")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let (code, list) = agent.store(&["token", "list"], "");
    assert_eq!(code, 0, "{list}");
    assert!(list.contains("mini") && list.contains(server.url()), "{list}");
    assert!(!list.contains(&first), "{list}");
    for file in std::fs::read_dir(agent.state().join("vault")).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains(&first), "{:?} shows the token", file.path());
    }
    // A new one is stored, and the old one revoked.
    let made = server
        .admin
        .post("/api/v3/runner/token", json!({ "resource_class": CLASS, "nickname": "second" }));
    let second = made["token"].as_str().unwrap();
    let (code, said) = agent.store(&["token", "add", "mini"], second);
    assert_eq!(code, 0, "{said}");
    let tokens: Value = server.admin.get(&format!("/api/v3/runner/token?resource-class={CLASS}"));
    let old = tokens["items"].as_array().unwrap().iter().find(|item| item["nickname"] == "test");
    let id = old.unwrap()["id"].as_str().unwrap().to_owned();
    let (status, _) = server
        .admin
        .send(reqwest::Method::DELETE, &format!("/api/v3/runner/token/{id}"), None)
        .unwrap();
    assert_eq!(status, 204);
    for _ in 0..2 {
        let job = server.admin.run(&config(&[&run("echo two")]));
        assert_outcome(&server.admin, &job, Outcome::Success);
    }
    assert!(!agent.log().contains(&first) && !agent.log().contains(second));
}

#[test]
fn a_job_that_runs_the_agent_with_a_server_of_its_own_does_not_get_the_stored_token() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let (agent, token) = agent_with_stored_token(&server, &user);
    let evil = TcpListener::bind("127.0.0.1:0").unwrap();
    evil.set_nonblocking(true).unwrap();
    let port = evil.local_addr().unwrap().port();
    let script = format!(
        "russet=$(readlink -f \"$(command -v circleci-agent)\")\n\
         attempt() {{\n\
           printf 'api: {{url: \"%s\", auth_token_stored: mini}}\\nrunner: {{state_directory: %s}}\\n' \"$1\" \"$2\" > evil.yaml\n\
           chmod 600 evil.yaml\n\
           if \"$russet\" agent run --config evil.yaml; then echo RAN; else echo \"refused with $?\"; fi\n\
         }}\n\
         attempt http://127.0.0.1:{port} {state}\n\
         attempt http://127.0.0.1:{port} \"$HOME/state\"\n\
         attempt {real} {state}\n\
         attempt {real} \"$HOME/state\"\n\
         \"$russet\" agent token list --config evil.yaml || echo \"no list\"\n\
         \"$russet\" agent token add mini --url http://127.0.0.1:{port} --config evil.yaml < /etc/hostname || echo \"no add\"\n\
         cat {state}/vault/key || echo \"no key\"\n\
         echo end",
        state = agent.state().display(),
        real = server.url(),
    );
    let job = server.admin.run(&config(&[&run(&script)]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = server.admin.output(&job);
    assert_eq!(output.matches("refused with ").count(), 4, "{output}");
    assert!(output.matches("root's alone").count() >= 2, "{output}");
    for said in ["no list", "no add", "no key", "end"] {
        assert!(output.contains(said), "{said}: {output}");
    }
    assert!(!output.contains("RAN") && !output.contains(&token), "{output}");
    assert!(evil.accept().is_err(), "somebody talked to the job's server");
}

#[test]
fn even_root_does_not_send_a_stored_token_to_another_server() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let (agent, _) = agent_with_stored_token(&server, &user);
    let evil = TcpListener::bind("127.0.0.1:0").unwrap();
    evil.set_nonblocking(true).unwrap();
    let origin = format!("http://127.0.0.1:{}", evil.local_addr().unwrap().port());
    let dir = test_dir();
    // The store of the agent, under a state directory that no agent has locked.
    let state = dir.path().join("state");
    let copied = std::process::Command::new("cp").arg("-a").arg(agent.state()).arg(&state).status();
    assert!(copied.unwrap().success());
    let file = dir.path().join("other.yaml");
    std::fs::write(
        &file,
        format!(
            "api: {{url: \"{origin}\", auth_token_stored: mini}}\nrunner: {{state_directory: {}}}\n",
            state.display()
        ),
    )
    .unwrap();
    let output = std::process::Command::new(russet())
        .args(["agent", "run", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("is sent nowhere else") && said.contains("hint: set `api.url` to"),
        "{said}"
    );
    assert!(evil.accept().is_err(), "somebody talked to the other server");
}

/// An agent whose class has two credentials, granted to the branch `main` and tags `v*`.
fn agent_with_credentials(server: &Server, user: &SlotUser) -> Agent {
    let token = server.admin.token_of_class_with_forks(CLASS);
    let mut options = user.options();
    let granted = ["--class", CLASS, "--project", "test/*", "--branch", "main", "--tag", "v*"];
    let add = ["credential", "add", "password", "upload"];
    options.stored = vec![
        (words(&[&add[..], &granted[..]].concat()), "hunter2-and-more\n".to_owned()),
        (words(&["token", "add", "mini"]), token),
    ];
    options.api = vec!["ca_file:".to_owned()];
    options.runner.extend([
        "classes:".to_owned(),
        format!("  - token_stored: mini\n      resource_class: {CLASS}\n      credentials: [upload, missing]\n      allow_forks: true"),
    ]);
    Agent::start_at(server.url(), "", &options)
}

#[test]
fn a_protected_branch_gets_its_credential_as_a_private_file_and_output_does_not_show_it() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let agent = agent_with_credentials(&server, &user);
    let journal = agent.state().join("slots/1/journal.json");
    let gate = format!("/var/tmp/{}-gate", user.name());
    let script = format!(
        "stat -c '%a %U' \"$RUSSET_CREDENTIAL_UPLOAD\"\n\
         wc -c < \"$RUSSET_CREDENTIAL_UPLOAD\"\n\
         cat \"$RUSSET_CREDENTIAL_UPLOAD\"; echo\n\
         env | grep -c 'hunter2-and-mor[e]' || true\n\
         cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'hunter2-and-mor[e]' || true\n\
         touch {gate}; while [ -e {gate} ]; do sleep 0.02; done\n\
         echo end"
    );
    let body =
        json!({ "project": "test/project", "branch": "main", "config": config(&[&run(&script)]) });
    let pipeline: Pipeline =
        serde_json::from_value(server.admin.post("/api/v3/pipelines", body)).unwrap();
    wait_for("the step to look around", || std::path::Path::new(&gate).exists().then_some(()));
    let written = std::fs::read_to_string(&journal).unwrap();
    assert!(!written.contains("hunter2"), "the journal holds the credential");
    std::fs::remove_file(&gate).unwrap();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
    let expected = format!("600 {}\n16\n****\n0\n0\nend\n", user.name());
    assert_eq!(output, expected);
    let setup = String::from_utf8(server.admin.step_output(&job, 0)).unwrap();
    assert!(setup.contains("credential upload: a file"), "{setup}");
    assert!(setup.contains("credential missing: withheld: none is stored"), "{setup}");
    // Nothing of it outlives the task.
    let left = std::process::Command::new("grep")
        .args(["-rl", "hunter2-and-more"])
        .arg(agent.state())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn forks_and_other_branches_run_without_and_the_log_says_why() {
    if !can_run() {
        return;
    }
    let (server, user) = (Server::start(), SlotUser::create());
    let agent = agent_with_credentials(&server, &user);
    let script = "test -z \"${RUSSET_CREDENTIAL_UPLOAD:-}\"; test ! -e ~/.russet-credentials; \
                  echo without";
    for (more, why) in [
        (json!({ "branch": "feature" }), "it is not granted to branch feature"),
        (json!({ "branch": "main", "from_fork": true }), "the task comes from a fork"),
        (json!({ "tag": "nightly" }), "it is not granted to tag nightly"),
        (json!({}), "the server names neither its branch nor its tag"),
        (json!({ "branch": "main", "project": "other/x" }), "it is not granted to project other/x"),
    ] {
        let job = submit(&server, more.clone(), &[&run(script)]);
        assert_outcome(&server.admin, &job, Outcome::Success);
        let setup = String::from_utf8(server.admin.step_output(&job, 0)).unwrap();
        let expected = format!("credential upload: withheld: {why}");
        assert!(setup.contains(&expected), "{more}: {setup}");
    }
    // A tag that is protected has it, and a credential that is removed is gone for the next task.
    let with = "test -r \"$RUSSET_CREDENTIAL_UPLOAD\"";
    let job = submit(&server, json!({ "tag": "v1.0" }), &[&run(with)]);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let (code, said) = agent.store(&["credential", "list"], "");
    assert!(code == 0 && said.contains("upload") && !said.contains("hunter2"), "{said}");
    let (code, said) = agent.store(&["credential", "rm", "upload"], "");
    assert_eq!(code, 0, "{said}");
    let job = submit(&server, json!({ "tag": "v1.0" }), &[&run(script)]);
    assert_outcome(&server.admin, &job, Outcome::Success);
}
