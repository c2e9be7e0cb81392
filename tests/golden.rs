//! Real configurations, run: workflows of public projects, on this machine with tools that only
//! say how they were called. What each job did, in which order, with which environment and to which
//! end, is kept in `snapshots/` and was read against the configurations.
//!
//! The configurations are other people's and not part of the repository: without them beside it
//! (`RUSSET_SHARED`, or `shared` in a directory above) the tests say so and are skipped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use russet_protocol::admin::{Job, Pipeline, StepState, StreamEvent};
use russet_protocol::ids::JobId;
use russet_protocol::outcome::Outcome;

use crate::support::{Lacks, checkout, russet, skip, test_dir};

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
    /// Variables that tools show. More than one: this list is a variable itself, and masked.
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
            skip(Lacks::Machine, "there are no shared configurations");
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
        // The same project has the same revision whenever it is made.
        let git = |words: &[&str]| {
            let output = Command::new("git")
                .args(words)
                .current_dir(&project)
                .env("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z")
                .env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z")
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        let branch = if self.branch.is_empty() { "main" } else { self.branch };
        git(&["init", "-q", "-b", branch]);
        git(&["add", "-A"]);
        git(&["-c", "user.name=T", "-c", "user.email=t@example", "commit", "-qm", "x"]);
        let text = self.told(dir.path(), &project, &file);
        // What differs from run to run.
        Some(normal(&text.replace(&*dir.path().to_string_lossy(), "DIR")))
    }

    /// A run of the project with the variables of a file, told.
    fn told(&self, dir: &Path, project: &Path, variables: &Path) -> String {
        let output = Command::new(russet())
            .arg("run")
            .arg(project)
            .args(["--on-host", "--output", "json", "--env-file"])
            .arg(variables)
            .args(self.args)
            .env("XDG_STATE_HOME", dir.join("state"))
            .env("XDG_CACHE_HOME", dir.join("cache"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let story = Story::read(&out);
        let Some(pipeline) = &story.pipeline else {
            panic!("{}\n{out}", String::from_utf8_lossy(&output.stderr));
        };
        story.check_order(pipeline);
        let code = output.status.code().unwrap();
        format!("exit code {code}\n{}", story.tell(pipeline))
    }
}

/// The text without what differs from run to run: where the slot is, whose it is, how large the
/// project and archives were, and which job was the first to fetch one.
fn normal(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let line = shortened(line);
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

/// A line of output without sizes, which depend on the machine's git and compression.
fn shortened(line: &str) -> String {
    for start in ["| Snapshot ", "| Uploaded ", "| Unpacked "] {
        let is_archive = start == "| Snapshot " || line.contains(" entries of ");
        if let Some((before, _)) = line.split_once(start).filter(|_| is_archive) {
            return format!("{before}{}", start.trim_end());
        }
    }
    match line.rsplit_once(" (") {
        // A layer of a workspace.
        Some((before, size)) if size.ends_with("B compressed)") => before.to_owned(),
        _ => line.to_owned(),
    }
}

/// Observations of a run.
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
                let mut settings = insta::Settings::clone_current();
                settings.set_prepend_module_to_snapshot(false);
                settings.bind(|| {
                    insta::assert_snapshot!(concat!("golden__", stringify!($name)), story);
                });
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

// Caches that are not there yet, a workspace that every later job gets, and a branch on which one
// of two jobs for documentation runs.
golden!(
    dependencies_are_cached_and_a_whole_checkout_is_handed_on,
    Golden {
        config: "callstack__react-native-paper",
        tools: &["yarn", "node"],
        files: &[
            ("yarn.lock", "a@1\n"),
            ("node_modules/a/index.js", "a"),
            ("docs/node_modules/b/index.js", "b"),
            ("docs/build/index.html", "<p>docs"),
            ("example/node_modules/c/index.js", "c"),
            ("cache/jest/a", "a"),
            ("coverage/lcov.info", "TN:\n"),
            ("scripts/typescript-output-lint.js", ""),
            (".circleci/comment-artifacts.sh", "ls node_modules docs/node_modules\n"),
        ],
        show: "CIRCLE_BRANCH CIRCLE_JOB CIRCLE_NODE_INDEX CIRCLE_NODE_TOTAL",
        branch: "topic",
        ..Golden::default()
    }
);

// A matrix of seven with conditions on each value, and a job that this branch does not run.
golden!(
    a_matrix_runs_what_fits_each_of_its_values,
    Golden {
        config: "nerves-project__nerves",
        tools: &["apk", "mix", "reuse"],
        files: &[("mix.lock", "%{}\n"), ("_build/a", "a"), ("deps/b", "b")],
        show: "LC_ALL CIRCLE_JOB",
        ..Golden::default()
    }
);

// Pipeline parameters in commands, executors as parameters, steps as parameters, a job that only
// waits for others, one at a time of a group, and steps that depend on how the ones before ended.
golden!(
    a_command_line_tool_is_checked_deployed_and_tried,
    Golden {
        config: "CircleCI-Public__circleci-cli",
        tools: &["circleci", "go", "curl", "task", "sudo", "brew", "choco"],
        files: &[
            ("go.sum", "a\n"),
            ("clikit/go.sum", "b\n"),
            ("tools/go.sum", "c\n"),
            ("test-reports/a.xml", "<testsuite><testcase name='a'/></testsuite>"),
            ("docs/website/public/index.html", "<p>docs"),
            ("dist/cli", "a program"),
        ],
        show: "CIRCLE_JOB CIRCLE_BRANCH",
        ..Golden::default()
    }
);

// What ran everything on one machine of old: a cache under one key and saved under another.
golden!(
    a_build_is_cached_under_another_key_than_it_is_looked_for,
    Golden {
        config: "buildbot__buildbot__hist-biggest_b9c075b4",
        tools: &["env", "python3.9", "pip", "make", "pyinstaller", "trial"],
        files: &[
            ("requirements-ci.txt", "a\n"),
            ("requirements-cidocs.txt", "b\n"),
            ("requirements-pip.txt", "c\n"),
            (".venv/bin/activate", "VIRTUAL_ENV=.venv; export VIRTUAL_ENV\n"),
            ("master/docs/_build/html/index.html", "<p>docs"),
            ("dist/buildbot-worker", "a program"),
        ],
        show: "SQLALCHEMY_WARN_20 VIRTUAL_ENV SANDBOXED_WORKER_PATH",
        ..Golden::default()
    }
);
