//! Running again, deciding and naming, with the real command line, server and agent.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use russet_protocol::admin::{Pipeline, Workflow};
use russet_protocol::outcome::{Outcome, Phase};
use serde_json::{Value, json};

use crate::support::command_line::CommandLine;
use crate::support::{Agent, AgentOptions, Server, russet, test_dir, wait_for};

/// A control plane with an agent, and the command line pointed at it.
struct Farm {
    server: Server,
    _agent: Agent,
    dir: tempfile::TempDir,
}

impl Farm {
    fn start() -> Self {
        let server = Server::start();
        let options = AgentOptions { runner: vec!["slots: 2".to_owned()], ..Default::default() };
        let _agent = Agent::start_with(&server, &options);
        let dir = test_dir();
        // Steps look for a file in it, as users of their own.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(dir.path().join("token"), server.admin.token()).unwrap();
        Self { server, _agent, dir }
    }

    fn call(&self, args: &[&str]) -> (i32, String, String) {
        CommandLine::new(&self.server, self.dir.path()).call(args)
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        CommandLine::new(&self.server, self.dir.path()).succeed(args)
    }

    #[track_caller]
    fn refused(&self, args: &[&str]) -> String {
        let (code, out, err) = self.call(args);
        assert_ne!(code, 0, "{args:?}: {out}{err}");
        err
    }

    fn log(&self, run: &Workflow, job: &str) -> String {
        let job = run.jobs.iter().find(|found| found.name == job).unwrap();
        self.server.admin.output(&self.server.admin.job(&job.id))
    }
}

/// `build` hands a file on, two tasks of `test` share four tests of which one fails as long as
/// `mark` is not there, and `deploy` wants both.
fn flaky(mark: &Path) -> Value {
    let report = r#"mkdir -p r
        cat > one.sh \<<'EOF'
        for file in "$@"; do
          echo "RAN $file"
          if [ "$file" = b.js ] && [ ! -e MARK ]; then
            echo "<testcase name='t' classname='C' file='$file'><failure/></testcase>" >> cases
            failed=1
          else
            echo "<testcase name='t' classname='$file' file='$file'/>" >> cases
          fi
        done
        (echo '<testsuite>'; cat cases; echo '</testsuite>') > r/x.xml
        exit ${failed:-0}
EOF
        printf '%s\n' a.js b.js c.js d.js | circleci tests run --command="xargs sh one.sh""#;
    let report = report.replace("MARK", &mark.display().to_string()).replace("\n        ", "\n");
    let job = |steps: Value| json!({ "machine": true, "resource_class": crate::support::CLASS, "steps": steps });
    let mut test = job(json!([{ "run": report }, { "store_test_results": { "path": "r" } }]));
    test["parallelism"] = json!(2);
    json!({
        "version": 2.1,
        "jobs": {
            "build": job(json!([
                { "run": "mkdir out && echo built-once-$RANDOM$RANDOM > out/app && cat out/app" },
                { "persist_to_workspace": { "root": ".", "paths": ["out"] } },
            ])),
            "test": test,
            "deploy": job(json!([{ "attach_workspace": { "at": "." } }, { "run": "cat out/app" }])),
        },
        "workflows": { "main": { "jobs": [
            "build", { "test": { "requires": ["build"] } },
            { "deploy": { "requires": ["build", "test"] } },
        ] } },
    })
}

#[test]
fn failed_tests_run_alone_in_a_further_run_that_keeps_the_workspace() {
    let farm = Farm::start();
    let mark = farm.dir.path().join("mended");
    let pipeline = farm.server.admin.submit(&flaky(&mark).to_string());
    let first = farm.server.admin.wait(&pipeline);
    assert_eq!(first.workflows[0].outcome, Some(Outcome::Failed), "{first:#?}");
    let built = farm.log(&first.workflows[0], "build");

    std::fs::write(&mark, "").unwrap();
    let line =
        farm.ok(&["workflow", "rerun", "test/project#1/main", "--failed-tests", "--as", "Ana"]);
    assert!(line.starts_with("Run 2 of main: "), "{line}");
    let second = farm.server.admin.wait(&pipeline);
    let run = &second.workflows[1];
    assert_eq!(run.outcome, Some(Outcome::Success), "{second:#?}");
    let log = farm.log(run, "test");
    let ran: Vec<&str> = log.lines().filter(|line| line.starts_with("RAN ")).collect();
    assert_eq!(ran, ["RAN b.js"], "{log}");
    assert_eq!(log.matches("rerunning failed tests: 1 of 4").count(), 2, "{log}");
    let name = built.lines().find(|line| line.starts_with("built-once-")).unwrap();
    assert!(farm.log(run, "deploy").contains(name), "the workspace of the kept job");
    assert_eq!(farm.log(run, "build"), built, "a kept job is readable as it was");

    let shown = farm.ok(&["pipeline", "show", "test/project#1"]);
    for expected in ["failed tests alone), by Ana", "main (run 2)", "success (kept)"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let err = farm.refused(&["job", "rerun", "latest/deploy", "--failed-tests"]);
    assert!(err.contains("`deploy` has no failed tests"), "{err}");
    // The exit code is that of the last runs.
    farm.ok(&["job", "rerun", "latest/deploy", "--watch"]);
    let third: Pipeline = farm.server.admin.pipeline(&pipeline.id);
    assert_eq!(third.workflows[2].run, 3);
    assert!(farm.log(&third.workflows[2], "deploy").contains(name));
}

#[test]
fn people_decide_and_cancel_by_name_and_lists_are_filtered_and_paged() {
    let farm = Farm::start();
    let config = json!({
        "version": 2.1,
        "workflows": { "main": { "jobs": [
            { "hold": { "type": "approval" } },
            { "ship": { "type": "no-op", "requires": ["hold"] } },
            { "tell": { "type": "no-op", "requires": [{ "hold": ["unauthorized"] }] } },
        ] } },
    })
    .to_string();
    for _ in 0..3 {
        farm.server.admin.submit(&config);
    }
    farm.ok(&["job", "approve", "test/project#1/hold", "--as", "Ana"]);
    farm.ok(&["job", "deny", "test/project#2/hold", "--as", "Ben"]);
    farm.ok(&["pipeline", "cancel", "latest", "--as", "Cleo"]);
    let shown = |number: &str| farm.ok(&["pipeline", "show", &format!("test/project#{number}")]);
    assert!(shown("1").contains("success by Ana"), "{}", shown("1"));
    let denied = shown("2");
    assert!(denied.contains("unauthorized by Ben"), "{denied}");
    let tell = denied.lines().find(|line| line.contains(" tell ")).unwrap();
    assert!(tell.contains("success"), "{denied}");
    assert!(shown("3").contains("canceled by Cleo"), "{}", shown("3"));

    let numbers = |args: &[&str]| {
        let out = farm.ok(&[&["pipeline", "list", "--output", "json"][..], args].concat());
        let items: Vec<Value> = serde_json::from_str(&out).unwrap();
        items.iter().map(|item| item["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&[]), [3, 2, 1]);
    assert_eq!(numbers(&["--state", "canceled"]), [3]);
    assert_eq!(numbers(&["--state", "success", "--project", "test/project"]), [2, 1]);
    assert_eq!(numbers(&["--until", "1h"]), [0_u64; 0]);
    let (_, _, err) = farm.call(&["pipeline", "list", "--limit", "2"]);
    let token = err.strip_prefix("There are more: --page-token ").unwrap();
    let token = token.split_once(' ').unwrap().0.to_owned();
    assert_eq!(numbers(&["--page-token", &token]), [1]);
    assert!(farm.refused(&["pipeline", "list", "--state", "odd"]).contains("state: one of"));
}

#[test]
fn a_misspelt_approval_of_a_run_is_an_error_with_those_that_there_are() {
    let dir = test_dir();
    std::fs::create_dir(dir.path().join(".circleci")).unwrap();
    let config = "version: 2.1\nworkflows: {main: {jobs: [{hold: {type: approval}}]}}\n";
    std::fs::write(dir.path().join(".circleci/config.yml"), config).unwrap();
    let output = Command::new(russet())
        .args(["run", "--approve", "hodl"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("there is no approval `hodl`"), "{text}");
    assert!(text.contains("the approvals are: hold"), "{text}");
}

#[test]
fn a_setup_that_runs_again_goes_on_anew_and_a_parallel_approval_waits_again() {
    let farm = Farm::start();
    let next = json!({ "version": 2.1, "workflows": { "rest": { "jobs": [
        { "ask": { "type": "approval" } }, { "after": { "type": "no-op", "requires": ["ask"] } },
    ] } } });
    let config = json!({
        "version": 2.1,
        "setup": true,
        "jobs": { "choose": {
            "machine": true,
            "resource_class": crate::support::CLASS,
            "steps": [{ "run": format!(
                "cat > next.json \\<<'EOF'\n{next}\nEOF\ncircleci-agent continue next.json") }],
        } },
        "workflows": { "setup": { "jobs": ["choose"] } },
    });
    let pipeline = farm.server.admin.submit(&config.to_string());
    let held = |runs: usize| {
        wait_for("an approval", || {
            let now = farm.server.admin.pipeline(&pipeline.id);
            let holds = now.workflows.iter().flat_map(|workflow| &workflow.jobs);
            let is_held = holds.filter(|job| job.phase == Phase::OnHold).count() == 1;
            (now.workflows.len() == runs && is_held).then_some(now)
        })
    };
    held(2);
    let err = farm.refused(&["pipeline", "rerun", "latest"]);
    assert!(err.contains("`rest` still runs"), "{err}");
    farm.ok(&["job", "approve", "latest/ask"]);
    farm.server.admin.wait(&pipeline);
    farm.ok(&["pipeline", "rerun", "latest"]);
    let now = held(4);
    let runs: Vec<_> = now.workflows.iter().map(|run| (run.name.as_str(), run.run)).collect();
    assert_eq!(runs, [("setup", 1), ("rest", 1), ("setup", 2), ("rest", 2)]);
    farm.ok(&["job", "approve", "latest/ask"]);
    farm.server.admin.wait(&pipeline);
}
