//! End-to-end tests: the real binaries, from the outside.
//!
//! One program, so that linking is paid once. Its tests share a process and run as parallel threads
//! of it: a test changes nothing that belongs to the process (environment, current directory,
//! umask, limits, user), and gives what it starts a directory, ports and users of its own.
#![cfg_attr(
    not(target_os = "linux"),
    allow(unused_imports, reason = "files share the imports of tests that only Linux has")
)]
#![allow(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "a failed step of a test is its failure"
)]

mod support;

mod again;
mod agent;
mod alerts;
mod artifacts;
#[cfg(target_os = "linux")]
mod attacks;
mod boot;
mod caches;
mod commands;
mod control;
mod data_directory;
mod dynamic;
mod errors;
mod farm_walk;
mod faults;
mod git_history;
mod give_back;
mod golden;
mod housekeeping;
mod install;
mod isolation;
mod keeping;
mod kept_directories;
mod kill;
#[cfg(target_os = "linux")]
mod leftovers;
mod limits;
mod lists;
mod local_api;
mod logs;
mod machine;
mod machines;
#[cfg(target_os = "linux")]
mod menubar;
mod monitoring;
mod moving;
mod namespaces;
mod objects;
mod observe;
mod orbs;
mod output;
mod package;
mod people;
mod phases;
mod relay;
mod run;
mod run_caches;
mod secrets;
mod server;
mod server_service;
mod several_servers;
mod slots;
mod splitting;
mod ssh_rerun;
mod statuses;
mod storage;
mod tls;
mod update;
mod verify_on_a_mac;
mod waiting;
mod walls;
mod webhooks;
mod xcodes;
