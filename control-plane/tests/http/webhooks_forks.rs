//! Pull requests of forks: built only where the project wants it, one commit at a time, and never with
//! anything that is the project's own.

use reqwest::{Method, StatusCode};
use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::Outcome;
use russet_protocol::projects::{TriggerItem, TriggerState};
use russet_protocol::task::TaskConfig;
use russet_protocol::webhooks::{DeliveryOutcome, DeliveryResult};
use serde_json::{Value, json};

use crate::git_projects::{Repository, connect, details, git, pipelines, start, wait_for_ended};
use crate::octokit::{Hook, Octokit};
use crate::support::{Harness, ok, refused};

const PROJECT: &str = "/api/v3/projects/acme%2Fapp";

/// What somebody writes who wants to have what is not theirs.
const STEALING: &str = "
version: 2.1
jobs:
  look:
    machine: true
    resource_class: acme/open
    steps:
      - add_ssh_keys
      - run: {name: 'Of << pipeline.git.branch >>', command: 'env; echo << pipeline.event.name >> << pipeline.event.github.pull_request.number >> << pipeline.event.github.pull_request.base.ref >>'}
  steal: {machine: true, resource_class: acme/open, steps: [run: env]}
  break_in: {machine: true, resource_class: acme/mini, steps: [run: env]}
workflows:
  main:
    jobs:
      - look
      - steal: {context: deploy}
      - break_in
";

/// Server with a project that has secrets, and a repository with a fork's commit in a pull request.
struct Scene {
    harness: Harness,
    repository: Repository,
    base: String,
    head: String,
    open_token: String,
}

impl Scene {
    async fn new() -> Self {
        let repository = Repository::new();
        let harness = start(|_| {}).await;
        connect(&harness, json!({"url": repository.url(), "poll_ms": 86_400_000})).await;
        let put = async |path: &str, body: Value| {
            ok(harness.as_admin(Method::PUT, path).json(&body)).await;
        };
        put(&format!("{PROJECT}/env/TOKEN"), json!({"value": "hunter2-of-the-project"})).await;
        put("/api/v3/contexts/deploy", json!({"projects": null})).await;
        put("/api/v3/contexts/deploy/env/KEY", json!({"value": "hunter2-of-the-context"})).await;
        let open = json!({"resource_class": "acme/open", "description": "", "allow_forks": true});
        ok(harness.as_admin(Method::POST, "/api/v3/runner/resource").json(&open)).await;
        let body = json!({"resource_class": "acme/open", "nickname": "test"});
        let token = ok(harness.as_admin(Method::POST, "/api/v3/runner/token").json(&body)).await;
        let token: Value = token.json().await.unwrap();
        let open_token = token["token"].as_str().unwrap().to_owned();
        let base = git(&repository.work(), &["rev-parse", "HEAD"]);
        let mut scene = Self { harness, repository, base, head: String::new(), open_token };
        scene.push_to_pull(7, "steal it");
        scene
    }

    /// Pushes another commit to the pull request.
    fn push_to_pull(&mut self, number: u32, message: &str) {
        self.repository.write(".circleci/config.yml", STEALING);
        self.head = self.repository.commit(message);
        self.repository.push(&format!("HEAD:refs/pull/{number}/head"));
    }

    async fn set_forks(&self, forks: &str) {
        let settings = json!({"default_branch": "main", "forks": forks});
        let path = format!("{PROJECT}/settings");
        ok(self.harness.as_admin(Method::PUT, &path).json(&settings)).await;
    }

    async fn opened(&self, hook: &Hook<'_>, action: &str) -> Value {
        hook.pull(action, 7, (&self.base, &self.head)).await
    }

    async fn newest(&self) -> TriggerItem {
        details(&self.harness).await.triggers.remove(0)
    }

    fn approve(&self, trigger: &str) -> String {
        format!("{PROJECT}/triggers/{trigger}/approve")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_waits_for_somebody_and_then_gets_nothing_of_the_project() {
    let Some(octokit) = Octokit::start() else { return };
    let scene = Scene::new().await;
    let harness = &scene.harness;
    let hook = Hook::set_up(&octokit, harness, &scene.repository.url()).await;
    let payload = scene.opened(&hook, "opened").await;
    let id = octokit.new_id();
    // Off at first.
    let ignored = hook.deliver(harness, ("pull_request", &id), &payload).await;
    assert_eq!(ignored.outcome, DeliveryOutcome::Ignored);
    assert!(ignored.message.contains("--forks"), "{ignored:?}");
    assert!(details(harness).await.triggers.is_empty());
    scene.set_forks("approve").await;
    let path = format!("{PROJECT}/deliveries/{id}/redeliver");
    let again = ok(harness.as_admin(Method::POST, &path)).await;
    let again: DeliveryResult = again.json().await.unwrap();
    assert_eq!(again.outcome, DeliveryOutcome::Noted);
    let held = scene.newest().await;
    assert_eq!((held.state, held.from_fork), (TriggerState::Held, true), "{held:?}");
    assert!(pipelines(harness).await.is_empty());
    // Whoever may only submit lets nothing through.
    let member = harness.account("anna", Some("member"), &["read", "submit"]).await;
    let call = harness.call(Method::POST, &scene.approve(&held.id)).bearer_auth(&member);
    assert_eq!(call.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    ok(harness.as_admin(Method::POST, &scene.approve(&held.id))).await;
    let of = wait_for_ended(harness, 1).await;
    let built = &of.triggers[0];
    assert_eq!((built.state, built.approved_by.as_deref()), (TriggerState::Built, Some("admin")));
    refused(harness.as_admin(Method::POST, &scene.approve(&held.id)), 409).await;
    let log = harness.audit("").await;
    for (operation, of) in
        [("triggers/{trigger}/approve", &held.id), ("deliveries/{delivery}/redeliver", &id)]
    {
        let logged = log.iter().find(|event| event.operation.ends_with(operation)).unwrap();
        assert!(logged.target.contains(of.as_str()), "{logged:?}");
        assert!(
            logged.before.is_some() && logged.namespace.as_deref() == Some("acme"),
            "{logged:?}"
        );
    }
    let pipeline = built.pipeline.clone().unwrap();
    let pipeline: Pipeline = harness.get(&format!("/api/v3/pipelines/{pipeline}")).await;
    assert_eq!(pipeline.branch.as_deref(), Some("pull/7"));
    assert_eq!(pipeline.revision.as_deref(), Some(&*scene.head));
    let outcome = |name: &str| {
        let jobs = &pipeline.workflows[0].jobs;
        jobs.iter().find(|job| job.name == name).unwrap().outcome
    };
    assert_eq!(outcome("steal"), Some(Outcome::Unauthorized), "no context");
    assert_eq!(outcome("break_in"), Some(Outcome::Unauthorized), "no class of others");
    let agent = harness.claim(&scene.open_token).await.unwrap();
    assert_eq!(agent.claim.from_fork, Some(true));
    let config = ok(agent.call(Method::GET, "/api/v2/task/config")).await.text().await.unwrap();
    assert!(!config.contains("hunter2"), "{config}");
    let config: TaskConfig = serde_json::from_str(&config).unwrap();
    assert!(config.ssh_keys.is_empty());
    let of = |name: &str| {
        let found = config.environment.iter().find(|variable| variable.name == name);
        found.map(|variable| variable.value.expose().to_owned())
    };
    assert_eq!(of("CIRCLE_PR_NUMBER").as_deref(), Some("7"));
    assert_eq!(of("CIRCLE_PR_USERNAME").as_deref(), Some("mallory"));
    assert_eq!(of("CIRCLE_PR_REPONAME").as_deref(), Some("app-fork"));
    assert_eq!(of("CIRCLE_PULL_REQUEST").as_deref(), Some("https://github.com/acme/app/pull/7"));
    assert_eq!(of("TOKEN"), None);
    assert!(config.steps.iter().any(|step| step.name == "Of pull/7"), "{:?}", config.steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_through_is_one_commit_and_no_later_one() {
    let Some(octokit) = Octokit::start() else { return };
    let mut scene = Scene::new().await;
    scene.set_forks("approve").await;
    let url = scene.repository.url();
    let hook = Hook::set_up(&octokit, &scene.harness, &url).await;
    let opened = scene.opened(&hook, "opened").await;
    hook.tell(&scene.harness, "pull_request", &opened).await;
    let first = scene.newest().await;
    // The fork pushes something else after somebody has looked, and before they let it through.
    scene.push_to_pull(7, "something worse");
    ok(scene.harness.as_admin(Method::POST, &scene.approve(&first.id))).await;
    let of = wait_for_ended(&scene.harness, 1).await;
    assert_eq!(
        (of.triggers[0].state, &of.triggers[0].revision),
        (TriggerState::Built, &first.revision)
    );
    let pushed = scene.opened(&hook, "synchronize").await;
    hook.tell(&scene.harness, "pull_request", &pushed).await;
    scene.harness.clock.advance(std::time::Duration::from_secs(1));
    let second = details(&scene.harness).await.triggers;
    let second = second.into_iter().find(|of| of.revision == scene.head).unwrap();
    assert_eq!(second.state, TriggerState::Held);
    // Opened anew it is the same commit; a newer one takes its place.
    let reopened = scene.opened(&hook, "reopened").await;
    hook.tell(&scene.harness, "pull_request", &reopened).await;
    scene.push_to_pull(7, "third");
    let pushed = scene.opened(&hook, "synchronize").await;
    hook.tell(&scene.harness, "pull_request", &pushed).await;
    refused(scene.harness.as_admin(Method::POST, &scene.approve(&second.id)), 409).await;
    let closed = scene.opened(&hook, "closed").await;
    hook.tell(&scene.harness, "pull_request", &closed).await;
    let of = details(&scene.harness).await;
    assert_eq!(of.triggers.len(), 3, "{:?}", of.triggers);
    assert!(of.triggers.iter().all(|of| of.state != TriggerState::Held), "{:?}", of.triggers);
    assert_eq!(pipelines(&scene.harness).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_asked_for_again_of_commits_that_were_built_and_forks_are_held_again() {
    let Some(octokit) = Octokit::start() else { return };
    let scene = Scene::new().await;
    let harness = &scene.harness;
    let hook = Hook::set_up(&octokit, harness, &scene.repository.url()).await;
    let again = async |event: &str, revision: &str| {
        let examples = octokit.examples(event).await;
        let example = examples.into_iter().find(|it| it["action"] == "rerequested").unwrap();
        let mut payload = hook.ours(example);
        payload[event]["head_sha"] = json!(revision);
        hook.tell(harness, event, &payload).await
    };
    // A commit of a fork that was never built is not built by asking for its checks.
    assert_eq!(again("check_suite", &scene.head).await, DeliveryOutcome::Ignored);
    scene.set_forks("build").await;
    let opened = scene.opened(&hook, "opened").await;
    hook.tell(harness, "pull_request", &opened).await;
    wait_for_ended(harness, 1).await;
    scene.set_forks("approve").await;
    harness.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(again("check_run", &scene.head).await, DeliveryOutcome::Noted);
    let newest = scene.newest().await;
    assert_eq!((newest.state, newest.from_fork), (TriggerState::Held, true), "{newest:?}");
    let before = scene.base.clone();
    git(&scene.repository.work(), &["checkout", "--quiet", "-B", "main", &before]);
    let after = scene.repository.commit("of the repository itself");
    scene.repository.push("main");
    let push = hook.push("refs/heads/main", &before, &after).await;
    hook.tell(harness, "push", &push).await;
    wait_for_ended(harness, 3).await;
    harness.clock.advance(std::time::Duration::from_secs(1));
    for event in ["check_run", "check_suite"] {
        assert_eq!(again(event, &after).await, DeliveryOutcome::Noted);
    }
    let of = wait_for_ended(harness, 5).await;
    let of_push = of.triggers.iter().filter(|of| of.revision == after);
    assert!(of_push.clone().all(|of| of.state == TriggerState::Built && !of.from_fork), "{of:?}");
    assert_eq!(of_push.count(), 3);
    // A pull request of the repository itself is built by its push.
    let mut own = scene.opened(&hook, "opened").await;
    own["pull_request"]["head"]["repo"]["id"] = own["pull_request"]["base"]["repo"]["id"].clone();
    assert_eq!(hook.tell(harness, "pull_request", &own).await, DeliveryOutcome::Ignored);
}
