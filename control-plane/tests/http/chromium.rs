//! Chromium without a screen, driven over a pair of pipes by its own protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>).

use std::path::Path;
use std::process::Stdio;

use russet_test_skip::{Lacks, skip};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::{Harness, LIMIT};

/// Returns the program; a test without it is listed as skipped.
#[track_caller]
pub(crate) fn chromium() -> Option<&'static str> {
    let is_there = |name: &&str| Path::new("/usr/bin").join(name).exists();
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(is_there);
    if found.is_none() {
        skip(Lacks::Tool, "needs chromium");
    }
    found
}

/// A browser with one page. It ends with the test.
pub(crate) struct Browser {
    commands: pipe::Sender,
    answers: pipe::Receiver,
    read: Vec<u8>,
    session: String,
    last: u64,
    _child: Child,
    _dir: TempDir,
}

impl Browser {
    pub(crate) async fn start(program: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [inward, outward] = ["in", "out"].map(|name| dir.path().join(name));
        let made = Command::new("mkfifo").args([&inward, &outward]).status().await.unwrap();
        assert!(made.success());
        let both = || pipe::OpenOptions::new().read_write(true).clone();
        let commands = both().open_sender(&inward).unwrap();
        let answers = both().open_receiver(&outward).unwrap();
        // As root there is no sandbox for it; the pages are ours.
        let child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<in 4>out", "sh", program, "--headless=new"])
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (read, session, last) = (Vec::new(), String::new(), 0);
        let mut browser = Self { commands, answers, read, session, last, _child: child, _dir: dir };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let target = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", target).await;
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Calls a method of the protocol, and returns its result.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params).await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Calls a method of the protocol, and returns its answer, which may be an error.
    pub(crate) async fn answer(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let text = command.to_string() + "\0";
        self.commands.write_all(text.as_bytes()).await.unwrap();
        let answer = async {
            loop {
                let message = self.next().await;
                if message["id"] == self.last {
                    return message;
                }
            }
        };
        timeout(LIMIT, answer).await.unwrap_or_else(|_| panic!("{method}: no answer"))
    }

    pub(crate) async fn next(&mut self) -> Value {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&message[..end]).unwrap();
            }
            self.answers.read_buf(&mut self.read).await.unwrap();
        }
    }

    /// Returns the value of an expression on the page.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until a condition holds on the page. A page that just goes to another one has no answer
    /// yet: it is asked again.
    pub(crate) async fn wait(&mut self, condition: &str) {
        let begin = std::time::Instant::now();
        loop {
            let params = json!({"expression": format!("!!({condition})"), "returnByValue": true});
            let answer = self.answer("Runtime.evaluate", params).await;
            if answer["result"]["result"]["value"] == true {
                return;
            }
            if begin.elapsed() > LIMIT {
                let page = self.value("document.querySelector('main').innerText").await;
                let page = page.as_str().unwrap_or_default();
                panic!("the page never gets to `{condition}`:\n{page}");
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Opens a page of the server, by way of the login.
    pub(crate) async fn open(&mut self, server: &Harness, path: &str) {
        let url = format!("{}{path}", server.url);
        self.call("Page.navigate", json!({"url": url})).await;
        self.wait("document.querySelector('#token')").await;
        let log_in = format!(
            "document.querySelector('#token').value = {}; document.querySelector('form').submit()",
            json!(server.admin)
        );
        self.value(&log_in).await;
        self.wait(&format!(
            "location.pathname === {} && document.querySelector('#main')",
            json!(path)
        ))
        .await;
    }

    /// Goes to a page, and waits until it is there.
    pub(crate) async fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url})).await;
        self.wait(&format!(
            "location.href === {} && document.readyState === 'complete'",
            json!(url)
        ))
        .await;
    }

    /// Presses the button that reads so, as far as other words for those who hear it go. A page that is
    /// left before it is loaded would not be one to go back to.
    pub(crate) async fn press(&mut self, words: &str) {
        let find = format!(
            "[...document.querySelectorAll('main button, main a.button')]\
             .find((button) => button.innerText.startsWith({}))",
            json!(words)
        );
        self.wait(&format!("document.readyState === 'complete' && {find}")).await;
        self.value(&format!("{find}.click()")).await;
    }

    /// Waits until the page shows a text.
    pub(crate) async fn wait_for_text(&mut self, text: &str) {
        self.wait(&format!("document.querySelector('main')?.innerText.includes({})", json!(text)))
            .await;
    }
}
