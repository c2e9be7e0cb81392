//! A registry of orbs over HTTP.
//!
//! Whoever answers is believed nothing but a text: an answer is bounded in size and time, nothing
//! is followed anywhere, and the token goes to the one address that the owner named.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{StatusCode, Url};
use russet_pipeline::{MAX_BYTES, orb_version_fits};
use russet_protocol::secret::Secret;
use russet_text::{one_line_within, root_cause};

use crate::error::RegistryError;
use crate::wire::{Answer, Question, SOURCE, VERSIONS, Variables, Version};

/// Path at which CircleCI's API answers queries.
const PATH: &str = "/graphql-unstable";

/// Timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of a whole call, with its answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before a call that failed for a reason that may pass is made again, once.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Largest answer, in bytes. A source of 4 MiB has fewer than that when JSON escapes it.
const MAX_ANSWER: usize = 3 * MAX_BYTES;

/// Versions that a message names.
const MAX_NAMED: usize = 10;

/// Longest text of a registry that a message quotes, in characters.
const MAX_QUOTED: usize = 300;

/// A registry, and the right to ask it.
#[derive(Clone)]
pub struct Registry {
    http: reqwest::Client,
    /// Target of queries.
    endpoint: Url,
    /// The address as it was given, for messages.
    name: String,
    token: Option<HeaderValue>,
    was_asked: Arc<AtomicBool>,
}

/// Without the token.
impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A version of an orb, as a registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The exact version.
    pub version: String,
    /// Its source.
    pub source: String,
}

/// Reason why an address or a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryUrlError {
    /// It is not an address.
    #[error("`{0}` is not the address of an orb registry: {1}")]
    Invalid(String, String),
    /// Orbs that come over plain HTTP could be changed on the way, and a token read.
    #[error("`{0}` is not encrypted: orbs run with a job's secrets, so use https://")]
    Plain(String),
    /// A token of characters that no header can have.
    #[error("the token of the orb registry has characters that no token has")]
    Token,
    /// HTTPS cannot be set up.
    #[error("could not set up HTTPS: {0}")]
    Client(reqwest::Error),
}

impl Registry {
    /// A registry at an address such as `https://circleci.com`. An address with a path is where
    /// queries go itself.
    ///
    /// # Errors
    ///
    /// Neither the address nor the token may be anything.
    pub fn new(url: &str, token: Option<&Secret>) -> Result<Self, RegistryUrlError> {
        let name = url.trim().trim_end_matches('/').to_owned();
        let invalid = |why: &str| RegistryUrlError::Invalid(name.clone(), why.to_owned());
        let mut endpoint = Url::parse(&name).map_err(|error| invalid(&error.to_string()))?;
        if endpoint.host_str().is_none() || !["http", "https"].contains(&endpoint.scheme()) {
            return Err(invalid("write it as `https://circleci.com`"));
        }
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(invalid("a token is given in a file"));
        }
        let is_loopback = is_loopback(&endpoint);
        if endpoint.scheme() == "http" && !is_loopback {
            return Err(RegistryUrlError::Plain(name));
        }
        if endpoint.path() == "/" {
            endpoint.set_path(PATH);
        }
        let token = token.map(sensitive_header).transpose()?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("russet/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            // A redirect would carry the token to wherever the answer says.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(RegistryUrlError::Client)?;
        Ok(Self { http, endpoint, name, token, was_asked: Arc::default() })
    }

    /// The same registry, asked as anybody may ask it.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Its address, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says whether anything was asked of it.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }

    /// Fetches the newest version of an orb that fits `wanted`.
    ///
    /// # Errors
    ///
    /// The registry does not answer, does not have it, or answers something else.
    pub async fn fetch(&self, orb: &str, wanted: &str) -> Result<Published, RegistryError> {
        let reference = format!("{orb}@{wanted}");
        if let Some(found) = self.ask(SOURCE, &reference).await?.version() {
            return self.published(found, &reference, wanted);
        }
        // Which versions there are says whether it is the name or the version that is wrong, and
        // resolves a floating one for a registry that leaves that to who asks.
        let newest = self.ask(VERSIONS, &format!("{orb}@volatile")).await?.version();
        let Some(newest) = newest else {
            let has_token = self.token.is_some();
            return Err(RegistryError::NoOrb {
                registry: self.name.clone(),
                name: orb.to_owned(),
                has_token,
            });
        };
        let mut known = newest.siblings();
        known.truncate(200);
        let shelf: Vec<String> =
            known.iter().filter(|version| orb_version_fits(wanted, version)).cloned().collect();
        let exact = highest_version(&shelf).filter(|version| version != wanted);
        if let Some(exact) = exact {
            let reference = format!("{orb}@{exact}");
            if let Some(found) = self.ask(SOURCE, &reference).await?.version() {
                return self.published(found, &reference, &exact);
            }
        }
        let known = known.iter().take(MAX_NAMED).map(|version| printable_text(version)).collect();
        Err(RegistryError::NoVersion {
            registry: self.name.clone(),
            name: orb.to_owned(),
            wanted: wanted.to_owned(),
            known,
        })
    }

    /// Checks that a version is one that fits, with a source.
    fn published(
        &self,
        found: Version,
        orb: &str,
        wanted: &str,
    ) -> Result<Published, RegistryError> {
        let wrong = |why: String| RegistryError::NotUnderstood {
            registry: self.name.clone(),
            orb: orb.to_owned(),
            why,
        };
        let version = found.version.filter(|version| !version.is_empty());
        let version = version.unwrap_or_else(|| wanted.to_owned());
        if !orb_version_fits(wanted, &version) {
            return Err(wrong(format!("it is version `{}`", printable_text(&version))));
        }
        match found.source.filter(|source| !source.trim().is_empty()) {
            Some(source) if source.len() > MAX_BYTES => Err(self.too_large(orb, MAX_BYTES)),
            Some(source) => Ok(Published { version, source }),
            None => Err(wrong("it has no source".to_owned())),
        }
    }

    /// Makes a call, and once more where the reason of a failure may pass.
    async fn ask(&self, query: &str, orb: &str) -> Result<Answer, RegistryError> {
        match self.ask_once(query, orb).await {
            Err(error) if error.is_outage() => {
                tokio::time::sleep(RETRY_DELAY).await;
                self.ask_once(query, orb).await
            }
            answer => answer,
        }
    }

    async fn ask_once(&self, query: &str, orb: &str) -> Result<Answer, RegistryError> {
        self.was_asked.store(true, Ordering::Relaxed);
        let question = Question { query, variables: Variables { orb_version_ref: orb } };
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        let mut request = self.http.post(self.endpoint.clone()).json(&question);
        request = request.header(CONTENT_TYPE, json.clone()).header(ACCEPT, json);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let unreachable = |error: reqwest::Error| RegistryError::Unreachable {
            registry: self.name.clone(),
            cause: error_cause(&error),
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(self.refused(status, orb));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > MAX_ANSWER {
                return Err(self.too_large(orb, MAX_ANSWER));
            }
            body.extend_from_slice(&chunk);
        }
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|error| RegistryError::NotUnderstood {
                registry: self.name.clone(),
                orb: orb.to_owned(),
                why: printable_text(&error.to_string()),
            })?;
        match answer.complaint() {
            Some(said) => Err(self.complaint(&said, orb)),
            None => Ok(answer),
        }
    }

    fn refused(&self, status: StatusCode, orb: &str) -> RegistryError {
        let (registry, orb) = (self.name.clone(), orb.to_owned());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let said = format!("it answered {}", status.as_u16());
                RegistryError::Private { registry, orb, said }
            }
            _ => RegistryError::Status { registry, status: status.as_u16(), orb },
        }
    }

    /// Classifies an error in the answer. The words are the registry's, so they are only compared
    /// with what CircleCI's command line looks for, and with what is plain.
    fn complaint(&self, said: &str, orb: &str) -> RegistryError {
        const PRIVATE: [&str; 4] = ["must log in", "authoriz", "authentic", "permission"];
        let (registry, orb) = (self.name.clone(), orb.to_owned());
        let lower = said.to_lowercase();
        let said = printable_text(said);
        if PRIVATE.iter().any(|word| lower.contains(word)) {
            RegistryError::Private { registry, orb, said }
        } else {
            RegistryError::Refused { registry, orb, said }
        }
    }

    fn too_large(&self, orb: &str, limit: usize) -> RegistryError {
        let limit = limit / 1024 / 1024;
        RegistryError::TooLarge { registry: self.name.clone(), orb: orb.to_owned(), limit }
    }
}

/// The token as the value of a header, which no log shows.
fn sensitive_header(token: &Secret) -> Result<HeaderValue, RegistryUrlError> {
    let mut value = HeaderValue::from_str(token.expose()).map_err(|_| RegistryUrlError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The highest of some versions with three numbers, else the first of any others.
fn highest_version(versions: &[String]) -> Option<String> {
    let numbers = |version: &&String| -> Vec<u64> {
        version.split('.').map_while(|part| part.parse().ok()).collect()
    };
    versions.iter().max_by_key(numbers).cloned()
}

/// A text of somebody else's, for a message.
fn printable_text(text: &str) -> String {
    one_line_within(text, MAX_QUOTED)
}

fn error_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() { "it does not answer in time".to_owned() } else { root_cause(error) }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use russet_protocol::secret::Secret;

    use super::{Registry, highest_version, is_loopback};

    #[test]
    fn an_orb_comes_encrypted_or_from_this_machine() {
        for plain in ["http://circleci.com", "http://10.0.0.1:80"] {
            let error = Registry::new(plain, None).unwrap_err().to_string();
            assert!(error.contains("https://"), "{error}");
        }
        for bad in ["circleci.com", "ftp://x", "https://token@circleci.com", ""] {
            assert!(Registry::new(bad, None).is_err(), "{bad}");
        }
        for (url, is) in
            [("http://127.0.0.1:1", true), ("http://[::1]:1", true), ("http://a", false)]
        {
            assert_eq!(is_loopback(&reqwest::Url::parse(url).unwrap()), is, "{url}");
        }
        let token = Secret::new("two\nlines");
        assert!(Registry::new("https://circleci.com", Some(&token)).is_err());
    }

    #[test]
    fn the_highest_version_is_by_number() {
        let versions = ["1.2.9", "1.10.0", "1.9.9"].map(str::to_owned);
        assert_eq!(highest_version(&versions).as_deref(), Some("1.10.0"));
    }
}
