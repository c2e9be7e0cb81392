//! Webhooks and polls side by side: in any order, repeated, lost, with servers that stop in between, each newest
//! state is built, nothing twice, and nothing goes back.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use russet_protocol::projects::TriggerState;
use serde_json::{Value, json};

use crate::git_projects::{Repository, connect, details, git, poll, start, wait_until};
use crate::octokit::{Hook, Octokit, ZEROS};
use crate::support::{Harness, LIMIT, ok};

const STEPS: usize = 24;

/// Numbers that are the same for the same seed (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// Commits of each branch in the order of their pushes, and what GitHub has to deliver.
#[derive(Default)]
struct World {
    pushed: BTreeMap<String, Vec<String>>,
    deliveries: Vec<(String, Value)>,
}

impl World {
    async fn push(&mut self, hook: &Hook<'_>, repository: &Repository, branch: &str) {
        let work = repository.work();
        let all = self.pushed.entry(branch.to_owned()).or_default();
        let before = all.last().cloned();
        git(&work, &["checkout", "--quiet", "--detach", before.as_deref().unwrap_or("main")]);
        let after = repository.commit(&format!("{branch} {}", all.len()));
        repository.push(&format!("HEAD:refs/heads/{branch}"));
        all.push(after.clone());
        let name = format!("refs/heads/{branch}");
        let payload = hook.push(&name, before.as_deref().unwrap_or(ZEROS), &after).await;
        self.deliveries.push((hook.octokit.new_id(), payload));
    }
}

async fn restart(harness: Harness) -> Harness {
    harness.stop.send(()).unwrap();
    tokio::time::timeout(LIMIT, harness.running).await.unwrap().unwrap();
    let (dir, clock) = (harness.dir, harness.clock);
    let harness = Harness::start_with(dir, clock, |settings| settings.git.allow_file = true).await;
    // What a server that went had taken is due again after its lease.
    harness.clock.advance(Duration::from_secs(3600));
    harness
}

async fn run(octokit: &Octokit, seed: u64) {
    let mut dice = Dice(seed);
    let repository = Repository::new();
    let mut harness = start(|_| {}).await;
    connect(&harness, json!({"url": repository.url(), "poll_ms": 86_400_000})).await;
    let hook = Hook::set_up(octokit, &harness, &repository.url()).await;
    let mut world = World::default();
    for _ in 0..STEPS {
        harness.clock.advance(Duration::from_millis(10));
        match dice.below(10) {
            0..=2 => {
                let branch = ["next", "topic"][dice.below(2)];
                world.push(&hook, &repository, branch).await;
            }
            3..=6 if !world.deliveries.is_empty() => {
                // It stays: it may come again.
                let which = dice.below(world.deliveries.len());
                let (id, payload) = &world.deliveries[which];
                ok(hook.request(&harness, ("push", id), payload).await).await;
            }
            7 if !world.deliveries.is_empty() => {
                let which = dice.below(world.deliveries.len());
                world.deliveries.remove(which);
            }
            8 => poll(&harness).await,
            9 => harness = restart(harness).await,
            _ => {}
        }
    }
    harness.clock.advance(Duration::from_secs(3600));
    ok(harness.as_admin(Method::POST, "/api/v3/projects/acme%2Fapp/connection/poll")).await;
    let newest = |of: &russet_protocol::projects::ConnectionDetails| {
        let is_built = |branch: &String, revision: &String| {
            let name = format!("refs/heads/{branch}");
            of.triggers.iter().any(|of| of.reference == name && of.revision == *revision)
        };
        world.pushed.iter().all(|(branch, all)| is_built(branch, all.last().unwrap()))
            && of.triggers.iter().all(|of| of.state != TriggerState::Waiting)
    };
    wait_until(&harness, newest).await;
    let of = details(&harness).await;
    for (branch, all) in &world.pushed {
        let name = format!("refs/heads/{branch}");
        let of_branch = of.triggers.iter().filter(|of| of.reference == name);
        let place = |revision: &str| all.iter().position(|of| of == revision).unwrap();
        let mut heard: Vec<_> = of_branch.map(|of| (of.created_ms, place(&of.revision))).collect();
        heard.sort_unstable();
        let is_forward = heard.windows(2).all(|two| two[0].1 < two[1].1);
        assert!(is_forward, "seed {seed}, {branch}: {heard:?}");
        assert_eq!(heard.last().map(|of| of.1), Some(all.len() - 1), "seed {seed}, {branch}");
    }
    assert!(of.triggers.iter().all(|of| of.state == TriggerState::Built), "{:?}", of.triggers);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_lost_late_or_repeated_each_newest_state_is_built_once_and_none_goes_back() {
    let Some(octokit) = Octokit::start() else { return };
    for seed in [0x1234_5678, 0x9e37_79b9, 0xdead_beef, 0x0bad_cafe, 0x5eed_5eed, 0x00c0_ffee] {
        run(&octokit, seed).await;
    }
}
