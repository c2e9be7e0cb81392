//! The history of a project's repository, as the git of a task reads it: who may, and of which repository.

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use russet_protocol::outcome::Outcome;
use russet_protocol::task::TASK_GIT_PATH;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::git_projects::{Repository, connect, git, poll, start, wait_for_ended};
use crate::git_remote::GitHttp;
use crate::ssh_tunnel::{Socket, closed, dial};
use crate::support::{Agent, Harness, LIMIT, ok};

impl Harness {
    /// Reads as the git of a task, with a token.
    async fn read_history_with(
        &self,
        token: &str,
        agent: &Agent,
    ) -> Result<Socket, (StatusCode, String)> {
        let token = format!("Bearer {token}");
        let allocation = agent.claim.allocation.as_str();
        let headers = [("authorization", token.as_str()), ("russet-allocation", allocation)];
        dial(&self.url, TASK_GIT_PATH, &headers).await
    }

    pub(crate) async fn read_history(&self, agent: &Agent) -> Result<Socket, (StatusCode, String)> {
        self.read_history_with(agent.claim.task_token.expose(), agent).await
    }
}

/// What came so far of git's side, packet by packet (gitprotocol-common(5)).
pub(crate) struct Packets {
    socket: Socket,
    bytes: Vec<u8>,
}

impl Packets {
    pub(crate) fn of(socket: Socket) -> Self {
        Self { socket, bytes: Vec::new() }
    }

    async fn fill(&mut self, length: usize) {
        while self.bytes.len() < length {
            match tokio::time::timeout(LIMIT, self.socket.next()).await.unwrap() {
                Some(Ok(Message::Binary(bytes))) => self.bytes.extend(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&self.bytes)),
            }
        }
    }

    /// Returns the next packet; empty for one without content.
    async fn next(&mut self) -> String {
        self.fill(4).await;
        let digits = String::from_utf8(self.bytes[..4].to_vec()).unwrap();
        let length = usize::from_str_radix(&digits, 16).unwrap().max(4);
        self.fill(length).await;
        let packet: Vec<u8> = self.bytes.drain(..length).skip(4).collect();
        String::from_utf8(packet).unwrap().trim_end().to_owned()
    }

    async fn until_flush(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                packet if packet.is_empty() => return all,
                packet => all.push(packet),
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.socket.send(Message::Binary(Bytes::copy_from_slice(bytes))).await.unwrap();
    }

    /// Lists the references, as version 2 of the protocol does (gitprotocol-v2(5)).
    pub(crate) async fn list(mut self) -> Vec<String> {
        let capabilities = self.until_flush().await;
        assert_eq!(capabilities[0], "version 2");
        assert!(capabilities.iter().any(|of| of.contains("filter")), "{capabilities:?}");
        self.send(b"0014command=ls-refs\n00010000").await;
        let refs = self.until_flush().await;
        // Nothing more is asked, so git has nothing more to say.
        self.send(b"").await;
        assert_eq!(closed(&mut self.socket).await, (1000, String::new()));
        refs
    }
}

/// A repository behind HTTP, its project, and a class token.
struct Served {
    repository: Repository,
    _host: GitHttp,
    harness: Harness,
    token: String,
    url: String,
}

async fn serve() -> Served {
    let repository = Repository::new();
    let host = GitHttp::start(repository.root(), "x-access-token", "s3cret-token").await;
    let harness = start(|git| {
        git.allow_http = true;
        git.allow_to = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let url = format!("{}/app.git", host.url);
    let token = harness.token().await.token.unwrap().expose().to_owned();
    connect(&harness, json!({"url": url, "token": "s3cret-token"})).await;
    Served { repository, _host: host, harness, token, url }
}

impl Served {
    /// Pushes a commit and claims its task.
    async fn build(&self) -> (String, Agent) {
        let revision = self.repository.commit("next");
        self.repository.push("main");
        poll(&self.harness).await;
        wait_for_ended(&self.harness, 1).await;
        (revision, self.harness.claim(&self.token).await.unwrap())
    }

    /// Submits a job with other facts than a push has, and claims its task.
    async fn submit(&self, change: Value) -> Agent {
        let revision = git(&self.repository.work(), &["rev-parse", "HEAD"]);
        let config = crate::git_projects::CONFIG;
        let mut body = json!({
            "project": "acme/app", "config": config, "branch": "main", "revision": revision,
            "repository_url": self.url,
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        ok(self.harness.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
        self.harness.claim(&self.token).await.unwrap()
    }
}

async fn origin_of(agent: &Agent) -> Value {
    let config: Value =
        ok(agent.call(Method::GET, "/api/v2/task/config")).await.json().await.unwrap();
    config["source"]["origin"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_reads_all_branches_and_tags_of_a_private_repository_and_no_credential() {
    let served = serve().await;
    let (revision, agent) = served.build().await;
    assert_eq!(origin_of(&agent).await, served.url.as_str());
    // The remote is asked when the task does.
    git(&served.repository.work(), &["tag", "-a", "v1", "-m", "one"]);
    served.repository.push("v1");
    git(&served.repository.work(), &["branch", "late"]);
    served.repository.push("late");
    git(&served.repository.root().join("app.git"), &["update-ref", "refs/pull/7/head", &revision]);
    let refs = Packets::of(served.harness.read_history(&agent).await.unwrap()).list().await;
    let names: Vec<&str> = refs.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(names, ["HEAD", "refs/heads/late", "refs/heads/main", "refs/tags/v1"]);
    assert!(refs[2].starts_with(&revision), "{refs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_read_by_a_running_task_of_the_project_alone() {
    let served = serve().await;
    let harness = &served.harness;
    let (_, agent) = served.build().await;
    let refused = async |token: &str, agent: &Agent| {
        harness.read_history_with(token, agent).await.expect_err("it is refused")
    };
    for token in [served.token.as_str(), harness.admin.as_str(), "none"] {
        let (status, said) = refused(token, &agent).await;
        assert!(matches!(status.as_u16(), 401 | 403 | 404), "{status}: {said}");
    }
    // Neither another project's, nor one whose commit is of another repository.
    for change in [
        json!({"project": "acme/other"}),
        json!({"repository_url": "https://example.com/acme/app.git"}),
        json!({"repository_url": null}),
    ] {
        let other = served.submit(change.clone()).await;
        assert_eq!(origin_of(&other).await, Value::Null);
        let (status, said) = refused(other.claim.task_token.expose(), &other).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{change}");
        assert!(said.contains("russet project add"), "{said}");
        // Its token opens nothing of the task that may.
        let (status, _) = refused(other.claim.task_token.expose(), &agent).await;
        assert_eq!(status, StatusCode::CONFLICT);
    }
    // One that reads is hung up on when its task ends, and cannot begin again.
    let mut reading = harness.read_history(&agent).await.unwrap();
    agent.finish(Outcome::Success).await;
    assert_eq!(closed(&mut reading).await, (1000, "the task has ended".to_owned()));
    let (status, said) = refused(agent.claim.task_token.expose(), &agent).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_a_fork_reads_no_history() {
    let mut served = serve().await;
    let class = json!({"resource_class": "acme/forks", "description": "", "allow_forks": true});
    let harness = &served.harness;
    ok(harness.as_admin(Method::POST, "/api/v3/runner/resource").json(&class)).await;
    let token = json!({"resource_class": "acme/forks", "nickname": "test"});
    let made: Value = ok(harness.as_admin(Method::POST, "/api/v3/runner/token").json(&token))
        .await
        .json()
        .await
        .unwrap();
    served.token = made["token"].as_str().unwrap().to_owned();
    let config = crate::git_projects::CONFIG.replace("acme/mini", "acme/forks");
    let own = served.submit(json!({"config": config})).await;
    Packets::of(served.harness.read_history(&own).await.unwrap()).list().await;
    let fork = served.submit(json!({"config": config, "from_fork": true})).await;
    assert_eq!(origin_of(&fork).await, Value::Null);
    let (status, _) = served.harness.read_history(&fork).await.unwrap_err();
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_away_is_named_to_git_and_what_comes_back_is_read() {
    let served = serve().await;
    let (revision, agent) = served.build().await;
    let bare = served.repository.root().join("app.git");
    let away = served.repository.root().join("away.git");
    std::fs::rename(&bare, &away).unwrap();
    let mut packets = Packets::of(served.harness.read_history(&agent).await.unwrap());
    let error = packets.next().await;
    assert!(error.starts_with("ERR the server has no history of the repository:"), "{error}");
    assert!(error.contains("check the URL"), "{error}");
    std::fs::rename(&away, &bare).unwrap();
    let refs = Packets::of(served.harness.read_history(&agent).await.unwrap()).list().await;
    assert!(refs.iter().any(|line| line.starts_with(&revision)), "{refs:?}");
}
