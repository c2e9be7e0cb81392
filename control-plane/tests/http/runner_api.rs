//! Resource classes, tokens and counts, as CircleCI documents them.

use reqwest::Method;
use russet_protocol::admin::{Items, ResourceClassItem, TokenItem};
use serde_json::{Value, json};

use crate::support::{CLASS, Harness, ONE_JOB, ok, refused};

#[tokio::test]
async fn classes_and_tokens_are_made_listed_and_deleted() {
    let server = Harness::start().await;
    server.class().await;
    let body = json!({"resource_class": CLASS, "description": ""});
    refused(server.as_admin(Method::POST, "/api/v3/runner/resource").json(&body), 409).await;
    let classes: Items<ResourceClassItem> =
        server.get("/api/v3/runner/resource?namespace=acme").await;
    let others: Items<ResourceClassItem> =
        server.get("/api/v3/runner/resource?namespace=other").await;
    assert!(others.items.is_empty());
    let path = format!("/api/v3/runner/token?resource-class={CLASS}");
    let tokens: Items<TokenItem> = server.get(&path).await;
    assert!(tokens.items[0].token.is_none());
    let class = format!("/api/v3/runner/resource/{}", classes.items[0].id);
    refused(server.as_admin(Method::DELETE, &class), 409).await;
    let token = format!("/api/v3/runner/token/{}", tokens.items[0].id);
    ok(server.as_admin(Method::DELETE, &token)).await;
    refused(server.as_admin(Method::DELETE, &token), 404).await;
    ok(server.as_admin(Method::DELETE, &class)).await;
    refused(server.as_admin(Method::DELETE, &class), 404).await;
    let token = server.class().await;
    let classes: Items<ResourceClassItem> = server.get("/api/v3/runner/resource?org-id=any").await;
    let class = format!("/api/v3/runner/resource/{}/force", classes.items[0].id);
    ok(server.as_admin(Method::DELETE, &class)).await;
    refused(server.claim_request(&token, 0), 401).await;
    let body = json!({"resource_class": CLASS, "nickname": ""});
    refused(server.as_admin(Method::POST, "/api/v3/runner/token").json(&body), 404).await;
}

#[tokio::test]
async fn tasks_are_counted() {
    let server = Harness::start().await;
    let token = server.class().await;
    server.submit(ONE_JOB).await;
    server.submit(ONE_JOB).await;
    server.claim(&token).await.unwrap();
    let waiting: Value = server.get(&format!("/api/v3/runner/tasks?resource-class={CLASS}")).await;
    assert_eq!(waiting, json!({"unclaimed_task_count": 1}));
    let running: Value =
        server.get(&format!("/api/v3/runner/tasks/running?resource-class={CLASS}")).await;
    assert_eq!(running, json!({"running_runner_tasks": 1}));
    refused(server.as_admin(Method::GET, "/api/v3/runner/tasks"), 400).await;
    refused(server.as_admin(Method::GET, "/api/v3/runner"), 400).await;
}
