//! Abbreviations of version 2.1, and the jobs that they are written out to.

#![expect(clippy::panic, reason = "a test says what it did not expect")]

use std::collections::BTreeMap;
use std::sync::Arc;

use russet_pipeline::{Compiled, Options, OrbSource, Orbs, Pipeline, Value, compile, process};
use russet_protocol::task::Action;

fn options() -> Options {
    Options { file: "config.yml".to_owned(), ..Options::default() }
}

fn with(text: &str, options: &Options) -> Compiled {
    compile(text, options).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> String {
    match compile(text, &Options { check: true, ..options() }) {
        Err(errors) => errors.to_string(),
        Ok(_) => panic!("it should be refused:\n{text}"),
    }
}

/// The commands of all `run` steps, by job.
fn commands(compiled: &Compiled) -> Vec<(String, Vec<String>)> {
    let jobs = compiled.workflows.iter().flat_map(|workflow| &workflow.jobs);
    jobs.map(|job| {
        let runs = job.steps.iter().filter_map(|step| match &step.action {
            Action::Run(run) => Some(run.command.clone()),
            _ => None,
        });
        (job.name.clone(), runs.collect())
    })
    .collect()
}

fn commands_of(text: &str) -> Vec<(String, Vec<String>)> {
    commands(&with(text, &options()))
}

fn expect(found: &[(String, Vec<String>)], expected: &[(&str, &[&str])]) {
    let found: Vec<(&str, Vec<&str>)> = found
        .iter()
        .map(|(name, runs)| (name.as_str(), runs.iter().map(String::as_str).collect()))
        .collect();
    let expected: Vec<(&str, Vec<&str>)> =
        expected.iter().map(|(name, runs)| (*name, runs.to_vec())).collect();
    assert_eq!(found, expected);
}

#[test]
fn commands_take_parameters_of_every_type() {
    let found = commands_of(
        r"
version: 2.1
executors:
  mini:
    parameters: {class: {type: string, default: acme/mini}}
    machine: true
    resource_class: << parameters.class >>
    environment: {FROM: executor, KEPT: << parameters.class >>}
commands:
  greet:
    parameters:
      to: {type: string}
      loud: {type: boolean, default: false}
      times: {type: integer, default: 2}
      tone: {type: enum, enum: [kind, rude], default: kind}
      token: {type: env_var_name, default: TOKEN}
      after: {type: steps, default: [run: none]}
    steps:
      - run: echo << parameters.tone >> <<parameters.to>> << parameters.times >> $<< parameters.token >>
      - when:
          condition: << parameters.loud >>
          steps: [run: LOUD]
      - unless: {condition: << parameters.loud >>, steps: [run: quiet]}
      - steps: << parameters.after >>
jobs:
  build:
    parameters: {where: {type: executor, default: mini}, end: {type: steps, default: []}}
    executor: << parameters.where >>
    environment: {FROM: job}
    steps:
      - greet: {to: you}
      - greet:
          to: all
          loud: true
          times: 3
          tone: rude
          after: [greet: {to: nested, after: []}]
      - steps: << parameters.end >>
workflows:
  main:
    jobs:
      - build: {where: {name: mini, class: acme/studio}, end: [run: end]}
",
    );
    expect(
        &found,
        &[(
            "build",
            &[
                "echo kind you 2 $TOKEN",
                "quiet",
                "none",
                "echo rude all 3 $TOKEN",
                "LOUD",
                "echo kind nested 2 $TOKEN",
                "quiet",
                "end",
            ],
        )],
    );
}

#[test]
fn an_executor_with_arguments_is_written_into_its_job() {
    let compiled = with(
        r"
version: 2.1
executors:
  mini:
    parameters: {class: {type: string}}
    machine: true
    resource_class: acme/<< parameters.class >>
    environment: {FROM: executor, KEPT: << parameters.class >>}
jobs:
  build:
    executor: {name: mini, class: studio}
    environment: {FROM: job}
    steps: [checkout]
",
        &options(),
    );
    let job = &compiled.workflows[0].jobs[0];
    assert_eq!(job.resource_class.as_ref().unwrap().as_str(), "acme/studio");
    let expected = [("KEPT", "studio"), ("FROM", "job")];
    assert_eq!(job.environment, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn texts_are_escaped_and_have_sections() {
    let found = commands_of(
        r"
version: 2.1
jobs:
  build:
    machine: true
    parameters: {a: {type: string, default: x}, none: {type: string, default: ''}}
    steps:
      - run: cat \<<EOF << parameters.a >> \<< parameters.a >>
      - run: <<# parameters.a >>has << parameters.a >><</ parameters.a >><<^ parameters.a >>no<</ parameters.a >>
      - run: <<# parameters.none >>has<</ parameters.none >><<^ parameters.none >>no<</parameters.none>>
",
    );
    expect(&found, &[("build", &["cat <<EOF x << parameters.a >>", "has x", "no"])]);
}

const CONDITIONS: &str = r#"
version: 2.1
parameters:
  deploy: {type: boolean, default: false}
  target: {type: string, default: dev}
  count: {type: integer, default: 0}
executors:
  one: {machine: true}
jobs:
  build: {machine: true, steps: [run: build]}
  deploy: {machine: true, steps: [run: "<< pipeline.parameters.target >> << pipeline.number >>"]}
workflows:
  always:
    jobs: [build]
  plain:
    when: << pipeline.parameters.deploy >>
    jobs: [deploy]
  statements:
    when:
      and:
        - or: [equal: [dev, << pipeline.parameters.target >>], equal: [2, << pipeline.parameters.count >>]]
        - not: << pipeline.parameters.deploy >>
        - matches: {pattern: "^rel.*$", value: << pipeline.git.branch >>}
    jobs: [build]
  text:
    when: pipeline.parameters.target == "prod" and not (pipeline.parameters.count == 1)
    jobs: [build]
  never:
    unless: true
    jobs: [build]
"#;

fn names(compiled: &Compiled) -> Vec<&str> {
    compiled.workflows.iter().map(|workflow| workflow.name.as_str()).collect()
}

#[test]
fn workflows_run_if_their_conditions_hold() {
    assert_eq!(names(&with(CONDITIONS, &options())), ["always"]);
    let parameters: BTreeMap<String, Value> = [
        ("deploy".to_owned(), Value::Boolean(true)),
        ("target".to_owned(), Value::Text("prod".to_owned())),
    ]
    .into();
    let pipeline = Pipeline { number: Some(7), ..Pipeline::default() };
    let deployed = with(CONDITIONS, &Options { parameters, pipeline, ..options() });
    assert_eq!(names(&deployed), ["always", "plain", "text"]);
    assert_eq!(commands(&deployed)[1].1, ["prod 7"]);
    let branch = Some("release".to_owned());
    let released = with(CONDITIONS, &Options { branch, ..options() });
    assert_eq!(names(&released), ["always", "statements"]);
    let workflow = Some("never".to_owned());
    let refused = compile(CONDITIONS, &Options { workflow, ..options() }).unwrap_err().to_string();
    assert!(refused.contains("`never` does not run"), "{refused}");
}

#[test]
fn a_parameter_of_the_pipeline_is_checked() {
    for (name, value, message) in [
        ("deplyo", Value::Boolean(true), "did you mean `deploy`?"),
        ("deploy", Value::Text("perhaps".to_owned()), "must be `true` or `false`"),
        ("count", Value::Text("1.5".to_owned()), "must be a whole number"),
    ] {
        let parameters = [(name.to_owned(), value)].into();
        let refused = compile(CONDITIONS, &Options { parameters, ..options() }).unwrap_err();
        assert!(refused.to_string().contains(message), "{refused}");
    }
    let parameters = [("deploy".to_owned(), Value::Text("true".to_owned()))].into();
    assert_eq!(names(&with(CONDITIONS, &Options { parameters, ..options() })), ["always", "plain"]);
}

const MATRIX: &str = r"
version: 2.1
jobs:
  test:
    machine: true
    parameters: {version: {type: string}, os: {type: string}}
    steps: [run: << parameters.os >> << parameters.version >>]
  done: {machine: true, steps: [run: done]}
workflows:
  main:
    jobs:
      - test:
          matrix:
            alias: all
            parameters: {version: ['1.0', '2.0'], os: [mac, win]}
            exclude: [{os: win, version: '1.0'}]
          pre-steps: [run: pre << matrix.os >>]
          post-steps: [run: post]
      - done: {requires: [all]}
      - done: {requires: [test-mac-1.0]}
      - test:
          name: named << matrix.os >>
          version: '3'
          matrix: {parameters: {os: [mac]}}
          requires: [done-1]
";

#[test]
fn a_matrix_stands_for_its_combinations() {
    let compiled = with(MATRIX, &options());
    expect(
        &commands(&compiled),
        &[
            ("test-mac-1.0", &["pre mac", "mac 1.0", "post"]),
            ("test-mac-2.0", &["pre mac", "mac 2.0", "post"]),
            ("test-win-2.0", &["pre win", "win 2.0", "post"]),
            ("done-1", &["done"]),
            ("done-2", &["done"]),
            ("named mac", &["mac 3"]),
        ],
    );
    let jobs = &compiled.workflows[0].jobs;
    assert_eq!(jobs[3].requires, ["test-mac-1.0", "test-mac-2.0", "test-win-2.0"]);
    assert_eq!(jobs[4].requires, ["test-mac-1.0"]);
    assert_eq!(jobs[5].requires, ["done-1"]);
}

#[test]
fn a_condition_between_brackets_is_a_boolean() {
    let text = r#"
version: 2.1
parameters: {n: {type: integer, default: 3}}
jobs:
  job:
    parameters: {on: {type: boolean}}
    machine: true
    steps:
      - run: is << pipeline.git.branch == "main" >>, << parameters.on and not pipeline.parameters.n == 4 >>
      - when: {condition: << parameters.on >>, steps: [run: on]}
      - when: {condition: << pipeline.parameters.n >> == 4, steps: [run: a text holds]}
      - run: cat \<<'E' >> pipeline.x
workflows:
  main: {jobs: [job: {on: << pipeline.parameters.n == 3 and pipeline.git.branch != "x" >>}]}
"#;
    let compiled = with(text, &Options { branch: Some("main".to_owned()), ..options() });
    let expected = ["is true, false", "on", "a text holds", "cat <<'E' >> pipeline.x"];
    expect(&commands(&compiled), &[("job", &expected)]);
    let warning = compiled.warnings[0].to_string();
    assert!(warning.contains("this condition is a text, and always holds"), "{warning}");
    let open = text.replace("\\<<'E'", "<<'E'");
    let refused = compile(&open, &options()).unwrap_err().to_string();
    assert!(refused.contains("for a here-document write `\\<<`"), "{refused}");
}

#[test]
fn an_item_of_requires_may_name_several_jobs() {
    let text = "version: 2.1\njobs: {job: {parameters: {a: {type: string, default: x}}, machine: true, steps: [run: x]}}\n\
        workflows:\n  main:\n    jobs:\n      - job: {matrix: {alias: all, parameters: {a: [x, y]}}}\n      - job: {name: one}\n      \
        - job: {name: last, requires: [{one: failed, all: terminal}]}\n";
    let compiled = with(text, &options());
    let last = &compiled.workflows[0].jobs[3];
    assert_eq!(last.requires, ["one", "job-x", "job-y"]);
    let statuses = last.requires_status.iter().map(|required| required.statuses.len());
    assert_eq!(statuses.collect::<Vec<_>>(), [1, 5, 5]);
}

const FILTERS: &str = r#"
version: 2.1
parameters: {yes: {type: boolean, default: true}}
jobs:
  job: {machine: true, steps: [run: x]}
workflows:
  main:
    jobs:
      - job: {name: all}
      - job: {name: main, filters: {branches: {only: main}}}
      - job: {name: after-main, requires: [main]}
      - job: {name: not-main, filters: {branches: {ignore: [main, /wip-.*/]}}}
      - job: {name: tags, filters: {branches: {ignore: /.*/}, tags: {only: /^v\d+/}}}
      - job: {name: looks-ahead, filters: {branches: {only: '/^(?!main$).*/'}}}
      - job: {name: expression, filters: pipeline.git.branch == "main" or not pipeline.parameters.yes}
      - job: {name: after-expression, requires: [expression, all]}
      - job: {name: release, filters: pipeline.git.tag starts-with "v"}
"#;

#[test]
fn filters_choose_jobs_by_branch_and_tag() {
    let jobs = |branch: Option<&str>, tag: Option<&str>| {
        let (branch, tag) = (branch.map(str::to_owned), tag.map(str::to_owned));
        let compiled = with(FILTERS, &Options { branch, tag, ..options() });
        let jobs = compiled.workflows[0].jobs.iter().map(|job| job.name.clone());
        jobs.collect::<Vec<String>>().join(" ")
    };
    let main = "all main after-main expression after-expression";
    assert_eq!(jobs(Some("main"), None), main);
    assert_eq!(jobs(Some("x"), None), "all not-main looks-ahead after-expression");
    assert_eq!(jobs(Some("wip-1"), None), "all looks-ahead after-expression");
    let tags = "tags release";
    assert_eq!(jobs(None, Some("v12")), tags, "a job without filters on tags runs for none");
    let all = "all main after-main not-main tags looks-ahead expression after-expression release";
    assert_eq!(jobs(None, None), all, "nothing is known that filters could ask for");
    let tag = Some("x1".to_owned());
    let refused = compile(FILTERS, &Options { tag, ..options() }).unwrap_err().to_string();
    assert!(refused.contains("no workflow runs for the tag `x1`"), "{refused}");
}

/// Orbs that are there.
struct Shelf;

impl OrbSource for Shelf {
    fn versions(&self, orb: &str) -> Vec<String> {
        match orb {
            "acme/tools" => vec!["1.0.0".to_owned(), "1.2.0".to_owned()],
            "acme/base" | "acme/circle" => vec!["3.0.0".to_owned()],
            _ => Vec::new(),
        }
    }

    fn text(&self, orb: &str, version: &str) -> Option<String> {
        let text = match (orb, version) {
            ("acme/tools", "1.2.0") => {
                "version: 2.1\norbs: {base: acme/base@3}\nexecutors: {mac: {machine: true, environment: {ORB: yes}}}\n\
                 commands:\n  hello:\n    parameters: {to: {type: string}}\n    steps:\n      - base/say: {text: hello << parameters.to >>}\n      - own\n  \
                 own: {steps: [run: own]}\n  typo: {steps: [run: << parameters.nothing >>]}\n\
                 jobs:\n  test:\n    parameters: {exec: {type: executor, default: mac}, pre: {type: steps, default: []}}\n    executor: << parameters.exec >>\n    steps:\n      - steps: << parameters.pre >>\n      - own\n"
            }
            ("acme/base", _) => {
                "version: 2.1\ncommands: {say: {parameters: {text: {type: string}}, steps: [run: echo << parameters.text >>]}}\n"
            }
            ("acme/circle", _) => {
                "version: 2.1\norbs: {me: acme/circle@3.0.0}\ncommands: {go: {steps: [me/go]}}\n"
            }
            _ => "version: 2.1\n",
        };
        Some(text.to_owned())
    }
}

fn shelf() -> Options {
    Options { orbs: Orbs(Some(Arc::new(Shelf))), ..options() }
}

const ORBS: &str = r"
version: 2.1
orbs:
  tools: acme/tools@1
  own:
    orbs: {t: acme/tools@1.2}
    executors: {mac: {machine: true, environment: {INLINE: yes}}}
    commands: {twice: {steps: [t/own, t/own]}}
    jobs: {job: {executor: mac, steps: [twice]}}
executors:
  mine: {machine: true, environment: {MINE: yes}}
commands:
  own: {steps: [run: mine]}
jobs:
  build: {executor: tools/mac, steps: [tools/hello: {to: you}, own/twice]}
workflows:
  main:
    jobs:
      - build
      - tools/test
      - tools/test: {name: passed, exec: mine, pre: [own]}
      - own/job
";

#[test]
fn orbs_have_names_of_their_own() {
    let compiled = with(ORBS, &shelf());
    expect(
        &commands(&compiled),
        &[
            ("build", &["echo hello you", "own", "own", "own"]),
            ("tools/test", &["own"]),
            ("passed", &["mine", "own"]),
            ("own/job", &["own", "own"]),
        ],
    );
    let environment = |at: usize| compiled.workflows[0].jobs[at].environment[0].0.clone();
    assert_eq!([0, 1, 2, 3].map(environment), ["ORB", "ORB", "MINE", "INLINE"]);
}

#[test]
fn an_orb_that_is_not_there_says_how_to_provide_it() {
    let missing = errors(ORBS);
    assert!(missing.contains("the orb `acme/tools@1` is not there"), "{missing}");
    assert!(missing.contains("DIR/acme/tools@1.0.0.yml and say `--orb-path DIR`"), "{missing}");
    let other = ORBS.replace("tools@1\n", "tools@2\n");
    let missing = compile(&other, &shelf()).unwrap_err().to_string();
    assert!(missing.contains("what is there is 1.0.0, 1.2.0"), "{missing}");
    let circle =
        "version: 2.1\norbs: {c: acme/circle@3}\njobs: {build: {machine: true, steps: [c/go]}}\n";
    let circle = compile(circle, &shelf()).unwrap_err().to_string();
    assert!(circle.contains("uses itself"), "{circle}");
}

#[test]
fn a_mistake_in_an_orb_is_shown_in_its_own_file() {
    let text =
        "version: 2.1\norbs: {t: acme/tools@1}\njobs: {build: {machine: true, steps: [t/typo]}}\n";
    let wrong = compile(text, &shelf()).unwrap_err();
    assert_eq!(wrong.0[0].file, "acme/tools@1.2.0");
    assert!(wrong.to_string().contains("there is no parameter `nothing` here"), "{wrong}");
}

#[test]
fn an_orb_that_no_job_that_runs_uses_may_lack() {
    let text = "version: 2.1\norbs: {t: no/where@1}\njobs:\n  a: {machine: true, steps: [checkout]}\n  b: {machine: true, steps: [t/x]}\nworkflows: {main: {jobs: [a, b]}}\n";
    let job = Some("a".to_owned());
    assert_eq!(with(text, &Options { job, ..options() }).workflows[0].jobs.len(), 1);
    let job = Some("b".to_owned());
    assert!(compile(text, &Options { job, ..options() }).is_err());
}

#[test]
fn what_is_written_out_means_the_same() {
    for (text, options) in
        [(CONDITIONS, options()), (MATRIX, options()), (FILTERS, options()), (ORBS, shelf())]
    {
        let once = process(text, &options).unwrap();
        assert_eq!(process(&once, &Options::default()).unwrap(), once);
        let (direct, written) = (with(text, &options), with(&once, &Options::default()));
        assert_eq!(direct.workflows, written.workflows, "{once}");
    }
    insta::assert_snapshot!("process_matrix", process(MATRIX, &options()).unwrap());
}

#[test]
fn mistakes_are_told_at_their_place() {
    let text = r"
version: 2.1
parameters: {p: {type: steps}, q: {type: integer, default: x}}
commands:
  greet:
    parameters: {to: {type: string}, n: {type: integer, default: 1}, e: {type: enum, enum: [a, b], default: c}}
    steps: [run: << parameters.too >> << to >> << pipeline.nummer >>]
  loop: {steps: [loop]}
  unused: {steps: [chekout]}
jobs:
  build:
    machine: true
    steps:
      - greet
      - greet: {to: x, n: many, m: 1}
      - loop
      - when: {condition: {nor: []}, steps: [checkout]}
      - unless: {steps: checkout}
      - run: << parameters.x >> cat <<EOF
      - when: {condition: pipeline.number ==, steps: []}
workflows:
  main:
    jobs:
      - build: {matrix: {parameters: {a: [1]}, exclude: [{b: 1}], alais: x}}
      - build: {name: other, requires: [build: [succes]], filters: {branches: {only: '/(/'}}}
";
    insta::assert_snapshot!("mistakes", errors(text));
}

#[test]
fn what_multiplies_is_stopped() {
    let mut text =
        String::from("version: 2.1\njobs: {build: {machine: true, steps: [c0]}}\ncommands:\n");
    for level in 0..40 {
        let next = format!("c{}", level + 1);
        text.push_str(&format!("  c{level}: {{steps: [{next}, {next}, {next}]}}\n"));
    }
    text.push_str("  c40: {steps: [run: x]}\n");
    assert!(errors(&text).contains("grows beyond 32 MiB"));
    let mut deep =
        String::from("version: 2.1\njobs: {build: {machine: true, steps: [c0]}}\ncommands:\n");
    for level in 0..200 {
        deep.push_str(&format!("  c{level}: {{steps: [c{}]}}\n", level + 1));
    }
    deep.push_str("  c200: {steps: [run: x]}\n");
    assert!(errors(&deep).contains("nested more than 100 levels deep"));
    let wide = "version: 2.1\njobs: {build: {machine: true, parameters: {a: {type: integer}, b: {type: integer}}, steps: [checkout]}}\n\
        workflows: {w: {jobs: [build: {matrix: {parameters: {a: [1,2,3,4,5,6,7,8,9,10,11,12], b: [1,2,3,4,5,6,7,8,9,10,11]}}}]}}\n";
    assert!(errors(wide).contains("at most 128 jobs, but this for 132"));
    let mut text = String::from(
        "version: 2.1\njobs:\n  build:\n    machine: true\n    steps: [run: << parameters.p0 >>]\n    parameters:\n      p0: {type: string, default: x}\ncommands:\n",
    );
    for level in 0..60 {
        text.push_str(&format!(
            "  c{level}:\n    parameters: {{p: {{type: string}}}}\n    steps: [c{}: {{p: '<< parameters.p >><< parameters.p >>'}}]\n",
            level + 1
        ));
    }
    text.push_str("  c60: {parameters: {p: {type: string}}, steps: [run: << parameters.p >>]}\n");
    let text = text.replace("steps: [run: << parameters.p0 >>]", "steps: [c0: {p: xxxxxxxx}]");
    assert!(errors(&text).contains("grows beyond 32 MiB"));
}

#[test]
fn a_job_of_an_orb_runs_in_the_place_of_another_where_there_is_one() {
    let text = "
version: 2.1
orbs:
  own:
    jobs:
      better:
        machine: true
        parameters: {to: {type: string}}
        steps: [run: echo better << parameters.to >>]
jobs:
  plain: {machine: true, steps: [run: echo plain]}
workflows:
  w:
    jobs:
      - plain: {override-with: own/better, to: you}
      - plain: {name: kept, override-with: own/none}
      - last: {type: no-op, requires: [plain]}
";
    let out = process(text, &Options::default()).unwrap();
    assert!(out.contains("echo better you") && out.contains("echo plain"), "{out}");
    assert!(!out.contains("override-with"), "{out}");
    assert!(errors("version: 2.1\njobs: {a: {machine: true, steps: [checkout]}}\nworkflows: {w: {jobs: [a: {override-with: [b]}]}}\n").contains("override-with"));
}

#[test]
fn what_the_conditions_of_a_pipeline_leave_out_is_checked_for_mistakes() {
    let text = r#"
version: 2.1
parameters: {nightly: {type: boolean, default: false}, to: {type: string, default: ""}}
jobs:
  build:
    machine: true
    steps:
      - run: build
      - when: {condition: << pipeline.parameters.nightly >>, steps: [chekout]}
  deploy: {machine: true, parameters: {to: {type: enum, enum: [a, b]}}, steps: [run: x]}
workflows:
  main:
    jobs:
      - build: {name: b, contxt: x, filters: pipeline.parameters.nightly}
      - build: {name: b, filters: not pipeline.parameters.nightly}
      - deploy: {to: a, name: to-<< pipeline.parameters.to >>, requires: [b]}
      - deploy: {to: a, requires: [to-there], when: pipeline.parameters.nightly}
      - deploy: {matrix: {parameters: {to: [a, << pipeline.parameters.to >>]}}, requires: [deploy-b], when: pipeline.parameters.nightly}
      - << pipeline.parameters.to >>: {requires: [x-<< pipeline.parameters.to >>], when: pipeline.parameters.nightly}
  nightly:
    when: << pipeline.parameters.nightly >>
    jobs:
      - deploy: {to: c, requires: [biuld]}
      - deploy: {name: d, to: << pipeline.parameters.to >>}
"#;
    assert_eq!(with(text, &options()).workflows[0].jobs.len(), 2, "it does not matter to a run");
    let refused = compile(text, &Options { check: true, ..options() }).unwrap_err();
    let messages: Vec<&str> = refused.0.iter().map(|error| &*error.message).collect();
    let expected = [
        "there is no step `chekout`",
        "unknown key `contxt` in a job of a workflow",
        "the parameter `to` of the job `deploy` must be one of `a`, `b`, but found a text (`c`)",
        "there is no job `biuld` in this workflow",
    ];
    assert_eq!(messages, expected, "{refused}");
}

#[test]
fn a_pipeline_parameter_without_a_value_is_a_mistake_where_the_pipeline_is_to_run() {
    let text = "version: 2.1\nparameters: {to: {type: string}}\njobs:\n  build:\n    machine: true\n    \
                resource_class: a/b\n    steps: [run: echo << pipeline.parameters.to >>]\n";
    let errors = compile(text, &options()).unwrap_err().to_string();
    assert!(errors.contains("`to` has no default, and no value was given"), "{errors}");
    assert!(errors.contains("--parameter to=VALUE"), "{errors}");
    assert!(compile(text, &Options { check: true, ..options() }).is_ok());
    let given = BTreeMap::from([("to".to_owned(), Value::Text("staging".to_owned()))]);
    let compiled = with(text, &Options { parameters: given, ..options() });
    expect(&commands(&compiled), &[("build", &["echo staging"])]);
}
