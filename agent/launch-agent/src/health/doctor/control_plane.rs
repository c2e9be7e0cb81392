//! Check that the control plane can be reached, or of the fault: name, network, TLS, or a wrong
//! answer.

use std::time::{Duration, SystemTime};

use crate::config::Config;
use crate::health::{Check, Level, clock};
use russet_platform::http::{self, Failure};

/// Timeout of an answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Answer to the check.
#[derive(Debug)]
pub(super) struct Answer {
    result: Result<Duration, Fault>,
    pub(super) skew_s: Option<i64>,
}

/// Reason why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The configuration names no address that can be called.
    Setup(String),
    /// The request failed.
    Request(Failure),
}

/// Asks for its first page, without any token: an answer of any kind will do.
pub(super) async fn ask_control_plane(config: &Config) -> Answer {
    let without = |failure| Answer { result: Err(failure), skew_s: None };
    let client = match http::api_client(&config.api_url, config.ca_file.as_deref(), None) {
        Ok(client) => client,
        Err(error) => return without(Fault::Setup(error.to_string())),
    };
    let started = std::time::Instant::now();
    match client.get(&config.api_url).timeout(LIMIT).send().await {
        Ok(response) => Answer {
            result: Ok(started.elapsed()),
            skew_s: clock::skew_s(response.headers(), SystemTime::now()),
        },
        Err(error) => without(Fault::Request(Failure::of(&error))),
    }
}

/// Interprets the answer.
pub(super) fn judge_answer(config: &Config, answer: &Answer) -> Check {
    let url = &config.api_url;
    let failure = match &answer.result {
        Ok(time) => {
            let found = format!("{url} answers, in {} ms", time.as_millis());
            return Check::new("control plane", Level::Ok, found, "");
        }
        Err(Fault::Setup(error)) => {
            let hint = "correct `api.url` or `api.ca_file` of the configuration";
            return Check::new("control plane", Level::Bad, error.clone(), hint);
        }
        Err(Fault::Request(failure)) => failure,
    };
    let (found, hint) = match failure {
        Failure::Name(error) => (
            format!("the name in {url} is not known: {error}"),
            "check `api.url` and the DNS of this machine",
        ),
        Failure::Tls(error) => (
            format!(
                "{url} is there, but its certificate is not trusted, or it speaks no TLS: {error}"
            ),
            "set `api.ca_file` for a CA of your own; look at the clock; does `api.url` begin with the \
             right `http`?",
        ),
        Failure::Slow => (
            format!("{url} takes a connection and does not answer within {} s", LIMIT.as_secs()),
            "look at the server and at proxies on the way",
        ),
        other => (
            format!("{url} cannot be reached: {other}"),
            "is the server running? Is there a firewall or a proxy between?",
        ),
    };
    Check::new("control plane", Level::Bad, found, hint)
}

#[cfg(test)]
mod tests {
    use super::super::write;
    use super::{Answer, Failure, Fault, ask_control_plane, judge_answer};
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
        let why = async |url: &str| match ask_control_plane(&config(url)).await.result {
            Err(Fault::Request(failure)) => failure,
            other => panic!("{other:?}"),
        };
        assert_eq!(why("http://127.0.0.1:1").await, Failure::Refused);
        let plain = server("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let tls = why(&format!("https://127.0.0.1:{plain}")).await;
        assert!(matches!(tls, Failure::Tls(_)), "{tls:?}");
    }

    #[test]
    fn each_reason_comes_with_what_to_do() {
        let config = config("http://127.0.0.1:1");
        let x = || "x".to_owned();
        let failures = [
            Failure::Name(x()),
            Failure::Tls(x()),
            Failure::Refused,
            Failure::Connection(x()),
            Failure::Slow,
        ];
        let requests = failures.into_iter().map(Fault::Request);
        for failure in requests.chain([Fault::Setup(x())]) {
            let check = judge_answer(&config, &Answer { result: Err(failure), skew_s: None });
            assert_eq!(check.level, Level::Bad);
            assert!(check.hint.is_some());
        }
    }
}
