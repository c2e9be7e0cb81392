//! Updates of the agent: `update`.

use super::{Key, Kind, key};

/// Its keys, in the order of the reference.
pub(super) const UPDATE: &[Key] = &[
    key(
        "update.source",
        &[],
        Kind::Text,
        "none",
        "Where an installed agent looks for updates: `control-plane`, an `https://` directory, \
         `github:OWNER/REPOSITORY`, or `s3://BUCKET/PREFIX?region=REGION`; see updates.md.",
    ),
    key(
        "update.hosts",
        &[],
        Kind::Words,
        "none",
        "Hosts, or `host:port`, besides that of the source from which releases may come: where it redirects \
         to, or where its list says that files are. Those of GitHub are known. The scheme stays that of the \
         source.",
    ),
    key(
        "update.channel",
        &[],
        Kind::Text,
        "`stable`",
        "Which releases: manifests of another channel are refused. A control plane as source chooses the channel itself.",
    ),
    key(
        "update.keys_file",
        &[],
        Kind::Path,
        "none",
        "A file with public keys, one in base64 on each line, whose manifests are believed besides \
         those of the keys that are compiled in. It and every directory above it must be root's and \
         nobody else's to change.",
    ),
    key(
        "update.interval",
        &[],
        Kind::Duration,
        "`1h`",
        "How long between two looks for an update, give or take a tenth; a minute at least.",
    ),
    key(
        "update.auto",
        &[],
        Kind::Flag,
        "`true`",
        "Whether an update is installed by itself when no task runs. If not, it is fetched and \
         waits for `russet agent update install`.",
    ),
    key(
        "update.window",
        &[],
        Kind::Text,
        "none",
        "Hours, as `02:00-04:00` or `Sun 02:00-04:00`, in which no tasks are taken while an update \
         waits, so that a busy machine becomes idle. Tasks that run are not ended.",
    ),
    key(
        "update.probation",
        &[],
        Kind::Duration,
        "`5m`",
        "How long a new version has to prove itself before the one before is taken back.",
    ),
];
