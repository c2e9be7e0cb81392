//! A client of the notarization service (App Store Connect, "Notary API").

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method, Response, StatusCode};
use russet_protocol::backoff::Backoff;
use serde_json::{Value, json};

use super::Services;
use super::jwt::sign_token;
use super::s3::{Storage, sign_upload};
use crate::credentials::NotaryKey;

/// Number of tries of a call that fails in a way that may pass.
const TRIES: u32 = 6;

/// A pause that a server asks for is not longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// HTTP with patience: too many calls, failures of the server and lost connections are tried again.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    pause: Duration,
}

impl Http {
    /// A client that waits so long before it tries again, and longer each time.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new(pause: Duration) -> Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("russet-notarize/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(30))
            .read_timeout(Duration::from_secs(300))
            .build()
            .context("could not set up HTTP")?;
        Ok(Self { client, pause })
    }

    /// Sends what `request` makes, until an answer is final. `what` is said in errors.
    ///
    /// # Errors
    ///
    /// The answer is an error that stays one, or there is none.
    pub async fn send(
        &self,
        what: &str,
        request: impl Fn(&Client) -> Result<reqwest::RequestBuilder>,
    ) -> Result<Response> {
        let mut last = String::new();
        let mut backoff = Backoff::new(self.pause, LONGEST_PAUSE);
        for attempt in 0..TRIES {
            let mut pause = backoff.next_pause();
            match request(&self.client)?.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => {
                    let status = answer.status();
                    let passes =
                        status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
                    if let Some(asked) = retry_after(&answer) {
                        pause = asked.min(LONGEST_PAUSE);
                    }
                    let text = answer.text().await.unwrap_or_default();
                    last = format!("{status}{}", error_message(&text));
                    if !passes {
                        break;
                    }
                }
                // Its address may hold a signature.
                Err(error) => {
                    last = russet_text::error_chain(&error.without_url());
                }
            }
            if attempt + 1 < TRIES {
                tokio::time::sleep(pause).await;
            }
        }
        let hint = if last.starts_with("401") || last.starts_with("403") {
            "\n  hint: is the key in notary.json that of this team, not revoked, with the role Developer?"
        } else {
            ""
        };
        bail!("could not {what}: {last}{hint}")
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get("retry-after")?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// The message of an error of App Store Connect, or nothing.
fn error_message(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let error = &value["errors"][0];
    let text = error["detail"].as_str().or_else(|| error["title"].as_str());
    text.map(|text| format!(" ({text})")).unwrap_or_default()
}

/// The service, for one team.
#[derive(Debug)]
pub struct Notary {
    services: Services,
    key: NotaryKey,
    http: Http,
}

impl Notary {
    /// With this key.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new(services: &Services, key: NotaryKey) -> Result<Self> {
        let http = Http::new(services.pause)?;
        Ok(Self { services: services.clone(), key, http })
    }

    /// A call, with a token of its own: waiting takes longer than one lives.
    async fn call(
        &self,
        what: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let base = self.services.notary.trim_end_matches('/');
        let address = format!("{base}/notary/v2/submissions{path}");
        let request = |client: &Client| {
            let now = jiff::Timestamp::now().as_second();
            let request = client.request(method.clone(), &address);
            let request = request.bearer_auth(sign_token(&self.key, now)?);
            Ok(match &body {
                Some(body) => request.json(body),
                None => request,
            })
        };
        let answer = self.http.send(what, request).await?;
        answer.json().await.with_context(|| format!("could not {what}: no JSON came back"))
    }

    /// Submits a package; returns the submission's id once everything is uploaded.
    ///
    /// # Errors
    ///
    /// The service or its storage refuses, or does not answer.
    pub async fn submit(&self, name: &str, sha256: &str, package: Vec<u8>) -> Result<String> {
        let body = json!({"submissionName": name, "sha256": sha256, "notifications": []});
        let what = "submit the package";
        let answer = self.call(what, Method::POST, "", Some(body)).await?;
        let id = answer["data"]["id"].as_str().context("the service named no submission")?;
        let storage: Storage = serde_json::from_value(answer["data"]["attributes"].clone())
            .map_err(|_| anyhow::anyhow!("the service named no place to upload to"))?;
        let (address, host) = storage.address(self.services.storage.as_deref());
        let package = bytes::Bytes::from(package);
        let request = |client: &Client| {
            let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
            let mut request = client.put(&address).body(package.clone());
            for (name, value) in sign_upload(&storage, &host, sha256, &time) {
                request = request.header(name, value);
            }
            Ok(request)
        };
        self.http.send("upload the package", request).await?;
        Ok(id.to_owned())
    }

    /// Waits for a verdict: `Accepted`, `Invalid` or `Rejected`.
    ///
    /// # Errors
    ///
    /// There is none in time, or the service does not answer.
    pub async fn wait(&self, id: &str) -> Result<String> {
        let started = Instant::now();
        loop {
            let answer =
                self.call("ask for the verdict", Method::GET, &format!("/{id}"), None).await?;
            let status = answer["data"]["attributes"]["status"].as_str();
            match status.context("the service named no status")? {
                "In Progress" => {}
                verdict => return Ok(verdict.to_owned()),
            }
            if started.elapsed() >= self.services.wait {
                bail!(
                    "submission {id} is still in progress\n  hint: the same command goes on waiting, nothing is uploaded again; `--wait` gives it more time"
                );
            }
            tokio::time::sleep(self.services.pause).await;
        }
    }

    /// Apple's log of a submission.
    ///
    /// # Errors
    ///
    /// There is none, or the service does not answer.
    pub async fn log(&self, id: &str) -> Result<String> {
        let what = "ask for the log";
        let answer = self.call(what, Method::GET, &format!("/{id}/logs"), None).await?;
        let address = answer["data"]["attributes"]["developerLogUrl"].as_str();
        let address = address.context("the service named no log")?;
        let answer = self.http.send("fetch the log", |client| Ok(client.get(address))).await?;
        answer.text().await.context("could not fetch the log")
    }
}
