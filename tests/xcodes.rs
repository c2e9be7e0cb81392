//! Xcodes by version: classes that are held while theirs cannot be used, jobs that wait for a
//! machine that has theirs. With bundles of the tests' own, on any system.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use russet_protocol::admin::{Items, Job, Pipeline, RunnerItem};
use russet_protocol::local::{State, Status};
use russet_protocol::outcome::{Outcome, Phase};

use crate::support::admin::assert_outcome;
use crate::support::{Agent, AgentOptions, CLASS, Server, config, run, test_dir, wait_for};

/// A directory of applications that everybody can read.
pub(crate) fn applications() -> tempfile::TempDir {
    let dir = test_dir();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Makes an Xcode whose `xcodebuild` ends with this status.
pub(crate) fn install_xcode(
    applications: &Path,
    name: &str,
    version: &str,
    status: i32,
) -> PathBuf {
    let app = applications.join(name);
    let contents = app.join("Contents");
    std::fs::create_dir_all(contents.join("Developer/usr/bin")).unwrap();
    set_xcodebuild(&app, status);
    let text = format!(
        "<plist version=\"1.0\"><dict><key>CFBundleShortVersionString</key>\
         <string>{version}</string><key>ProductBuildVersion</key><string>16C1</string></dict></plist>"
    );
    std::fs::write(contents.join("version.plist"), text).unwrap();
    app
}

/// Exchanges the tool of an Xcode.
fn set_xcodebuild(app: &Path, status: i32) {
    let path = app.join("Contents/Developer/usr/bin/xcodebuild");
    let draft = path.with_extension("new");
    std::fs::write(&draft, format!("#!/bin/sh\nexit {status}\n")).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(draft, path).unwrap();
}

pub(crate) fn options(applications: &Path, more: &[String]) -> AgentOptions {
    let directories = format!("xcode: {{directories: [{}]}}", applications.display());
    let runner = std::iter::once(directories).chain(more.iter().cloned()).collect();
    AgentOptions { runner, ..AgentOptions::default() }
}

/// Reason of the hold with this source, once there is one.
fn hold(agent: &Agent, source: &str) -> String {
    wait_for(&format!("a hold of {source}"), || reason_of(&agent.status()?, source))
}

fn reason_of(status: &Status, source: &str) -> Option<String> {
    let hold = status.holds.iter().find(|hold| hold.source == source)?;
    assert!(hold.class.is_some(), "it holds one class, not the machine");
    Some(hold.reason.clone())
}

fn message(server: &Server, pipeline: &Pipeline) -> Option<String> {
    server.admin.only_job(pipeline).message
}

#[test]
fn a_class_is_held_while_its_xcode_is_missing_half_there_or_not_licensed() {
    let (server, dir) = (Server::start(), applications());
    let token = server.admin.class_token(CLASS);
    let class = format!("classes: [{{token: {token}, xcode: \"16.2\"}}]");
    let mut options = options(dir.path(), &[class]);
    options.api = vec!["ca_file:".to_owned()];
    let agent = Agent::start_at(server.url(), "", &options);
    assert!(hold(&agent, "xcode").contains("Xcode 16.2 is not installed"));
    agent.wait_for_state(State::Unhealthy);
    let pipeline = server.admin.submit(&config(&[&run("echo \"dir $DEVELOPER_DIR\"")]));
    let waits = wait_for("the reason why the job waits", || message(&server, &pipeline));
    assert!(waits.contains("takes tasks now: test: xcode: Xcode 16.2 is not"), "{waits}");
    assert_eq!(server.admin.only_job(&pipeline).phase, Phase::Queued);
    let shown = agent.ask_well(&["status"]);
    assert!(shown.contains("xcode (") && shown.contains("Xcode none"), "{shown}");

    // It is being copied: everything but what comes last.
    let app = install_xcode(dir.path(), "Xcode-16.2.0.app", "16.2", 69);
    let plist = app.join("Contents/version.plist");
    std::fs::rename(&plist, dir.path().join("later")).unwrap();
    wait_for("half of one to be told from none", || {
        reason_of(&agent.status()?, "xcode").filter(|reason| reason.contains("version.plist"))
    });
    std::fs::rename(dir.path().join("later"), &plist).unwrap();
    let licence = wait_for("its licence to be asked for", || {
        reason_of(&agent.status()?, "xcode").filter(|reason| reason.contains("licence"))
    });
    assert!(licence.contains("sudo DEVELOPER_DIR="), "{licence}");

    set_xcodebuild(&app, 0);
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let expected = format!("dir {}\n", app.join("Contents/Developer").display());
    assert_eq!(String::from_utf8(server.admin.step_output(&job, 1)).unwrap(), expected);
    let status = agent.wait_for_state(State::Idle);
    assert!(status.holds.is_empty(), "{:?}", status.holds);
    assert_eq!(status.recent.len(), 1, "no task failed for it");
}

pub(crate) fn with_xcode(version: &str) -> String {
    config(&[&run("echo \"dir $DEVELOPER_DIR\"")])
        .replace("machine: true", &format!("macos: {{xcode: \"{version}\"}}"))
}

#[test]
fn a_job_is_given_to_a_machine_that_has_its_xcode_and_says_why_it_waits() {
    let (server, dir) = (Server::start(), applications());
    install_xcode(dir.path(), "Xcode.app", "16.2", 0);
    let mut agent = Agent::start_with(&server, &options(dir.path(), &[]));
    let waiting = server.admin.submit(&with_xcode("26"));
    let waits = wait_for("the reason why the job waits", || {
        message(&server, &waiting).filter(|text| !text.contains("has ever come"))
    });
    assert_eq!(waits, format!("no runner of {CLASS} has Xcode 26: test has 16.2 (16C1)"));
    // What stands behind it does not wait for that.
    let ran = server.admin.run(&with_xcode("16.2.0"));
    assert_outcome(&server.admin, &ran, Outcome::Success);
    let output = server.admin.output(&ran);
    assert!(
        output.contains("Xcode 16.2 (16C1) in ") && output.contains("Xcode.app/Contents"),
        "{output}"
    );
    assert_outcome(&server.admin, &server.admin.run(&config(&[&run("true")])), Outcome::Success);
    let held: Job = server.admin.only_job(&waiting);
    assert_eq!((held.phase, held.xcode.as_deref()), (Phase::Queued, Some("26")));
    let listed: Items<RunnerItem> = server.admin.get("/api/v3/runner?namespace=test");
    let xcodes = listed.items[0].xcodes.clone().unwrap();
    assert_eq!(xcodes[0].to_string(), "16.2 (16C1)");

    install_xcode(dir.path(), "Xcode-26.0.1.app", "26.0.1", 0);
    agent.kill();
    agent.start_again();
    server.admin.wait(&waiting);
    let job = server.admin.only_job(&waiting);
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert!(server.admin.output(&job).contains("Xcode-26.0.1.app/Contents/Developer"));
    let versions = agent.status().unwrap().xcodes.unwrap();
    let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
    assert_eq!(versions, ["26.0.1 (16C1)", "16.2 (16C1)"]);
}

#[test]
fn a_machine_that_does_not_say_what_it_has_takes_jobs_whatever_they_name() {
    let (server, dir) = (Server::start(), applications());
    let off = AgentOptions {
        runner: vec![format!("xcode: {{directories: [{}], match: false}}", dir.path().display())],
        ..AgentOptions::default()
    };
    let _agent = Agent::start_with(&server, &off);
    let job = server.admin.run(&with_xcode("26"));
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = server.admin.output(&job);
    assert!(output.contains("Xcode 26 is not installed: the selected one is used"), "{output}");
}

/// A class on which nothing starts: the owner's prefix is gone.
#[test]
fn a_machine_on_which_tasks_fail_one_after_the_other_takes_no_more_until_somebody_mends_it() {
    let (server, dir) = (Server::start(), applications());
    let prefix = dir.path().join("prefix");
    let put = || {
        std::fs::write(&prefix, "#!/bin/sh\nexec \"$@\"\n").unwrap();
        std::fs::set_permissions(&prefix, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    put();
    let options = AgentOptions {
        runner: vec![format!("command_prefix: [{}]", prefix.display())],
        ..AgentOptions::default()
    };
    let agent = Agent::start_with(&server, &options);
    assert_outcome(&server.admin, &server.admin.run(&config(&[&run("true")])), Outcome::Success);
    std::fs::remove_file(&prefix).unwrap();
    let pipelines: Vec<Pipeline> =
        (0..8).map(|_| server.admin.submit(&config(&[&run("true")]))).collect();
    let reason = hold(&agent, "failures");
    assert!(reason.contains("3 tasks in a row failed"), "{reason}");
    assert!(reason.contains("prefix") && reason.contains("agent resume"), "{reason}");
    let status = agent.wait_for_state(State::Unhealthy);
    assert!(status.reason.unwrap().contains("in a row"));
    let shown = agent.ask_well(&["status"]);
    assert!(shown.contains("failures ("), "{shown}");
    // Most of them wait, with the reason, for another machine or for this one.
    let left: Vec<&Pipeline> = pipelines
        .iter()
        .filter(|pipeline| server.admin.only_job(pipeline).phase == Phase::Queued)
        .collect();
    assert!(left.len() >= 5, "{} of 8 are left", left.len());
    let last = *left.last().unwrap();
    let waits = wait_for("the reason why the job waits", || message(&server, last));
    assert!(waits.contains("takes tasks now: test: failures: "), "{waits}");

    put();
    agent.ask_well(&["resume"]);
    for pipeline in left {
        server.admin.wait(pipeline);
        assert_outcome(&server.admin, &server.admin.only_job(pipeline), Outcome::Success);
    }
    assert!(reason_of(&agent.status().unwrap(), "failures").is_none());
}
