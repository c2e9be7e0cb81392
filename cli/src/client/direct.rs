//! Bytes of objects from the store where the control plane has them.
//!
//! It sends readers there that ask for it, with a URL that is valid for minutes. The admin token stays
//! here: the store is asked by a client without it. Readers verify size and hash of what comes.

use reqwest::header::LOCATION;
use reqwest::{Method, Response, StatusCode};
use russet_protocol::DIRECT_HEADER;

use super::Client;

impl Client {
    /// Fetches an object from where the control plane sends us. `None` where it sends us nowhere, or
    /// the store does not serve: the bytes are to come from the control plane then.
    pub(super) async fn fetch_directly(&self, path: &str) -> Option<Response> {
        let asked =
            self.request(Method::GET, path).header(DIRECT_HEADER, "true").send().await.ok()?;
        if asked.status().is_success() {
            return Some(asked);
        }
        if asked.status() != StatusCode::TEMPORARY_REDIRECT {
            return None;
        }
        let url = asked.headers().get(LOCATION)?.to_str().ok()?;
        let http =
            russet_platform::http::redirected_client(&self.url, url, self.ca_file.as_deref())
                .ok()?;
        let response = http.get(url).send().await.ok()?;
        response.status().is_success().then_some(response)
    }
}
