//! `ssh extend` and `ssh end`: requests about the hold of a task for SSH.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::error::HelperError;
use russet_protocol::ssh::MAX_EXTENSION_MS;

use crate::hold_request::{HoldReply, HoldRequest, MAX_LINE_BYTES, socket_in};

/// Timeout of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Adds time, and returns the words about it.
pub(super) fn extend_hold(by: Duration, data: Option<&Path>) -> Result<Vec<u8>, HelperError> {
    let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    if by > MAX_EXTENSION_MS {
        return Err(HelperError::TooLong);
    }
    let reply = ask(HoldRequest::Extend(by), data)?;
    let left = russet_text::format_duration(Duration::from_millis(reply.remaining_ms));
    let words = if reply.waiting {
        format!("the task ends in {left}\n")
    } else {
        format!("the task is held for {left} or more once its steps have ended\n")
    };
    Ok(words.into_bytes())
}

/// Ends the hold, and returns the words about it.
pub(super) fn end_hold(data: Option<&Path>) -> Result<Vec<u8>, HelperError> {
    let reply = ask(HoldRequest::End, data)?;
    let words: &[u8] = if reply.waiting {
        b"the task ends\n"
    } else {
        b"the task is not held once its steps have ended\n"
    };
    Ok(words.to_vec())
}

/// The socket is in the directory of the task that has the one of its data in it.
fn ask(request: HoldRequest, data: Option<&Path>) -> Result<HoldReply, HelperError> {
    let tmp = data.and_then(Path::parent).ok_or(HelperError::NoHold)?;
    let mut stream = UnixStream::connect(socket_in(tmp)).map_err(|_| HelperError::NoHold)?;
    let mut answer = || -> io::Result<HoldReply> {
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut text = serde_json::to_vec(&request)?;
        text.push(b'\n');
        stream.write_all(&text)?;
        let mut line = Vec::new();
        io::Read::take(BufReader::new(&stream), MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line)?)
    };
    answer().map_err(HelperError::NoAnswer)
}
