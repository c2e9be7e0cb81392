//! The agent's events: a status now and at each change. Nothing is asked for again and again
//! while the agent is there; while it is not, its socket is tried at growing intervals.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use russet_protocol::local::Status;
use tokio::sync::mpsc::UnboundedSender;

use super::{Agent, ClientError};
use crate::controller::{Event, Lost};

/// Between two attempts to reach the agent, at first and at most. An attempt is one system call.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A line that is longer is no status.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// Tells what the agent says, and when it is gone, for as long as somebody listens.
pub(crate) async fn watch(agent: Agent, events: UnboundedSender<Event>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let (has_heard, why) = listen(&agent, &events).await;
        if has_heard {
            pause = FIRST_PAUSE;
        }
        if events.send(Event::Lost(why)).is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Tells what the agent says until it is gone: whether it said anything, and why it is gone.
async fn listen(agent: &Agent, events: &UnboundedSender<Event>) -> (bool, Lost) {
    let mut has_heard = false;
    let request = agent.request(Method::GET, "/v1/events", Bytes::new());
    let mut body = match tokio::time::timeout(super::PATIENCE, request).await {
        Ok(Ok(response)) => response.into_body(),
        Ok(Err(error)) => return (false, agent.lost(&error)),
        Err(_) => return (false, agent.lost(&ClientError::Slow)),
    };
    let mut lines = Lines::default();
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => return (has_heard, agent.lost(&error.into())),
        };
        for status in match lines.push(&data) {
            Ok(statuses) => statuses,
            Err(why) => return (has_heard, Lost::Refused(why)),
        } {
            has_heard = true;
            if events.send(Event::Status(Box::new(status))).is_err() {
                break;
            }
        }
    }
    (has_heard, Lost::NotRunning("the agent has ended".to_owned()))
}

/// Server-sent events as they come, in pieces.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The statuses that a piece completes. Only the last one matters, but there is rarely more.
    fn push(&mut self, data: &[u8]) -> Result<Vec<Status>, String> {
        self.0.extend_from_slice(data);
        let mut statuses = Vec::new();
        let Some(end) = self.0.iter().rposition(|&byte| byte == b'\n') else {
            return if self.0.len() > LONGEST_LINE {
                Err("the agent sends a line without an end".to_owned())
            } else {
                Ok(statuses)
            };
        };
        for line in self.0[..end].split(|&byte| byte == b'\n') {
            let Some(text) = line.strip_prefix(b"data:") else { continue };
            let status = serde_json::from_slice(text)
                .map_err(|error| format!("the agent says what is no status: {error}"))?;
            statuses.push(status);
        }
        self.0.drain(..=end);
        Ok(statuses)
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, Lines};

    #[test]
    fn events_are_read_in_whatever_pieces_they_come() {
        let event = |name: &str| {
            format!(
                "data: {{\"state\":\"idle\",\"since_ms\":1,\"name\":\"{name}\",\"pid\":1,\
                 \"agent_version\":\"1\",\"started_ms\":1,\"control_plane\":\"\"}}\n\n"
            )
        };
        let text = format!(":\n\n{}:\n\n{}", event("one"), event("two"));
        for size in [1, 2, 7, 1000] {
            let mut lines = Lines::default();
            let names: Vec<String> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|piece| lines.push(piece).unwrap())
                .map(|status| status.name)
                .collect();
            assert_eq!(names, ["one", "two"]);
        }
    }

    #[test]
    fn what_is_no_status_is_an_error_and_so_is_a_line_without_end() {
        assert!(Lines::default().push(b"data: 7\n").is_err());
        assert!(Lines::default().push(&vec![b'x'; LONGEST_LINE + 1]).is_err());
        assert_eq!(Lines::default().push(b"event: x\nid: 7\n\n").unwrap(), []);
    }
}
