//! Cost of compiling a configuration, beside that of only parsing its YAML in the same
//! run: `cargo bench -p russet-pipeline`. The largest real configuration is measured where a
//! collection of them lies beside the repository, and always a generated one.
#![expect(clippy::print_stdout, reason = "a program that prints a report")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use russet_pipeline::{Options, compile};

/// Runs of each; the median is printed.
const RUNS: usize = 51;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/configs");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let texts = files
        .filter(|file| file.path().extension().is_some_and(|end| end == "yml"))
        .filter_map(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            Some((name, std::fs::read_to_string(file.path()).ok()?))
        });
    let largest = texts.max_by_key(|(_, text)| text.len());
    for (name, text) in largest.into_iter().chain([("generated".to_owned(), generated())]) {
        let options = Options { file: name.clone(), check: true, ..Options::default() };
        let own = median(|| drop(black_box(compile(black_box(&text), &options))));
        let bare = median(|| {
            black_box(granit_parser::Parser::new_from_str(black_box(&text)).count());
        });
        println!(
            "{name}: {} KB: compiled in {:.2} ms, parsed in {:.2} ms, ratio {:.1}",
            text.len() / 1000,
            own.as_secs_f64() * 1e3,
            bare.as_secs_f64() * 1e3,
            own.as_secs_f64() / bare.as_secs_f64()
        );
    }
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut all: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed()
        })
        .collect();
    all.sort_unstable();
    all.get(RUNS / 2).copied().unwrap_or_default()
}

/// 300 jobs of a command each, of which one is a matrix of 100.
fn generated() -> String {
    let values: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let mut text = String::from(
        "version: 2.1\ncommands:\n  all:\n    parameters: {to: {type: string}}\n    steps:\n      - checkout\n      - run: echo << parameters.to >>\n      - when: {condition: {equal: [a, << parameters.to >>]}, steps: [run: echo a]}\njobs:\n  many: {machine: true, parameters: {v: {type: string}}, steps: [all: {to: << parameters.v >>}]}\n",
    );
    let mut workflow = format!(
        "workflows:\n  main:\n    jobs:\n      - many: {{matrix: {{parameters: {{v: [{}]}}}}}}\n",
        values.join(", ")
    );
    for n in 0..300 {
        text.push_str(&format!("  job{n}:\n    machine: true\n    resource_class: acme/mini\n    environment: {{A: {n}, B: b}}\n    steps:\n      - all: {{to: t{n}}}\n      - run: {{name: Build, command: make job{n}}}\n"));
        workflow.push_str(&format!("      - job{n}: {{requires: [many]}}\n"));
    }
    text + &workflow
}
