//! Another task agent, by CircleCI's contract: a program and a server written for the test from
//! the documented fields only, and our own task agent between them.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use russet_launch_agent::launch::{Event, ExitReason, Stop};
use serde_json::{Value, json};

use crate::support::{Bench, real_agent, until, write_program};

const FAIL: &str = "/api/v2/task/event/fail";

/// A claim as CircleCI's server answers it: nothing of ours in it.
fn bare_task(allocation: &str) -> Value {
    json!({
        "task_token": "task-token",
        "allocation": allocation,
        "agent_version": "1.0.1-abc",
        "resource_class": "acme/mini",
        "is_enterprise": false,
    })
}

/// A task agent that is a script, and a place where it may write.
fn program(bench: &Bench, run: &str) -> String {
    let out = bench.file("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = bench.file("circleci-agent");
    write_program(&path, &format!("#!/bin/sh\nOUT={}\n{run}\n", out.display()));
    format!("  task_agent: {}", path.display())
}

fn read(bench: &Bench, name: &str) -> String {
    std::fs::read_to_string(bench.file("out").join(name)).unwrap_or_default()
}

fn message(call: &crate::support::Call) -> String {
    let text = call.body["message"].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn it_gets_its_arguments_its_token_and_its_path_and_exit_0_means_reported() {
    let bench = Bench::new().await;
    let key = program(
        &bench,
        r#"for a in "$@"; do echo "$a"; done > $OUT/args; cat > $OUT/stdin
env > $OUT/env; id -u > $OUT/uid; ps -o pgid= -p $$ | tr -d ' ' > $OUT/group; echo $$ > $OUT/pid
pwd > $OUT/pwd; exit 0"#,
    );
    let more = format!("{key}\n  max_run_time: 1h\n  ssh: {{ advertise_addr: \"mini:54782\" }}");
    bench.plane.queue("class-token", bare_task("task-0-build/1f"));
    let mut agent = bench.start(bench.config(&more), &real_agent(bench.dir.path()));
    agent.event(|event| matches!(event, Event::Ended { .. })).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    let work = bench.file("state/slots/1/work");
    let expected = format!(
        "_internal\nagent-runner\n--verbose\n--runnerAPIBaseURL={}\n--allocation=task-0-build/1f\n\
         --disableSpinUpStep\n--disableIsolatedSSHDir\n--maxRunTime=1h0m0s\n\
         --sshAdvertiseAddr=mini:54782\n--workDir={}\n",
        bench.plane.url,
        work.display()
    );
    assert_eq!(read(&bench, "args"), expected);
    assert_eq!(read(&bench, "stdin"), "task-token");
    assert_eq!(read(&bench, "group"), read(&bench, "pid"), "it leads its process group");
    assert_eq!(read(&bench, "pwd").trim(), work.to_str().unwrap());
    if nix::unistd::geteuid().is_root() {
        assert_ne!(read(&bench, "uid").trim(), "0");
    }
    let env = read(&bench, "env");
    let path = env.lines().find_map(|line| line.strip_prefix("PATH=")).unwrap();
    let own = std::env::var("PATH").unwrap();
    assert_eq!(path, format!("{own}:{}", bench.dir.path().display()));
    assert!(!env.contains("task-token") && !env.contains(crate::MARKER), "{env}");
    assert_eq!(bench.plane.calls(FAIL).len(), 0);
}

#[tokio::test]
async fn another_exit_fails_the_task_with_the_ends_of_its_standard_error() {
    let bench = Bench::new().await;
    let key = program(
        &bench,
        r#"cat > /dev/null; printf '<first> ' >&2; head -c 1000 /dev/zero | tr '\0' x >&2
printf ' "last"' >&2; exit 80"#,
    );
    bench.plane.queue("class-token", bare_task("a1"));
    let agent = bench.start(bench.config(&key), &real_agent(bench.dir.path()));
    let fails = bench.plane.wait_for(FAIL, 1).await;
    assert_eq!(fails[0].bearer, "task-token");
    assert_eq!(fails[0].body["allocation"], "a1");
    assert!(fails[0].body["timestamp"].as_u64().unwrap() > 1_600_000_000_000);
    let text = message(&fails[0]);
    assert!(text.contains("exit status: 80") && text.contains("first xxx"), "{text}");
    assert!(text.contains("omitting") && text.ends_with(" last"), "{text}");
    assert!(!text.contains(['<', '>', '&', '\'', '"']), "{text}");
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

#[tokio::test]
async fn a_program_that_can_not_be_started_gives_the_task_back_or_fails_it() {
    for (conflict, expected) in [(false, 0), (true, 1)] {
        let bench = Bench::new().await;
        let path = bench.file("broken");
        write_program(&path, "#!/no/such/interpreter\n");
        let key = format!("  task_agent: {}", path.display());
        // The server of the claim does not name the task: its config does.
        bench.plane.answer("/api/v2/task/config", 200, json!({"task_id": "id-1", "steps": "x"}));
        let unclaim = "/api/v3/runner/unclaim";
        if conflict {
            bench.plane.answer(unclaim, 409, json!({"message": "retries exhausted"}));
        }
        let mut task = bare_task("a1");
        task["task_id"] = json!("id-1");
        bench.plane.queue("class-token", task);
        let agent = bench.start(bench.config(&key), &real_agent(bench.dir.path()));
        let unclaims = bench.plane.wait_for(unclaim, 1).await;
        let body = json!({"task_id": "id-1", "task_token": "task-token", "cause": "not_started"});
        assert_eq!(unclaims[0].body, body);
        let fails = bench.plane.wait_for(FAIL, expected).await;
        if let Some(fail) = fails.first() {
            assert!(message(fail).contains("could not start"), "{}", message(fail));
        }
        assert_eq!(agent.drain().await, ExitReason::Stopped);
    }
}

#[tokio::test]
async fn with_unsafe_retries_an_unexpected_exit_gives_the_task_back() {
    let bench = Bench::new().await;
    let key = program(&bench, "cat > /dev/null; exit 1");
    let mut task = bare_task("a1");
    task["task_id"] = json!("id-1");
    bench.plane.queue("class-token", task);
    let more = format!("{key}\n  enable_unsafe_retries: true");
    let agent = bench.start(bench.config(&more), &real_agent(bench.dir.path()));
    bench.plane.wait_for("/api/v3/runner/unclaim", 1).await;
    assert_eq!(agent.drain().await, ExitReason::Stopped);
    assert_eq!(bench.plane.calls(FAIL).len(), 0);
}

#[tokio::test]
async fn a_cancel_ends_its_whole_group_although_it_ignores_term() {
    let bench = Bench::new().await;
    let key = program(
        &bench,
        "cat > /dev/null; trap '' TERM; sleep 1000 & echo $! > $OUT/child; echo $$ > $OUT/pid; wait; \
         while :; do sleep 1; done",
    );
    bench.plane.queue("class-token", bare_task("a1"));
    let more = format!("{key}\n  limits: {{ kill_grace: 200ms }}");
    let agent = bench.start(bench.config(&more), &real_agent(bench.dir.path()));
    until("it runs", || !read(&bench, "pid").is_empty()).await;
    agent.stop.send(Stop::Cancel).unwrap();
    assert_eq!(agent.exit().await, ExitReason::Stopped);
    for name in ["pid", "child"] {
        let pid: i32 = read(&bench, name).trim().parse().unwrap();
        let pid = nix::unistd::Pid::from_raw(pid);
        // Killed is at once, and reaped when the system's first process gets to it.
        let is_gone = || nix::sys::signal::kill(pid, None) == Err(nix::errno::Errno::ESRCH);
        until(&format!("the {name} is gone"), is_gone).await;
    }
    let fails = bench.plane.calls(FAIL);
    assert!(message(&fails[0]).contains("the runner was stopped"), "{}", message(&fails[0]));
}

#[tokio::test]
async fn the_run_time_limit_ends_it_and_says_so() {
    let bench = Bench::new().await;
    let key = program(&bench, "cat > /dev/null; exec sleep 1000");
    bench.plane.queue("class-token", bare_task("a1"));
    let more = format!("{key}\n  max_run_time: 300ms\n  limits: {{ kill_grace: 200ms }}");
    let agent = bench.start(bench.config(&more), &real_agent(bench.dir.path()));
    let fails = bench.plane.wait_for(FAIL, 1).await;
    assert!(message(&fails[0]).contains("ran longer than it may"), "{}", message(&fails[0]));
    assert_eq!(agent.drain().await, ExitReason::Stopped);
}

/// Answers of a server as CircleCI's public `runner-init` fakes it: a claim without a task's id,
/// nothing but documented fields, and 404 for whatever it does not know.
#[tokio::test]
async fn a_server_that_is_not_ours_has_a_task_back_at_once_or_hears_that_it_failed() {
    let configs = [
        (404, json!({"message": "not found"}), false),
        (200, json!({"steps": [], "resource_class": "x"}), false),
        (200, json!({"task_id": "id-1", "version": "theirs", "job": 7}), true),
        (400, json!({}), false),
    ];
    for (status, config, is_named) in configs {
        let bench = Bench::new().await;
        let path = bench.file("broken");
        write_program(&path, "#!/no/such/interpreter\n");
        let key = format!("  task_agent: {}", path.display());
        bench.plane.answer("/api/v2/task/config", status, config.clone());
        let mut task = bare_task("a1");
        task["warning"] = json!("");
        bench.plane.queue("class-token", task);
        let agent = bench.start(bench.config(&key), &real_agent(bench.dir.path()));
        let unclaim = "/api/v3/runner/unclaim";
        bench.plane.wait_for(if is_named { unclaim } else { FAIL }, 1).await;
        assert_eq!(agent.drain().await, ExitReason::Stopped);
        assert_eq!(bench.plane.calls(unclaim).len(), usize::from(is_named), "{config}");
        assert_eq!(bench.plane.calls(FAIL).len(), usize::from(!is_named), "{config}");
        let claim = &bench.plane.calls("/api/v3/runner/claim")[0];
        assert_eq!(claim.body["ip"], "127.0.0.1");
    }
}

#[tokio::test]
async fn a_server_that_refuses_to_hear_of_a_failure_is_told_once() {
    for status in [400, 403, 405, 422] {
        let bench = Bench::new().await;
        bench.plane.answer("/api/v2/task/config", 404, json!({}));
        bench.plane.answer(FAIL, status, json!({}));
        let path = bench.file("broken");
        write_program(&path, "#!/no/such/interpreter\n");
        let key = format!("  task_agent: {}", path.display());
        bench.plane.queue("class-token", bare_task("a1"));
        let agent = bench.start(bench.config(&key), &real_agent(bench.dir.path()));
        bench.plane.wait_for(FAIL, 1).await;
        assert_eq!(agent.drain().await, ExitReason::Stopped);
        assert_eq!(bench.plane.calls(FAIL).len(), 1, "{status}");
    }
}
