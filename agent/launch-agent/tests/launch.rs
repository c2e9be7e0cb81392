//! The launch agent against a fake control plane, with fake task agents and with the real one.
//!
//! A task agent has to be the only thread of its process. So where the marker is in its
//! environment, this test binary becomes a task agent before the test harness begins.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "helpers of tests fail the test, in directories of its own"
)]

#[path = "launch/adopt.rs"]
mod adopt;
#[path = "launch/config.rs"]
mod config;
#[path = "launch/external.rs"]
mod external;
#[path = "launch/server.rs"]
mod server;
#[path = "launch/session.rs"]
mod session;
#[path = "launch/support.rs"]
mod support;
#[path = "launch/tasks.rs"]
mod tasks;

/// Set in the environment of a process that is to be a task agent.
const MARKER: &str = "RUSSET_TEST_TASK_AGENT";

/// Runs before `main`, when there is one thread.
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
static BECOME_A_TASK_AGENT: extern "C" fn() = become_a_task_agent;

#[expect(clippy::exit, reason = "the harness must not begin in a process that is a task agent")]
extern "C" fn become_a_task_agent() {
    if std::env::var_os(MARKER).is_some() {
        // `ExitCode` shows its number in nothing but its Debug form.
        let code = format!("{:?}", russet_task_agent::task::main());
        let digits: String = code.chars().filter(char::is_ascii_digit).collect();
        std::process::exit(digits.parse().unwrap_or(1));
    }
}
