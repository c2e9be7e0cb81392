//! The live page of a job in a real browser: Chromium without a screen, driven over a pair of
//! pipes by its own protocol.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Stdio;

use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::runner::EventKind;
use russet_test_skip::{Lacks, skip};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::{Agent, CLASS, Harness, LIMIT, ok};

/// A browser has six connections to a server; a page of more running tasks must do with them.
const TASKS: usize = 8;

/// Returns the program; a test without it is listed as skipped.
#[track_caller]
fn chromium() -> Option<&'static str> {
    let is_there = |name: &&str| Path::new("/usr/bin").join(name).exists();
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(is_there);
    if found.is_none() {
        skip(Lacks::Tool, "needs chromium");
    }
    found
}

/// A browser with one page. It ends with the test.
struct Browser {
    commands: pipe::Sender,
    answers: pipe::Receiver,
    read: Vec<u8>,
    session: String,
    last: u64,
    _child: Child,
    _dir: TempDir,
}

impl Browser {
    async fn start(program: &str) -> Self {
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
    async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params).await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Calls a method of the protocol, and returns its answer, which may be an error.
    async fn answer(&mut self, method: &str, params: Value) -> Value {
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

    async fn next(&mut self) -> Value {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&message[..end]).unwrap();
            }
            self.answers.read_buf(&mut self.read).await.unwrap();
        }
    }

    /// Returns the value of an expression on the page.
    async fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until a condition holds on the page. A page that just goes to another one has no answer
    /// yet: it is asked again.
    async fn wait(&mut self, condition: &str) {
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
    async fn open(&mut self, server: &Harness, path: &str) {
        let url = format!("{}{path}", server.url);
        self.call("Page.navigate", json!({"url": url})).await;
        self.wait("document.querySelector('#token')").await;
        let log_in = format!(
            "document.querySelector('#token').value = {}; document.querySelector('form').submit()",
            json!(server.admin)
        );
        self.value(&log_in).await;
        self.wait(&format!(
            "location.pathname === {} && document.querySelector('#tasks')",
            json!(path)
        ))
        .await;
    }
}

fn config() -> String {
    format!(
        "version: 2.1\njobs:\n  test:\n    machine: true\n    resource_class: {CLASS}\n    \
         parallelism: {TASKS}\n    steps: [run: 'true']\nworkflows: {{main: {{jobs: [test]}}}}\n"
    )
}

fn said(index: usize) -> String {
    format!("said by {index}\n")
}

async fn append(agent: &Agent, offset: usize, text: &str) {
    ok(agent.append(1, u64::try_from(offset).unwrap(), text.as_bytes().to_vec())).await;
}

async fn end(agent: &mut Agent, outcome: Outcome, bytes: usize) {
    let output_bytes = u64::try_from(bytes).unwrap();
    let (step, exit_code) = (1, Some(i32::from(outcome == Outcome::Failed)));
    let message = (outcome == Outcome::Failed).then(|| "it is broken".to_owned());
    agent.event(EventKind::StepFinished { step, outcome, exit_code, message, output_bytes }).await;
    ok(agent.finish_request(outcome, &[(1, output_bytes)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_page_shows_each_task_of_a_job_apart_and_how_each_ends() {
    let Some(program) = chromium() else { return };
    let server = Harness::start().await;
    let token = server.class().await;
    let pipeline = server.submit(&config()).await;
    let mut browser = Browser::start(program).await;
    browser.open(&server, &format!("/jobs/{}", pipeline.workflows[0].jobs[0].id)).await;
    // What comes while the page is open, in another order than that of the tasks.
    let mut agents = Vec::new();
    for _ in 0..TASKS {
        agents.push(server.claim(&token).await.unwrap());
    }
    for (index, agent) in agents.iter_mut().enumerate().rev() {
        agent.start_step(1).await;
        append(agent, 0, &said(index)).await;
    }
    let running = "document.querySelectorAll('details .state.running').length";
    browser.wait(&format!("{running} === {TASKS}")).await;
    for index in 0..TASKS {
        let shown = json!(said(index));
        browser
            .wait(&format!("document.querySelector('#task-{index} pre').textContent === {shown}"))
            .await;
    }
    for (index, agent) in agents.iter_mut().enumerate() {
        append(agent, said(index).len(), "the end\n").await;
        let outcome = if index == 3 { Outcome::Failed } else { Outcome::Success };
        end(agent, outcome, said(index).len() + "the end\n".len()).await;
    }
    assert_eq!(server.job(&pipeline).await.phase, Phase::Ended);
    browser.wait("document.querySelectorAll('.state.running').length === 0").await;
    for index in 0..TASKS {
        let shown = json!(said(index) + "the end\n");
        browser
            .wait(&format!("document.querySelector('#task-{index} pre').textContent === {shown}"))
            .await;
        let state = if index == 3 { "failed" } else { "success" };
        let heads = format!("document.querySelectorAll('#task-{index} .state.{state}').length");
        assert_eq!(browser.value(&heads).await, 2, "the heading of task {index} and of its step");
    }
    let problem = "document.querySelector('#task-3 details .problem').textContent";
    assert_eq!(browser.value(problem).await, "it is broken");
    let order = "[...document.querySelectorAll('#tasks > section')].map((task) => task.id)";
    let wanted: Vec<_> = (0..TASKS).map(|index| format!("task-{index}")).collect();
    assert_eq!(browser.value(order).await, json!(wanted));
}
