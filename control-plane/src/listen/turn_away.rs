//! Answer to connections that get no place: 503, so that callers try again instead of taking the
//! server for gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::last_answer::answer_and_close;
use super::secure::secure;
use crate::tls::ServerTls;

/// The most connections that are answered so at the same time; more are closed without a word.
pub(super) const MAX_TURNED_AWAY: usize = 64;

/// Longest wait for the head of a request, and for the answer to be taken.
const TIMEOUT: Duration = Duration::from_secs(2);

const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-type: application/json\r\ncontent-length: 55\r\nconnection: close\r\n\r\n\
    {\"message\":\"the control plane has no place; try again\"}";

/// Answers a connection without looking at what it asks for, and closes it.
pub(super) async fn turn_away(
    stream: TcpStream,
    tls: Option<Arc<ServerTls>>,
    turns: Arc<Semaphore>,
) {
    let Ok(_turn) = turns.try_acquire() else { return };
    let answered = async {
        match tls {
            None => answer_and_close(stream, ANSWER).await,
            Some(tls) => match secure(stream, &tls, |stream| stream).await {
                Some(stream) => answer_and_close(stream, ANSWER).await,
                None => Ok(()),
            },
        }
    };
    // Whoever is gone, or is too slow, gets no answer.
    let _done = timeout(TIMEOUT, answered).await;
}

#[cfg(test)]
mod tests {
    use super::ANSWER;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
    }
}
