//! Cost of the worst configurations: each is compiled and written out by a process of its own
//! that may use 256 MiB of address space and little time of the processor, so that the test does
//! not depend on how busy a machine is.
#![expect(clippy::expect_used, reason = "a test says what it did not expect")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use russet_pipeline::{MAX_BYTES, Options, process};

/// The variable that tells a process of this test to compile what it is given on standard input.
const CASE: &str = "RUSSET_WORST_CASE";

/// Kibibytes of address space.
const MEMORY: u32 = 256 * 1024;

/// Seconds of the processor that a case may take; without optimization ten times as many.
const SECONDS: u32 = if cfg!(debug_assertions) { 20 } else { 2 };

const JOB: &str = "machine: true, resource_class: a/b";

/// A text of an item again and again, nearly as long as a configuration may be.
fn fill(item: &str) -> String {
    item.repeat((MAX_BYTES - 1000) / item.len())
}

/// A job `build` with steps.
fn build(steps: &str) -> String {
    format!("version: 2.1\njobs: {{build: {{{JOB}, steps: [{steps}]}}}}\n")
}

/// A job `j` with parameters and workflows that run it.
fn runs(parameters: &str, jobs: impl Iterator<Item = String>) -> String {
    let mut text = format!(
        "version: 2.1\njobs: {{j: {{{JOB}, parameters: {{{parameters}}}, steps: [checkout]}}}}\n\
         workflows:\n  w:\n    jobs:\n"
    );
    for job in jobs {
        writeln!(text, "      - j: {{{job}}}").expect("a text can be written to");
    }
    text.truncate(text.rfind('\n').unwrap_or(0) + 1);
    text
}

/// Commands that each use the one before, in a way.
fn chain(first: &str, next: impl Fn(u32) -> String, steps: &str) -> String {
    let mut text = format!("version: 2.1\ncommands:\n  c0: {first}\n");
    for n in 1..60 {
        writeln!(text, "  c{n}: {}", next(n - 1)).expect("a text can be written to");
    }
    text + &format!("jobs: {{build: {{{JOB}, steps: [{steps}]}}}}\n")
}

/// `a, b, …`
fn list(count: u32, item: impl Fn(u32) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(", ")
}

/// The configurations, by name.
fn cases() -> Vec<(&'static str, String)> {
    let when = |condition: &str| format!("{{when: {{condition: {condition}, steps: [checkout]}}}}");
    let values = list(128, |n| n.to_string());
    let conditional = "{steps: [{when: {condition: false, steps: [{run: a}]}}]}";
    let steps = "{parameters: {s: {type: steps}}, steps: [{steps: << parameters.s >>}]}";
    let twice = |n| {
        format!(
            "{{parameters: {{s: {{type: steps}}}}, steps: [{{c{n}: {{s: [{{steps: << parameters.s >>}}, \
             {{steps: << parameters.s >>}}]}}}}]}}"
        )
    };
    let doubled = |n| {
        format!(
            "{{parameters: {{s: {{type: string}}}}, steps: [{{c{n}: {{s: \"<< parameters.s >><< \
             parameters.s >>\"}}}}]}}"
        )
    };
    let text = "{parameters: {s: {type: string}}, steps: [{run: \"<< parameters.s >>\"}]}";
    let parameter = "a: {type: boolean, default: true}";
    let sections = |steps: String| {
        format!(
            "version: 2.1\ncommands: {{c: {{parameters: {{{parameter}}}, steps: [{{run: \"{steps}\"}}]}}}}\n\
             jobs: {{build: {{{JOB}, steps: [c]}}}}\n"
        )
    };
    let nested =
        format!("{}{}", "<<#parameters.a>>".repeat(100_000), "<</parameters.a>>".repeat(100_000));
    let aliases: String = (1..6)
        .map(|n| format!("a{n}: &a{n} [{}]\n", list(8, |_| format!("*a{}", n - 1))))
        .collect();
    let many = list(128, |n| format!("p{n}: {{type: string, default: a}}"));
    vec![
        ("steps", build(&list(10_000, |n| format!("{{run: echo {n}}}")))),
        ("one large step", build(&format!("{{run: '{}'}}", fill("x")))),
        ("names that are nothing", build(&fill("zz,"))),
        (
            "names that are nearly something",
            format!(
                "version: 2.1\ncommands: {{{}}}\njobs: {{build: {{{JOB}, steps: [{}]}}}}\n",
                list(20_000, |n| format!("comm{n}: {{steps: [checkout]}}")),
                list(20_000, |n| format!("cxmm{n}"))
            ),
        ),
        (
            "jobs",
            format!(
                "version: 2.1\njobs: {{{}}}\nworkflows: {{w: {{jobs: [{}]}}}}\n",
                list(30_000, |n| format!("j{n}: {{{JOB}, steps: [checkout]}}")),
                list(30_000, |n| format!("j{n}"))
            ),
        ),
        ("a job again and again", runs("", (0..60_000).map(|n| format!("name: j{n}")))),
        (
            "jobs in a circle",
            runs("", (0..30_000).map(|n| format!("name: j{n}, requires: [j{}]", (n + 1) % 30_000))),
        ),
        (
            "jobs that require all before them",
            runs(
                "",
                (0..500)
                    .map(|n| format!("name: j{n}, requires: [{}]", list(n, |k| format!("j{k}")))),
            ),
        ),
        (
            "matrices",
            runs(
                "a: {type: integer}",
                (0..3000).map(|n| {
                    format!(
                        "name: 'j{n}-<< matrix.a >>', matrix: {{parameters: {{a: [{values}]}}}}"
                    )
                }),
            ),
        ),
        (
            "a matrix of many parameters",
            runs(
                &list(128, |n| format!("p{n}: {{type: integer}}")),
                std::iter::once(format!(
                    "matrix: {{parameters: {{{}, p0: [{values}]}}}}",
                    list(127, |n| format!("p{}: [1]", n + 1))
                )),
            ),
        ),
        (
            "a matrix that excludes much",
            runs(
                "a: {type: integer}",
                std::iter::once(format!(
                    "matrix: {{parameters: {{a: [{values}]}}, exclude: [{}]}}",
                    list(60_000, |_| "{a: 500}".to_owned())
                )),
            ),
        ),
        (
            "commands that use commands twice",
            chain("{steps: []}", |n| format!("{{steps: [c{n}, c{n}]}}"), "c59, checkout"),
        ),
        (
            "conditions in commands in commands",
            chain(
                conditional,
                |n| format!("{{steps: [{}]}}", list(10, |_| format!("c{n}"))),
                "c59, checkout",
            ),
        ),
        ("steps that are given on twice", chain(steps, twice, "{c59: {s: [checkout]}}")),
        ("texts that are given on twice", chain(text, doubled, "{c59: {s: x}}")),
        (
            "calls of a command with many parameters",
            format!(
                "version: 2.1\ncommands: {{c: {{parameters: {{{many}}}, steps: [checkout]}}}}\n\
                 jobs: {{build: {{{JOB}, steps: [{}]}}}}\n",
                list(9999, |_| "c".to_owned())
            ),
        ),
        (
            "expressions",
            format!(
                "parameters: {{a: {{type: string, default: x}}}}\n{}",
                build(&format!("{{run: '{}'}}", fill("<<pipeline.parameters.a>>")))
            ),
        ),
        (
            "expressions that are long",
            format!(
                "parameters: {{a: {{type: string, default: '{}'}}}}\n{}",
                "x".repeat(8000),
                build(&format!("{{run: '{}'}}", "<<pipeline.parameters.a>>".repeat(5000)))
            ),
        ),
        ("expressions that are nothing", build(&format!("{{run: '{}'}}", fill("<<nope>>")))),
        ("expressions that are folded", build(&format!("{{run: '{}'}}", fill("<<\n nope >>")))),
        ("expressions without an end", build(&format!("{{run: '{}'}}", fill("<<a ")))),
        ("sections without an end", sections(fill("<<#parameters.a>>"))),
        ("sections in sections", sections(nested)),
        ("sections beside sections", sections(fill("<<#parameters.a>>x<</parameters.a>>"))),
        (
            "patterns of branches",
            runs(
                "",
                std::iter::once(format!(
                    "filters: {{branches: {{only: [{}]}}}}",
                    list(60_000, |n| format!("'/^(a{n}|b+)*(?!x)c.*$/'"))
                )),
            ),
        ),
        (
            "patterns that go back",
            build(&list(5000, |_| {
                when("{matches: {pattern: '^(a+)+(?!b)$', value: aaaaaaaaaaaaaaaaaaaaaaaaaaaaac}}")
            })),
        ),
        (
            "patterns that are large",
            build(&list(9000, |_| when("{matches: {pattern: '(\\w{100}){9}', value: aaaa}}"))),
        ),
        (
            "a condition of many",
            build(&when(&format!("\"{} true\"", "1 == 1 and ".repeat(300_000)))),
        ),
        (
            "a condition that is deep",
            build(&when(&format!("\"{}1 == 1{}\"", "(".repeat(100_000), ")".repeat(100_000)))),
        ),
        (
            "aliases",
            format!("a0: &a0 [{}]\n{aliases}{}", list(8, |_| "x".to_owned()), build("checkout")),
        ),
        (
            "merges",
            format!(
                "big: &big {{{}}}\nuse: [{}]\n{}",
                list(2000, |n| format!("k{n}: v")),
                list(110, |_| "{<<: *big}".to_owned()),
                build("checkout")
            ),
        ),
        (
            "variables that jobs share",
            format!(
                "big: &big {{{}}}\nversion: 2.1\njobs: {{{}}}\nworkflows: {{w: {{jobs: [{}]}}}}\n",
                list(2000, |n| format!("K{n}: v")),
                list(100, |n| format!("j{n}: {{{JOB}, steps: [checkout], environment: *big}}")),
                list(100, |n| format!("j{n}"))
            ),
        ),
        (
            "a large job again and again",
            format!(
                "version: 2.1\njobs: {{j: {{{JOB}, steps: [{{run: {}}}]}}}}\nworkflows: {{w: {{jobs: [{}]}}}}\n",
                "x".repeat(30_000),
                list(1000, |n| format!("{{j: {{name: j{n}}}}}"))
            ),
        ),
        ("aliases of nothing", fill("- &a x\n- *b\n")),
        ("merges of nothing", fill("- {<<: 3}\n")),
        ("tags", fill("- !a x\n")),
        ("a list of much", format!("x: [{}]\n{}", "a,".repeat(400_000), build("checkout"))),
        (
            "a mapping of much",
            format!("x: {{{}}}\n{}", list(150_000, |n| format!("k{n}: v")), build("checkout")),
        ),
        (
            "keys that are unknown",
            format!(
                "version: 2.1\njobs: {{build: {{{JOB}, {}}}}}",
                list(100_000, |n| format!("k{n}: v"))
            ),
        ),
    ]
}

/// Compiles what it is given, in a process of [`the_worst_is_cheap`].
#[test]
fn a_case() {
    if std::env::var_os(CASE).is_none() {
        return;
    }
    let text = std::io::read_to_string(std::io::stdin()).expect("a configuration");
    // Compiles it as well.
    drop(process(&text, &Options { check: true, ..Options::default() }));
}

#[test]
fn the_worst_is_cheap() {
    let this = std::env::current_exe().expect("this program");
    let script = format!("ulimit -t {SECONDS} && ulimit -v {MEMORY} && exec \"$0\" --exact a_case");
    let mut failed = Vec::new();
    for (name, text) in cases() {
        assert!(text.len() <= MAX_BYTES, "{name} is too long to be read at all");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(&this).env(CASE, "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        let sent = child.stdin.take().expect("a pipe").write_all(text.as_bytes());
        let output = child.wait_with_output().expect("its output");
        if !output.status.success() || sent.is_err() {
            let said = [output.stdout, output.stderr].concat();
            failed.push(format!("{name}: {} {}", output.status, String::from_utf8_lossy(&said)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
