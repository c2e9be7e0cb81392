//! A report of tests is read: nothing panics, and what comes of it is bounded by what went in.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the reader of reports uses a part of it")]
#[path = "../../agent/task-agent/src/task/test_results/attempts.rs"]
mod attempts;
#[path = "../../agent/task-agent/src/task/test_results/junit.rs"]
mod junit;
#[path = "../../agent/task-agent/src/task/test_results/seconds.rs"]
mod seconds;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (cases, _) = junit::parse(text);
    // `<testcase>` is the shortest case, where the report ends there.
    assert!(cases.len() <= text.len() / 10);
});
