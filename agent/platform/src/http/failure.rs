//! Causes of failed requests, in words that say what to do.

use std::error::Error;
use std::io;

/// Characters of a library's own words that go into a message.
const MAX_CAUSE_CHARS: usize = 200;

/// Cause of a failed request. Each is one line, and ends with the next step where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The name is not known.
    #[error(
        "the name of the server cannot be resolved ({0}); check it, and the DNS of this machine"
    )]
    Name(String),
    /// A certificate is not trusted, or something else about TLS.
    #[error(
        "TLS failed ({0}); set `api.ca_file` for a CA of your own, check the clock, and whether the \
         address begins with the right `http`"
    )]
    Tls(String),
    /// Nobody listens.
    #[error("the server refused the connection; check that it runs and listens on this port")]
    Refused,
    /// There is no connection.
    #[error("there is no connection ({0}); check for a firewall or a proxy between")]
    Connection(String),
    /// There was a connection, and no answer in time.
    #[error("no answer came in time; look at the server and at proxies on the way")]
    Slow,
    /// The answer is not HTTP.
    #[error("the answer is not HTTP ({0}); check the port of the address")]
    NotHttp(String),
    /// It leads to where nobody wants to go.
    #[error("{0}")]
    Redirect(String),
    /// The connection ended before the answer did.
    #[error("the connection broke off ({0})")]
    Broken(String),
}

impl Failure {
    /// Finds the cause of an error. reqwest has no kinds for names and TLS; its words for them are
    /// those of hyper-util (`dns error`) and rustls (`invalid peer certificate: …`).
    #[must_use]
    pub fn of(error: &reqwest::Error) -> Self {
        let mut chain: Vec<&(dyn Error + 'static)> = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            chain.push(cause);
            next = cause.source();
        }
        let deepest =
            chain.last().map_or_else(|| "no cause is known".to_owned(), ToString::to_string);
        let deepest = russet_text::one_line_within(&deepest, MAX_CAUSE_CHARS);
        let says = |words: &[&str]| {
            let texts = chain.iter().map(ToString::to_string);
            texts.into_iter().any(|text| words.iter().any(|word| text.contains(word)))
        };
        let is_refused = chain.iter().any(|error| {
            let error = error.downcast_ref::<io::Error>();
            error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        });
        if error.is_redirect() {
            return Self::Redirect(deepest);
        }
        if says(&["dns error"]) {
            return Self::Name(deepest);
        }
        if says(&["certificate", "tls", "corrupt message"]) {
            return Self::Tls(deepest);
        }
        if is_refused {
            return Self::Refused;
        }
        if error.is_connect() {
            return Self::Connection(deepest);
        }
        if error.is_timeout() {
            return Self::Slow;
        }
        if says(&["invalid HTTP"]) { Self::NotHttp(deepest) } else { Self::Broken(deepest) }
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;
    use crate::http::{api_client, download_client};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A server that says this to whoever connects, and closes; or says nothing for ever.
    async fn server(says: Option<&'static str>) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(says) = says else {
                    silent.push(stream);
                    continue;
                };
                let mut buffer = [0; 1024];
                drop(stream.read(&mut buffer).await);
                drop(stream.write_all(says.as_bytes()).await);
            }
        });
        port
    }

    async fn cause(url: &str) -> Failure {
        let client = api_client(url, None, None).unwrap();
        let request = client.get(url).timeout(Duration::from_millis(300));
        Failure::of(&request.send().await.unwrap_err())
    }

    #[tokio::test]
    async fn each_cause_is_told_apart_and_none_is_only_an_error_sending_a_request() {
        let closed = cause("http://127.0.0.1:1").await;
        assert_eq!(closed, Failure::Refused);
        let plain = server(Some("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
        let tls = cause(&format!("https://127.0.0.1:{plain}")).await;
        assert!(matches!(tls, Failure::Tls(_)), "{tls:?}");
        // RFC 6761: a name in `invalid.` is never there.
        let name = cause("http://russet.invalid").await;
        assert!(matches!(name, Failure::Name(_)), "{name:?}");
        let slow = cause(&format!("http://127.0.0.1:{}", server(None).await)).await;
        assert_eq!(slow, Failure::Slow);
        let other = server(Some("SSH-2.0-OpenSSH_9.6\r\n\r\n")).await;
        let other = cause(&format!("http://127.0.0.1:{other}")).await;
        assert!(matches!(other, Failure::NotHttp(_)), "{other:?}");
        let broken = server(Some("")).await;
        let broken = cause(&format!("http://127.0.0.1:{broken}")).await;
        assert!(matches!(broken, Failure::Broken(_)), "{broken:?}");
        for cause in [closed, tls, name, slow, other, broken] {
            let text = cause.to_string();
            assert!(!text.contains("error sending request") && text.len() < 400, "{text}");
        }
    }

    #[tokio::test]
    async fn a_redirect_that_is_refused_says_why() {
        let moved =
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        let url = format!("http://127.0.0.1:{}", server(Some(moved)).await);
        let policy = reqwest::redirect::Policy::custom(|attempt| attempt.error("not this way"));
        let client = download_client(&url, None, policy).unwrap();
        let error = client.get(&url).send().await.unwrap_err();
        assert_eq!(Failure::of(&error), Failure::Redirect("not this way".to_owned()));
    }
}
