//! Check that the control plane can be reached, or of the fault: name, network, TLS, or a wrong
//! answer.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use crate::config::Config;
use crate::health::{Check, Level, clock};
use russet_platform::http;

/// Timeout of an answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Answer to the check.
#[derive(Debug)]
pub(super) struct Answer {
    result: Result<Duration, Failure>,
    pub(super) skew_s: Option<i64>,
}

/// Reason why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The configuration names no address that can be called.
    Setup(String),
    /// The name is not known.
    Name(String),
    /// A certificate is not trusted, or something else about TLS.
    Tls(String),
    /// There is no connection.
    Connection(String),
    /// There was a connection, and no answer in time.
    Slow,
}

/// Asks for its first page, without any token: an answer of any kind will do.
pub(super) async fn ask_control_plane(config: &Config) -> Answer {
    let without = |failure| Answer { result: Err(failure), skew_s: None };
    let client = match http::api_client(&config.api_url, config.ca_file.as_deref(), None) {
        Ok(client) => client,
        Err(error) => return without(Failure::Setup(error.to_string())),
    };
    let started = std::time::Instant::now();
    match client.get(&config.api_url).timeout(LIMIT).send().await {
        Ok(response) => Answer {
            result: Ok(started.elapsed()),
            skew_s: clock::skew_s(response.headers(), SystemTime::now()),
        },
        Err(error) => without(find_failure(&error)),
    }
}

/// The kind of an error. reqwest has no kinds for names and TLS; its words for them are those of
/// hyper-util (`dns error`) and rustls (`invalid peer certificate: …`).
fn find_failure(error: &reqwest::Error) -> Failure {
    let mut deepest = error.to_string();
    let (mut is_name, mut is_tls) = (false, false);
    let mut next = error.source();
    while let Some(source) = next {
        deepest = source.to_string();
        is_name |= deepest.contains("dns error");
        is_tls |= deepest.contains("certificate")
            || deepest.contains("tls")
            || deepest.contains("corrupt message");
        next = source.source();
    }
    match (is_name, is_tls) {
        (true, _) => Failure::Name(deepest),
        (_, true) => Failure::Tls(deepest),
        _ if error.is_timeout() && !error.is_connect() => Failure::Slow,
        _ => Failure::Connection(deepest),
    }
}

/// Interprets the answer.
pub(super) fn judge_answer(config: &Config, answer: &Answer) -> Check {
    let url = &config.api_url;
    let (found, hint) = match &answer.result {
        Ok(time) => {
            let found = format!("{url} answers, in {} ms", time.as_millis());
            return Check::new("control plane", Level::Ok, found, "");
        }
        Err(Failure::Setup(error)) => {
            (error.clone(), "correct `api.url` or `api.ca_file` of the configuration")
        }
        Err(Failure::Name(error)) => (
            format!("the name in {url} is not known: {error}"),
            "check `api.url` and the DNS of this machine",
        ),
        Err(Failure::Tls(error)) => (
            format!(
                "{url} is there, but its certificate is not trusted, or it speaks no TLS: {error}"
            ),
            "set `api.ca_file` for a CA of your own; look at the clock; does `api.url` begin with the \
             right `http`?",
        ),
        Err(Failure::Connection(error)) => (
            format!("{url} cannot be reached: {error}"),
            "is the server running? Is there a firewall or a proxy between?",
        ),
        Err(Failure::Slow) => (
            format!("{url} takes a connection and does not answer within {} s", LIMIT.as_secs()),
            "look at the server and at proxies on the way",
        ),
    };
    Check::new("control plane", Level::Bad, found, hint)
}

#[cfg(test)]
mod tests {
    use super::super::write;
    use super::{Answer, Failure, ask_control_plane, judge_answer};
    use crate::config;
    use crate::health::Level;

    fn config(url: &str) -> config::Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        let text = format!("api: {{auth_token: t, url: '{url}'}}\nrunner: {{name: x}}\n");
        write(&path, &text);
        config::load_config(&path, &|_| None).unwrap()
    }

    /// A server that says this to whoever connects, and closes.
    async fn server(says: &'static str) -> u16 {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 1024];
                drop(stream.read(&mut buffer).await);
                drop(stream.write_all(says.as_bytes()).await);
            }
        });
        port
    }

    #[tokio::test]
    async fn an_answer_of_any_kind_will_do_and_its_date_tells_the_time() {
        let says = "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                    Content-Length: 0\r\n\r\n";
        let config = config(&format!("http://127.0.0.1:{}", server(says).await));
        let answer = ask_control_plane(&config).await;
        assert_eq!(judge_answer(&config, &answer).level, Level::Ok);
        assert!(answer.skew_s.unwrap() < -900_000_000);
    }

    #[tokio::test]
    async fn the_reasons_why_there_is_no_answer_are_told_apart() {
        let why = async |url: &str| ask_control_plane(&config(url)).await.result.unwrap_err();
        let closed = why("http://127.0.0.1:1").await;
        assert!(matches!(closed, Failure::Connection(_)), "{closed:?}");
        let plain = server("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let tls = why(&format!("https://127.0.0.1:{plain}")).await;
        assert!(matches!(tls, Failure::Tls(_)), "{tls:?}");
        // RFC 6761: a name in `invalid.` is never there.
        let name = why("http://russet.invalid").await;
        assert!(matches!(name, Failure::Name(_)), "{name:?}");
    }

    #[test]
    fn each_reason_comes_with_what_to_do() {
        let config = config("http://127.0.0.1:1");
        for failure in [
            Failure::Setup("x".to_owned()),
            Failure::Name("x".to_owned()),
            Failure::Tls("x".to_owned()),
            Failure::Connection("x".to_owned()),
            Failure::Slow,
        ] {
            let check = judge_answer(&config, &Answer { result: Err(failure), skew_s: None });
            assert_eq!(check.level, Level::Bad);
            assert!(check.hint.is_some());
        }
    }
}
