//! Signing in, and allowing a command line a token, in a real browser.

use reqwest::Method;
use russet_protocol::people::{DeviceLogin, PersonalTokenItem, SignInLink};
use serde_json::json;

use crate::chromium::{Browser, chromium};
use crate::support::{Harness, ok};

const PASSWORD: &str = "correct-horse-battery";

impl Browser {
    /// Fills a field in.
    pub(crate) async fn fill(&mut self, field: &str, value: &str) {
        let find = format!("document.querySelector({})", json!(field));
        self.wait(&format!("document.readyState === 'complete' && {find}")).await;
        self.value(&format!("{find}.value = {}", json!(value))).await;
    }

    /// Signs in with a link as somebody who is new.
    pub(crate) async fn sign_in_by_link(&mut self, server: &Harness, name: &str, role: &str) {
        let body = json!({"name": name, "role": role});
        ok(server.as_admin(Method::POST, "/api/v3/users").json(&body)).await;
        let link = ok(server.as_admin(Method::POST, &format!("/api/v3/users/{name}/link"))).await;
        let link: SignInLink = link.json().await.unwrap();
        let url = format!("{}{}", server.url, link.path.expose());
        self.call("Page.navigate", json!({"url": url})).await;
        self.fill("#password", PASSWORD).await;
        self.press("Set it and log in").await;
        self.wait("location.pathname === '/' && document.querySelector('#main')").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_types_the_code_of_a_command_line_compares_it_and_allows_it() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let mut browser = Browser::start(program).await;
    browser.sign_in_by_link(&server, "ana", "viewer").await;
    let wanted = json!({"description": "laptop", "scopes": ["read"], "expires_in_s": 86400});
    let login = ok(server.call(Method::POST, "/api/v3/device-logins").json(&wanted)).await;
    let login: DeviceLogin = login.json().await.unwrap();
    browser.go(&format!("{}/login/device", server.url)).await;
    browser.fill("#typed", &login.user_code.to_ascii_lowercase()).await;
    browser.press("Go on").await;
    browser.wait_for_text("Allow this command line a token?").await;
    browser.wait_for_text(&login.user_code).await;
    browser.press("Allow").await;
    browser.wait_for_text("The command line fetches its token now").await;
    let body = json!({"device_code": login.device_code});
    let made = ok(server.call(Method::POST, "/api/v3/device-logins/token").json(&body)).await;
    let made: PersonalTokenItem = made.json().await.unwrap();
    assert_eq!(made.user, "ana");
}
