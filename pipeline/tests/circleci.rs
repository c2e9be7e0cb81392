//! The meaning that CircleCI gives a configuration, case by case: each test has a small
//! configuration and what it has to compile to.

#![expect(clippy::panic, reason = "a test says what it did not expect")]

use std::collections::BTreeMap;
use std::sync::Arc;

use russet_pipeline::{
    Compiled, Job, JobKind, Options, OrbSource, Orbs, Pipeline, Value, compile, process,
};
use russet_protocol::task::Action;

/// A pipeline of the branch `main`, with the number 7.
fn options() -> Options {
    Options {
        file: "config.yml".to_owned(),
        branch: Some("main".to_owned()),
        pipeline: Pipeline { number: Some(7), ..Pipeline::default() },
        ..Options::default()
    }
}

/// Compiles a configuration of version 2.1, and checks that what it is written out to means the
/// same.
#[track_caller]
fn compiled_with(text: &str, options: &Options) -> Compiled {
    let text = format!("version: 2.1\n{text}");
    let compiled = compile(&text, options).unwrap_or_else(|errors| panic!("{errors}"));
    let written = process(&text, options).unwrap_or_else(|errors| panic!("{errors}"));
    let plain = Options { parameters: BTreeMap::new(), ..options.clone() };
    let again = compile(&written, &plain).unwrap_or_else(|errors| panic!("{errors}\n{written}"));
    assert_eq!(compiled.workflows, again.workflows, "{written}");
    assert_eq!(process(&written, &plain).ok(), Some(written));
    compiled
}

#[track_caller]
fn compiled(text: &str) -> Compiled {
    compiled_with(text, &options())
}

/// The messages of what is wrong with a configuration of version 2.1.
#[track_caller]
fn messages(text: &str) -> Vec<String> {
    let options = Options { check: true, ..options() };
    match compile(&format!("version: 2.1\n{text}"), &options) {
        Ok(_) => panic!("it should be refused:\n{text}"),
        Err(errors) => errors.0.into_iter().map(|error| error.message).collect(),
    }
}

fn jobs(compiled: &Compiled) -> Vec<&Job> {
    compiled.workflows.iter().flat_map(|workflow| &workflow.jobs).collect()
}

fn names(compiled: &Compiled) -> Vec<&str> {
    jobs(compiled).into_iter().map(|job| job.name.as_str()).collect()
}

/// The commands of all `run` steps.
fn commands(compiled: &Compiled) -> Vec<&str> {
    let steps = jobs(compiled).into_iter().flat_map(|job| &job.steps);
    let run = steps.filter_map(|step| match &step.action {
        Action::Run(run) => Some(run.command.as_str()),
        _ => None,
    });
    run.collect()
}

fn environment(job: &Job) -> String {
    let all = job.environment.iter().map(|(name, value)| format!("{name}={value}"));
    all.collect::<Vec<_>>().join(" ")
}

/// Two jobs for workflows that are about something else.
const JOBS: &str = "jobs:\n  j: {machine: true, resource_class: a/b, steps: [run: x]}\n";

/// The names of the workflows that run, out of conditions by name.
#[track_caller]
fn running(conditions: &[(&str, &str)], parameters: &str) -> Vec<String> {
    let mut text = format!("parameters: {{{parameters}}}\n{JOBS}workflows:\n");
    text.push_str("  base: {jobs: [j]}\n");
    for (name, condition) in conditions {
        text.push_str(&format!("  {name}:\n    when: {condition}\n    jobs: [j]\n"));
    }
    let names = compiled(&text).workflows.into_iter().map(|workflow| workflow.name);
    names.filter(|name| name != "base").collect()
}

#[test]
fn booleans_are_numbers_in_environment_and_words_elsewhere() {
    let compiled = compiled(
        r#"
parameters: {p: {type: boolean, default: yes}}
executors:
  e: {parameters: {b: {type: boolean}}, machine: true, resource_class: a/b, environment: {EX: << parameters.b >>}}
commands:
  c:
    parameters: {on: {type: boolean, default: on}, off: {type: boolean, default: false}}
    steps:
      - run:
          command: echo << parameters.on >> << parameters.off >>
          environment: {ON: << parameters.on >>, OFF: "<< parameters.off >>", TEXT: "is << parameters.on >>"}
jobs:
  t:
    executor: {name: e, b: false}
    parameters: {b: {type: boolean, default: true}}
    environment: {JOB: << parameters.b >>, PIPE: << pipeline.parameters.p >>, LITERAL: true, MAIN: << pipeline.git.branch == "main" >>}
    steps: [c]
workflows: {w: {jobs: [t]}}
"#,
    );
    let job = jobs(&compiled)[0];
    assert_eq!(environment(job), "EX=0 JOB=1 PIPE=1 LITERAL=true MAIN=1");
    assert_eq!(commands(&compiled), ["echo true false"]);
    let Action::Run(run) = &job.steps[0].action else { panic!("a run step") };
    let variables: Vec<String> = run.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(variables, ["OFF=0", "ON=1", "TEXT=is true"]);
}

#[test]
fn a_dependency_that_filters_leave_out_is_ignored() {
    let text = format!(
        "{JOBS}workflows:
  w:
    jobs:
      - j: {{name: a}}
      - j: {{name: by-branch, filters: {{branches: {{only: x}}}}}}
      - j: {{name: by-expression, filters: pipeline.git.branch == \"x\"}}
      - j: {{name: runs, requires: [a, by-branch, by-expression: [failed, success]]}}
      - j: {{name: gone, requires: [by-branch, by-expression]}}
      - j: {{name: gone-too, requires: [gone]}}
      - j: {{name: last, requires: [gone-too, runs]}}
"
    );
    let compiled = compiled(&text);
    assert_eq!(names(&compiled), ["a", "runs", "last"]);
    assert_eq!(jobs(&compiled)[1].requires, ["a"]);
    assert!(jobs(&compiled)[1].requires_status.is_empty());
    assert_eq!(jobs(&compiled)[2].requires, ["runs"]);
    let only = text.replace("requires: [gone-too, runs]", "requires: [gone]");
    let without = compile(&format!("version: 2.1\n{only}"), &options()).unwrap();
    assert_eq!(names(&without), ["a", "runs"]);
}

#[test]
fn a_matrix_that_is_left_out_is_left_out_for_those_that_require_it() {
    let compiled = compiled(
        "
jobs:
  m: {parameters: {v: {type: string}}, machine: true, resource_class: a/b, steps: [run: x]}
  j: {machine: true, resource_class: a/b, steps: [run: x]}
workflows:
  w:
    jobs:
      - j
      - m: {matrix: {parameters: {v: [a, b]}}, filters: pipeline.number == 1}
      - j: {name: after, requires: [m]}
      - j: {name: both, requires: [m, j]}
",
    );
    assert_eq!(names(&compiled), ["j", "both"]);
}

#[test]
fn expressions_stand_wherever_a_value_does() {
    let compiled = compiled(
        r#"
parameters: {n: {type: integer, default: 3}}
jobs:
  t:
    parameters: {v: {type: string}, on: {type: boolean, default: false}}
    machine: true
    resource_class: a/<< pipeline.git.branch == "main" and "large" or "small" >>
    parallelism: << pipeline.git.branch == "main" and 10 or 1 >>
    steps:
      - run: echo << parameters.v >> << pipeline.git.tag or pipeline.git.branch >> << pipeline.git.tag == "v1" >>
      - when: {condition: << pipeline.number > 3 and pipeline.number <= 7 >>, steps: [run: sizes]}
      - when: {condition: << pipeline.git.branch matches /a.*>>.*/ >>, steps: [run: never]}
workflows:
  w:
    jobs:
      - t:
          name: << pipeline.git.branch starts-with "ma" and "main-job" or "job" >>
          v: << pipeline.parameters.n == 3 and "three" or "other" >>
          context: [<< pipeline.git.branch == "main" and "prod" or "dev" >>, other]
      - t:
          name: m-<< matrix.v >>
          context: << pipeline.git.branch == "x" and "prod" or "dev" >>
          matrix: {parameters: {v: [<< pipeline.git.branch contains "ai" and "yes" or "no" >>]}}
"#,
    );
    assert_eq!(names(&compiled), ["main-job", "m-yes"]);
    assert_eq!(commands(&compiled)[..2], ["echo three main false", "sizes"]);
    let job = jobs(&compiled)[0];
    assert_eq!(job.contexts, ["prod", "other"]);
    assert_eq!(jobs(&compiled)[1].contexts, ["dev"]);
    assert_eq!((job.parallelism, job.resource_class.as_ref().unwrap().as_str()), (10, "a/large"));
}

#[test]
fn conditions_follow_the_public_grammar() {
    let found = running(
        &[
            ("main", "pipeline.git.branch == \"main\""),
            ("not-binds-first", "not pipeline.parameters.foo and pipeline.parameters.bar"),
            ("not-of-both", "not (pipeline.parameters.foo and pipeline.parameters.bar)"),
            ("text-is-no-boolean", "'pipeline.parameters.foo == \"true\"'"),
            ("unequal-types", "'pipeline.parameters.foo != \"true\"'"),
            ("tagged", "pipeline.git.tag starts-with \"v\""),
            ("untagged", "not (pipeline.git.tag starts-with \"v\")"),
            ("undefined-is-not-unequal", "pipeline.git.tag != \"v1\""),
            ("part", "pipeline.git.branch matches /ai/"),
            ("whole", "pipeline.git.branch matches /^m.*$/"),
            ("upper", "pipeline.parameters.bar OR TRUE"),
            ("bang", "\"!pipeline.parameters.bar\""),
            ("empty", "\"\""),
            ("tag-text", "\"<< pipeline.git.tag >>\""),
            ("some-text", "some text"),
            ("never", "false"),
        ],
        "foo: {type: boolean, default: true}, bar: {type: boolean, default: false}",
    );
    let expected =
        ["main", "not-of-both", "unequal-types", "untagged", "whole", "upper", "bang", "some-text"];
    assert_eq!(found, expected);
}

#[test]
fn what_the_grammar_does_not_have_says_what_to_write() {
    let text = format!(
        "{JOBS}workflows:
  a: {{when: pipeline.git.branch =~ /x/, jobs: [j]}}
  b: {{when: \"pipeline.git.branch == 'main'\", jobs: [j]}}
  c: {{when: pipeline.number && true, jobs: [j]}}
  d: {{when: 'pipeline.git.branch matches \"x\"', jobs: [j]}}
  e: {{when: pipeline.git.branch > 3, jobs: [j]}}
  f: {{when: pipeline.git.branch == main, jobs: [j]}}
  g: {{when: pipeline.git.branch matches /(?!x).*/, jobs: [j]}}
"
    );
    let options = Options { check: true, ..options() };
    let errors = compile(&format!("version: 2.1\n{text}"), &options).unwrap_err().0;
    let found: Vec<(&str, &str)> = errors
        .iter()
        .map(|error| (error.message.as_str(), error.hint.as_deref().unwrap_or_default()))
        .collect();
    insta::assert_debug_snapshot!("grammar_mistakes", found);
}

#[test]
fn matches_compares_the_whole_value() {
    let pattern = |text: &str| format!("{{matches: {{pattern: \"{text}\", value: main}}}}");
    let patterns = ["ai", "ma", "ma.n", "^a|main$", "^(?!release).*$"].map(pattern);
    let conditions: Vec<(&str, &str)> = ["part", "start", "whole", "either", "ahead"]
        .into_iter()
        .zip(patterns.iter().map(|p| p.as_str()))
        .collect();
    assert_eq!(running(&conditions, ""), ["whole", "either", "ahead"]);
}

#[test]
fn an_executor_parameter_is_compared_with_the_definition_of_an_executor() {
    let compiled = compiled(
        "
executors:
  linux: &linux
    machine: true
    resource_class: a/linux
    environment: {PLATFORM: linux}
  mac: &mac
    parameters: {class: {type: string, default: mac}}
    macos: {xcode: '16.0'}
    resource_class: a/<< parameters.class >>
commands:
  setup:
    parameters: {platform: {type: executor}}
    steps:
      - when: {condition: {equal: [*linux, << parameters.platform >>]}, steps: [run: linux]}
      - when: {condition: {or: [equal: [*mac, << parameters.platform >>]]}, steps: [run: mac]}
      - unless: {condition: {equal: [*mac, << parameters.platform >>]}, steps: [run: not mac]}
      - when: {condition: {equal: [mac, << parameters.platform >>]}, steps: [run: mac by name]}
jobs:
  t:
    parameters: {platform: {type: executor}}
    executor: << parameters.platform >>
    steps: [setup: {platform: << parameters.platform >>}, run: both]
workflows: {w: {jobs: [t: {matrix: {parameters: {platform: [linux, mac]}}}]}}
",
    );
    assert_eq!(commands(&compiled), ["linux", "not mac", "both", "mac", "mac by name", "both"]);
}

/// One orb in any version that is asked for.
struct AnyVersion;

impl OrbSource for AnyVersion {
    fn versions(&self, _: &str) -> Vec<String> {
        vec!["dev:head".to_owned(), "dev:7".to_owned(), "1.0.0".to_owned()]
    }

    fn text(&self, _: &str, version: &str) -> Option<String> {
        Some(format!("commands: {{say: {{steps: [run: 'echo {version}']}}}}\n"))
    }
}

#[test]
fn values_of_the_pipeline_choose_the_version_of_an_orb() {
    let text = "
parameters: {version: {type: string, default: 'dev:head'}}
orbs:
  a: acme/a@<<pipeline.parameters.version>>
  b: acme/b@dev:<<pipeline.number>>
jobs: {j: {machine: true, resource_class: a/b, steps: [a/say, b/say]}}
workflows: {w: {jobs: [j]}}
";
    let options = Options { orbs: Orbs(Some(Arc::new(AnyVersion))), ..options() };
    assert_eq!(commands(&compiled_with(text, &options)), ["echo dev:head", "echo dev:7"]);
    let parameters = [("version".to_owned(), Value::Text("1.0.0".to_owned()))].into();
    let other = compiled_with(text, &Options { parameters, ..options });
    assert_eq!(commands(&other), ["echo 1.0.0", "echo dev:7"]);
}

#[test]
fn values_of_the_pipeline_are_true_where_known_and_settable() {
    let text = "
jobs:
  j:
    machine: true
    resource_class: a/b
    steps: [run: << pipeline.project.type >>|<< pipeline.git.branch.is_default >>|<< pipeline.trigger_source >>|<< pipeline.git.repo_owner >>|<< pipeline.schedule.name >>|<< pipeline.event.name >>]
workflows: {w: {jobs: [j]}}
";
    assert_eq!(commands(&compiled(text)), ["github|false|api|||"]);
    let pipeline = Pipeline {
        project: Some("acme/app".to_owned()),
        repository_url: Some("git@bitbucket.org:acme/app.git".to_owned()),
        is_default_branch: true,
        values: BTreeMap::from([(
            "pipeline.event.name".to_owned(),
            Value::Text("push".to_owned()),
        )]),
        ..Pipeline::default()
    };
    let known = compiled_with(text, &Options { pipeline, ..options() });
    assert_eq!(commands(&known), ["bitbucket|true|api|acme||push"]);
    let given = "pipeline.project.type".to_owned();
    let values = BTreeMap::from([(given, Value::Text("gitlab".to_owned()))]);
    let pipeline = Pipeline { values, ..Pipeline::default() };
    let given = compiled_with(text, &Options { pipeline, ..options() });
    assert_eq!(commands(&given), ["gitlab|false|api|||"]);
}

#[test]
fn an_optional_key_that_a_default_leaves_empty_counts_as_absent() {
    let compiled = compiled(
        "
commands:
  c:
    parameters: {e: {type: string, default: ''}}
    steps:
      - run:
          command: x
          name: << parameters.e >>
          shell: << parameters.e >>
          working_directory: << parameters.e >>
          no_output_timeout: << parameters.e >>
          when: << parameters.e >>
      - add_ssh_keys: {fingerprints: [<< parameters.e >>]}
      - restore_cache: {keys: [a-, << parameters.e >>]}
      - store_artifacts: {path: out, destination: << parameters.e >>}
      - checkout: {path: << parameters.e >>, method: << parameters.e >>}
jobs:
  t:
    parameters: {e: {type: string, default: ''}, n: {type: integer, default: 0}}
    machine: true
    resource_class: a/b
    shell: << parameters.e >>
    working_directory: << parameters.e >>
    parallelism: << parameters.e >>
    max_auto_reruns: << parameters.n >>
    steps: [c]
workflows: {w: {jobs: [t: {context: ''}]}}
",
    );
    let job = jobs(&compiled)[0];
    assert_eq!((&job.shell, &job.working_directory, job.parallelism), (&None, &None, 1));
    assert!(job.contexts.is_empty());
    let Action::Run(run) = &job.steps[0].action else { panic!("a run step") };
    assert_eq!(
        (&run.shell, &run.working_directory, run.no_output_timeout_ms),
        (&None, &None, None)
    );
    assert_eq!(job.steps[0].name, "x");
    assert!(
        matches!(&job.steps[1].action, Action::AddSshKeys { fingerprints } if fingerprints.is_empty())
    );
    assert!(matches!(&job.steps[2].action, Action::RestoreCache { keys } if keys == &["a-"]));
    assert!(matches!(&job.steps[3].action, Action::StoreArtifacts { destination: None, .. }));
}

#[test]
fn an_absolute_destination_is_a_prefix_as_any_other() {
    let compiled = compiled(
        "jobs: {j: {machine: true, resource_class: a/b, steps: [store_artifacts: {path: x, destination: /builds/x}]}}\nworkflows: {w: {jobs: [j]}}\n",
    );
    let Action::StoreArtifacts { destination, .. } = &jobs(&compiled)[0].steps[0].action else {
        panic!("artifacts")
    };
    assert_eq!(destination.as_deref(), Some("builds/x"));
}

#[test]
fn one_name_over_a_matrix_is_numbered() {
    let compiled = compiled(
        "
jobs: {t: {parameters: {v: {type: string}}, machine: true, resource_class: a/b, steps: [run: << parameters.v >>]}}
workflows: {w: {jobs: [t: {name: NDK, matrix: {parameters: {v: [a, b]}}}, t: {name: after, v: x, requires: [t]}]}}
",
    );
    assert_eq!(names(&compiled), ["NDK-1", "NDK-2", "after"]);
    assert_eq!(jobs(&compiled)[2].requires, ["NDK-1", "NDK-2"]);
}

#[test]
fn a_job_without_steps_left_does_nothing_and_says_so() {
    let compiled = compiled(
        "
jobs:
  t: {parameters: {x: {type: boolean, default: false}}, machine: true, resource_class: a/b, steps: [when: {condition: << parameters.x >>, steps: [checkout]}]}
workflows: {w: {jobs: [t]}}
",
    );
    assert_eq!((jobs(&compiled)[0].kind, jobs(&compiled)[0].steps.len()), (JobKind::NoOp, 0));
    assert_eq!(compiled.warnings[0].message, "the job `t` has no steps left, and does nothing");
}

#[test]
fn environment_may_be_one_text() {
    let compiled = compiled(
        "
jobs: {t: {machine: true, resource_class: a/b, environment: CHANGE=true, steps: [run: {command: x, environment: \"A=1\\nB=2=3\"}]}}
workflows: {w: {jobs: [t]}}
",
    );
    assert_eq!(environment(jobs(&compiled)[0]), "CHANGE=true");
    let Action::Run(run) = &jobs(&compiled)[0].steps[0].action else { panic!("a run step") };
    assert_eq!(run.environment["B"], "2=3");
}

#[test]
fn a_job_group_runs_its_jobs_in_the_place_of_its_name() {
    let compiled = compiled(
        "
jobs: {j: {parameters: {e: {type: string, default: d}}, machine: true, resource_class: a/b, steps: [run: << parameters.e >>]}}
job-groups:
  deploy:
    jobs:
      - j: {name: migrate, e: db}
      - j: {name: roll-out, requires: [migrate]}
workflows:
  w: {jobs: [j, deploy: {requires: [j], serial-group: deploys}, j: {name: last, requires: [deploy]}]}
",
    );
    assert_eq!(names(&compiled), ["j", "migrate", "roll-out", "last"]);
    let requires: Vec<&[String]> = jobs(&compiled).iter().map(|job| &*job.requires).collect();
    assert_eq!(
        requires,
        [
            &[][..],
            &["j".to_owned()],
            &["migrate".to_owned()],
            &["migrate".to_owned(), "roll-out".to_owned()]
        ]
    );
    assert_eq!(jobs(&compiled)[2].serial_group.as_deref(), Some("deploys"));
    assert!(compiled.warnings[0].message.contains("may run between the jobs of this group"));
    let wrong = messages(
        "jobs: {j: {machine: true, resource_class: a/b, steps: [run: x]}}\njob-groups: {g: {jobs: [j]}, h: {}}\nworkflows: {w: {jobs: [g: {context: x}]}}\n",
    );
    assert_eq!(wrong, ["the job group `h` has no `jobs`", "a job group takes no `context` here"]);
}

#[test]
fn steps_of_version_2_may_name_themselves_by_type() {
    let text = "version: 2
jobs:
  build:
    machine: true
    resource_class: a/b
    steps:
      - type: checkout
      - {type: cache-restore, key: a}
      - {type: shell, name: Test, command: make}
      - {type: cache-save, key: a, paths: [x]}
      - {type: artifacts-store, path: x}
";
    let compiled = compile(text, &options()).unwrap();
    let steps: Vec<&str> =
        compiled.workflows[0].jobs[0].steps.iter().map(|step| step.name.as_str()).collect();
    let expected =
        ["Checkout code", "Restoring cache", "Test", "Saving cache", "Uploading artifacts"];
    assert_eq!(steps, expected);
}

#[test]
fn types_of_parameters_are_kept() {
    let job = |parameter: &str, given: &str| {
        format!(
            "jobs: {{t: {{parameters: {{v: {parameter}}}, machine: true, resource_class: a/b, steps: [run: x]}}}}\nworkflows: {{w: {{jobs: [t: {{name: u{given}}}]}}}}\n"
        )
    };
    let needs = ["the job `t` needs the parameter `v`"];
    assert_eq!(messages(&job("{type: string, default: }", "")), needs);
    for value in ["3.10", "true", "7"] {
        let found = messages(&job("{type: string}", &format!(", v: {value}")));
        assert!(found[0].contains("must be a text, in quotes"), "{found:?}");
        let found = messages(&job(&format!("{{type: string, default: {value}}}"), ""));
        assert!(found[0].contains("must be a text, in quotes"), "{found:?}");
    }
    compiled(&job("{type: string}", ", v: '3.10'"));
    // What another value passes on keeps what it says.
    compiled(&job("{type: string}", ", v: << pipeline.number >>"));
}

#[test]
fn parameters_of_the_pipeline_are_not_visible_inside_orbs() {
    let text = "
parameters: {p: {type: string, default: x}}
orbs:
  o: {commands: {c: {parameters: {v: {type: string, default: ''}}, steps: [run: 'echo BODY << parameters.v >> << pipeline.number >>']}}}
jobs: {j: {machine: true, resource_class: a/b, steps: [o/c: {v: << pipeline.parameters.p >>}]}}
workflows: {w: {jobs: [j]}}
";
    assert_eq!(commands(&compiled(text)), ["echo BODY x 7"]);
    let found = messages(&text.replace("BODY", "<< pipeline.parameters.p >>"));
    let expected =
        "parameters of the pipeline are not visible inside orbs: `pipeline.parameters.p`";
    assert_eq!(found, [expected]);
}

#[test]
fn validation_of_a_release_is_known() {
    let text = "version: 2.1\njobs: {r: {type: release, plan_name: p, validation: {enabled: true}}}\nworkflows: {w: {jobs: [r]}}\n";
    let checked = compile(text, &Options { check: true, ..options() }).unwrap();
    assert!(checked.warnings.iter().all(|warning| !warning.message.contains("validation")));
}

#[test]
fn mistakes_below_a_condition_that_fails_are_shown_where_a_configuration_is_checked() {
    let text = "
commands:
  n: {parameters: {e: {type: enum, enum: [a, b]}}, steps: [run: << parameters.e >>]}
  again: {parameters: {x: {type: string, default: ''}}, steps: [when: {condition: << parameters.x >>, steps: [again, n: {e: << parameters.x >>}]}]}
jobs:
  t:
    parameters: {x: {type: boolean, default: false}}
    machine: true
    resource_class: a/b
    steps:
      - again
      - when: {condition: << parameters.x >>, steps: [n: {e: invalid}, n: {nope: 1}, run: {comand: x}, nothing-such]}
      - run: done
workflows: {w: {jobs: [t]}}
";
    let mut found = messages(text);
    found.sort();
    let expected = [
        "the command `n` has no parameter `nope`",
        "the command `n` needs the parameter `e`",
        "the parameter `e` of the command `n` must be one of `a`, `b`, but found a text (`invalid`)",
        "there is no step `nothing-such`",
        "unknown key `comand` in a `run` step",
    ];
    assert_eq!(found, expected);
    assert!(
        compile(&format!("version: 2.1\n{text}"), &options()).is_ok(),
        "a run needs none of it"
    );
}

/// An orb with a parameter that has to be given, though its default is empty.
struct NeedsKey;

impl OrbSource for NeedsKey {
    fn versions(&self, _: &str) -> Vec<String> {
        vec!["1.0.0".to_owned()]
    }

    fn text(&self, _: &str, _: &str) -> Option<String> {
        let text = "commands:\n  save:\n    parameters: {key: {type: string, default: ''}}\n    steps:\n      - save_cache: {key: << parameters.key >>, paths: [x]}\n";
        Some(text.to_owned())
    }
}

#[test]
fn a_mistake_with_a_step_of_an_orb_is_told_where_the_orb_is_used() {
    let text = "version: 2.1\norbs: {o: acme/o@1}\njobs:\n  j:\n    machine: true\n    resource_class: a/b\n    steps:\n      - o/save\nworkflows: {w: {jobs: [j]}}\n";
    let options = Options { orbs: Orbs(Some(Arc::new(NeedsKey))), ..options() };
    let errors = compile(text, &options).unwrap_err();
    assert_eq!((errors.0[0].file.as_str(), errors.0[0].line), ("config.yml", 8), "{errors}");
    let related = errors.0[0].related.as_ref().unwrap();
    assert_eq!((related.file.as_str(), related.line), ("acme/o@1.0.0", 3), "{errors}");
}

#[test]
fn mistakes_of_syntax_in_several_parts_come_at_once() {
    let text = "version: 2.1\njobs:\n  a: [1, 2\ncommands:\n  b: \"x\" y\n";
    let errors = compile(text, &options()).unwrap_err();
    let lines: Vec<usize> = errors.0.iter().map(|error| error.line).collect();
    assert!(errors.0.len() == 2 && lines.contains(&5), "{errors}");
}
