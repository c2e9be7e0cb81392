//! Which steps run, and how they end.

use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::runner::EventKind;
use russet_protocol::supervise::{Tidy, exit};
use russet_protocol::task::{Action, When};

use crate::task::{Task, run, scripts, steps};

fn outcome(task: &Task, step: u32) -> (Outcome, Option<i32>, String) {
    match task.plane.held.borrow().finished(step) {
        Some(EventKind::StepFinished { outcome, exit_code, message, .. }) => {
            (*outcome, *exit_code, message.clone().unwrap_or_default())
        }
        other => panic!("step {step}: {other:?}"),
    }
}

#[tokio::test]
async fn two_steps_share_files_and_bash_env_and_see_a_terminal() {
    let task = Task::new(scripts(&[
        "echo hello > file; echo 'export FOO=bar' >> $BASH_ENV; test -t 1 && echo terminal",
        "cat file; echo $FOO $CIRCLE_JOB; pwd; test ! -t 0; echo $CIRCLE_WORKING_DIRECTORY",
    ]))
    .await;
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(1), "terminal\n");
    let work = task.assignment.dirs.work.display();
    assert_eq!(task.text(2), format!("hello\nbar build\n{work}\n{work}\n"));
}

#[tokio::test]
async fn after_a_failure_only_what_asked_for_it_runs() {
    let script = |text: &str| Action::Run(run(text));
    let task = Task::new(steps(vec![
        (When::OnFail, script("echo too early")),
        (When::OnSuccess, script("false | true; echo not reached")),
        (When::OnSuccess, script("echo never")),
        (When::OnFail, script("echo on fail; exit 7")),
        (When::Always, script("echo always")),
    ]))
    .await;
    task.run_to(Outcome::Failed).await;
    assert_eq!(outcome(&task, 1).0, Outcome::NotRun);
    assert_eq!(outcome(&task, 2), (Outcome::Failed, Some(1), String::new()));
    assert_eq!(outcome(&task, 3).0, Outcome::NotRun);
    assert_eq!(outcome(&task, 4), (Outcome::Failed, Some(7), String::new()));
    assert_eq!(task.text(4), "on fail\n");
    assert_eq!(task.text(5), "always\n");
}

#[tokio::test]
async fn a_step_that_macos_refused_for_want_of_a_session_is_told_what_it_takes() {
    let refusal = "echo The connection to service named com.apple.testmanagerd.control was \
                   invalidated: Connection init failed at lookup with error 3 - No such process";
    let failing = format!("{refusal}; exit 65");
    let task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(run(refusal))),
        (When::OnSuccess, Action::Run(run(&failing))),
        (When::OnFail, Action::Run(run("echo other; exit 1"))),
    ]))
    .await;
    task.run_to(Outcome::Failed).await;
    assert!(!task.text(1).contains("hint:"), "{}", task.text(1));
    let told = task.text(2);
    assert!(told.contains("\nhint: this class has no session at the screen"), "{told}");
    assert_eq!(task.text(3), "other\n");
}

#[tokio::test]
async fn a_step_that_failed_runs_again_as_often_as_it_may() {
    let mut flaky = run("echo x >> tries; echo $(wc -l < tries); test $(wc -l < tries) -ge 3");
    flaky.max_auto_reruns = 5;
    flaky.auto_rerun_delay_ms = 20;
    let mut hopeless = run("exit 3");
    hopeless.max_auto_reruns = 1;
    let task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(flaky)),
        (When::OnSuccess, Action::Run(hopeless)),
    ]))
    .await;
    task.run_to(Outcome::Failed).await;
    assert_eq!(
        task.text(1),
        "1\nthe step failed with exit code 1; rerun 1 of 5 starts in 20 ms\n\
         2\nthe step failed with exit code 1; rerun 2 of 5 starts in 20 ms\n3\n"
    );
    assert_eq!(outcome(&task, 1).0, Outcome::Success);
    assert_eq!(task.text(2), "the step failed with exit code 3; rerun 1 of 1 starts now\n");
    assert_eq!(outcome(&task, 2), (Outcome::Failed, Some(3), String::new()));
}

#[tokio::test]
async fn keys_are_the_tasks_own_for_the_steps_that_follow_and_their_agent_ends_with_the_job() {
    if !russet_test_skip::has_tool("ssh-keygen") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "deploy", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let add = |fingerprints: &[&str]| Action::AddSshKeys {
        fingerprints: fingerprints.iter().map(|text| (*text).to_owned()).collect(),
    };
    let mut task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(run("ssh-add -l 2>&1 || ls -A ~"))),
        (When::OnSuccess, add(&["aa:bb"])),
        (When::OnSuccess, Action::Run(run("ssh-add -L; cat ~/.ssh/config; cat ~/.ssh/id_rsa_*"))),
        (
            When::OnSuccess,
            Action::Run(run("ls -ld ~/.ssh ~/.ssh/id_rsa_aabb | cut -c1-10; ssh-add -D -q")),
        ),
        (When::OnSuccess, add(&[])),
        (When::OnSuccess, Action::Run(run("ssh-add -L | wc -l; echo $GIT_SSH_COMMAND"))),
        (When::OnSuccess, add(&["cc:dd"])),
    ]))
    .await;
    task.config.ssh_keys.push(russet_protocol::task::SshKey {
        md5: "aa:bb".to_owned(),
        sha256: "SHA256:abc".to_owned(),
        host: Some("git.example".to_owned()),
        private_key: russet_protocol::secret::Secret::new(std::fs::read_to_string(&key).unwrap()),
    });
    task.run_to(Outcome::Failed).await;
    assert!(!task.text(1).contains("deploy"), "{}", task.text(1));
    assert!(task.text(2).contains("SHA256:abc for git.example: "), "{}", task.text(2));
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let shown = task.text(3);
    assert!(shown.starts_with(&public), "{shown}");
    assert!(shown.contains("Host git.example\n"), "{shown}");
    assert!(!shown.contains("PRIVATE KEY"), "the key is masked: {shown}");
    assert_eq!(task.text(4), "drwx------\n-rw-------\n");
    assert!(task.text(6).starts_with("1\nssh -F "), "{}", task.text(6));
    assert!(outcome(&task, 7).2.contains("no SSH key cc:dd"));
    assert_eq!(task.record().left, [], "the agent has ended before anybody looks for it");
}

#[tokio::test]
async fn a_background_step_runs_beside_the_job_and_ends_with_it() {
    let mut server = run("echo up > flag; while :; do sleep 1; done");
    server.background = true;
    let task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(server)),
        (When::OnSuccess, Action::Run(run("until test -s flag; do sleep 0.01; done; cat flag"))),
    ]))
    .await;
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(2), "up\n");
    let (outcome, _, message) = outcome(&task, 1);
    assert_eq!(outcome, Outcome::Success);
    assert!(message.contains("the job is over"), "{message}");
}

#[tokio::test]
async fn a_silent_step_is_ended_and_says_why() {
    let mut silent = run("echo begin; (trap '' TERM; sleep 100) & sleep 100");
    silent.no_output_timeout_ms = Some(300);
    let task = Task::new(steps(vec![(When::OnSuccess, Action::Run(silent))])).await;
    task.run_to(Outcome::Failed).await;
    assert!(outcome(&task, 1).2.contains("printed nothing for 300 ms"));
    let text = task.text(1);
    assert!(text.starts_with("begin\nits time is up"), "{text}");
    assert_eq!(text.matches("  sleep 100\n").count(), 2, "{text}");
    assert!(text.contains("\nthe step printed nothing for 300 ms"), "{text}");
}

#[tokio::test]
async fn the_run_time_limit_wins_and_nothing_further_runs() {
    let mut task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(run("trap 'exit 0' TERM; echo on; sleep 100 & wait"))),
        (When::Always, Action::Run(run("echo never"))),
    ]))
    .await;
    task.config.max_run_time_ms = Some(700);
    task.run_to(Outcome::TimedOut).await;
    assert_eq!(outcome(&task, 1).0, Outcome::TimedOut);
    assert_eq!(outcome(&task, 2).0, Outcome::NotRun);
}

#[tokio::test]
async fn a_cancel_arrives_with_the_heartbeat_and_ends_what_ignores_term() {
    let mut task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(run("trap '' TERM; echo on; while :; do sleep 1; done"))),
        (When::Always, Action::Run(run("echo never"))),
    ]))
    .await;
    task.assignment.limits.kill_grace_ms = 200;
    let agent = task.start().await;
    task.plane.until("output", |held| held.text(1) == "on\n").await;
    task.plane.cancel("by a person");
    assert_eq!(task.wait(agent).await.code, Some(0));
    let held = task.plane.held.borrow();
    let finish = held.finish.as_ref().unwrap();
    assert_eq!(finish.outcome, Outcome::Canceled);
    assert_eq!(finish.message.as_deref(), Some("by a person"));
    assert!(held.heartbeats.iter().all(|beat| beat.peer_silent_ms.is_none()));
}

#[tokio::test]
async fn term_cancels_and_a_second_one_does_not_wait() {
    let mut task = Task::new(scripts(&["trap '' TERM; echo on; while :; do sleep 1; done"])).await;
    task.assignment.limits.kill_grace_ms = 100_000;
    let agent = task.start().await;
    task.plane.until("output", |held| held.text(1) == "on\n").await;
    let pid = nix::unistd::Pid::from_raw(agent.id().unwrap().cast_signed());
    let again = tokio::spawn(async move {
        loop {
            if nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(task.wait(agent).await.code, Some(0));
    again.abort();
    assert_eq!(task.record().outcome, Outcome::Canceled);
}

#[tokio::test]
async fn a_step_that_closes_its_output_and_lives_on_is_waited_for() {
    let task = Task::new(scripts(&[
        "echo before; exec >/dev/null 2>&1; sleep 0.3; echo lost; echo x > done; exit 3",
    ]))
    .await;
    task.run_to(Outcome::Failed).await;
    assert_eq!(task.text(1), "before\n");
    assert_eq!(outcome(&task, 1).1, Some(3));
    assert!(task.assignment.dirs.work.join("done").exists());
}

#[tokio::test]
async fn a_step_that_leaves_a_talkative_child_ends_and_says_so() {
    let task = Task::new(scripts(&[
        "(trap '' HUP; while :; do echo noise; sleep 0.01; done) & sleep 0.1",
        "echo next",
    ]))
    .await;
    task.run_to(Outcome::Success).await;
    assert!(task.text(1).contains("keeps its terminal open"), "{}", task.text(1));
    assert_eq!(task.text(2), "next\n");
}

#[tokio::test]
async fn halt_ends_the_job_as_a_success() {
    let task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(run("touch $CIRCLE_INTERNAL_TASK_DATA/halt"))),
        (When::Always, Action::Run(run("echo never"))),
    ]))
    .await;
    task.run_to(Outcome::Success).await;
    assert_eq!(outcome(&task, 2).0, Outcome::NotRun);
}

#[tokio::test]
async fn a_shell_that_is_not_there_fails_the_step_with_its_name() {
    let mut step = run("echo x");
    step.shell = Some("/no/such/shell -e".to_owned());
    let task = Task::new(steps(vec![(When::OnSuccess, Action::Run(step))])).await;
    task.run_to(Outcome::Failed).await;
    assert!(outcome(&task, 1).2.contains("/no/such/shell"));
}

#[tokio::test]
async fn working_directories_are_made_and_environments_layered() {
    let mut step = run("pwd; echo $WHO; echo $LEFT");
    step.working_directory = Some("sub/dir".to_owned());
    step.environment = [("WHO".to_owned(), "step".to_owned())].into();
    let mut task = Task::new(steps(vec![(When::OnSuccess, Action::Run(step))])).await;
    task.config.working_directory = Some("~/project".to_owned());
    for (name, value) in [("WHO", "job"), ("LEFT", "job")] {
        task.config.environment.push(russet_protocol::task::EnvVar {
            name: name.to_owned(),
            value: russet_protocol::secret::Secret::new(value),
            masked: false,
        });
    }
    task.run_to(Outcome::Success).await;
    let home = task.assignment.dirs.home.display();
    assert_eq!(task.text(1), format!("{home}/project/sub/dir\nstep\njob\n"));
}

#[tokio::test]
async fn a_task_that_the_server_forgets_stops_and_says_why() {
    let task = Task::new(scripts(&["echo on; sleep 100"])).await;
    let agent = task.start().await;
    task.plane.until("output", |held| held.text(1) == "on\n").await;
    task.plane.forget_the_task();
    let ended = task.wait(agent).await;
    assert_eq!(ended.code, Some(exit::STALE), "{}", ended.stderr);
    assert!(ended.stderr.contains("as told"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_slot_is_empty_when_its_task_agent_was_asked_to_empty_it_and_all_is_reported() {
    let mut task = Task::new(scripts(&["mkdir -p a/b; echo x > a/b/c; echo y > ~/file"])).await;
    task.assignment.tidy = Tidy::AllButWork;
    let ended = task.run().await;
    assert_eq!(ended.code, Some(exit::REPORTED), "{}", ended.stderr);
    let dirs = &task.assignment.dirs;
    for dir in [&dirs.home, &dirs.tmp, &dirs.spool] {
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "{}", dir.display());
    }
    assert!(dirs.work.join("a/b/c").exists());
    task.assignment.tidy = Tidy::All;
    task.plane.held.send_replace(Default::default());
    assert_eq!(task.run().await.code, Some(exit::REPORTED));
    assert_eq!(std::fs::read_dir(&task.assignment.dirs.work).unwrap().count(), 0);
    let held = task.plane.held.borrow();
    assert_eq!(held.finish.as_ref().map(|finish| finish.outcome), Some(Outcome::Success));
}

#[tokio::test]
async fn a_server_that_knows_no_events_in_finish_gets_them_by_themselves() {
    let task = Task::new(scripts(&["echo one", "echo two"])).await;
    task.plane.held.send_modify(|held| held.ignores_last_events = true);
    task.run_to(Outcome::Success).await;
    assert_eq!((outcome(&task, 1).0, outcome(&task, 2).0), (Outcome::Success, Outcome::Success));
}

#[tokio::test]
async fn what_a_step_leaves_in_the_background_lives_to_the_end_of_the_job() {
    let task = Task::new(scripts(&[
        // Opening the terminal by its name must not make it the shell's own.
        "echo seen > /dev/stderr; (sleep 0.2; echo x > late; exec sleep 1000) & echo $! > pid",
        "until test -e late; do sleep 0.01; done; kill -0 $(cat pid); echo alive",
    ]))
    .await;
    task.run_to(Outcome::Success).await;
    assert!(task.text(1).starts_with("seen\n"), "{}", task.text(1));
    assert_eq!(task.text(2), "alive\n");
    let pid = std::fs::read_to_string(task.assignment.dirs.work.join("pid")).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    assert!(nix::sys::signal::kill(pid, None).is_err(), "it ends with the job");
}

#[tokio::test]
async fn a_step_that_is_ended_takes_its_background_with_it() {
    let mut silent = run("set -m; sleep 1000 & echo $! > pid; sleep 1000");
    silent.no_output_timeout_ms = Some(500);
    let task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(silent)),
        (When::Always, Action::Run(run("kill -0 $(cat pid) 2>/dev/null || echo gone"))),
    ]))
    .await;
    task.run_to(Outcome::Failed).await;
    assert_eq!(task.text(2), "gone\n");
}

#[tokio::test]
async fn a_question_at_the_terminal_is_not_waited_for_and_nothing_is_paged() {
    let task = Task::new(scripts(&[
        "git init -q . && git config user.name t && git config user.email t@t && \
         for n in $(seq 100); do git commit -q --allow-empty -m \"commit $n\"; done; git log --oneline",
        "read -r answer < /dev/tty && exit 1; echo \"answer: ${answer-none}\"",
        "git commit --allow-empty && exit 1; git ls-remote https://nobody@127.0.0.1:1/x && exit 1; \
         echo \"$PAGER $GIT_TERMINAL_PROMPT $DEBIAN_FRONTEND\"",
    ]))
    .await;
    task.run_to(Outcome::Success).await;
    assert!(task.text(1).contains("commit 1\n") && task.text(1).contains("commit 100\n"));
    assert!(task.text(2).contains("/dev/tty") && task.text(2).contains("answer: "));
    assert!(task.text(3).ends_with("cat 0 noninteractive\n"), "{}", task.text(3));
}

#[tokio::test]
async fn path_has_the_same_order_in_every_shell_also_a_steps_own() {
    let login = Some("/bin/bash --login -eo pipefail".to_owned());
    let step = |shell: Option<String>, path: Option<&str>| {
        let mut step = run("echo \"$PATH\"");
        step.shell = shell;
        step.environment =
            path.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect();
        (When::OnSuccess, Action::Run(step))
    };
    let own = "/own:/usr/bin:/bin:/usr/local/bin";
    let mut task = Task::new(steps(vec![
        step(Some("/bin/bash -eo pipefail".to_owned()), None),
        step(login.clone(), None),
        step(login, Some(own)),
    ]))
    .await;
    task.assignment.path = vec!["/opt/tools".into()];
    task.run_to(Outcome::Success).await;
    assert!(task.text(1).starts_with("/opt/tools:"), "{}", task.text(1));
    assert_eq!(task.text(2), task.text(1));
    assert_eq!(task.text(3), format!("{own}\n"));
}
