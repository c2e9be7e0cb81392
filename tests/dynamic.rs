//! Setups and orbs as people use them: the real binary, from the outside.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed step of a test is its failure"
)]

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{russet, test_dir};

/// Files in a directory of their own.
struct Project(tempfile::TempDir);

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let project = Self(test_dir());
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("project")
    }

    /// Runs `russet` in the project; its exit status, and all that it says.
    fn russet(&self, args: &[&str]) -> (i32, String) {
        let mut command = Command::new(russet());
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        let output = command.env("XDG_STATE_HOME", self.0.path().join("state")).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> String {
        let (code, text) = self.russet(args);
        assert_eq!(code, 0, "{text}");
        text
    }

    #[track_caller]
    fn fails(&self, args: &[&str], wanted: i32) -> String {
        let (code, text) = self.russet(args);
        assert_eq!(code, wanted, "{text}");
        text
    }
}

/// A setup whose one step is this script.
fn setup(script: &str) -> String {
    let script = script.replace('\n', "\n            ");
    format!(
        "version: 2.1
setup: true
parameters:
  deploy: {{type: boolean, default: false}}
jobs:
  choose:
    machine: true
    steps:
      - checkout
      - run:
          name: Choose
          command: |
            {script}
workflows:
  setup:
    jobs: [choose]
"
    )
}

const NEXT: &str = "
version: 2.1
parameters:
  deploy: {type: boolean, default: false}
  what: {type: string, default: nothing}
jobs:
  build:
    machine: true
    steps:
      - run: {name: Build, command: 'echo building << pipeline.parameters.what >>'}
workflows:
  main:
    when: << pipeline.parameters.deploy >>
    jobs: [build]
";

#[test]
fn a_run_goes_on_with_what_its_setup_chooses() {
    let script =
        r#"circleci-agent continue next.yml --parameters '{"deploy": true, "what": "it all"}'"#;
    let project = Project::new(&[(".circleci/config.yml", &setup(script)), ("next.yml", NEXT)]);
    let text = project.succeeds(&["run"]);
    for part in ["The pipeline goes on with main.", "The setup goes on with", "building it all"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    // The key is a secret.
    assert!(!text.contains("rsk_"), "{text}");
}

/// What scripts for CircleCI do, orbs and others: curl, and an address of CircleCI's.
#[test]
fn a_script_that_calls_circleci_reaches_its_own_control_plane_unchanged() {
    let script = r#"printf '{"continuation-key": "%s", "configuration": "%s", "parameters": {"deploy": true}}' \
  "$CIRCLE_CONTINUATION_KEY" "$(sed ':a;N;$!ba;s/\n/\\n/g' next.yml)" > "$TMPDIR/post.json"
[ "$(curl -o /dev/stderr -w '%{http_code}' -XPOST -H 'Content-Type: application/json' \
  --data "@$TMPDIR/post.json" "https://${CIRCLECI_DOMAIN:-circleci.com}/api/v2/pipeline/continue")" -eq 200 ]
# Every other call is the machine's own curl's.
echo 'a file' > "$TMPDIR/file"; curl -s "file://$TMPDIR/file""#;
    let project = Project::new(&[(".circleci/config.yml", &setup(script)), ("next.yml", NEXT)]);
    let text = project.succeeds(&["run"]);
    for part in ["a file", "building nothing"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn a_continuation_that_is_wrong_fails_the_setup_and_says_where() {
    let script = "circleci-agent continue next.yml";
    let next = "version: 2.1\njobs:\n  build: {machine: true, stesp: []}\n";
    let project = Project::new(&[(".circleci/config.yml", &setup(script)), ("next.yml", next)]);
    let text = project.fails(&["run"], 1);
    for part in ["continuation:3:", "did you mean `steps`"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn a_parameter_of_the_command_line_reaches_setup_and_continuation() {
    let script =
        "echo deploy is << pipeline.parameters.deploy >>\ncircleci-agent continue next.yml";
    let project = Project::new(&[(".circleci/config.yml", &setup(script)), ("next.yml", NEXT)]);
    let text = project.succeeds(&["run", "--parameter", "deploy=true"]);
    assert!(text.contains("deploy is true") && text.contains("building nothing"), "{text}");
    let text = project.succeeds(&["run"]);
    assert!(text.contains("deploy is false") && !text.contains("building"), "{text}");
}

#[test]
fn outside_of_a_setup_there_is_nothing_to_continue() {
    let config = "version: 2.1\njobs:\n  build:\n    machine: true\n    steps:\n      - run: circleci-agent continue x\n";
    let project = Project::new(&[(".circleci/config.yml", config), ("x", "")]);
    let text = project.fails(&["run"], 1);
    assert!(text.contains("this job can not continue its pipeline"), "{text}");
}
