//! A receiver of webhooks that is not ours.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

type Taken = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A receiver that takes everything, and keeps it.
pub struct Receiver {
    url: String,
    taken: Taken,
}

impl Receiver {
    /// Starts one on a port of this machine.
    pub fn start() -> Self {
        let taken = Taken::default();
        let (say, listens) = std::sync::mpsc::channel();
        let keep = Arc::clone(&taken);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let take = async |State(taken): State<Taken>, headers: HeaderMap, body: Bytes| {
                    taken.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body));
                };
                let router = Router::new().fallback(take).with_state(keep);
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                say.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        let url = format!("http://{}/hooks/secret-path", listens.recv().unwrap());
        Self { url, taken }
    }

    /// Address to send to.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn taken(&self) -> Vec<(HeaderMap, Bytes)> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Messages in the order in which they came, each id once: what a server that crashed sends again has
    /// the same.
    pub fn messages(&self) -> Vec<Value> {
        let mut ids = BTreeSet::new();
        let is_new = |(headers, _): &(HeaderMap, Bytes)| {
            headers.get("webhook-id").is_none_or(|id| ids.insert(id.clone().as_bytes().to_vec()))
        };
        let all = self.taken().into_iter().filter(is_new);
        all.map(|(_, body)| serde_json::from_slice(&body).unwrap()).collect()
    }

    /// Returns true if all that came is signed with a secret, as the Standard Webhooks specification says.
    pub fn all_are_signed(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
        self.taken().iter().all(|(headers, body)| {
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            let mut text = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
            text.push_str(std::str::from_utf8(body).unwrap());
            let signature = STANDARD.encode(ring::hmac::sign(&key, text.as_bytes()));
            header("webhook-signature").split(' ').any(|part| part == format!("v1,{signature}"))
        })
    }
}
