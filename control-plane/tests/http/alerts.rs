//! Alerts: who hears of what, once, and what is refused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use russet_protocol::admin::Items;
use russet_protocol::alerts::{AlertItem, AlertTargetItem, MadeAlertTarget, TestedTarget};
use russet_protocol::outcome::Outcome;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{CLASS, Harness, LIMIT, ONE_JOB, ok, refused};
use crate::tokens::token_for;

const TARGETS: &str = "/api/v3/alert-targets";

/// Time between two looks of the server at the farm.
const ROUND: Duration = Duration::from_secs(15);

/// A receiver of webhooks, which keeps what it took and refuses as often as it is told to.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    pub(crate) taken: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    refused: Arc<Mutex<Vec<HeaderMap>>>,
    pub(crate) refusals: Arc<Mutex<u32>>,
}

impl Receiver {
    pub(crate) async fn start() -> (Self, String) {
        let receiver = Self::default();
        let take = async |State(receiver): State<Self>, headers: HeaderMap, body: Bytes| {
            let mut refusals = receiver.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                receiver.refused.lock().unwrap().push(headers);
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            receiver.taken.lock().unwrap().push((headers, body));
            StatusCode::OK
        };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/secret-path", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }

    pub(crate) fn count(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    pub(crate) fn message(&self, number: usize) -> Value {
        serde_json::from_slice(&self.taken.lock().unwrap()[number].1).unwrap()
    }
}

async fn add(server: &Harness, name: &str, kind: &str, address: &str) -> MadeAlertTarget {
    let body = json!({"name": name, "kind": kind, "address": address});
    ok(server.as_admin(Method::POST, TARGETS).json(&body)).await.json().await.unwrap()
}

/// Moves the time on, round by round, until something is there.
///
/// A round gets a second of real time: a message that is on its way for longer than its attempt has by
/// the clock of the test would be sent twice, as after a crash.
pub(crate) async fn until(server: &Harness, mut is_there: impl FnMut() -> bool) {
    let wait = async {
        loop {
            server.clock.advance(ROUND);
            for _ in 0..200 {
                if is_there() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    tokio::time::timeout(LIMIT, wait).await.expect("it does not come");
}

/// Waits until nothing waits to be delivered.
async fn until_delivered(server: &Harness) {
    let wait = async {
        loop {
            let targets: Items<AlertTargetItem> = server.get(TARGETS).await;
            if targets.items.iter().all(|target| target.waiting == 0) {
                return targets.items;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let targets = tokio::time::timeout(LIMIT, wait).await.expect("something waits for ever");
    for target in targets {
        assert_eq!(target.failure, None, "{target:?}");
        assert!(target.delivered_ms.is_some());
    }
}

/// Returns true if a message is signed as the Standard Webhooks specification says.
fn is_signed(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(header("webhook-id").as_bytes());
    mac.update(b".");
    mac.update(header("webhook-timestamp").as_bytes());
    mac.update(b".");
    mac.update(body);
    let signed = STANDARD.encode(mac.finalize().into_bytes());
    header("webhook-signature").split(' ').any(|part| part == format!("v1,{signed}"))
}

#[tokio::test]
async fn a_class_without_machines_is_told_once_and_its_end_once() {
    let server = Harness::start().await;
    let token = server.class().await;
    let ((hook, hook_url), (chat, chat_url)) = (Receiver::start().await, Receiver::start().await);
    let made = add(&server, "hook", "webhook", &hook_url).await;
    add(&server, "chat", "slack", &chat_url).await;
    *hook.refusals.lock().unwrap() = 2;
    server.submit(ONE_JOB).await;
    server.clock.advance(Duration::from_secs(180));
    until(&server, || hook.count() > 0 && chat.count() > 0).await;
    until_delivered(&server).await;

    // It was tried again with the same id, and is signed.
    let secret = made.signing_secret.unwrap();
    let (headers, body) = hook.taken.lock().unwrap()[0].clone();
    assert!(is_signed(secret.expose(), &headers, &body));
    for earlier in hook.refused.lock().unwrap().iter() {
        assert_eq!(earlier["webhook-id"], headers["webhook-id"]);
    }
    let message = hook.message(0);
    assert_eq!(message["type"], "alerts.changed");
    assert_eq!(message["data"]["opened"][0]["kind"], "class_without_machines");
    assert_eq!(message["data"]["opened"][0]["subject"], CLASS);
    let text = chat.message(0)["text"].as_str().unwrap().to_owned();
    assert!(text.contains("no machine of acme/mini is there: 1 wait"), "{text}");

    // A restart says nothing again; the next that is heard is the end.
    let server = server.restart().await;
    let agent = server.claim(&token).await.unwrap();
    ok(agent.finish_request(Outcome::Success, &[])).await;
    // The first round sees that the condition is gone.
    until(&server, || true).await;
    server.clock.advance(Duration::from_secs(180));
    until(&server, || hook.count() > 1 && chat.count() > 1).await;
    until_delivered(&server).await;
    assert_eq!(hook.message(1)["data"]["opened"], json!([]));
    assert_eq!(hook.message(1)["data"]["resolved"][0]["subject"], CLASS);
    assert!(chat.message(1)["text"].as_str().unwrap().starts_with("Resolved: "));
    let alerts: Items<AlertItem> = server.get("/api/v3/alerts").await;
    let [alert] = &alerts.items[..] else { panic!("{alerts:?}") };
    assert!(alert.closed_ms > Some(alert.opened_ms));
}

#[tokio::test]
async fn an_update_that_was_taken_back_is_told_with_its_reason() {
    let server = Harness::start().await;
    let token = server.class().await;
    let (hook, url) = Receiver::start().await;
    add(&server, "hook", "webhook", &url).await;
    let claim = json!({"name": "mini-1", "hostname": "mini", "ip": "", "version": "1",
        "update": {"state": "rolled_back", "version": "1.3.0", "why": "it did not claim"}});
    let request = server.call(Method::POST, "/api/v3/runner/claim").bearer_auth(token);
    ok(request.header("prefer", "wait=0").json(&claim)).await;
    until(&server, || hook.count() > 0).await;
    let opened = hook.message(0)["data"]["opened"][0].clone();
    assert_eq!(
        (&opened["kind"], &opened["subject"]),
        (&json!("update_rolled_back"), &json!("acme/mini/mini-1"))
    );
    assert_eq!(opened["detail"], "acme/mini/mini-1 took version 1.3.0 back: it did not claim");
}

#[tokio::test]
async fn the_address_of_a_target_is_a_secret_and_hosts_that_are_no_receivers_are_refused() {
    let server = Harness::start().await;
    let (_hook, url) = Receiver::start().await;
    let made = add(&server, "hook", "webhook", &url).await;
    let listed = ok(server.as_admin(Method::GET, TARGETS)).await.text().await.unwrap();
    assert!(!listed.contains("secret-path") && !listed.contains("whsec_"), "{listed}");
    let try_to_add = |name: &str, kind: &str, address: &str| {
        let body = json!({"name": name, "kind": kind, "address": address});
        server.as_admin(Method::POST, TARGETS).json(&body)
    };
    refused(try_to_add("hook", "slack", &url), 409).await;
    for (name, kind, address) in [
        ("a b", "webhook", "https://example.com"),
        ("", "webhook", "https://example.com"),
        ("a", "webhook", "http://169.254.169.254/latest/meta-data"),
        ("a", "webhook", "file:///etc/passwd"),
        ("a", "slack", "https://user:password@example.com/"),
        ("a", "mail", "ops@example.com"),
    ] {
        refused(try_to_add(name, kind, address), 400).await;
    }
    refused(server.as_admin(Method::POST, &format!("{TARGETS}/other/test")), 404).await;
    refused(server.as_admin(Method::DELETE, &format!("{TARGETS}/other")), 404).await;
    let secret = made.signing_secret.unwrap();
    let server = server.restart().await;
    let bytes = server.dir.stored_bytes();
    for hidden in ["secret-path", secret.expose()] {
        assert!(!bytes.windows(hidden.len()).any(|part| part == hidden.as_bytes()), "{hidden}");
    }
    ok(server.as_admin(Method::DELETE, &format!("{TARGETS}/hook"))).await;
    let targets: Items<AlertTargetItem> = server.get(TARGETS).await;
    assert_eq!(targets.items, []);
}

#[tokio::test]
async fn a_test_message_says_whether_it_was_taken_and_names_the_host_alone() {
    let server = Harness::start().await;
    let (hook, url) = Receiver::start().await;
    add(&server, "hook", "webhook", &url).await;
    let test = async || -> TestedTarget {
        let request = server.as_admin(Method::POST, &format!("{TARGETS}/hook/test"));
        ok(request).await.json().await.unwrap()
    };
    assert_eq!(test().await.failure, None);
    assert_eq!(hook.message(0)["type"], "alerts.test");
    *hook.refusals.lock().unwrap() = 1;
    let failure = test().await.failure.unwrap();
    assert!(failure.contains("503") && failure.contains("127.0.0.1"), "{failure}");
    assert!(!failure.contains("secret-path"), "{failure}");
}

#[tokio::test]
async fn a_machine_that_is_not_well_and_one_that_is_lost_are_told() {
    let server = Harness::start().await;
    let token = server.class().await;
    let (hook, url) = Receiver::start().await;
    add(&server, "hook", "webhook", &url).await;
    let report = async |name: &str, machine: Value| {
        let body = json!({"name": name, "machine": machine});
        let call = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
        ok(call.json(&body)).await;
    };
    report("well", json!({"state": "idle"})).await;
    report("sick", json!({"state": "unhealthy", "reason": "no room"})).await;
    let opened = || {
        let all = (0..hook.count()).map(|number| hook.message(number));
        let all = all.flat_map(|message| message["data"]["opened"].as_array().unwrap().clone());
        all.map(|item| (item["kind"].clone(), item["subject"].clone())).collect::<Vec<_>>()
    };
    let is_told = |kind: &str, name: &str| {
        opened().contains(&(json!(kind), json!(format!("{CLASS}/{name}"))))
    };
    until(&server, || is_told("machine_unhealthy", "sick")).await;
    until(&server, || is_told("machine_lost", "well")).await;
    assert!(!is_told("machine_unhealthy", "well"));
}

#[tokio::test]
async fn a_token_about_to_expire_is_told_once_fourteen_days_and_once_a_day_before() {
    const DAY: Duration = Duration::from_secs(86_400);
    let server = Harness::start().await;
    server.class().await;
    let (hook, url) = Receiver::start().await;
    add(&server, "hook", "webhook", &url).await;
    let made = token_for(&server, 90 * DAY).await;
    let subject = format!("{CLASS}/{}", made.id);
    server.clock.advance(76 * DAY);
    until(&server, || hook.count() == 1).await;
    until_delivered(&server).await;
    let opened = hook.message(0)["data"]["opened"].clone();
    assert_eq!(
        (&opened[0]["kind"], &opened[0]["subject"]),
        (&json!("token_expires"), &json!(subject))
    );
    assert!(opened[1].is_null(), "{opened}");
    let detail = opened[0]["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("`mini-7` of {CLASS} expires at ")), "{detail}");
    assert!(detail.contains(made.expires_at.as_deref().unwrap()), "{detail}");
    // Neither the days after it nor a restart say it again.
    server.clock.advance(6 * DAY);
    let server = server.restart().await;
    server.clock.advance(7 * DAY);
    until(&server, || hook.count() == 2).await;
    let opened = hook.message(1)["data"]["opened"].clone();
    assert_eq!(opened[0]["kind"], "token_expires_in_a_day");
    assert!(opened[1].is_null(), "{opened}");
    until_delivered(&server).await;
    // Both end with the token.
    ok(server.as_admin(Method::DELETE, &format!("/api/v3/runner/token/{}", made.id))).await;
    until(&server, || true).await;
    server.clock.advance(Duration::from_secs(180));
    until(&server, || hook.count() == 3).await;
    assert_eq!(hook.message(2)["data"]["resolved"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_alert_that_only_a_newer_server_knows_is_left_to_that_one() {
    let server = Harness::start().await;
    let token = server.class().await;
    let dir = Arc::clone(&server.dir);
    let add_alert = async || {
        dir.sql(
            "INSERT INTO alerts (id, kind, subject, detail, opened_ms) \
             VALUES ('a1', 'volcano', 'acme', 'it smokes', 1)",
        )
        .await;
    };
    let server = server.restart_after(add_alert).await;
    let (hook, url) = Receiver::start().await;
    add(&server, "hook", "webhook", &url).await;
    let body = json!({"name": "sick", "machine": {"state": "unhealthy", "reason": "no room"}});
    let call = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
    ok(call.json(&body)).await;
    until(&server, || hook.count() > 0).await;
    let alerts: Items<AlertItem> = server.get("/api/v3/alerts").await;
    let subjects: Vec<_> = alerts.items.iter().map(|item| item.subject.as_str()).collect();
    assert_eq!(subjects, ["acme/mini/sick"]);
    let open = "SELECT count(*) FROM alerts WHERE closed_ms IS NULL";
    assert_eq!(server.dir.count(open).await, 2, "it is not closed");
}
