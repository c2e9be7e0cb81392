//! The control plane: `api`.

use super::{Key, Kind, key};

/// Its keys, in the order of the reference.
pub(super) const API: &[Key] = &[
    key(
        "api.auth_token",
        &["CIRCLECI_RUNNER_API_AUTH_TOKEN", "LAUNCH_AGENT_API_AUTH_TOKEN"],
        Kind::Secret,
        "none",
        "The resource-class token: the short form of one entry of `runner.classes`. It implies \
         the class. A file with a token must not be readable by others (`chmod 600`).",
    ),
    key(
        "api.auth_token_file",
        &[],
        Kind::Path,
        "none",
        "A file with the token, instead of `api.auth_token`. It must not be readable by others. It \
         is read again at each claim.",
    ),
    key(
        "api.auth_token_stored",
        &[],
        Kind::Text,
        "none",
        "The name of a token that `russet agent token add` stored on this machine, instead of \
         `api.auth_token`. Only an agent that runs as root can read it, only for the control plane \
         that it was stored for, and it is read again at each claim.",
    ),
    key(
        "api.url",
        &["CIRCLECI_RUNNER_API_URL", "LAUNCH_AGENT_API_URL"],
        Kind::Text,
        "`https://runner.circleci.com`",
        "Origin of the control plane. The token is sent there and nowhere else.",
    ),
    key(
        "api.ca_file",
        &[],
        Kind::Path,
        "none",
        "CA certificates (PEM) to trust besides the system's, for this agent and the task agent.",
    ),
];
