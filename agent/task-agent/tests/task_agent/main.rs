//! The task agent as a process, against a control plane written for these tests.
//!
//! A task agent has to be the only thread of its process, so it cannot run inside a test. This
//! test binary starts itself again instead: where the marker is in its environment, it becomes a
//! task agent before the test harness begins.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod isolation;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod outlive;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod plane;
#[cfg(test)]
mod ssh;
#[cfg(test)]
mod ssh_plane;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod task;
#[cfg(test)]
mod warm_up;

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
        let code = russet_task_agent::task::main();
        let is_success = format!("{code:?}") == format!("{:?}", std::process::ExitCode::SUCCESS);
        std::process::exit(if is_success { 0 } else { exit_number(code) });
    }
}

/// `ExitCode` can be compared with those that we expect, and with nothing else.
fn exit_number(code: std::process::ExitCode) -> i32 {
    let text = format!("{code:?}");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(1)
}
