//! Calls to the API of a host.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, Method, Url};
use russet_protocol::secret::Secret;
use serde_json::Value;

use super::answer::HostAnswer;
use super::error::HostError;
use super::tokens::Tokens;
use crate::clock::Clock;
use crate::git::{GitSettings, choose_address};
use crate::listen::ProxyRange;
use crate::outgoing::{self, CallError, CheckedResolver};

/// Longest time that one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest time that an attempt may take, which is some calls.
pub(crate) const MAX_ATTEMPT: Duration = Duration::from_secs(40);

/// Most of an answer that is read, in bytes: a hundred statuses take some 200 kB.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What this server has for calls to hosts.
#[derive(Debug)]
pub(crate) struct HostRoom {
    allow_to: Vec<ProxyRange>,
    client: OnceLock<Client>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tokens: Tokens,
}

/// A call.
#[derive(Debug)]
pub(super) struct HostCall<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: &'a [(&'static str, &'a str)],
    /// Value of the header of this name that proves who calls.
    pub(super) proof: Option<(&'static str, Secret)>,
    pub(super) body: Option<Value>,
}

impl HostRoom {
    pub(crate) fn new(settings: &GitSettings, clock: Arc<dyn Clock>) -> Self {
        let allow_to = settings.allow_to.clone();
        Self { allow_to, client: OnceLock::new(), clock, tokens: Tokens::default() }
    }

    /// Makes a call. Returns its answer, whatever its status is.
    pub(super) async fn call(&self, call: HostCall<'_>) -> Result<HostAnswer, HostError> {
        let url = Url::parse(&call.url).map_err(|error| HostError::Unreachable {
            host: "the host".to_owned(),
            why: error.to_string(),
        })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        self.check_literal(&host)?;
        let failed = |error| HostError::of_call(&host, error);
        let mut request = self.client().map_err(failed)?.request(call.method, url);
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        if let Some((name, value)) = &call.proof {
            let mut value = reqwest::header::HeaderValue::from_str(value.expose())
                .map_err(|_| failed(CallError::Send("the token has odd characters".to_owned())))?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let mut answer =
            request.send().await.map_err(|error| failed(outgoing::send_failed(error)))?;
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let body = outgoing::read_bounded(&mut answer, MAX_ANSWER_BYTES).await;
        match body {
            Ok(body) => Ok(HostAnswer { status, headers, body }),
            // What it said is known all the same: it has done what it was told, or not.
            Err(_) if call.body.is_some() && status < 500 => {
                Ok(HostAnswer { status, headers, body: Vec::new() })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Refuses an address in place of a name, which no resolver is asked for.
    fn check_literal(&self, host: &str) -> Result<(), HostError> {
        let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() else { return Ok(()) };
        choose_address(host, &[address], &self.allow_to)?;
        Ok(())
    }

    fn client(&self) -> Result<&Client, CallError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let allow_to = self.allow_to.clone();
        let resolver = CheckedResolver::new(move |host, found| {
            let addresses: Vec<IpAddr> = found.iter().map(std::net::SocketAddr::ip).collect();
            let address = choose_address(host, &addresses, &allow_to)?;
            Ok(vec![(address, 0).into()])
        });
        let client = outgoing::client_builder(CALL_TIMEOUT)
            .dns_resolver(resolver)
            .build()
            .map_err(|error| CallError::Send(russet_text::error_chain(&error)))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Returns the time, in milliseconds since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }
}
