//! Apple's services, as far as a release talks to them: submissions, storage, logs, tickets.

use std::collections::VecDeque;
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russet_notarize::credentials::NotaryKey;
use russet_notarize::notary::Services;
use russet_protocol::secret::Secret;
use serde_json::{Value, json};

/// Next answers of the service, and the requests that it has seen.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Answers to calls of the service, before it works: a status and a header `Retry-After`.
    pub(crate) failures: VecDeque<(u16, Option<&'static str>)>,
    /// Uploads that are cut off.
    pub(crate) lost_uploads: u32,
    /// Verdicts, in their order; the last one stays.
    pub(crate) verdicts: VecDeque<&'static str>,
    /// Number of look-ups for which a ticket is not there yet.
    pub(crate) missing_tickets: u32,
    /// Packages as they arrived.
    pub(crate) uploads: Vec<Vec<u8>>,
    /// Descriptions of packages in all submissions.
    pub(crate) submissions: Vec<Value>,
    /// Tokens as they arrived.
    pub(crate) tokens: Vec<String>,
    /// Number of requests for the verdict.
    pub(crate) questions: u32,
    /// Names of tickets that were looked up.
    pub(crate) tickets: Vec<String>,
}

/// A running service.
#[derive(Debug)]
pub(crate) struct Apple {
    pub(crate) address: String,
    storage: String,
    script: Arc<Mutex<Script>>,
}

type Shared = State<(Arc<Mutex<Script>>, String)>;

impl Apple {
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script));
        let router = Router::new()
            .route("/notary/v2/submissions", post(submit))
            .route("/notary/v2/submissions/{id}", get(status))
            .route("/notary/v2/submissions/{id}/logs", get(logs))
            .route("/logs/{id}", get(log))
            .route("/storage/{*object}", put(upload))
            .route(
                "/database/1/com.apple.gk.ticket-delivery/production/public/records/lookup",
                post(ticket),
            )
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state((script.clone(), address.clone()));
        // It ends with the tests' process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        let storage = storage(address.trim_start_matches("http://").to_owned(), script.clone());
        Self { address, storage, script }
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&mut Script) -> T) -> T {
        look(&mut self.script.lock().unwrap())
    }

    pub(crate) fn storage(&self) -> String {
        format!("{}/storage", self.storage)
    }

    pub(crate) fn services(&self) -> Services {
        Services {
            notary: self.address.clone(),
            storage: Some(self.storage()),
            tickets: self.address.clone(),
            wait: Duration::from_secs(60),
            pause: Duration::from_millis(5),
        }
    }
}

/// A key of App Store Connect, freshly made.
pub(crate) fn private_key() -> String {
    let random = ring::rand::SystemRandom::new();
    let key = ring::signature::EcdsaKeyPair::generate_pkcs8(
        &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &random,
    )
    .unwrap();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(key.as_ref())
    )
}

pub(crate) fn key() -> NotaryKey {
    NotaryKey {
        issuer: "issuer-1".to_owned(),
        key_id: "KEY1".to_owned(),
        private_key: Secret::new(private_key()),
    }
}

/// The way to the storage: passes bytes to the service, or cuts the connection in the middle of an
/// upload where the script says so.
fn storage(service: String, script: Arc<Mutex<Script>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let lost = {
                let mut script = script.lock().unwrap();
                let lost = script.lost_uploads > 0;
                script.lost_uploads = script.lost_uploads.saturating_sub(1);
                lost
            };
            if lost {
                // Some of the request, and then nothing any more.
                let _some = client.read(&mut [0; 64]);
                continue;
            }
            let mut server = TcpStream::connect(&service).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _bytes = std::io::copy(&mut from, &mut to);
                let _closed = to.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || {
                let _bytes = std::io::copy(&mut server, &mut client);
                let _closed = client.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

/// Checks the token, and fails where the script says so.
fn gate(script: &mut Script, headers: &HeaderMap) -> Option<Response> {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok());
    let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) else {
        return Some(StatusCode::UNAUTHORIZED.into_response());
    };
    script.tokens.push(token.to_owned());
    let (status, after) = script.failures.pop_front()?;
    let body =
        json!({"errors": [{"status": status.to_string(), "title": "T", "detail": "scripted"}]});
    let mut answer = (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response();
    if let Some(after) = after {
        answer.headers_mut().insert("retry-after", after.parse().unwrap());
    }
    Some(answer)
}

async fn submit(State((script, _)): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let mut script = script.lock().unwrap();
    if let Some(refusal) = gate(&mut script, &headers) {
        return refusal;
    }
    script.submissions.push(serde_json::from_slice(&body).unwrap());
    let attributes = json!({
        "awsAccessKeyId": "AKID", "awsSecretAccessKey": "secret", "awsSessionToken": "session",
        "bucket": "notary-submissions-prod", "object": "prod/AROA:x/submission 1",
    });
    let data = json!({"type": "submissionsPostResponse", "id": "id-1", "attributes": attributes});
    json!({"data": data}).to_string().into_response()
}

async fn upload(
    State((script, _)): Shared,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let authorization = headers["authorization"].to_str().unwrap();
    assert!(authorization.contains("Credential=AKID/"), "{authorization}");
    assert!(authorization.contains("/us-west-2/s3/aws4_request"), "{authorization}");
    assert_eq!(headers["x-amz-security-token"], "session");
    script.lock().unwrap().uploads.push(body.to_vec());
    StatusCode::OK.into_response()
}

async fn status(
    State((script, _)): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut script = script.lock().unwrap();
    if let Some(refusal) = gate(&mut script, &headers) {
        return refusal;
    }
    script.questions += 1;
    let verdict = match script.verdicts.len() {
        0 => "Accepted",
        1 => script.verdicts[0],
        _ => script.verdicts.pop_front().unwrap(),
    };
    let attributes =
        json!({"status": verdict, "name": "Russet.pkg", "createdDate": "2026-01-01T00:00:00Z"});
    json!({"data": {"id": id, "type": "submissions", "attributes": attributes}})
        .to_string()
        .into_response()
}

async fn logs(
    State((script, address)): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut script = script.lock().unwrap();
    if let Some(refusal) = gate(&mut script, &headers) {
        return refusal;
    }
    let attributes = json!({"developerLogUrl": format!("{address}/logs/{id}")});
    json!({"data": {"id": id, "type": "submissionsLog", "attributes": attributes}})
        .to_string()
        .into_response()
}

async fn log(Path(id): Path<String>) -> String {
    let issue = json!({
        "severity": "error", "path": "Russet.pkg/agent.pkg Contents/Payload/opt/russet/russet-boot",
        "message": "The signature does not include a secure timestamp.",
    });
    json!({"jobId": id, "status": "Invalid", "issues": [issue]}).to_string()
}

async fn ticket(State((script, _)): Shared, body: Bytes) -> String {
    let mut script = script.lock().unwrap();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let name = request["records"][0]["recordName"].as_str().unwrap().to_owned();
    if script.missing_tickets > 0 {
        script.missing_tickets -= 1;
        return json!({"records": [{"recordName": name, "serverErrorCode": "NOT_FOUND", "reason": "x"}]}).to_string();
    }
    script.tickets.push(name.clone());
    let value = STANDARD.encode(format!("s8ch ticket for {name}"));
    json!({"records": [{"recordName": name, "fields": {"signedTicket": {"type": "BYTES", "value": value}}}]}).to_string()
}
