//! Setups and orbs as people use them: the real binary, from the outside.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{russet, test_dir};

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
        command.env("XDG_CACHE_HOME", self.0.path().join("cache"));
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

/// A request as scripts for CircleCI make it: curl, and an address of CircleCI's.
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
    assert!(text.contains("this job cannot continue its pipeline"), "{text}");
}

const WITH_ORBS: &str = "
version: 2.1
orbs: {tools: acme/tools@1, other: acme/other@2.0}
jobs:
  build:
    machine: true
    steps: [tools/greet: {to: you}]
workflows:
  main:
    jobs: [build]
";

const GREET: &str = "parameters:
  to: {type: string}
steps:
  - run:
      name: Greet
      environment: {TO: << parameters.to >>}
      command: <<include(scripts/greet.sh)>>
";

#[test]
fn orbs_are_packed_kept_beside_a_project_listed_and_removed() {
    let project = Project::new(&[
        (".circleci/config.yml", WITH_ORBS),
        ("tools/src/@orb.yml", "version: 2.1\n"),
        ("tools/src/commands/greet.yml", GREET),
        ("tools/src/scripts/greet.sh", "cat <<EOF\nhello $TO\nEOF\n"),
    ]);
    fn orb<'a>(args: &[&'a str]) -> Vec<&'a str> {
        [&["config", "orb"], args].concat()
    }
    let missing = project.fails(&orb(&["missing"]), 3);
    assert!(missing.contains("acme/other@2.0\nacme/tools@1\n"), "{missing}");
    assert!(project.fails(&orb(&["add", "tools"]), 2).contains("--as"));
    assert!(
        project
            .fails(&orb(&["add", "tools/src/commands/greet.yml", "--as", "a/b@1.0.0"]), 3)
            .contains("an orb has")
    );
    project.succeeds(&orb(&["add", "tools", "--as", "acme/tools@1.2.0"]));
    let other = "commands: {a: {steps: [run: 'true']}}\n";
    project.write("orbs/acme/other@2.0.7.yml", other);
    project.succeeds(&orb(&["add", "orbs"]));
    assert!(project.succeeds(&orb(&["missing"])).contains("No orb is missing"));
    let list = project.succeeds(&orb(&["list"]));
    assert!(list.contains("acme/tools") && list.contains("2.0.7"), "{list}");
    assert!(project.succeeds(&["config", "validate"]).contains("valid"));
    assert!(project.succeeds(&["run"]).contains("hello you"));
    project.succeeds(&orb(&["rm", "acme/other@2.0.7"]));
    project.fails(&orb(&["rm", "acme/other@2.0.7"]), 2);
    assert!(
        project
            .fails(&["config", "validate"], 3)
            .contains("config orb add FILE --as acme/other@2.0.0")
    );
}

/// The most that `config validate` may have, in KiB of address space, the program itself included.
const MOST_KIB: u32 = 256 * 1024;

#[test]
fn no_configuration_makes_validate_use_more_than_256_mib() {
    let bomb = (1..30)
        .fold("version: 2.1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
            format!("{text}a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "))
        });
    let commands = (0..40).fold(
        "version: 2.1\njobs: {build: {machine: true, steps: [c0]}}\ncommands:\n".to_owned(),
        |text, n| format!("{text}  c{n}: {{steps: [c{0}, c{0}, c{0}]}}\n", n + 1),
    ) + "  c40: {steps: [run: x]}\n";
    let job = "version: 2.1\njobs: {build: {machine: true, steps: [run: XX]}}\nworkflows:\n  w:\n    jobs:\n"
        .replace("XX", &"x".repeat(1_000_000))
        + &(0..1000).map(|n| format!("      - build: {{name: b{n}}}\n")).collect::<String>();
    let fill = |item: &str| item.repeat(4_000_000 / item.len());
    let hostile = [
        bomb,
        commands,
        job,
        fill("["),
        fill("a: "),
        format!("{{{}}}", fill("a: ,")),
        format!("[{}]", fill("a,")),
        fill("- x\n"),
        format!("'{}", fill("x")),
        fill("- &a x\n- *b\n"),
        format!("version: 2.1\njobs: {{build: {{machine: true, steps: [{}]}}}}", fill("run: x,")),
    ];
    for text in hostile {
        let project = Project::new(&[(".circleci/config.yml", &text)]);
        let script = format!("ulimit -v {MOST_KIB}; exec \"$0\" config validate");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).arg(russet()).current_dir(project.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let start: String = text.chars().take(60).collect();
        assert_eq!(
            output.status.code(),
            Some(3),
            "{start}: {}",
            said.chars().take(2000).collect::<String>()
        );
    }
}
