//! The control plane over real HTTP: a server in this process, on a port and a directory of its
//! own for each test. Time is moved by hand where it matters.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what does not come as expected fails the test, in helpers of tests too"
)]

mod account;
mod alerts;
mod artifacts;
mod audit;
mod auto_cancel;
mod availability;
#[cfg(target_os = "linux")]
mod browser;
#[cfg(target_os = "linux")]
mod buttons;
mod caches;
mod cancel;
#[cfg(target_os = "linux")]
mod chromium;
mod claims;
mod clients;
mod clients_v2;
mod commit_statuses;
mod device_login;
mod dynamic;
mod forms;
mod git_history;
mod git_projects;
mod git_projects_ssh;
mod git_remote;
mod gitea;
mod github_app;
mod github_host;
mod health;
mod keeping;
mod large;
mod leases;
mod limits;
mod lists;
mod live;
mod machines;
mod metrics;
mod notifications;
mod objects;
mod octokit;
mod oidc;
#[cfg(target_os = "linux")]
mod oidc_provider;
mod old_data;
mod orbs;
mod output;
mod page_lists;
mod parallel;
mod people;
mod pressure;
mod references;
mod refusals;
mod reruns;
mod restart;
mod runner_api;
mod schedules;
mod sign_in;
#[cfg(target_os = "linux")]
mod sign_in_browser;
mod spaces;
mod ssh;
mod ssh_keys;
#[cfg(target_os = "linux")]
mod ssh_pages;
mod ssh_tunnel;
mod store;
mod support;
mod timings;
mod tokens;
mod traces;
mod updates;
mod variables;
mod web;
mod webhook_made;
mod webhooks;
mod webhooks_forks;
mod webhooks_order;
mod workflows;
