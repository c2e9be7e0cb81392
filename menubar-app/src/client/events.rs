//! The agent's events: a status now and at each change. Nothing is asked for again and again
//! while the agent is there; while it is not, its socket is tried at growing intervals.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use russet_protocol::backoff::Backoff;
use russet_protocol::local::Status;
use russet_text::EventReader;
use tokio::sync::mpsc::UnboundedSender;

use super::{Agent, ClientError};
use crate::controller::{Event, Lost};

/// Between two attempts to reach the agent, at first and at most. An attempt is one system call.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Longest event that is read.
const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// Tells what the agent says, and when it is gone, for as long as somebody listens.
pub(crate) async fn watch(agent: Agent, events: UnboundedSender<Event>) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let (has_heard, why) = listen(&agent, &events).await;
        if has_heard {
            backoff.reset();
        }
        if events.send(Event::Lost(why)).is_err() {
            return;
        }
        tokio::time::sleep(backoff.next_pause()).await;
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
    let mut statuses = Statuses::new();
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => return (has_heard, agent.lost(&error.into())),
        };
        for status in match statuses.push(&data) {
            Ok(arrived) => arrived,
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

/// Statuses out of the event stream.
#[derive(Debug)]
struct Statuses(EventReader);

impl Statuses {
    fn new() -> Self {
        Self(EventReader::new(MAX_EVENT_BYTES))
    }

    /// Returns the statuses that a piece of the stream completes.
    fn push(&mut self, piece: &[u8]) -> Result<Vec<Status>, String> {
        self.0.push(piece).map_err(|error| error.to_string())?;
        let mut statuses = Vec::new();
        while let Some(event) = self.0.next_event() {
            let status = serde_json::from_slice(&event).map_err(|error| {
                format!("the agent sent something that is not a status: {error}")
            })?;
            statuses.push(status);
        }
        Ok(statuses)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_EVENT_BYTES, Statuses};

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
            let mut statuses = Statuses::new();
            let names: Vec<String> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|piece| statuses.push(piece).unwrap())
                .map(|status| status.name)
                .collect();
            assert_eq!(names, ["one", "two"]);
        }
    }

    #[test]
    fn other_data_is_an_error_and_so_is_an_event_without_an_end() {
        assert!(Statuses::new().push(b"data: 7\n\n").is_err());
        assert!(Statuses::new().push(&vec![b'x'; MAX_EVENT_BYTES + 1]).is_err());
        assert_eq!(Statuses::new().push(b"event: x\nid: 7\n\n").unwrap(), []);
    }
}
