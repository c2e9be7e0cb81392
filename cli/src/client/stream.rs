//! The live view of a pipeline: server-sent events, with reconnection.
//!
//! A stream that breaks is opened anew. The server then tells the whole state again, so output
//! that was seen already is skipped here by its offset: readers see each byte once.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use reqwest::Response;
use russet_protocol::admin::{Job, StreamEvent};
use russet_protocol::backoff::Backoff;
use russet_protocol::ids::JobId;
use russet_text::EventReader;
use tokio::time::Instant;

use super::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Number of attempts to connect at first: together about half a minute.
const ATTEMPTS: u32 = 10;

/// Time for which a view that was connected waits for the control plane to come back. Its jobs go
/// on meanwhile, so giving up early would only turn a restart of the server into a failed build.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A restart of the control plane that is shorter than this is not worth a word.
const QUIET: Duration = Duration::from_secs(3);

/// Pauses between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Longest event that is read.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// Next event of a pipeline.
#[derive(Debug)]
pub(crate) enum Next {
    /// Something changed.
    Event(Box<StreamEvent>),
    /// New output, decoded.
    Output {
        /// Its job.
        job: JobId,
        /// The task of the job.
        task: u32,
        /// Number of the step.
        step: u32,
        /// Offset of its first byte.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The control plane cannot be reached for a while now, and is asked again and again.
    Away {
        /// Reason.
        reason: String,
    },
}

/// A pipeline's events. Ends after [`StreamEvent::End`].
#[derive(Debug)]
pub(crate) struct EventStream {
    client: Client,
    path: String,
    response: Option<Response>,
    reader: EventReader,
    /// Bytes of output of each step of each task that were handed out.
    seen: HashMap<(JobId, u32, u32), u64>,
    backoff: Backoff,
    /// Set once anything was received.
    is_known: bool,
    /// Time at which the connection that has not come back broke, and a mark once that was said.
    away: Option<(Instant, bool)>,
    /// Time at which the connection was opened.
    since: Instant,
    /// Time of each job's claim, which tells one claim from the next.
    claims: HashMap<JobId, u64>,
}

impl EventStream {
    pub(super) fn new(client: Client, path: String) -> Self {
        Self {
            client,
            path,
            response: None,
            reader: EventReader::new(MAX_EVENT_BYTES),
            seen: HashMap::new(),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            is_known: false,
            away: None,
            since: Instant::now(),
            claims: HashMap::new(),
        }
    }

    /// The next event. May be called again after an abandoned call without losing any.
    pub(crate) async fn next(&mut self) -> Result<Next> {
        loop {
            if let Some(next) = self.next_in_buffer()? {
                return Ok(next);
            }
            match self.read_more().await {
                Ok(()) => {}
                // The server is not there, or went away: it may be restarted.
                Err(error) if error.transient && self.may_try_again() => {
                    // The state is told anew each time, so that bytes alone are no progress: a
                    // connection that breaks at the same place ever again is to end.
                    if self.response.take().is_some() && self.since.elapsed() > LONGEST_PAUSE {
                        self.backoff.reset();
                        self.away = None;
                    }
                    let (since, is_told) = self.away.get_or_insert((Instant::now(), false));
                    if !*is_told && self.is_known && since.elapsed() >= QUIET {
                        *is_told = true;
                        return Ok(Next::Away { reason: error.message().to_owned() });
                    }
                    let pause =
                        russet_platform::http::next_pause(&mut self.backoff, error.retry_after);
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn may_try_again(&self) -> bool {
        if self.is_known {
            self.away.is_none_or(|(since, _)| since.elapsed() < PATIENCE)
        } else {
            self.backoff.tries() < ATTEMPTS
        }
    }

    async fn read_more(&mut self) -> Result<()> {
        let response = match &mut self.response {
            Some(response) => response,
            None => {
                self.reader = EventReader::new(MAX_EVENT_BYTES);
                self.since = Instant::now();
                self.response.insert(self.client.open_stream(&self.path).await?)
            }
        };
        match response.chunk().await {
            Ok(Some(chunk)) => {
                self.is_known = true;
                let pushed = self.reader.push(&chunk);
                pushed.map_err(|error| CliError::new(Exit::Infrastructure, error.to_string()))
            }
            Ok(None) => Err(CliError::new(
                Exit::ControlPlane,
                format!("the control plane at {} ended the live view", self.client.url()),
            )
            .transient()),
            Err(error) => Err(self.client.unreachable(&error)),
        }
    }

    /// The next event among the bytes that are here.
    fn next_in_buffer(&mut self) -> Result<Option<Next>> {
        while let Some(event) = self.reader.next_event() {
            if let Some(next) = self.unseen(parse(&event)?)? {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// Decodes output and drops what was handed out before.
    fn unseen(&mut self, event: StreamEvent) -> Result<Option<Next>> {
        let (job, task, step, offset, data) = match event {
            StreamEvent::Output { job, task, step, offset, data } => {
                (job, task, step, offset, data)
            }
            event => {
                if let StreamEvent::Job { job, .. } = &event {
                    self.forget_earlier_claim(job);
                }
                return Ok(Some(Next::Event(Box::new(event))));
            }
        };
        let mut bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .map_err(|error| not_understood(&error))?;
        let seen = self.seen.entry((job.clone(), task, step)).or_default();
        let skip = usize::try_from(seen.saturating_sub(offset)).unwrap_or(usize::MAX);
        if skip >= bytes.len() {
            return Ok(None);
        }
        bytes.drain(..skip);
        let offset = offset.max(*seen);
        *seen = offset + u64::try_from(bytes.len()).unwrap_or_default();
        self.backoff.reset();
        self.away = None;
        Ok(Some(Next::Output { job, task, step, offset, bytes }))
    }

    /// A job that was put back and claimed anew prints anew, from the beginning.
    fn forget_earlier_claim(&mut self, job: &Job) {
        if let Some(at) = job.started_ms
            && self.claims.insert(job.id.clone(), at).is_some_and(|before| before != at)
        {
            self.seen.retain(|(of, _, _), _| *of != job.id);
        }
    }
}

fn parse(data: &[u8]) -> Result<StreamEvent> {
    serde_json::from_slice(data).map_err(|error| not_understood(&error))
}

fn not_understood(error: &dyn std::fmt::Display) -> CliError {
    let message = format!("the control plane sent an event that is not understood: {error}");
    CliError::new(Exit::Infrastructure, message)
}

#[cfg(test)]
mod tests {
    use russet_protocol::secret::Secret;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::Next;
    use crate::client::Client;
    use crate::exit::Exit;

    fn output(offset: u64, data: &str) -> String {
        format!(
            "data: {{\"event\":\"output\",\"job\":\"j\",\"step\":1,\"offset\":{offset},\"data\":\"{data}\"}}\n\n"
        )
    }

    /// Answers one connection after the other with these bodies, each cut off by closing.
    async fn serve(answers: Vec<String>) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _request = connection.read(&mut request).await.unwrap();
                connection.write_all(answer.as_bytes()).await.unwrap();
                connection.shutdown().await.unwrap();
            }
        });
        rustls::crypto::ring::default_provider().install_default().ok();
        Client::new(&url, &Secret::new("t")).unwrap()
    }

    const OK: &str =
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";

    #[tokio::test]
    async fn a_stream_that_breaks_is_continued_and_no_byte_is_seen_twice() {
        // "abc" at 0; then, after the break, "ab", "cde" and an event that is cut in two.
        let first = format!("{OK}: hello\n\n{}data: {{\"eve", output(0, "YWJj"));
        let again = format!("{OK}{}{}", output(0, "YWI="), output(2, "Y2Rl"));
        let client = serve(vec![first, again]).await;
        let mut stream = client.stream("p");
        let mut seen = Vec::new();
        for _ in 0..2 {
            match stream.next().await.unwrap() {
                Next::Output { bytes, .. } => seen.extend(bytes),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(String::from_utf8(seen).unwrap(), "abcde");
    }

    #[tokio::test]
    async fn a_job_that_is_claimed_anew_prints_from_its_beginning() {
        let job = |started_ms: u64| {
            format!(
                "data: {{\"event\":\"job\",\"workflow\":\"w\",\"job\":{{\"id\":\"j\",\"number\":1,\"name\":\"j\",\"resource_class\":\"a/b\",\"phase\":\"running\",\"started_ms\":{started_ms}}}}}\n\n"
            )
        };
        let (first, again) = (output(0, "YWJj"), output(0, "eHl6"));
        let client = serve(vec![format!("{OK}{}{first}{}{again}", job(1), job(2))]).await;
        let mut stream = client.stream("p");
        let mut seen = Vec::new();
        while seen.len() < 6 {
            if let Next::Output { bytes, .. } = stream.next().await.unwrap() {
                seen.extend(bytes);
            }
        }
        assert_eq!(String::from_utf8(seen).unwrap(), "abcxyz");
    }

    #[tokio::test(start_paused = true)]
    async fn a_control_plane_that_stays_away_is_named_once_and_given_up_after_a_while() {
        let client = serve(vec![format!("{OK}{}", output(0, "YWJj"))]).await;
        let mut stream = client.stream("p");
        assert!(matches!(stream.next().await.unwrap(), Next::Output { .. }));
        assert!(matches!(stream.next().await.unwrap(), Next::Away { .. }));
        let told = tokio::time::Instant::now();
        let error = stream.next().await.unwrap_err();
        assert_eq!(error.exit, Exit::ControlPlane);
        assert!(told.elapsed() > super::PATIENCE / 2, "{:?}", told.elapsed());
    }

    #[tokio::test]
    async fn a_pipeline_that_is_not_there_is_not_asked_for_again() {
        let body = r#"{"message":"there is no pipeline `p`"}"#;
        let answer = format!("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{body}");
        let client = serve(vec![answer]).await;
        let error = client.stream("p").next().await.unwrap_err();
        assert_eq!(error.exit, Exit::ControlPlane);
    }
}
