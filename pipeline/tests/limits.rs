//! Cost of a hostile configuration.

#![expect(clippy::expect_used, reason = "a test says what it did not expect")]

use std::time::{Duration, Instant};

use russet_pipeline::{Errors, MAX_BYTES, Options, compile};

/// The error of a text, which has to come within a time that leaves room for a slow machine and
/// an unoptimized build.
fn refused(text: &str) -> Errors {
    let started = Instant::now();
    let errors = compile(text, &Options::default()).expect_err("it is hostile");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(120), "it took {took:?}");
    errors
}

#[test]
fn a_configuration_of_50_megabytes_is_refused_unread() {
    let text = "a: b\n".repeat(10_000_000);
    let started = Instant::now();
    let errors = compile(&text, &Options::default()).unwrap_err();
    assert!(started.elapsed() < Duration::from_millis(500));
    assert!(errors.to_string().contains("longer than 4 MiB (it has 47 MiB)"), "{errors}");
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut text = String::from("version: 2.1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(refused(&text).to_string().contains("grows beyond"));
}

#[test]
fn a_chain_of_aliases_does_not_make_a_deep_tree() {
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..50_000 {
        text.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(refused(&text).to_string().contains("levels deep"));
}

#[test]
fn a_large_mapping_merged_very_often_is_refused() {
    let keys: String = (0..2000).map(|n| format!("  k{n}: v\n")).collect();
    let merges = "- {<<: [*big, *big, *big]}\n".repeat(20_000);
    assert!(refused(&format!("big: &big\n{keys}\nuse:\n{merges}")).to_string().contains("grows"));
}

#[test]
fn a_large_job_that_runs_very_often_is_refused() {
    let command = "x".repeat(1_000_000);
    let invocations: String =
        (0..1000).map(|n| format!("      - build: {{name: b{n}}}\n")).collect();
    let text = format!(
        "version: 2.1\njobs:\n  build:\n    machine: true\n    steps:\n      - run: {command}\n\
         workflows:\n  main:\n    jobs:\n{invocations}"
    );
    let errors = refused(&text).to_string();
    assert!(errors.contains("the configuration grows beyond"), "{errors}");
}

#[test]
fn texts_that_are_large_in_every_way_are_refused_in_time() {
    let fill = |item: &str| item.repeat((MAX_BYTES - 100) / item.len());
    refused(&format!("[{}", fill("[")));
    refused(&fill("a: "));
    refused(&fill("- "));
    refused(&format!("{{{}}}", fill("a: ,")));
    refused(&format!("[{}]", fill("a,")));
    refused(&format!("'{}", fill("x")));
    refused(&fill("? "));
    refused(&fill("&a "));
    refused(&fill("!"));
    refused(&format!("\"{}", fill("\\x")));
    refused(&format!("version: 2.1\njobs: {{build: {{{}}}}}", fill("a: ,")));
}

#[test]
fn many_jobs_in_a_circle_are_one_error() {
    let count = 20_000;
    let mut text = String::from(
        "version: 2.1\njobs: {j: {machine: true, steps: [checkout]}}\nworkflows:\n  w:\n    jobs:\n",
    );
    for n in 0..count {
        let next = (n + 1) % count;
        text.push_str(&format!("      - j: {{name: j{n}, requires: [j{next}]}}\n"));
    }
    let errors = refused(&text);
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert!(errors.to_string().contains("in a circle"), "{errors}");
}

#[test]
fn very_many_mistakes_do_not_cost_a_suggestion_each() {
    let jobs: String =
        (0..5000).map(|n| format!("  job{n}: {{machine: true, steps: [checkuot]}}\n")).collect();
    let names: String = (0..20_000).map(|n| format!("      - jab{n}\n")).collect();
    refused(&format!("version: 2.1\njobs:\n{jobs}workflows:\n  w:\n    jobs:\n{names}"));
    let keys: String = (0..50_000).map(|n| format!("versoin{n}: x\n")).collect();
    refused(&keys);
    refused(&format!("{{{}}}", keys.replace('\n', ", ")));
    let aliases: String = (0..50_000).map(|n| format!("- &anchor{n} x\n- *ancor{n}\n")).collect();
    refused(&aliases);
}

#[test]
fn very_many_variables_are_no_problem() {
    let variables: String = (0..50_000).map(|n| format!("      V{n}: x\n")).collect();
    let text = format!(
        "version: 2.1\njobs:\n  build:\n    machine: true\n    steps: [checkout]\n    environment:\n{variables}"
    );
    let compiled = compile(&text, &Options::default()).unwrap();
    assert_eq!(compiled.workflows[0].jobs[0].environment.len(), 50_000);
}
