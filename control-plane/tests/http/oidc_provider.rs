//! Signing in in a real browser, at a provider that is not ours: `oidc-provider` of npm, which `.ci/run`
//! installs into a folder of its cache. Somebody whom it signs in allows a command line a token.

use std::path::PathBuf;
use std::process::Stdio;

use reqwest::Method;
use russet_control_plane::{OidcSettings, Settings};
use russet_protocol::people::{DeviceLogin, PersonalTokenItem, Role, UserItem};
use russet_protocol::secret::Secret;
use russet_test_skip::{Lacks, skip};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::chromium::{Browser, chromium};
use crate::oidc::clock_of_today;
use crate::support::{Harness, Home, LIMIT, ok};

/// Returns the folder of the provider; a test without it is listed as skipped.
#[track_caller]
fn provider_folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folder = cache.map(|cache| cache.join("russet-ci/oidc-provider"));
    let folder = folder.filter(|folder| folder.join("node_modules/oidc-provider").is_dir());
    if folder.is_none() || !russet_test_skip::has_tool("node") {
        skip(Lacks::Tool, "oidc-provider of npm is not installed (.ci/run does that)");
        return None;
    }
    folder
}

/// A running provider. It ends with the test.
struct RealProvider {
    issuer: String,
    _child: Child,
}

impl RealProvider {
    async fn start(folder: &std::path::Path, public_url: &str) -> Self {
        let mut child = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/oidc_provider.mjs"))
            .arg(folder)
            .arg(format!("{public_url}/login/oidc/callback"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await.expect("it starts");
        Self { issuer: line.unwrap().expect("it says its issuer"), _child: child }
    }
}

impl Browser {
    /// Signs in at the provider as somebody, and agrees to what it asks.
    async fn sign_in_at_provider(&mut self, who: &str) {
        self.fill("input[name=login]", who).await;
        self.fill("input[name=password]", "any").await;
        self.value("document.querySelector('form').submit()").await;
        self.wait("document.querySelector('input[name=prompt][value=consent]')").await;
        self.value("document.querySelector('form').submit()").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_at_a_real_provider_and_logs_a_command_line_in() {
    let Some(program) = chromium() else { return };
    let Some(folder) = provider_folder() else { return };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let public_url = format!("http://{listen}");
    let provider = RealProvider::start(&folder, &public_url).await;
    let mut oidc =
        OidcSettings::new(&provider.issuer, "russet".to_owned(), Secret::new("client-secret"))
            .unwrap();
    oidc.name = "the provider".to_owned();
    oidc.create_role = Some(Role::Viewer);
    let server = Harness::start_with(Home::new(), clock_of_today(), |settings: &mut Settings| {
        settings.listen = listen;
        settings.public_url = Some(public_url.clone());
        settings.oidc = Some(oidc);
    })
    .await;
    let wanted = json!({"description": "laptop", "scopes": ["read"], "expires_in_s": 3600});
    let login = ok(server.call(Method::POST, "/api/v3/device-logins").json(&wanted)).await;
    let login: DeviceLogin = login.json().await.unwrap();

    // As from the command line: to the page of the code, by way of the login.
    let mut browser = Browser::start(program).await;
    let page = format!("{}/login/device", server.url);
    browser.call("Page.navigate", json!({"url": page})).await;
    browser.press("Log in with the provider").await;
    browser.sign_in_at_provider("ana").await;
    browser.wait("location.pathname === '/login/device' && document.querySelector('#typed')").await;
    browser.fill("#typed", &login.user_code).await;
    browser.press("Go on").await;
    browser.wait_for_text("It acts as ana@example.com from then on").await;
    browser.press("Allow").await;
    browser.wait_for_text("The command line fetches its token now").await;
    let body = json!({"device_code": login.device_code});
    let made = ok(server.call(Method::POST, "/api/v3/device-logins/token").json(&body)).await;
    let made: PersonalTokenItem = made.json().await.unwrap();
    assert_eq!(made.user, "ana@example.com");
    let user: UserItem = server.get("/api/v3/users/ana@example.com").await;
    assert_eq!(user.role, Some(Role::Viewer));

    // Logged out here, and in again: the provider knows the browser and asks nothing.
    browser.value("document.querySelector('form[action=\"/logout\"]').submit()").await;
    browser.press("Log in with the provider").await;
    browser
        .wait("location.pathname === '/' && document.querySelector('#main nav, #main h1')")
        .await;
}
