//! The tests of `../http`, with PostgreSQL and S3 behind the server.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what does not come as expected fails the test, in helpers of tests too"
)]

#[path = "../http/account.rs"]
mod account;
#[path = "../http/alerts.rs"]
mod alerts;
#[path = "../http/artifacts.rs"]
mod artifacts;
#[path = "../http/audit.rs"]
mod audit;
#[path = "../http/auto_cancel.rs"]
mod auto_cancel;
#[path = "../http/availability.rs"]
mod availability;
mod beside;
#[cfg(target_os = "linux")]
#[path = "../http/browser.rs"]
mod browser;
#[cfg(target_os = "linux")]
#[path = "../http/buttons.rs"]
mod buttons;
#[path = "../http/caches.rs"]
mod caches;
#[path = "../http/cancel.rs"]
mod cancel;
#[cfg(target_os = "linux")]
#[path = "../http/chromium.rs"]
mod chromium;
#[path = "../http/claims.rs"]
mod claims;
#[path = "../http/clients.rs"]
mod clients;
#[path = "../http/clients_v2.rs"]
mod clients_v2;
#[path = "../http/commit_statuses.rs"]
mod commit_statuses;
#[path = "../http/device_login.rs"]
mod device_login;
#[path = "../http/dynamic.rs"]
mod dynamic;
#[path = "../http/forms.rs"]
mod forms;
#[path = "../http/git_history.rs"]
mod git_history;
#[path = "../http/git_projects.rs"]
mod git_projects;
#[path = "../http/git_projects_ssh.rs"]
mod git_projects_ssh;
#[path = "../http/git_remote.rs"]
mod git_remote;
#[path = "../http/gitea.rs"]
mod gitea;
#[path = "../http/github_app.rs"]
mod github_app;
#[path = "../http/github_host.rs"]
mod github_host;
#[path = "../http/health.rs"]
mod health;
#[path = "../http/keeping.rs"]
mod keeping;
#[path = "../http/large.rs"]
mod large;
#[path = "../http/leases.rs"]
mod leases;
#[path = "../http/limits.rs"]
mod limits;
#[path = "../http/lists.rs"]
mod lists;
#[path = "../http/live.rs"]
mod live;
#[path = "../http/machines.rs"]
mod machines;
#[path = "../http/metrics.rs"]
mod metrics;
#[path = "../http/notifications.rs"]
mod notifications;
#[path = "../http/objects.rs"]
mod objects;
#[path = "../http/octokit.rs"]
mod octokit;
#[path = "../http/oidc.rs"]
mod oidc;
#[cfg(target_os = "linux")]
#[path = "../http/oidc_provider.rs"]
mod oidc_provider;
#[path = "../http/orbs.rs"]
mod orbs;
#[path = "../http/output.rs"]
mod output;
#[path = "../http/page_lists.rs"]
mod page_lists;
#[path = "../http/parallel.rs"]
mod parallel;
#[path = "../http/people.rs"]
mod people;
#[path = "../http/pressure.rs"]
mod pressure;
#[path = "../http/references.rs"]
mod references;
#[path = "../http/refusals.rs"]
mod refusals;
#[path = "../http/reruns.rs"]
mod reruns;
#[path = "../http/restart.rs"]
mod restart;
#[path = "../http/runner_api.rs"]
mod runner_api;
#[path = "../http/schedules.rs"]
mod schedules;
#[path = "../http/sign_in.rs"]
mod sign_in;
#[cfg(target_os = "linux")]
#[path = "../http/sign_in_browser.rs"]
mod sign_in_browser;
#[path = "../http/spaces.rs"]
mod spaces;
#[path = "../http/ssh.rs"]
mod ssh;
#[path = "../http/ssh_keys.rs"]
mod ssh_keys;
#[path = "../http/ssh_tunnel.rs"]
mod ssh_tunnel;
mod store;
#[path = "../http/support.rs"]
mod support;
#[path = "../http/timings.rs"]
mod timings;
#[path = "../http/tokens.rs"]
mod tokens;
#[path = "../http/traces.rs"]
mod traces;
mod two_servers;
#[path = "../http/updates.rs"]
mod updates;
#[path = "../http/variables.rs"]
mod variables;
#[path = "../http/web.rs"]
mod web;
#[path = "../http/webhook_made.rs"]
mod webhook_made;
#[path = "../http/webhooks.rs"]
mod webhooks;
#[path = "../http/webhooks_forks.rs"]
mod webhooks_forks;
#[path = "../http/webhooks_order.rs"]
mod webhooks_order;
#[path = "../http/workflows.rs"]
mod workflows;
