//! Output of steps: it arrives byte for byte.

use std::time::Duration;

use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::{Agent, Server, config, run};

/// Timeout of a script: two hundred megabytes go to servers that are killed under them.
const PRINTING_TIMEOUT: Duration = Duration::from_secs(240);

/// Runs a script as the only step and returns exactly what was stored of it.
fn printed_by(script: &str) -> Vec<u8> {
    let server = Server::start();
    let _agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run(script)]));
    server.admin.wait_within(PRINTING_TIMEOUT, &pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = server.admin.step_output(&job, 1);
    let said = job.steps.iter().find(|step| step.number == 1).unwrap().output_bytes;
    assert_eq!(said, output.len() as u64);
    output
}

#[test]
fn two_hundred_megabytes_arrive_whole() {
    let line = "0123456789".repeat(10);
    let script = format!("yes {line} | head -c 200000000 || true");
    let output = printed_by(&script);
    assert_eq!(output.len(), 200_000_000);
    let expected = format!("{line}\n").into_bytes();
    for chunk in output.chunks(expected.len()) {
        assert_eq!(chunk, &expected[..chunk.len()]);
    }
}

#[test]
fn a_line_of_ten_megabytes_arrives_whole() {
    let output = printed_by("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end");
    assert_eq!(output.len(), 10_000_000 + 1 + 4);
    assert!(output[..10_000_000].iter().all(|&byte| byte == b'x'));
    assert!(output.ends_with(b"\nend\n"));
}

#[test]
fn invalid_utf8_nuls_and_escape_codes_are_not_touched() {
    let output = printed_by(r"printf 'a\377\376\000b\r\nc\033[31m\033]0;title\007\302\n'");
    assert_eq!(output, b"a\xff\xfe\x00b\r\nc\x1b[31m\x1b]0;title\x07\xc2\n");
}

#[test]
fn only_escape_codes_are_output_too() {
    assert_eq!(printed_by(r"printf '\033[2J\033[H\033[0m'"), b"\x1b[2J\x1b[H\x1b[0m");
}

#[test]
fn a_step_that_prints_nothing_has_no_output() {
    assert_eq!(printed_by("true"), b"");
}

#[test]
fn a_step_that_closes_its_output_and_lives_on_is_waited_for() {
    let script = "echo before; exec >/dev/null 2>&1 </dev/null; sleep 1; echo unseen; exit 0";
    assert_eq!(printed_by(script), b"before\n");
}

#[test]
fn standard_error_and_standard_output_are_one_stream_in_order() {
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done";
    assert_eq!(printed_by(script), b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
}

#[test]
fn steps_print_to_a_terminal() {
    assert_eq!(printed_by("test -t 1 && test -t 2 && ! test -t 0 && echo yes"), b"yes\n");
}
