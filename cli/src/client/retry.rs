//! Calls that are made again: those that a control plane puts off, and those whose answer was lost.
//!
//! Nothing is done twice. A call that changes something is made again only where it certainly did
//! nothing (429, and 503 with `Retry-After`: RFC 9110, section 10.2.3), or where doing it twice is
//! doing it once (RFC 9110, section 9.2.2). Other calls whose answer was lost end with an error, for
//! the person knows better whether they are to be made again.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use reqwest::{Request, RequestBuilder, Response, StatusCode};
use russet_protocol::backoff::Backoff;
use russet_text::error_chain;

use super::Client;
use crate::color::Paint;
use crate::error::{CliError, Result};

/// Pauses before the next attempt, where the control plane asks for none.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Waits of one call in all, where the control plane asks for them.
const MAX_ASKED_WAIT: Duration = Duration::from_secs(120);

/// Waits of one call in all, where answers are lost.
const MAX_LOST_WAIT: Duration = Duration::from_secs(15);

/// A pause that is shorter is not worth a word.
const MIN_TOLD_PAUSE: Duration = Duration::from_millis(900);

/// Reason why an attempt has no answer that judges the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// No connection came about: nothing was sent.
    Unreachable,
    /// The connection broke before the whole answer was here.
    Lost,
    /// An answer with this status, and the pause that it asks for.
    Status(StatusCode, Option<Duration>),
}

impl Failure {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_connect() || error.is_builder() { Self::Unreachable } else { Self::Lost }
    }

    /// Returns true if the call may have been done.
    fn is_doubtful(self) -> bool {
        match self {
            Self::Unreachable => false,
            Self::Lost => true,
            Self::Status(status, asked) => !is_put_off(status, asked),
        }
    }
}

/// Returns true for an answer that says that nothing was done, and to come back.
fn is_put_off(status: StatusCode, asked: Option<Duration>) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || (status == StatusCode::SERVICE_UNAVAILABLE && asked.is_some())
}

/// Time that a call may still wait.
#[derive(Debug)]
struct Patience {
    backoff: Backoff,
    waited: Duration,
}

impl Patience {
    fn new() -> Self {
        let backoff = russet_platform::http::backoff(FIRST_PAUSE, LONGEST_PAUSE);
        Self { backoff, waited: Duration::ZERO }
    }

    /// Returns the pause before the next attempt; `None` where there is to be none.
    fn next_pause(&mut self, failure: Failure, is_repeatable: bool) -> Option<Duration> {
        let (asked, limit) = match failure {
            Failure::Status(status, asked) if is_put_off(status, asked) => (asked, MAX_ASKED_WAIT),
            Failure::Lost if is_repeatable => (None, MAX_LOST_WAIT),
            Failure::Status(
                StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT,
                asked,
            ) if is_repeatable => (asked, MAX_LOST_WAIT),
            // Whoever has no server at all is told at once.
            _ => return None,
        };
        let pause = russet_platform::http::next_pause(&mut self.backoff, asked);
        let waited = self.waited.saturating_add(pause);
        if waited > limit {
            return None;
        }
        self.waited = waited;
        Some(pause)
    }
}

/// An answer that is final.
#[derive(Debug)]
pub(super) struct Answered<T> {
    pub(super) status: StatusCode,
    pub(super) read: T,
    /// An earlier attempt may have done what was asked for.
    pub(super) is_doubtful: bool,
}

impl Client {
    /// Builds a request.
    pub(super) fn built(request: RequestBuilder) -> Result<Request> {
        request
            .build()
            .map_err(|error| CliError::local("could not build a request", error_chain(&error)))
    }

    /// Makes a call, and makes it again while that may help. `again` returns the same request once
    /// more; `None` where there is no second one. `is_repeatable`: doing it twice is doing it once.
    pub(super) async fn call<T>(
        &self,
        first: Request,
        again: impl Fn() -> Result<Option<Request>>,
        is_repeatable: bool,
        read: impl AsyncFn(Response) -> reqwest::Result<T>,
    ) -> Result<Answered<T>> {
        let mut patience = Patience::new();
        let mut is_doubtful = false;
        let mut request = first;
        loop {
            let answer = self.http.execute(request).await;
            let (failure, answer) = match answer {
                Ok(response) => {
                    let status = response.status();
                    let asked = russet_platform::http::retry_after(response.headers());
                    match read(response).await {
                        Ok(read) if status.is_success() => {
                            return Ok(Answered { status, read, is_doubtful });
                        }
                        Ok(read) => (Failure::Status(status, asked), Ok((status, read))),
                        Err(error) => (Failure::Lost, Err(error)),
                    }
                }
                Err(error) => (Failure::of(&error), Err(error)),
            };
            let next = match patience.next_pause(failure, is_repeatable) {
                Some(pause) => again()?.map(|request| (pause, request)),
                None => None,
            };
            let Some((pause, next)) = next else {
                let (status, read) = answer.map_err(|error| self.unreachable(&error))?;
                return Ok(Answered { status, read, is_doubtful });
            };
            is_doubtful |= failure.is_doubtful();
            self.tell_pause(failure, pause);
            tokio::time::sleep(pause).await;
            request = next;
        }
    }

    /// Says at a terminal why nothing happens.
    fn tell_pause(&self, failure: Failure, pause: Duration) {
        if pause >= MIN_TOLD_PAUSE && std::io::stderr().is_terminal() {
            let paint = Paint::stderr();
            let text = pause_text(&self.url, failure, pause);
            // Nobody can be told that standard error cannot be written to.
            let _told = writeln!(std::io::stderr(), "{} {text}", paint.note("note:"));
        }
    }
}

fn pause_text(url: &str, failure: Failure, pause: Duration) -> String {
    let why = match failure {
        Failure::Unreachable => format!("{url} cannot be reached"),
        Failure::Lost => format!("the connection to {url} broke off"),
        Failure::Status(StatusCode::TOO_MANY_REQUESTS, _) => {
            format!("{url} has too many calls of yours at once (429)")
        }
        Failure::Status(status, Some(_)) => {
            format!("{url} is busy and asks to wait ({})", status.as_u16())
        }
        Failure::Status(status, None) => format!("{url} answered {}", status.as_u16()),
    };
    format!("{why}; trying again in {:.0} s", pause.as_secs_f64().ceil())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::{Method, StatusCode};
    use russet_protocol::secret::Secret;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::{Failure, MAX_ASKED_WAIT, MAX_LOST_WAIT, Patience, pause_text};
    use crate::client::Client;

    const DONE: &str =
        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"items\":1}";
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
        content-length: 0\r\nconnection: close\r\n\r\n";
    const BUSY_UNTIL: &str = "HTTP/1.1 503 Service Unavailable\r\n\
        date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:40 GMT\r\n\
        content-length: 0\r\nconnection: close\r\n\r\n";
    const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\n\
        content-length: 0\r\nconnection: close\r\n\r\n";
    const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\
        connection: close\r\n\r\n";
    const BAD_GATEWAY: &str =
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const NOT_FOUND: &str =
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    /// The connection is closed after the request was read.
    const RESET: &str = "";
    const CUT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"ite";

    /// Answers one connection after the other with these; returns the requests that came.
    async fn serve(answers: &'static [&'static str]) -> (Client, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 64 * 1024];
                let length = connection.read(&mut request).await.unwrap();
                requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
                connection.write_all(answer.as_bytes()).await.unwrap();
                connection.shutdown().await.unwrap();
            }
            requests
        });
        rustls::crypto::ring::default_provider().install_default().ok();
        (Client::new(&url, &Secret::new("t")).unwrap(), serving)
    }

    async fn get(client: &Client) -> crate::error::Result<Value> {
        client.get("/api/v3/thing", &[]).await
    }

    #[tokio::test]
    async fn a_control_plane_that_asks_to_wait_is_asked_again_when_it_said() {
        for (answer, least) in [(BUSY, 1), (TOO_MANY, 1), (BUSY_UNTIL, 3)] {
            let answers: &[&str] = Box::leak(Box::new([answer, DONE]));
            let (client, serving) = serve(answers).await;
            let began = Instant::now();
            // Changes something, and did certainly nothing the first time.
            let done: Value = client.post("/api/v3/thing", &1).await.unwrap();
            assert_eq!(done["items"], 1);
            assert!(began.elapsed() >= Duration::from_secs(least), "{answer}");
            let requests = serving.await.unwrap();
            assert_eq!(requests.len(), 2);
            assert!(requests.iter().all(|request| request.ends_with("\r\n\r\n1")), "{requests:?}");
        }
    }

    #[tokio::test]
    async fn reading_goes_on_over_resets_cut_answers_and_gateways_without_a_server() {
        let (client, serving) = serve(&[RESET, CUT, BAD_GATEWAY, UNAVAILABLE, DONE]).await;
        assert_eq!(get(&client).await.unwrap()["items"], 1);
        assert_eq!(serving.await.unwrap().len(), 5);
    }

    #[tokio::test]
    async fn what_may_have_been_done_is_not_done_again() {
        for answer in [RESET, BAD_GATEWAY, UNAVAILABLE, CUT] {
            let answers: &[&str] = Box::leak(Box::new([answer]));
            let (client, serving) = serve(answers).await;
            let done: crate::error::Result<Value> = client.post("/api/v3/pipelines", &1).await;
            assert!(done.unwrap_err().transient, "{answer}");
            // A second request would find nobody: the listener is gone.
            assert_eq!(serving.await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_deletion_whose_answer_was_lost_says_that_it_may_have_been_done() {
        let (client, _serving) = serve(&[RESET, NOT_FOUND]).await;
        let error = client.delete("/api/v3/thing").await.unwrap_err();
        assert!(error.hint_text().unwrap().contains("may have"), "{error:?}");
        let (client, _serving) = serve(&[BUSY, NOT_FOUND]).await;
        let error = client.delete("/api/v3/thing").await.unwrap_err();
        assert!(!error.hint_text().unwrap_or_default().contains("may have"), "{error:?}");
    }

    #[tokio::test]
    async fn a_body_that_is_read_from_a_file_is_sent_again_from_its_beginning() {
        let (client, serving) = serve(&[BUSY, RESET, DONE]).await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("source");
        std::fs::write(&file, "packed").unwrap();
        client.put_source(&"s".to_owned().into(), &file, |_| {}).await.unwrap();
        let requests = serving.await.unwrap();
        assert!(requests.iter().all(|request| request.contains("content-length: 6")));
        assert_eq!(requests.len(), 3);
    }

    #[tokio::test]
    async fn nobody_who_listens_is_an_error_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::new(&url, &Secret::new("t")).unwrap();
        let began = Instant::now();
        assert!(get(&client).await.unwrap_err().message().contains("could not reach"));
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    fn waits(failure: Failure, is_repeatable: bool) -> Duration {
        let mut patience = Patience::new();
        while patience.next_pause(failure, is_repeatable).is_some() {}
        patience.waited
    }

    #[test]
    fn waiting_has_an_end() {
        let busy = |seconds| {
            Failure::Status(StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(seconds)))
        };
        for seconds in [0, 1, 30, 60] {
            let waited = waits(busy(seconds), false);
            assert!(waited > MAX_ASKED_WAIT / 3 && waited <= MAX_ASKED_WAIT, "{waited:?}");
        }
        let lost = waits(Failure::Lost, true);
        assert!(lost > MAX_LOST_WAIT / 2 && lost <= MAX_LOST_WAIT, "{lost:?}");
        for status in [400, 401, 404, 409, 422, 500, 507] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(waits(Failure::Status(status, None), true), Duration::ZERO, "{status}");
        }
        assert_eq!(waits(Failure::Unreachable, true), Duration::ZERO);
    }

    #[test]
    fn who_waits_is_told_why_and_for_how_long() {
        let second = Some(Duration::from_secs(1));
        let text = |failure| pause_text("http://ci", failure, Duration::from_millis(2300));
        assert_eq!(
            text(Failure::Status(StatusCode::SERVICE_UNAVAILABLE, second)),
            "http://ci is busy and asks to wait (503); trying again in 3 s"
        );
        assert!(text(Failure::Lost).starts_with("the connection to http://ci broke off; "));
        assert!(Method::DELETE.is_idempotent() && !Method::POST.is_idempotent());
    }
}
