//! Meaning of the language: configurations and the jobs they compile to.

#![expect(clippy::panic, reason = "a test says what it did not expect")]

use russet_pipeline::{Compiled, Errors, Options, compile};
use russet_protocol::task::{Action, Run};

fn compiled(text: &str) -> Compiled {
    with(text, Options::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn with(text: &str, options: Options) -> Result<Compiled, Errors> {
    compile(text, &Options { file: "config.yml".to_owned(), ..options })
}

fn runs(compiled: &Compiled) -> Vec<(String, Run)> {
    let steps = compiled.workflows.iter().flat_map(|w| &w.jobs).flat_map(|job| &job.steps);
    steps
        .filter_map(|step| match &step.action {
            Action::Run(run) => Some((step.name.clone(), run.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_whole_configuration_compiles_to_its_jobs() {
    let text = include_str!("../../examples/quickstart/.circleci/config.yml");
    let compiled = compiled(text);
    assert_eq!(compiled.warnings, []);
    insta::assert_debug_snapshot!("quickstart", compiled.workflows);
}

#[test]
fn the_configurations_of_this_repository_compile_without_warnings() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = 0;
    let examples = std::fs::read_dir(root.join("examples")).unwrap();
    let folders = examples.map(|entry| entry.unwrap().path()).chain([root]);
    for config in folders.map(|folder| folder.join(".circleci/config.yml")) {
        if config.exists() {
            found += 1;
            let result = compile(&std::fs::read_to_string(&config).unwrap(), &Options::default());
            assert_eq!(result.map(|compiled| compiled.warnings), Ok(vec![]), "{config:?}");
        }
    }
    assert!(found >= 2);
}

#[test]
fn steps_are_read_in_all_their_forms() {
    let compiled = compiled(
        r"
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - checkout
      - checkout:
      - checkout: {path: src, name: Get it, when: always}
      - run: make
      - run: |

          first line
          second line
      - run:
          name: Everything
          command: make test
          shell: /bin/sh -eu
          environment: {B: 1.10, A: yes}
          working_directory: src
          background: true
          no_output_timeout: 1h30m
          when: on_fail
      - store_artifacts: {path: out, destination: logs/out}
      - store_test_results: {path: results, when: on_fail}
      - checkout: {method: full}
      - run: {command: flaky, max_auto_reruns: 3, auto_rerun_delay: 1m30s}
      - deploy: ship
      - add_ssh_keys
      - add_ssh_keys: {fingerprints: ['SHA256:a', 'b:c'], when: always}
      - setup_remote_docker
      - setup_remote_docker: {name: Docker}
      - install_signing_bundle
    code_signing: [dist]
    parallelism: 4
",
    );
    insta::assert_debug_snapshot!("steps", compiled.workflows[0].jobs[0].steps);
    assert_eq!(compiled.workflows[0].jobs[0].parallelism, 4);
}

#[test]
fn mistakes_in_the_keys_of_steps_are_all_shown() {
    let text = r"
version: 2.1
jobs:
  build:
    machine: true
    parallelism: 0
    steps:
      - checkout: {method: blobles}
      - run: {command: a, max_auto_reruns: 11, auto_rerun_delay: 11m}
      - deploy
      - add_ssh_keys: {fingerprint: [a]}
";
    let errors = with(text, Options::default()).unwrap_err();
    insta::assert_snapshot!("mistakes_in_steps", errors.to_string());
}

#[test]
fn environments_are_kept_as_written_and_lists_are_mappings() {
    let compiled = compiled(
        r"
version: 2.1
jobs:
  build:
    machine: true
    environment:
      VERSION: 1.10
      OCTAL: 0755
      FLAG: yes
      EMPTY:
      QUOTED: '<none>'
    steps:
      - run: {command: make, environment: [A=1=2, {B: x}, A=last]}
",
    );
    let job = &compiled.workflows[0].jobs[0];
    let expected = [
        ("VERSION", "1.10"),
        ("OCTAL", "0755"),
        ("FLAG", "yes"),
        ("EMPTY", ""),
        ("QUOTED", "<none>"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(job.environment, expected);
    let run = &runs(&compiled)[0].1;
    let expected = [("A", "last"), ("B", "x")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(run.environment, expected.into());
}

#[test]
fn anchors_may_be_given_twice_and_merge_keys_as_well() {
    let compiled = compiled(
        r"
version: 2.1
first: &job
  machine: true
  shell: sh
  environment: {FROM: first}
steps: &steps
  steps: [run: one]
again: &job
  machine: true
  environment: {FROM: again}
more: &more
  shell: zsh
  working_directory: src
jobs:
  build:
    <<: *job
    <<: [*steps, *more]
    shell: bash
workflows:
  main:
    jobs: [build]
",
    );
    let job = &compiled.workflows[0].jobs[0];
    assert_eq!(job.environment, [("FROM".to_owned(), "again".to_owned())]);
    assert_eq!(job.shell.as_deref(), Some("bash"));
    assert_eq!(job.working_directory.as_deref(), Some("src"));
    assert_eq!(job.steps.len(), 1);
}

#[test]
fn double_angle_brackets_mean_something_in_version_2_1_only() {
    let config = |version: &str, command: &str| {
        format!("version: {version}\njobs: {{build: {{machine: true, steps: [run: '{command}']}}}}")
    };
    assert_eq!(runs(&compiled(&config("2", "cat <<EOF")))[0].1.command, "cat <<EOF");
    assert_eq!(runs(&compiled(&config("2.1", "cat \\<<EOF")))[0].1.command, "cat <<EOF");
    for refused in ["cat <<EOF", "<< x >>", "\\<<a <<b", "<<\n\nx>>"] {
        assert!(with(&config("2.1", refused), Options::default()).is_err(), "{refused}");
    }
}

#[test]
fn an_executor_fills_the_gaps_of_a_job() {
    let compiled = compiled(
        r"
version: 2.1
executors:
  mini:
    macos: {shell: zsh}
    resource_class: acme/mini
    environment: {A: executor, B: executor}
jobs:
  one:
    executor: mini
    environment: {B: job}
    steps: [checkout]
  two:
    executor: {name: mini}
    resource_class: acme/studio
    steps: [checkout]
workflows:
  main:
    jobs: [one, two: {requires: [one, one]}]
",
    );
    let [one, two] = compiled.workflows[0].jobs.as_slice() else { panic!("two jobs") };
    assert_eq!(one.resource_class.as_ref().unwrap().as_str(), "acme/mini");
    assert_eq!(one.shell.as_deref(), Some("zsh"));
    let expected = [("A", "executor"), ("B", "job")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(one.environment, expected);
    assert_eq!(two.resource_class.as_ref().unwrap().as_str(), "acme/studio");
    assert_eq!(two.requires, ["one"]);
}

const DOCKER: &str = "
version: 2.1
jobs:
  build:
    docker: [image: debian]
    resource_class: large
    steps: [checkout]
";

#[test]
fn docker_jobs_run_on_the_host_only_when_asked_to() {
    let errors = with(DOCKER, Options::default()).unwrap_err();
    assert!(errors.to_string().contains("--on-host"), "{errors}");
    let on_host = with(DOCKER, Options { on_host: true, ..Options::default() }).unwrap();
    let job = &on_host.workflows[0].jobs[0];
    assert_eq!((job.steps.len(), &job.resource_class), (1, &None));
    assert_eq!(on_host.warnings.len(), 1);
}

#[test]
fn a_chosen_class_is_that_of_every_job() {
    let text = "
version: 2.1
jobs:
  build: {macos: {xcode: 16.4.0}, resource_class: m4pro.medium, steps: [checkout]}
";
    assert!(with(text, Options::default()).is_err());
    let class: russet_protocol::resource_class::ResourceClass = "local/here".parse().unwrap();
    let options = Options { resource_class: Some(class.clone()), ..Options::default() };
    let chosen = with(text, options).unwrap();
    assert_eq!(chosen.workflows[0].jobs[0].resource_class, Some(class));
}

const TWO_WORKFLOWS: &str = "
version: 2.1
jobs:
  build: {machine: true, steps: [checkout]}
  test: {machine: true, steps: [checkout]}
  later: {type: release}
workflows:
  main:
    jobs: [build, test: {requires: [build]}]
  nightly:
    jobs: [later]
";

#[test]
fn what_does_not_run_may_use_what_is_not_supported() {
    let whole = with(TWO_WORKFLOWS, Options::default()).unwrap_err();
    assert!(whole.to_string().contains("is not supported"), "{whole}");
    let options = Options { workflow: Some("main".to_owned()), ..Options::default() };
    let main = with(TWO_WORKFLOWS, options).unwrap();
    assert_eq!(main.workflows.len(), 1);
    assert_eq!(main.workflows[0].jobs[1].requires, ["build"]);

    let options = Options { job: Some("test".to_owned()), ..Options::default() };
    let test = with(TWO_WORKFLOWS, options).unwrap();
    let names: Vec<&str> = test.workflows[0].jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["build", "test"], "a job comes with what it requires");
    let options = Options { job: Some("build".to_owned()), ..Options::default() };
    let build = with(TWO_WORKFLOWS, options).unwrap();
    assert_eq!(build.workflows[0].jobs.len(), 1, "but not with what requires it");
}

#[test]
fn a_workflow_or_job_that_is_not_there_is_an_error_with_a_suggestion() {
    let options = Options { workflow: Some("mian".to_owned()), ..Options::default() };
    let errors = with(TWO_WORKFLOWS, options).unwrap_err();
    assert!(errors.to_string().contains("did you mean `main`?"), "{errors}");
    let options = Options { job: Some("tset".to_owned()), ..Options::default() };
    let errors = with(TWO_WORKFLOWS, options).unwrap_err();
    assert!(errors.to_string().contains("did you mean `test`?"), "{errors}");
}
