//! Real configurations, run: ten workflows of public projects, on this machine with tools that only
//! say how they were called. What each job did, in which order, with which environment and to which
//! end, is kept in `snapshots/` and was read against the configurations.
//!
//! The configurations are other people's and not part of the repository: without them beside it
//! (`RUSSET_SHARED`, or `shared` in a directory above) the tests say so and are skipped.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed step of a test is its failure"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use russet_protocol::admin::{Job, Pipeline, StepState, StreamEvent};
use russet_protocol::ids::JobId;
use russet_protocol::outcome::Outcome;
use support::{checkout, russet, test_dir};

/// A tool that says how it was called, and what it sees of the environment that is asked for.
const TOOL: &str = r#"#!/bin/sh
printf '%s' "$(basename "$0")"
for word in "$@"; do printf ' %s' "$word"; done
echo
for name in $SHOW; do
    eval "if [ -n \"\${$name+set}\" ]; then echo \"  $name=\${$name}\"; fi"
done
"#;

/// A workflow of a configuration, and what it finds.
#[derive(Default)]
struct Golden {
    /// Name of the file, without its ending.
    config: &'static str,
    args: &'static [&'static str],
    /// Tools on the PATH.
    tools: &'static [&'static str],
    /// Files of the project: a name, and the text; a text that begins with `#!` can be run.
    files: &'static [(&'static str, &'static str)],
    /// Variables that tools show.
    show: &'static str,
    /// The branch that the project is on.
    branch: &'static str,
}

fn configurations() -> Option<PathBuf> {
    let named = std::env::var_os("RUSSET_SHARED").map(PathBuf::from);
    let here = checkout();
    let mut above = here.ancestors().map(|dir| dir.join("shared"));
    let found = named.or_else(|| above.find(|dir| dir.join("configs").is_dir()));
    found.map(|dir| dir.join("configs"))
}

impl Golden {
    /// Runs it, and tells what happened; `None` without the configurations.
    fn run(&self) -> Option<String> {
        let Some(folder) = configurations() else {
            eprintln!("skipped: there are no shared configurations");
            return None;
        };
        let config = std::fs::read_to_string(folder.join(format!("{}.yml", self.config))).unwrap();
        let dir = test_dir();
        let project = dir.path().join("app");
        let tools = dir.path().join("tools");
        std::fs::create_dir_all(&project).unwrap();
        std::fs::create_dir(&tools).unwrap();
        let write = |path: PathBuf, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write(project.join(".circleci/config.yml"), &config);
        for (name, text) in self.files {
            write(project.join(name), text);
        }
        for tool in self.tools {
            write(tools.join(tool), TOOL);
        }
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display());
        let helpers = dir.path().join("helpers");
        std::fs::create_dir(&helpers).unwrap();
        for name in ["circleci", "circleci-agent"] {
            std::os::unix::fs::symlink(russet(), helpers.join(name)).unwrap();
        }
        let variables = format!("PATH={path}:{}\nSHOW=\"{}\"\n", helpers.display(), self.show);
        let file = dir.path().join("env");
        write(file.clone(), &variables);
        let git = |words: &[&str]| {
            let output = Command::new("git").args(words).current_dir(&project).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        let branch = if self.branch.is_empty() { "main" } else { self.branch };
        git(&["init", "-q", "-b", branch]);
        git(&["add", "-A"]);
        git(&["-c", "user.name=T", "-c", "user.email=t@example", "commit", "-qm", "x"]);
        let output = Command::new(russet())
            .arg("run")
            .arg(&project)
            .args(["--on-host", "--output", "json", "--env-file"])
            .arg(&file)
            .args(self.args)
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let story = Story::read(&out);
        let Some(pipeline) = &story.pipeline else {
            panic!("{}\n{out}", String::from_utf8_lossy(&output.stderr));
        };
        story.check_order(pipeline);
        let mut text = format!("exit code {}\n", output.status.code().unwrap());
        text.push_str(&story.tell(pipeline));
        // What differs from run to run.
        Some(normal(&text.replace(&*dir.path().to_string_lossy(), "DIR")))
    }
}

/// The text without what differs from run to run: where the slot is, whose it is, and how large
/// the project was.
fn normal(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let line = match line.split_once("| Snapshot ") {
            Some((before, _)) => format!("{before}| Snapshot"),
            None => line.to_owned(),
        };
        let words = line.split(' ').map(|word| match word.split_once("/agent/slots/") {
            Some((before, after)) => {
                let quote = before.find('/').map_or("", |at| &before[..at]);
                format!("{quote}SLOT{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            None => word.to_owned(),
        });
        let mut line = words.collect::<Vec<_>>().join(" ");
        if let Some(at) = line.find("user/").map(|at| at + "user/".len()) {
            let digits = line[at..].chars().take_while(char::is_ascii_digit).count();
            if digits > 0 {
                line.replace_range(at..at + digits, "UID");
            }
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// What was seen of a run.
#[derive(Default)]
struct Story {
    pipeline: Option<Pipeline>,
    steps: BTreeMap<(JobId, u32, u32), StepState>,
    output: BTreeMap<(JobId, u32, u32), Vec<u8>>,
}

impl Story {
    fn read(out: &str) -> Self {
        let mut story = Self::default();
        for line in out.lines() {
            let Ok(event) = serde_json::from_str::<StreamEvent>(line) else { continue };
            match event {
                StreamEvent::Step { job, step } => {
                    story.steps.insert((job, step.task, step.number), step);
                }
                StreamEvent::Output { job, task, step, data, .. } => {
                    let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
                    story.output.entry((job, task, step)).or_default().extend(bytes);
                }
                StreamEvent::End { pipeline } => story.pipeline = Some(pipeline),
                StreamEvent::Job { .. } => {}
            }
        }
        story
    }

    /// No job began before what it requires had ended.
    fn check_order(&self, pipeline: &Pipeline) {
        for workflow in &pipeline.workflows {
            for job in workflow.jobs.iter().filter(|job| job.started_ms.is_some()) {
                for name in &job.requires {
                    let required = workflow.jobs.iter().find(|other| other.name == *name).unwrap();
                    assert!(required.ended_ms <= job.started_ms, "{} after {name}", job.name);
                }
            }
        }
    }

    fn tell(&self, pipeline: &Pipeline) -> String {
        let mut text = String::new();
        for workflow in &pipeline.workflows {
            let outcome = workflow.outcome.map_or("", Outcome::as_str);
            writeln!(text, "workflow {}: {outcome}", workflow.name).unwrap();
            for job in &workflow.jobs {
                self.tell_job(job, &mut text);
            }
        }
        text
    }

    fn tell_job(&self, job: &Job, text: &mut String) {
        let outcome = job.outcome.map_or("", Outcome::as_str);
        let after = match job.requires.as_slice() {
            [] => String::new(),
            names => format!(" after {}", names.join(", ")),
        };
        let why = job.message.as_ref().map_or(String::new(), |why| format!(" ({why})"));
        writeln!(text, "\njob {}{after}: {outcome}{why}", job.name).unwrap();
        for ((_, task, number), step) in self.steps.iter().filter(|((id, ..), _)| *id == job.id) {
            let node = if job.parallelism > 1 { format!(" [{task}]") } else { String::new() };
            let outcome = step.outcome.map_or("", Outcome::as_str);
            let code = step.exit_code.filter(|code| *code != 0);
            let code = code.map_or(String::new(), |code| format!(" ({code})"));
            writeln!(text, " {number}{node} {}: {outcome}{code}", step.name).unwrap();
            let output = self.output.get(&(job.id.clone(), *task, *number));
            let output = output.map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
            for line in output.lines() {
                writeln!(text, "   | {}", line.trim_end()).unwrap();
            }
        }
    }
}

/// Runs a workflow and compares what it did with what is kept.
macro_rules! golden {
    ($name:ident, $golden:expr) => {
        #[test]
        fn $name() {
            if let Some(story) = $golden.run() {
                insta::assert_snapshot!(stringify!($name), story);
            }
        }
    };
}

golden!(
    an_early_stop_by_the_helper_ends_a_job_well,
    Golden { config: "kelvintaywl-cci__dynamic-config-showcase__next", ..Golden::default() }
);

golden!(
    a_job_that_fails_keeps_its_artifacts_and_stops_what_requires_it,
    Golden {
        config: "dbt-labs__dbt-codegen",
        tools: &["pip", "dbt"],
        files: &[("integration_tests/logs/dbt.log", "log\n")],
        show: "POSTGRES_HOST POSTGRES_PORT POSTGRES_DATABASE BIGQUERY_KEYFILE_JSON",
        ..Golden::default()
    }
);

golden!(
    a_runner_is_installed_and_checked_on_a_mac,
    Golden {
        config: "CircleCI-Public__homebrew-circleci__runner_brew_test",
        args: &["--job", "install_and_run"],
        tools: &["brew", "sed", "spctl", "sudo", "launchctl", "curl", "jq", "fgrep"],
        ..Golden::default()
    }
);

// On its default branch, where the website is deployed: five workflows at once.
golden!(
    formatting_lints_documentation_tests_and_a_website,
    Golden {
        config: "mozilla__uniffi-rs",
        tools: &["cargo", "rustup", "rustc", "rustfmt", "uv", "mypy", "sudo", "pip", "mike"],
        files: &[
            ("fixtures/wasm-one/Cargo.toml", ""),
            ("fixtures/wasm-two/Cargo.toml", ""),
            ("target/generated.py", ""),
        ],
        show: "RUSTFLAGS RUSTDOCFLAGS",
        ..Golden::default()
    }
);
