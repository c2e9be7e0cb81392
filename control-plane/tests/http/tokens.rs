//! Runner tokens that expire: refused from then on, told of before, shown with their last use.

use std::time::Duration;

use reqwest::Method;
use russet_protocol::admin::{Items, TokenItem};
use serde_json::json;

use crate::support::{CLASS, Harness, LIMIT, ONE_JOB, ok, refused};

const DAY: Duration = Duration::from_secs(86_400);

/// Makes a token that lasts for so long.
pub(crate) async fn token_for(server: &Harness, life: Duration) -> TokenItem {
    let body =
        json!({"resource_class": CLASS, "nickname": "mini-7", "expires_in_s": life.as_secs()});
    let request = server.as_admin(Method::POST, "/api/v3/runner/token").json(&body);
    ok(request).await.json().await.unwrap()
}

async fn listed(server: &Harness, id: &str) -> TokenItem {
    let path = format!("/api/v3/runner/token?resource-class={CLASS}");
    let items: Items<TokenItem> = server.get(&path).await;
    items.items.into_iter().find(|item| item.id.as_str() == id).unwrap()
}

#[tokio::test]
async fn a_token_that_expired_is_refused_with_its_end_and_others_go_on() {
    let server = Harness::start().await;
    let lasting = server.class().await;
    let made = token_for(&server, 2 * DAY).await;
    let token = made.token.as_ref().unwrap().expose().to_owned();
    let end = made.expires_at.clone().unwrap();
    assert!(server.claim(&token).await.is_none());
    server.clock.advance(2 * DAY - Duration::from_secs(1));
    assert!(server.claim(&token).await.is_none(), "it counts up to its last second");
    server.clock.advance(Duration::from_secs(1));
    server.submit(ONE_JOB).await;
    let problem = refused(server.claim_request(&token, 0), 401).await;
    assert_eq!(problem["message"], format!("the runner token expired at {end}"));
    assert!(problem["hint"].as_str().unwrap().contains("russet token create"), "{problem}");
    let report = server.call(Method::POST, "/api/v3/runner/report").bearer_auth(&token);
    refused(report.json(&json!({"name": "mini-1"})), 401).await;
    assert!(server.claim(&lasting).await.is_some());
}

#[tokio::test]
async fn a_claim_that_waits_while_its_token_expires_gets_nothing() {
    let server = Harness::start().await;
    server.class().await;
    let token = token_for(&server, Duration::from_secs(60)).await.token.unwrap();
    let request = server.claim_request(token.expose(), 20);
    let waiting = tokio::spawn(async move { request.send().await.unwrap() });
    let path = format!("/api/v3/runner?resource-class={CLASS}");
    let is_there = async {
        loop {
            let all: serde_json::Value = server.get(&path).await;
            if !all["items"].as_array().unwrap().is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, is_there).await.expect("the claim arrives");
    server.clock.advance(Duration::from_secs(60));
    server.submit(ONE_JOB).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status(), 401, "{}", answer.text().await.unwrap());
}

#[tokio::test]
async fn a_list_shows_the_end_of_a_token_and_its_last_use() {
    let server = Harness::start().await;
    server.class().await;
    let made = token_for(&server, 90 * DAY).await;
    let id = made.id.as_str();
    let before = listed(&server, id).await;
    assert_eq!((&before.expires_at, &before.last_used_at), (&made.expires_at, &None));
    let token = made.token.as_ref().unwrap().expose().to_owned();
    assert!(server.claim(&token).await.is_none());
    // What is in memory is written by then, and survives a server that stops.
    let server = server.restart().await;
    assert!(listed(&server, id).await.last_used_at.is_some());
    let lasting = server.token().await;
    assert_eq!((&lasting.expires_at, &lasting.last_used_at), (&None, &None));
    for life in [0, u64::MAX] {
        let body = json!({"resource_class": CLASS, "expires_in_s": life});
        refused(server.as_admin(Method::POST, "/api/v3/runner/token").json(&body), 400).await;
    }
}
