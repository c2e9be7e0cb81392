//! Reruns with SSH: keys of people, who gets access and which runner the task, and the hold of it.

use reqwest::{Method, RequestBuilder};
use russet_protocol::admin::{Items, Job, Pipeline, RunnerItem, Workflow};
use russet_protocol::outcome::Outcome;
use russet_protocol::people::AuditItem;
use russet_protocol::ssh::{
    HoldOrders, PersonalKeyItem, SshItem, SshPhase, TASK_HOLD_PATH, TASK_READY_PATH,
    TASK_SESSIONS_PATH,
};
use russet_protocol::task::TaskConfig;
use serde_json::{Value, json};

use crate::support::{Agent, CLASS, Harness, ONE_JOB, ok, refused, workflow};

const KEYS: &str = include_str!("../data/public_keys");

/// A public key of a type.
pub(crate) fn key(kind: &str) -> &'static str {
    KEYS.lines().find(|line| line.ends_with(kind)).unwrap()
}

/// A host key, as a line without a comment.
fn host_key() -> String {
    key("ed25519").rsplit_once(' ').unwrap().0.to_owned()
}

impl Harness {
    /// Makes the class, of which jobs may be rerun with SSH, and a token of it.
    pub(crate) async fn ssh_class(&self, allow_forks: bool) -> String {
        let body = json!({
            "resource_class": CLASS, "description": "", "allow_forks": true, "allow_ssh": true,
            "allow_ssh_forks": allow_forks,
        });
        ok(self.as_admin(Method::POST, "/api/v3/runner/resource").json(&body)).await;
        self.token().await.token.unwrap().expose().to_owned()
    }

    fn ssh_claim(&self, token: &str, name: &str, ssh: Value) -> RequestBuilder {
        self.call(Method::POST, "/api/v3/runner/claim").bearer_auth(token).json(&json!({
            "name": name, "hostname": "mini", "ip": "", "version": "1", "ssh": ssh,
        }))
    }

    /// Claims as a runner that offers SSH.
    pub(crate) async fn claim_with_ssh(&self, token: &str) -> Agent {
        let answer = ok(self.ssh_claim(token, "mini-ssh", json!({}))).await;
        self.agent(answer.json().await.unwrap())
    }

    pub(crate) fn rerun_with_ssh(&self, token: &str, job: &str, keys: &[&str]) -> RequestBuilder {
        self.with_token(token, Method::POST, &format!("/api/v3/jobs/{job}/ssh/rerun"))
            .json(&json!({"keys": keys}))
    }

    /// Submits a job, lets it fail, and runs it again with SSH. Returns the further job.
    pub(crate) async fn job_with_ssh(&self, token: &str, person: &str) -> Job {
        let pipeline = self.submit(ONE_JOB).await;
        let agent = self.claim(token).await.unwrap();
        agent.finish(Outcome::Failed).await;
        let job = pipeline.workflows[0].jobs[0].id.to_string();
        let answer = ok(self.rerun_with_ssh(person, &job, &[key("ed25519")])).await;
        let run: Workflow = answer.json().await.unwrap();
        run.jobs[0].clone()
    }

    pub(crate) async fn ways(&self, job: &Job) -> Vec<SshItem> {
        let list: Items<SshItem> = self.get(&format!("/api/v3/jobs/{}/ssh", job.id)).await;
        list.items
    }

    async fn ssh_events(&self) -> Vec<AuditItem> {
        let list: Items<AuditItem> =
            self.get("/api/v3/audit?limit=1000&operation=SSH%20session").await;
        list.items
    }
}

impl Agent {
    /// Says that the task can be reached.
    pub(crate) async fn is_ready(&self) {
        let body = json!({"host_key": host_key(), "user": "_ci1"});
        ok(self.call(Method::POST, TASK_READY_PATH).json(&body)).await;
    }

    pub(crate) async fn hold(&self, waiting: bool, sessions: u32, remaining_ms: u64) -> HoldOrders {
        let body = json!({"waiting": waiting, "sessions": sessions, "remaining_ms": remaining_ms});
        let answer = ok(self.call(Method::POST, TASK_HOLD_PATH).json(&body)).await;
        answer.json().await.unwrap()
    }
}

#[tokio::test]
async fn a_person_keeps_public_keys_of_their_own_and_nobody_elses() {
    let server = Harness::start().await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    let ben = server.account("ben", Some("member"), &["read", "submit"]).await;
    let path = "/api/v3/me/ssh-keys";
    let add = |token: &str, key: &str, name: &str| {
        server.with_token(token, Method::POST, path).json(&json!({"key": key, "name": name}))
    };
    let added: PersonalKeyItem = ok(add(&anna, key("sk-ed25519"), "")).await.json().await.unwrap();
    assert_eq!(added.name, "sk-ed25519", "the comment is its name");
    assert!(!added.key.ends_with("sk-ed25519") && added.fingerprint.starts_with("SHA256:"));
    let again = refused(add(&anna, key("sk-ed25519"), "other"), 409).await;
    assert!(again["message"].as_str().unwrap().contains("kept already"));
    ok(add(&ben, key("sk-ed25519"), "ours")).await;
    for (kind, why) in [("rsa-2048", "2048 bits"), ("dsa-1024", "DSA"), ("cert", "certificate")] {
        let problem = refused(add(&anna, key(kind), ""), 400).await;
        assert!(problem["message"].as_str().unwrap().contains(why), "{problem}");
    }
    let private = include_str!("../data/ssh_key");
    let problem = refused(add(&anna, private, ""), 400).await.to_string();
    assert!(problem.contains("private key") && !problem.contains(private.lines().nth(1).unwrap()));
    refused(server.as_admin(Method::GET, path), 403).await;

    let remove =
        |token: &str| server.with_token(token, Method::DELETE, &format!("{path}/{}", added.id));
    refused(remove(&ben), 404).await;
    ok(remove(&anna)).await;
    let of_ben = ok(server.with_token(&ben, Method::GET, path)).await;
    let of_ben: Items<PersonalKeyItem> = of_ben.json().await.unwrap();
    assert_eq!(of_ben.items.len(), 1);
    // An account takes its keys along.
    ok(server.as_admin(Method::DELETE, "/api/v3/users/ben")).await;
    assert_eq!(server.dir.count("SELECT count(*) FROM user_ssh_keys").await, 0);
}

#[tokio::test]
async fn a_rerun_with_ssh_is_refused_by_the_name_of_the_reason() {
    let server = Harness::start().await;
    let token = server.class().await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    let submit = async |fork: bool| {
        let body = json!({"project": "acme/app", "config": ONE_JOB, "from_fork": fork});
        let made = ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
        let pipeline: Pipeline = made.json().await.unwrap();
        pipeline.workflows[0].jobs[0].id.to_string()
    };
    let reason = async |job: &str, keys: &[&str], status| {
        let problem = refused(server.rerun_with_ssh(&anna, job, keys), status).await;
        problem["message"].as_str().unwrap().to_owned()
    };
    let job = submit(false).await;
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let off = reason(&job, &[key("ed25519")], 409).await;
    assert!(off.contains("does not allow SSH") && off.contains("resource-class ssh"), "{off}");

    let classes: Items<Value> = server.get("/api/v3/runner/resource?namespace=acme").await;
    let path = format!("/api/v3/runner/resource/{}/ssh", classes.items[0]["id"].as_str().unwrap());
    let allow = |forks: bool| {
        let body = json!({"allow_ssh": true, "allow_ssh_forks": forks});
        server.as_admin(Method::PUT, &path).json(&body)
    };
    ok(allow(false)).await;
    let none = reason(&job, &[], 409).await;
    assert!(none.contains("russet ssh-key add"), "{none}");
    assert!(reason(&job, &[key("rsa-2048")], 400).await.contains("2048 bits"));
    let approval = "version: 2.1\njobs:\n  one: {machine: true, resource_class: acme/mini, steps: \
                    [run: make]}\nworkflows: {main: {jobs: [hold: {type: approval}]}}\n";
    let held = server.submit(approval).await.workflows[0].jobs[0].id.to_string();
    ok(server.as_admin(Method::POST, &format!("/api/v3/jobs/{held}/approve"))).await;
    assert!(reason(&held, &[key("ed25519")], 409).await.contains("no tasks"));
    // The class takes no tasks of forks at all, so this one ended by itself.
    let forked = submit(true).await;
    assert!(reason(&forked, &[key("ed25519")], 409).await.contains("comes from a fork"));
    ok(allow(true)).await;
    ok(server.rerun_with_ssh(&anna, &forked, &[key("ed25519")])).await;
    ok(server.rerun_with_ssh(&anna, &job, &[key("ed25519")])).await;
    // One without SSH is as it ever was.
    assert_eq!(server.dir.count("SELECT count(*) FROM ssh_accesses").await, 2);
}

#[tokio::test]
async fn only_runners_that_offer_ssh_get_the_task_and_it_says_why_it_waits() {
    let server = Harness::start().await;
    let token = server.ssh_class(true).await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    let job = server.job_with_ssh(&token, &anna).await;
    assert!(job.ssh.is_some_and(|need| !need.from_fork));
    // A task behind it does not wait for it.
    let other = server.submit(ONE_JOB).await;
    let agent = server.claim(&token).await.unwrap();
    let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await;
    assert!(config.json::<TaskConfig>().await.unwrap().ssh.is_none());
    agent.finish(Outcome::Success).await;
    assert_eq!(server.job(&other).await.outcome, Some(Outcome::Success));
    assert!(server.claim(&token).await.is_none(), "the task with SSH is for others");
    let waits: Job = server.get(&format!("/api/v3/jobs/{}", job.id)).await;
    let text = waits.waiting.unwrap().text;
    assert!(text.contains("allows SSH") && text.contains("runner.ssh.enabled"), "{text}");

    let agent = server.claim_with_ssh(&token).await;
    let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await;
    let access = config.json::<TaskConfig>().await.unwrap().ssh.unwrap();
    assert_eq!((access.person.as_str(), access.from_fork), ("anna", false));
    assert_eq!((access.idle_ms, access.longest_ms), (600_000, 7_200_000));
    assert_eq!(access.keys, [host_key()]);
    let runners: Items<RunnerItem> = server.get("/api/v3/runner?namespace=acme").await;
    let offers: Vec<bool> = runners.items.iter().map(|runner| runner.ssh.is_some()).collect();
    assert_eq!(offers, [false, true]);
}

#[tokio::test]
async fn a_task_of_a_fork_goes_only_to_runners_that_offer_that_by_name() {
    let server = Harness::start().await;
    let token = server.ssh_class(true).await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    let body = json!({"project": "acme/app", "config": ONE_JOB, "from_fork": true});
    let made = ok(server.as_admin(Method::POST, "/api/v3/pipelines").json(&body)).await;
    let pipeline: Pipeline = made.json().await.unwrap();
    server.claim(&token).await.unwrap().finish(Outcome::Failed).await;
    let job = pipeline.workflows[0].jobs[0].id.to_string();
    ok(server.rerun_with_ssh(&anna, &job, &[key("ed25519")])).await;
    let claim = async |ssh: Value| ok(server.ssh_claim(&token, "mini-2", ssh)).await.status();
    assert_eq!(claim(json!({})).await, 204);
    assert_eq!(claim(json!({"allow_forks": true})).await, 200);
}

#[tokio::test]
async fn a_class_that_refuses_ssh_meanwhile_hands_out_no_access() {
    let server = Harness::start().await;
    let token = server.ssh_class(false).await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    server.job_with_ssh(&token, &anna).await;
    let agent = server.claim_with_ssh(&token).await;
    let classes: Items<Value> = server.get("/api/v3/runner/resource?namespace=acme").await;
    let path = format!("/api/v3/runner/resource/{}/ssh", classes.items[0]["id"].as_str().unwrap());
    ok(server.as_admin(Method::PUT, &path).json(&json!({}))).await;
    let problem = refused(agent.call(Method::GET, "/api/v2/task/config"), 409).await;
    assert!(problem["message"].as_str().unwrap().contains("does not allow SSH"), "{problem}");
}

#[tokio::test]
async fn a_hold_is_shown_extended_and_ended() {
    let server = Harness::start().await;
    let token = server.ssh_class(false).await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    let job = server.job_with_ssh(&token, &anna).await;
    let call = |what: &str, body: Value| {
        let path = format!("/api/v3/jobs/{}/ssh/{what}", job.id);
        server.with_token(&anna, Method::POST, &path).json(&body)
    };
    assert_eq!(server.ways(&job).await[0].phase, SshPhase::Starting);
    refused(call("extend", json!({"by_ms": 1000})), 409).await;
    let agent = server.claim_with_ssh(&token).await;
    refused(
        agent
            .call(Method::POST, TASK_HOLD_PATH)
            .json(&json!({"waiting": true, "sessions": 0, "remaining_ms": 1})),
        409,
    )
    .await;
    for bad in
        [json!({"host_key": "x", "user": "ci"}), json!({"host_key": host_key(), "user": "-o x"})]
    {
        refused(agent.call(Method::POST, TASK_READY_PATH).json(&bad), 400).await;
    }
    agent.is_ready().await;
    let way = server.ways(&job).await.remove(0);
    assert_eq!((way.phase, way.sessions, way.ends_ms), (SshPhase::Running, 0, None));
    assert_eq!((way.person.as_str(), way.keys.len()), ("anna", 1));
    assert_eq!(way.host_fingerprint.as_ref(), way.keys.first(), "the same key, in this test");
    assert_eq!(way.ready.unwrap().user, "_ci1");

    assert_eq!(agent.hold(true, 1, 60_000).await, HoldOrders::default());
    let way = server.ways(&job).await.remove(0);
    assert_eq!((way.phase, way.sessions), (SshPhase::Waiting, 1));
    let ends_ms = way.ends_ms.unwrap();
    let runners: Items<RunnerItem> = server.get("/api/v3/runner?namespace=acme").await;
    let held = runners.items.iter().find_map(|runner| runner.tasks.first());
    assert_eq!(held.unwrap().held_for.as_deref(), Some("anna"));
    let extended = ok(call("extend", json!({"by_ms": 1_800_000}))).await;
    let extended: Items<SshItem> = extended.json().await.unwrap();
    assert_eq!(extended.items[0].ends_ms, Some(ends_ms + 1_800_000));
    assert_eq!(agent.hold(true, 1, 1_860_000).await.extended_ms, 1_800_000);
    // A day is the most.
    ok(call("extend", json!({"by_ms": u32::MAX}))).await;
    assert_eq!(agent.hold(true, 1, 1).await.extended_ms, 24 * 3_600_000);
    ok(call("end", Value::Null)).await;
    assert!(agent.hold(true, 1, 1).await.end);
    agent.finish(Outcome::Failed).await;
    let way = server.ways(&job).await.remove(0);
    assert_eq!((way.phase, way.sessions, way.ends_ms), (SshPhase::Ended, 0, None));
    refused(call("extend", json!({"by_ms": 1000})), 409).await;
    // Another job has none.
    let plain = server.submit(ONE_JOB).await.workflows[0].jobs[0].id.clone();
    refused(server.as_admin(Method::GET, &format!("/api/v3/jobs/{plain}/ssh")), 404).await;
}

#[tokio::test]
async fn a_claim_anew_knows_nothing_of_what_was_asked_of_the_one_before() {
    let server = Harness::start().await;
    let token = server.ssh_class(false).await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    let job = server.job_with_ssh(&token, &anna).await;
    let first = server.claim_with_ssh(&token).await;
    first.is_ready().await;
    let path = format!("/api/v3/jobs/{}/ssh/end", job.id);
    ok(server.with_token(&anna, Method::POST, &path)).await;
    let body =
        json!({"task_id": first.claim.task_id, "task_token": first.claim.task_token.expose()});
    ok(server.call(Method::POST, "/api/v3/runner/unclaim").json(&body)).await;
    server.clock.advance(std::time::Duration::from_secs(120));
    let second = server.claim_with_ssh(&token).await;
    assert_eq!(server.ways(&job).await[0].phase, SshPhase::Starting);
    second.is_ready().await;
    assert!(!second.hold(true, 0, 1).await.end);
    refused(
        first
            .call(Method::POST, TASK_HOLD_PATH)
            .json(&json!({"waiting": true, "sessions": 0, "remaining_ms": 1})),
        409,
    )
    .await;
}

#[tokio::test]
async fn every_session_is_in_the_audit_log_once_with_its_end() {
    let server = Harness::start().await;
    let token = server.ssh_class(false).await;
    let anna = server.account("anna", Some("member"), &["read", "submit"]).await;
    let job = server.job_with_ssh(&token, &anna).await;
    let agent = server.claim_with_ssh(&token).await;
    agent.is_ready().await;
    let report = |ended: Option<u64>| {
        let body = json!({
            "id": "s1", "from": "10.0.0.7:50022", "key": "SHA256:abc", "started_ms": 5_000,
            "ended_ms": ended, "bytes_in": 7, "bytes_out": 9,
        });
        agent.call(Method::POST, TASK_SESSIONS_PATH).json(&body)
    };
    for ended in [None, None, Some(65_000), Some(65_000)] {
        ok(report(ended)).await;
    }
    let asked = "/api/v3/audit?operation=POST%20/api/v3/jobs/%7Bid%7D/ssh/rerun";
    let asked: Items<AuditItem> = server.get(asked).await;
    assert_eq!(asked.items.iter().map(|of| &*of.who).collect::<Vec<_>>(), ["anna"]);
    let events = server.ssh_events().await;
    let told: Vec<(&str, &str, &str)> =
        events.iter().map(|of| (&*of.operation, &*of.who, &*of.address)).collect();
    assert_eq!(
        told,
        [("SSH session ended", "anna", "10.0.0.7"), ("SSH session began", "anna", "10.0.0.7")]
    );
    let end = &events[0];
    assert_eq!(end.means, "SSH key SHA256:abc");
    assert_eq!(
        (end.namespace.as_deref(), end.target.clone()),
        (Some("acme"), format!("/api/v3/jobs/{}/ssh", job.id))
    );
    let after = end.after.as_ref().unwrap();
    assert_eq!(
        (&after["seconds"], &after["bytes_in"], &after["bytes_out"]),
        (&json!(60), &json!(7), &json!(9))
    );
    // A task without SSH reports none.
    server.submit(&workflow(&[("a", &[])])).await;
    let plain = server.claim(&token).await.unwrap();
    let body = json!({"id": "s", "key": "", "started_ms": 1});
    refused(plain.call(Method::POST, TASK_SESSIONS_PATH).json(&body), 409).await;
    refused(
        plain
            .call(Method::POST, TASK_READY_PATH)
            .json(&json!({"host_key": host_key(), "user": "a"})),
        409,
    )
    .await;
}
