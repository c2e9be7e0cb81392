//! Keys of the views of people and programs: `local_api`, `metrics`.

use super::{Key, Kind, key};

/// Its keys, in the order of the reference.
pub(super) const SEEN: &[Key] = &[
    key(
        "local_api.socket",
        &[],
        Kind::Path,
        "`/var/run/russet/agent.sock` on macOS, `/run/russet/agent.sock` on Linux; with a state \
         directory of its own: `agent.sock` in it",
        "Where `russet agent status`, `pause`, `drain` and others reach this agent.",
    ),
    key(
        "local_api.operators",
        &[],
        Kind::Words,
        "`['%admin']` on macOS, `['%sudo', '%wheel']` on Linux",
        "Users, and groups with `%` before them, who may do what root may: pause, drain, see \
         names of projects and jobs.",
    ),
    key(
        "local_api.open",
        &[],
        Kind::Flag,
        "`false`",
        "Whether every user of this machine may see names of projects and jobs.",
    ),
    key(
        "metrics.listen",
        &[],
        Kind::Text,
        "none",
        "Where Prometheus reads `/metrics` over HTTP, as `127.0.0.1:9477`. Loopback only: every \
         process of the machine can connect, tasks included. Without it, and for root in any case, \
         the local API's socket has the same; see metrics.md.",
    ),
];
