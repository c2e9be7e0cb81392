//! The control plane: takes pipelines, queues tasks, leases them to runners, keeps what they
//! send.
//!
//! One process on SQLite, or several on PostgreSQL, and a directory. [`Server::start`] opens both, brings the schema up to
//! date and listens; [`Server::run`] serves until it is told to stop. It may be killed at any
//! moment: what it has acknowledged is stored.
//!
//! - `api` speaks HTTP and checks who calls, `web` shows pages to browsers; `store` is the database, `objects` the bytes that
//!   are too many for it;
//! - `scheduler` decides, without a clock or a database, what follows from what; `lifecycle`
//!   carries that out within the transaction of its cause, `reaper` when leases lapse;
//! - `alerts` decides which conditions people hear of, `outbox` delivers that to their tools;
//! - `signals` wakes those who wait: claims, live views, heartbeats. Nothing polls, but where there
//!   are other servers (`servers`), whose messages may be lost.

#![forbid(unsafe_code)]

mod admission;
mod alerts;
mod api;
mod archives;
mod attendance;
mod audit;
mod between_servers;
mod browser_session;
mod cache_place;
mod cancel;
mod chunks;
mod claimants;
mod clock;
mod commit_status;
mod contention;
mod credentials;
mod data_dir;
mod device_login;
mod follow;
mod follow_seen;
mod git;
mod health;
mod hosts;
mod identity_sign_in;
pub mod inspect;
mod keeping;
mod kept_caches;
mod lacks;
mod layers;
mod lifecycle;
mod limits;
mod listen;
mod machines;
mod mail;
mod meters;
pub mod moving;
mod name_ids;
mod notify;
mod objects;
mod oidc;
mod orbs;
mod outbox;
mod outgoing;
mod output_packer;
mod output_reader;
mod output_readers;
mod pending_event;
mod people;
mod personal_tokens;
mod presence;
mod presence_writer;
mod projects;
mod public_key;
mod readiness;
mod reaper;
mod references;
mod releases;
mod reruns;
mod rests;
mod retention_settings;
mod room;
mod runner_items;
mod scheduler;
mod schedules;
mod secrets;
mod server;
mod servers;
mod sign_in;
mod signals;
mod silence;
mod slugs;
mod sources;
mod space;
mod ssh_hold;
mod ssh_key;
mod ssh_reruns;
mod ssh_ways;
mod state;
mod store;
mod sweep;
mod task_steps;
mod text;
mod timings;
mod tls;
mod token_uses;
mod trace_events;
mod traces;
mod tunnels;
mod vacuum;
mod waiting_claims;
mod waits;
mod wakes;
mod web;
mod webhooks;

pub use between_servers::BetweenServers;
pub use cache_place::KeptCaches;
pub use clock::{Clock, ManualClock};
pub use git::GitSettings;
pub use kept_caches::{Removed, bound_kept_caches, remove_kept_caches};
pub use limits::Limits;
pub use listen::{NotARange, ProxyRange};
pub use mail::{MailServer, MailServerError};
pub use objects::{S3Settings, S3Url, S3UrlError};
pub use oidc::{AccountClaim, OidcSettings, OidcSettingsError};
pub use retention_settings::Keeping;
pub use server::{CertificateLooks, RunError, Server, Settings, StartError, Storage};
pub use ssh_hold::SshHold;
pub use store::{DatabaseUrl, DatabaseUrlError, VacuumError, Vacuumed};
pub use tls::{TlsError, TlsFiles};
pub use vacuum::vacuum_data_dir;
