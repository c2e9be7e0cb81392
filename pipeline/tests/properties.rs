//! No text makes the compiler panic, and every error has a place in the text and can be printed.

use proptest::prelude::*;
use russet_pipeline::{JobKind, Options, compile, process};

/// Compiles and prints, and checks what holds for every text.
fn check(text: &str, on_host: bool) {
    let options = Options { file: "c.yml".to_owned(), on_host, ..Options::default() };
    let diagnostics = match compile(text, &options) {
        Ok(compiled) => {
            assert!(!compiled.workflows.is_empty());
            for job in compiled.workflows.iter().flat_map(|workflow| &workflow.jobs) {
                assert!(!job.steps.is_empty() || job.kind != JobKind::Build, "{text}");
                for (step, number) in job.steps.iter().zip(russet_protocol::task::FIRST_STEP..) {
                    assert_eq!(step.number, number);
                }
            }
            compiled.warnings
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            errors.0
        }
    };
    let lines = text.split('\n').count();
    for diagnostic in &diagnostics {
        assert!((1..=lines).contains(&diagnostic.line) && diagnostic.column >= 1);
        let plain = diagnostic.to_string();
        let printable = |c: char| c == '\n' || !c.is_control();
        assert!(plain.chars().all(printable), "{plain:?}");
        assert!(diagnostic.render(true).contains('\u{1b}'));
    }
}

/// Words that mean something somewhere, so that random trees come far.
fn word() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "version",
        "2.1",
        "2",
        "jobs",
        "build",
        "test",
        "steps",
        "run",
        "checkout",
        "command",
        "machine",
        "macos",
        "docker",
        "executor",
        "executors",
        "true",
        "false",
        "environment",
        "workflows",
        "requires",
        "name",
        "when",
        "always",
        "resource_class",
        "acme/mini",
        "large",
        "store_artifacts",
        "store_test_results",
        "path",
        "no_output_timeout",
        "10m",
        "1h",
        "shell",
        "background",
        "<<",
        "<< x >>",
        "\\<<",
        "orbs",
        "parallelism",
        "1",
        "é\t\u{1b}",
        "",
        "~",
    ];
    prop_oneof![9 => proptest::sample::select(WORDS).prop_map(str::to_owned), 1 => ".{0,12}"]
}

/// A random tree in YAML's flow style.
fn tree() -> impl Strategy<Value = String> {
    let quoted = |text: String| {
        format!(
            "\"{}\"",
            text.escape_default().to_string().replace("\\'", "'").replace("\\u{1b}", "\\e")
        )
    };
    let leaf = prop_oneof![
        3 => word().prop_map(quoted),
        2 => proptest::sample::select(vec!["true", "12", "~", "checkout", "build", "*a", "&a x", "!t y"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let key = prop_oneof![4 => word().prop_map(quoted), 1 => Just("<<".to_owned())];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec((key, inner), 0..6).prop_map(|entries| {
                let entries: Vec<String> =
                    entries.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

/// A text without control characters in YAML's double quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A step, as it may stand in any job: some of them expand to many, to none or to text with
/// expressions.
fn step() -> impl Strategy<Value = String> {
    let text = "[a-z #:'\"{}<>$*&!%|-]{0,12}";
    prop_oneof![
        Just("checkout".to_owned()),
        Just("twice: {steps: [checkout], name: x}".to_owned()),
        Just("twice: {steps: []}".to_owned()),
        Just("own/hello".to_owned()),
        text.prop_map(|text| {
            // `<<` would begin an expression.
            let text = quoted(&format!("e{}", text.replace("<<", "\\<<")));
            format!("run: {{name: r, command: {text}, environment: {{A: {text}}}}}")
        }),
        Just("run: {name: p, command: 'echo << parameters.v >> << pipeline.parameters.n >>'}".to_owned()),
        any::<bool>().prop_map(|is| format!("when: {{condition: {is}, steps: [run: w]}}")),
        (0..4_i64).prop_map(|n| format!(
            "unless: {{condition: {{or: [{{equal: [{n}, << pipeline.parameters.n >>]}}, {{not: << parameters.v >>}}]}}, steps: [run: u]}}"
        )),
        Just("store_artifacts: {path: out, destination: d}".to_owned()),
    ]
}

/// A configuration without a mistake.
fn valid() -> impl Strategy<Value = String> {
    let steps = || proptest::collection::vec(step(), 1..6).prop_map(|all| all.join(", "));
    let values = proptest::sample::subsequence(vec!["a", "b c", "1", "true", "é: x"], 1..5);
    let when = proptest::sample::select(vec![
        "true",
        "not false",
        "pipeline.parameters.n == 2",
        "{and: [true, {matches: {pattern: '^m.*', value: main}}]}",
        "<< pipeline.parameters.on >>",
    ]);
    (steps(), steps(), values, when, any::<bool>(), 0..5_i64).prop_map(
        |(one, two, values, when, is_unless, n)| {
            let values: Vec<String> =
                values.iter().map(|value| quoted(value)).collect();
            let key = if is_unless { "unless" } else { "when" };
            let exclude = if values.len() > 1 { format!("exclude: [{{v: {}}}]", values[0]) } else { String::new() };
            format!(
                "version: 2.1
parameters: {{n: {{type: integer, default: {n}}}, on: {{type: boolean, default: true}}}}
anchors: &env {{environment: {{A: 1.10, B: yes, C: 'it''s'}}}}
orbs: {{own: {{commands: {{hello: {{steps: [run: echo hello]}}}}}}}}
executors: {{e: {{machine: true, resource_class: acme/mini, parameters: {{x: {{type: string, default: y}}}}, environment: {{E: << parameters.x >>}}}}}}
commands:
  twice: {{parameters: {{steps: {{type: steps}}, name: {{type: string, default: d}}}}, steps: [{{steps: << parameters.steps >>}}, run: 'echo << parameters.name >>', {{steps: << parameters.steps >>}}]}}
jobs:
  one: {{<<: *env, executor: {{name: e, x: z}}, parameters: {{v: {{type: string, default: d}}}}, steps: [checkout, {one}]}}
  two: {{executor: e, parameters: {{v: {{type: string, default: d}}}}, steps: [checkout, {two}]}}
workflows:
  first:
    {key}: {when}
    jobs:
      - one: {{matrix: {{alias: m, parameters: {{v: [{values}]}}, {exclude}}}}}
      - two: {{requires: [m], filters: {{branches: {{only: [/x.*/, main]}}}}}}
      - hold: {{type: approval, requires: [two: [failed, success]]}}
  second: {{jobs: [two, one: {{name: again, pre-steps: [checkout, run: before], requires: [two]}}]}}
",
                values = values.join(", "),
            )
        },
    )
}

const VALID: &str = include_str!("../../examples/quickstart/.circleci/config.yml");

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text_never_panics(text in "(?s).{0,400}", on_host: bool) {
        check(&text, on_host);
    }

    #[test]
    fn random_yaml_never_panics(
        text in "([a-z<&*!?|>'\"#%@`{}\\[\\],:\\- \n\t\u{e9}\u{4e2d}\u{feff}]|: |\n  |- ){0,200}",
        on_host: bool,
    ) {
        check(&text, on_host);
    }

    #[test]
    fn random_trees_never_panic(jobs in tree(), workflows in tree(), rest in tree(), on_host: bool) {
        check(
            &format!("version: 2.1\nx: {rest}\njobs: {{build: {jobs}, test: {rest}}}\nworkflows: {{w: {workflows}}}"),
            on_host,
        );
        check(
            &format!("version: 2.1\njobs: {{build: {{machine: true, steps: [{jobs}, {rest}]}}}}\nworkflows: {{w: {{jobs: [build, {workflows}]}}}}"),
            on_host,
        );
        check(&jobs, on_host);
    }

    #[test]
    fn what_is_written_out_of_a_valid_configuration_means_itself(text in valid()) {
        let options = Options { file: "c.yml".to_owned(), ..Options::default() };
        let once = process(&text, &options).map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
        let twice = process(&once, &options).map_err(|errors| TestCaseError::fail(format!("{errors}\n{once}")))?;
        prop_assert_eq!(&once, &twice);
        // The same text again, whatever hash maps do meanwhile.
        prop_assert_eq!(process(&text, &options).unwrap(), once.clone());
        let jobs = |text: &str| compile(text, &options).map(|compiled| compiled.workflows);
        let (before, after) = (jobs(&text), jobs(&once));
        prop_assert!(before.is_ok() == after.is_ok());
        if let (Ok(before), Ok(after)) = (before, after) {
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn damaged_configurations_never_panic(
        edits in proptest::collection::vec((0..VALID.len(), 0..40_usize, word()), 1..6),
        on_host: bool,
    ) {
        let mut text: Vec<char> = VALID.chars().collect();
        for (at, remove, insert) in edits {
            let at = at.min(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        check(&text.into_iter().collect::<String>(), on_host);
    }
}
