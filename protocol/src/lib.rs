//! Messages between launch agent, task agent, control plane and command line.
//!
//! Types only: no I/O, no clock, no async. Three conversations are described here:
//!
//! - [`runner`]: agent to control plane, on the paths that CircleCI's runner uses;
//! - [`admin`]: people and their tools to control plane;
//! - [`supervise`]: launch agent to task agent, on one Mac.
//!
//! Everything here may meet an older or a newer peer: fields are only added, added fields have
//! defaults, unknown fields are ignored, and what is stored carries a version.

#![forbid(unsafe_code)]

pub mod admin;
pub mod alerts;
pub mod backoff;
pub mod boot_files;
pub mod cache_key;
pub mod credential;
pub mod exit_reason;
pub mod health;
pub mod ids;
pub mod keeping;
pub mod limits;
pub mod local;
pub mod machine;
pub mod manifest;
pub mod names;
pub mod namespaces;
pub mod notifications;
pub mod outcome;
pub mod people;
pub mod problem;
pub mod project_settings;
pub mod projects;
pub mod resource_class;
pub mod runner;
pub mod schedules;
pub mod secret;
pub mod ssh;
pub mod storage;
pub mod supervise;
pub mod task;
pub mod webhooks;
pub mod xcode;

/// Header with the allocation that a write belongs to: the fencing token of every task call.
pub const ALLOCATION_HEADER: &str = "russet-allocation";

/// Header of an output append: the offset at which the body starts, in bytes of this step's
/// output. In answers: the offset up to which the server has committed.
pub const UPLOAD_OFFSET_HEADER: &str = "upload-offset";

/// Header of the release that a runner is offered, and of the answer that there is none: what pins
/// its class, as the JSON of a [`admin::Pin`]. Absent: nothing does.
pub const PIN_HEADER: &str = "russet-pin";

/// Header that is `true` on the last answer of a step's output: nothing will follow.
pub const TERMINAL_HEADER: &str = "x-terminal";

/// Header with a key of the caller's making with which a submit may be sent again: a UUID, which becomes
/// the id of the pipeline.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// Header that is `true` where a reader of an object takes a redirect to the store of objects: it sends
/// its credentials nowhere else, and verifies size and hash of what comes.
pub const DIRECT_HEADER: &str = "russet-direct";

/// Header in which a person's tool sends the admin token, as CircleCI's tools do.
pub const ADMIN_TOKEN_HEADER: &str = "circle-token";
