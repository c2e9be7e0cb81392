//! Form of hosts' answers.

use serde::de::DeserializeOwned;

use super::answer::HostAnswer;
use super::client::HostRoom;
use super::error::HostError;

/// Returns the host of an API's address, for messages.
pub(super) fn host_of(api: &str) -> &str {
    let rest = api.split_once("://").map_or(api, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Returns an error unless the host did what it was told.
pub(super) fn expect_success(
    room: &HostRoom,
    api: &str,
    (call, answer): (&'static str, &HostAnswer),
) -> Result<(), HostError> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    Err(HostError::of_answer(host_of(api), call, answer, room.now_ms()))
}

/// Reads the answer of a call that succeeded.
pub(super) fn read_json<T: DeserializeOwned>(
    room: &HostRoom,
    api: &str,
    of: (&'static str, &HostAnswer),
) -> Result<T, HostError> {
    expect_success(room, api, of)?;
    let (call, answer) = of;
    serde_json::from_slice(&answer.body).map_err(|error| HostError::Form {
        host: host_of(api).to_owned(),
        call,
        why: error.to_string(),
    })
}
