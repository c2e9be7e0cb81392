//! `russet run` as people use it: the real binary, from the outside.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;

use crate::support::{
    CLASS, Process, can_be_root, checkout, config, is_root, run, russet, test_dir, wait_for,
};

/// A project in a directory that nobody else may enter, as below a root's home.
struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    fn new(config: &str) -> Self {
        let dir = test_dir();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let project = Self { dir };
        project.write(".circleci/config.yml", config);
        project
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("project")
    }

    fn command(&self, args: &[&str]) -> Command {
        command(&self.path(), self.dir.path(), args)
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }
}

/// `russet run` of a project, with a state directory of the test's own.
fn command(project: &Path, home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(russet());
    command.arg("run").arg(project).args(args);
    command.env("XDG_CACHE_HOME", home.join("cache"));
    command.env("XDG_STATE_HOME", home.join("state")).stdin(Stdio::null());
    command
}

/// Result of a run.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.out, self.err);
    }

    #[track_caller]
    fn assert_shows_in_order(&self, parts: &[&str]) {
        let mut rest = self.out.as_str();
        for part in parts {
            let at = rest.find(part).unwrap_or_else(|| {
                panic!("{part:?} is missing or out of order in:\n{}\n{}", self.out, self.err)
            });
            rest = &rest[at + part.len()..];
        }
    }
}

#[test]
fn the_quickstart_succeeds_with_tests_and_artifacts() {
    let home = test_dir();
    let ran = Run::of(
        command(&checkout().join("examples/quickstart"), home.path(), &[]).output().unwrap(),
    );
    ran.assert_code(0);
    ran.assert_shows_in_order(&["▶ ", "Tests of ", " passed", "artifact", "✓ ", "success"]);
}

#[test]
fn output_comes_in_order_under_the_headings_of_its_steps() {
    let project = Project::new(&config(&[
        "checkout",
        "run:\n    name: First\n    command: echo one; echo two >&2; cat hello.txt",
        "run:\n    name: Second\n    command: printf 'no line feed'",
    ]));
    project.write("hello.txt", "three\n");
    let ran = project.run(&[]);
    ran.assert_code(0);
    ran.assert_shows_in_order(&[
        "▶ First",
        "\none\n",
        "two\n",
        "three\n",
        "▶ Second",
        "\nno line feed\n",
        "✓ job success",
        "✓ job  success",
    ]);
}

#[test]
fn a_failing_job_is_code_1_and_says_which_step() {
    let project = Project::new(&config(&[
        "run:\n    name: Break\n    command: exit 7",
        "run:\n    name: Never\n    command: echo never",
        "run:\n    name: Always\n    command: echo always\n    when: always",
    ]));
    let ran = project.run(&[]);
    ran.assert_code(1);
    ran.assert_shows_in_order(&[
        "✗ Break: exit code 7",
        "▶ Always",
        "always",
        "`Break`: exit code 7",
    ]);
    assert!(!ran.out.to_lowercase().contains("never"), "{}", ran.out);
}

#[test]
fn jobs_wait_for_those_they_require_and_are_not_run_after_a_failure() {
    let job = |script: &str| {
        format!(
            "\n    machine: true\n    resource_class: a/b\n    steps: [{{run: \"{script}\"}}]\n"
        )
    };
    let project = Project::new(&format!(
        "version: 2.1\njobs:\n  good:{}  bad:{}  after:{}workflows:\n  main:\n    jobs:\n      - good\n      - bad: {{requires: [good]}}\n      - after: {{requires: [bad]}}\n",
        job("echo good"),
        job("false"),
        job("echo after")
    ));
    let ran = project.run(&[]);
    ran.assert_code(1);
    ran.assert_shows_in_order(&["✓ good", "✗ bad", "- after  not_run"]);
    assert!(!ran.out.contains("▶ echo after"), "{}", ran.out);
    project.run(&["--job", "good"]).assert_code(0);
}

#[test]
fn an_approval_is_given_by_name_and_otherwise_what_requires_it_is_left_out() {
    let config = "version: 2.1
jobs:
  test: {machine: true, resource_class: a/b, steps: [run: echo tested]}
  ship: {machine: true, resource_class: a/b, steps: [run: echo shipped]}
workflows:
  main:
    jobs:
      - test
      - hold: {type: approval, requires: [test]}
      - ship: {requires: [hold]}
";
    let project = Project::new(config);
    let left_out = project.run(&[]);
    left_out.assert_code(0);
    left_out
        .assert_shows_in_order(&["tested", "hold is not approved; `--approve hold` approves it"]);
    assert!(!left_out.out.contains("shipped"), "{}", left_out.out);
    let approved = project.run(&["--approve", "hold"]);
    approved.assert_code(0);
    approved.assert_shows_in_order(&["tested", "hold success", "shipped"]);
}

#[test]
fn variables_of_a_file_reach_every_job_masked_and_contexts_are_there() {
    let config = "version: 2.1
jobs:
  show: {machine: true, resource_class: a/b, steps: [run: 'echo \"<$TOKEN>\" \"${#TOKEN}\"']}
workflows:
  main: {jobs: [show: {context: deploy}]}
";
    let project = Project::new(config);
    let without = project.run(&[]);
    without.assert_code(0);
    without.assert_shows_in_order(&["the variables of deploy", "<> 0"]);
    let file = project.dir.path().join("variables");
    std::fs::write(&file, "# for tests\nexport TOKEN='hunter2 hunter3'\n").unwrap();
    let with = project.run(&["--env-file", file.to_str().unwrap()]);
    with.assert_code(0);
    with.assert_shows_in_order(&["<****> 15"]);
    std::fs::write(&file, "TOKEN hunter2\n").unwrap();
    let refused = project.run(&["--env-file", file.to_str().unwrap()]);
    refused.assert_code(2);
    assert!(refused.err.contains("sets no variable") && !refused.err.contains("hunter2"));
}

#[test]
fn an_error_in_the_configuration_is_code_3() {
    let ran = Project::new("version: 2.1\njobs: []\n").run(&[]);
    ran.assert_code(3);
    assert!(ran.err.contains(".circleci/config.yml:2:"), "{}", ran.err);
}

#[test]
fn docker_jobs_need_on_host() {
    let project = Project::new(
        "version: 2.1\njobs:\n  build:\n    docker: [{image: \"cimg/base:stable\"}]\n    steps: [{run: echo on the host}]\nworkflows:\n  main:\n    jobs: [build]\n",
    );
    let ran = project.run(&[]);
    ran.assert_code(3);
    assert!(ran.err.contains("--on-host"), "{}", ran.err);
    let ran = project.run(&["--on-host"]);
    ran.assert_code(0);
    ran.assert_shows_in_order(&["on the host\n"]);
}

#[test]
fn artifacts_are_put_where_it_says() {
    let project = Project::new(&config(&[
        &run("mkdir -p out/deep; echo hello > out/deep/a.txt"),
        "store_artifacts:\n    path: out",
    ]));
    let to = project.dir.path().join("fetched");
    let ran = project.run(&["--artifacts", to.to_str().unwrap()]);
    ran.assert_code(0);
    ran.assert_shows_in_order(&["1 artifact in ", "deep/a.txt"]);
    let stored = std::fs::read_to_string(to.join("job/out/deep/a.txt"));
    assert_eq!(stored.unwrap_or_else(|error| panic!("{error}: {}", ran.out)), "hello\n");
}

#[test]
fn failed_tests_are_listed() {
    let junit = "<testsuite name='s'><testcase classname='c' name='good'/><testcase classname='c' name='bad'><failure message='1 is not 2'/></testcase></testsuite>";
    let project = Project::new(&config(&["checkout", "store_test_results:\n    path: junit.xml"]));
    project.write("junit.xml", junit);
    let ran = project.run(&[]);
    ran.assert_code(0);
    ran.assert_shows_in_order(&["Tests of job: 1 passed, 1 failed", "✗ c bad: 1 is not 2"]);
}

#[test]
fn machines_get_json_lines() {
    let project = Project::new(&config(&[&run("echo hello")]));
    let ran = project.run(&["--output", "json"]);
    ran.assert_code(0);
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["event"], "pipeline");
    let last = lines.last().unwrap();
    assert_eq!(last["event"], "result");
    assert_eq!(last["exit_code"], 0);
    assert_eq!(last["jobs"][0]["outcome"], "success");
    let output = lines.iter().filter(|line| line["event"] == "output");
    assert!(output.map(|line| &line["data"]).any(|data| data == "aGVsbG8K"), "{}", ran.out);
}

#[test]
fn as_root_steps_are_somebody_else_also_from_a_closed_checkout() {
    if !can_be_root("to become another user") {
        return;
    }
    // The helpers on PATH are of the same binary, which lies where only root gets to.
    let script = "echo \"uid=$(id -u)\"; ls; command -v circleci-agent; circleci-agent step halt";
    let project = Project::new(&config(&["checkout", &run(script), &run("echo not reached")]));
    let copy = project.dir.path().join("russet");
    std::fs::copy(russet(), &copy).unwrap();
    let mut command = Command::new(copy);
    command.arg("run").arg(project.path()).stdin(Stdio::null());
    command.env("XDG_STATE_HOME", project.dir.path().join("state"));
    let ran = Run::of(command.output().unwrap());
    ran.assert_code(0);
    ran.assert_shows_in_order(&["uid=", "circleci-agent"]);
    assert!(!ran.out.contains("uid=0\n"), "{}", ran.out);
    assert!(!ran.out.contains("not reached"), "{}", ran.out);
}

/// A user without rights, who is on every system.
const NOBODY: u32 = 65534;

#[test]
fn not_as_root_it_says_once_that_tasks_are_not_isolated() {
    let project = Project::new(&config(&[&run("echo \"uid=$(id -u)\"")]));
    let home = project.dir.path();
    let mut command = project.command(&[]);
    if is_root() {
        // The checkout, and the binary in it, may be closed to others.
        let copy = home.join("russet");
        std::fs::copy(russet(), &copy).unwrap();
        for path in [home.to_owned(), project.path()] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command = Command::new(copy);
        command.arg("run").arg(project.path()).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", home.join("state")).env("HOME", home);
        command.current_dir(home).uid(NOBODY).gid(NOBODY);
    }
    let ran = Run::of(command.env("TMPDIR", home).output().unwrap());
    ran.assert_code(0);
    assert_eq!(ran.out.matches("not isolated").count(), 1, "{}", ran.out);
    if is_root() {
        ran.assert_shows_in_order(&["uid=65534\n"]);
    }
}

#[test]
fn the_repository_goes_along_without_credentials() {
    let project =
        Project::new(&config(&["checkout", &run("git log -1 --format=%s; cat .git/config")]));
    let git = |args: &[&str]| {
        let status = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(args)
            .current_dir(project.path())
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "git {args:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "Begin"]);
    git(&["remote", "add", "origin", "https://me:s3cret@example.com/acme/app.git"]);
    let ran = project.run(&[]);
    ran.assert_code(0);
    ran.assert_shows_in_order(&["acme/app", "Begin\n"]);
    assert!(!ran.out.contains("s3cret"), "{}", ran.out);
}

/// A run that has printed `ready`, with what it prints after that.
fn started(project: &Project, args: &[&str]) -> (Process, BufReader<std::process::ChildStdout>) {
    let mut child = project
        .command(args)
        .env("TMPDIR", project.dir.path())
        // Not in the group of the tests, as at a terminal of its own.
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let process = Process(child);
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the run ended before its step was ready");
    }
    (process, out)
}

/// A job that says that it runs and then does so for a long time, and how to find it.
fn long_job() -> (String, String) {
    let mut random = [0_u8; 4];
    getrandom::fill(&mut random).unwrap();
    // Unlike any other argument on this machine.
    let marker = format!("{}.{:09}", 100_000, u32::from_ne_bytes(random));
    (config(&[&run(&format!("echo ready\nsleep {marker}"))]), marker)
}

/// Returns true if a process has `marker` as an argument.
fn is_there(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| line.split(|&byte| byte == 0).any(|word| word == marker.as_bytes()))
}

#[test]
fn ctrl_c_cancels_and_leaves_nothing_behind() {
    let (config, marker) = long_job();
    let project = Project::new(&config);
    let (mut process, mut out) = started(&project, &[]);
    // The shell prints before it starts that.
    wait_for("the step to sleep", || is_there(&marker).then_some(()));
    process.signal(Signal::SIGINT);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
    assert_eq!(process.wait(), Some(130), "{rest}");
    assert!(rest.contains("Canceling") && rest.contains("canceled"), "{rest}");
    assert!(!is_there(&marker), "the step lives on");
}

#[test]
fn ctrl_c_twice_kills_a_job_that_will_not_end() {
    let (_, marker) = long_job();
    let script = format!("trap '' TERM INT\necho ready\nwhile true; do sleep {marker}; done");
    let project = Project::new(&config(&[&run(&script)]));
    let (mut process, mut out) = started(&project, &[]);
    process.signal(Signal::SIGINT);
    let mut line = String::new();
    while !line.contains("Canceling") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended without a word");
    }
    process.signal(Signal::SIGINT);
    assert_eq!(process.wait(), Some(130));
    let mut said = String::new();
    std::io::Read::read_to_string(process.0.stderr.as_mut().unwrap(), &mut said).unwrap();
    assert!(said.contains("killed"), "it waited for the job instead: {said}");
    wait_for("the step to be gone", || (!is_there(&marker)).then_some(()));
}

#[test]
fn a_run_that_is_killed_takes_its_children_with_it() {
    let (config, marker) = long_job();
    let project = Project::new(&config);
    let (mut process, _out) = started(&project, &[]);
    let children = children_of(process.pid());
    assert_eq!(children.len(), 2, "a server and an agent");
    let left = children.iter().find_map(|&child| data_directory(child)).unwrap();
    process.kill();
    for child in children {
        wait_for("server and agent to end", || {
            (!Path::new(&format!("/proc/{child}")).exists()).then_some(())
        });
    }
    assert!(!is_there(&marker), "the step lives on");
    // A later run deletes it after an hour; the test does so now.
    std::fs::remove_dir_all(left).unwrap();
}

/// The temporary directory of the run whose server this process is.
fn data_directory(pid: i32) -> Option<std::path::PathBuf> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let data = line.split('\0').skip_while(|word| *word != "--data-dir").nth(1)?;
    Path::new(data).parent().map(Path::to_owned)
}

fn children_of(pid: nix::unistd::Pid) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap());
    let lists: Vec<String> = lists.collect();
    lists.iter().flat_map(|list| list.split_whitespace()).map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn a_job_of_several_tasks_splits_its_tests_and_runs_again_what_failed() {
    let text = format!(
        r#"version: 2.1
jobs:
  test:
    machine: true
    resource_class: {}
    parallelism: 2
    max_auto_reruns: 1
    steps:
      - checkout
      - run:
          name: Split
          command: |
            circleci tests glob "spec/**/*_spec.rb" | circleci tests split > mine
            echo "run $CIRCLE_NODE_INDEX of $CIRCLE_NODE_TOTAL: $(tr '\n' ' ' < mine)"
            circleci env subst 'as ${{CIRCLE_JOB}} in ${{NOWHERE:-a task}}'
      - run:
          name: Flaky
          command: |
            if mkdir "$FLAKY/$CIRCLE_NODE_INDEX" && test "$CIRCLE_NODE_INDEX" = 1; then
              exit 7
            fi
      - store_artifacts: {{path: mine}}
workflows:
  main:
    jobs: [test]
"#,
        CLASS
    );
    let project = Project::new(&text);
    for name in ["a", "b", "deep/c"] {
        project.write(&format!("spec/{name}_spec.rb"), "");
    }
    let flaky = project.dir.path().join("flaky");
    std::fs::create_dir(&flaky).unwrap();
    std::fs::set_permissions(&flaky, PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::set_permissions(project.dir.path(), PermissionsExt::from_mode(0o711)).unwrap();
    project.write("env", &format!("FLAKY={}", flaky.display()));
    let file = project.path().join("env");
    let out = project.dir.path().join("out");
    let args = ["--env-file", file.to_str().unwrap(), "--artifacts", out.to_str().unwrap()];
    let ran = project.run(&args);
    ran.assert_code(0);
    let shows = |text: &str| assert!(ran.out.contains(text), "{text:?} in\n{}", ran.out);
    shows("run 0 of 2: spec/a_spec.rb spec/deep/c_spec.rb");
    shows("run 1 of 2: spec/b_spec.rb");
    shows("as test in a task");
    shows("test/1 | ✗ Flaky: exit code 7");
    assert_eq!(ran.out.matches("▶ Flaky").count(), 4, "{}", ran.out);
    for index in ["0", "1"] {
        assert!(ran.out.contains(&format!("{index}/mine")), "{}", ran.out);
    }
}
