//! Crash points: whatever is killed between any two steps, a host hears of each name the states in their order,
//! none twice, and of the last one in the end.

use std::sync::Mutex;

use proptest::prelude::*;
use russet_protocol::projects::CommitState;

use super::{Delivered, StatusKeeper, deliver};
use crate::hosts::HostStatus;
use crate::projects::status_times::{GROUP_PAUSE_MS, LEASE_MS, next_attempt};
use crate::store::Store;
use crate::store::commit_statuses::{self, DueStatus, Failure, NewStatus, StatusKey};

const CONTEXTS: usize = 2;

/// End of an attempt.
#[derive(Clone, Copy, Debug)]
enum End {
    Good,
    /// Killed after it was taken, before the host heard of it.
    KilledBefore,
    /// Killed after the host heard of it, before that was noted.
    KilledAfter,
    /// The host broke off before, or after it had done what it was told.
    BrokenBefore,
    BrokenAfter,
    /// The host said that calls come too often.
    Limited,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A workflow or job has a new state.
    Change(usize),
    Attempt(End),
    /// Time passes, in milliseconds.
    Pass(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        4 => Just(End::Good),
        1 => Just(End::KilledBefore),
        2 => Just(End::KilledAfter),
        1 => Just(End::BrokenBefore),
        2 => Just(End::BrokenAfter),
        1 => Just(End::Limited),
    ];
    prop_oneof![
        3 => (0..CONTEXTS).prop_map(Step::Change),
        4 => end.prop_map(Step::Attempt),
        2 => prop_oneof![Just(GROUP_PAUSE_MS), Just(LEASE_MS + 1), Just(6_000)].prop_map(Step::Pass),
    ]
}

/// A host that records what it hears.
#[derive(Default)]
struct Model {
    heard: Mutex<Vec<HostStatus>>,
    end: Mutex<Option<End>>,
}

impl StatusKeeper for Model {
    type Error = End;

    async fn newest(&self, _: &str, context: &str) -> Result<Option<HostStatus>, End> {
        let heard = self.heard.lock().unwrap();
        Ok(heard.iter().rev().find(|of| of.context == context).cloned())
    }

    async fn set(&self, _: &str, status: &HostStatus) -> Result<(), End> {
        let end = self.end.lock().unwrap().unwrap();
        if matches!(end, End::KilledBefore | End::BrokenBefore | End::Limited) {
            return Err(end);
        }
        self.heard.lock().unwrap().push(status.clone());
        if matches!(end, End::Good) { Ok(()) } else { Err(end) }
    }
}

/// A server's part of the work, on a real database.
struct Farm {
    store: Store,
    host: Model,
    now_ms: i64,
    attempts: u32,
    /// States of each name, in their order.
    wanted: Vec<Vec<String>>,
    _dir: tempfile::TempDir,
}

impl Farm {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("russet.db"), false).await.unwrap();
        let mut tx = store.write().await.unwrap();
        commit_statuses::tests_connect(&mut tx, "acme/app", "group").await.unwrap();
        tx.commit().await.unwrap();
        let wanted = vec![Vec::new(); CONTEXTS];
        Self { store, host: Model::default(), now_ms: 1_000_000, attempts: 0, wanted, _dir: dir }
    }

    async fn change(&mut self, context: usize) {
        let number = self.wanted[context].len();
        let description = format!("state {number}");
        self.wanted[context].push(description.clone());
        let key = StatusKey {
            project: "acme/app".to_owned(),
            revision: "a".repeat(40),
            context: format!("ci/russet: {context}"),
        };
        let state =
            if number.is_multiple_of(2) { CommitState::Pending } else { CommitState::Success };
        let (number, path) = (number as u64, "/jobs/x".to_owned());
        let new = NewStatus { key, number, state, description, path };
        let mut tx = self.store.write().await.unwrap();
        commit_statuses::put(&mut tx, &new, self.now_ms).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn take(&mut self) -> Option<DueStatus> {
        self.attempts += 1;
        let (now_ms, attempt) = (self.now_ms, format!("attempt {}", self.attempts));
        let mut tx = self.store.write().await.unwrap();
        let times = (now_ms, now_ms + LEASE_MS, now_ms + GROUP_PAUSE_MS);
        let due = commit_statuses::take_due(&mut tx, times, &attempt).await.unwrap();
        tx.commit().await.unwrap();
        due
    }

    async fn attempt(&mut self, end: End) {
        let Some(due) = self.take().await else { return };
        *self.host.end.lock().unwrap() = Some(end);
        let status = HostStatus {
            context: due.key.context.clone(),
            state: due.state,
            description: due.description.clone(),
            target_url: None,
        };
        let result = deliver(&self.host, &due, &status, || false).await;
        if matches!(end, End::KilledBefore | End::KilledAfter) {
            return;
        }
        let mut tx = self.store.write().await.unwrap();
        match result {
            Ok(delivered) => {
                assert_ne!(delivered, Delivered::Late);
                commit_statuses::mark_sent(&mut tx, &due, self.now_ms).await.unwrap();
            }
            Err(end) => {
                let is_limited = matches!(end, End::Limited);
                let failure = Failure {
                    error: "it failed",
                    hint: None,
                    next_ms: next_attempt(due.changed_ms, due.attempts, self.now_ms),
                    is_uncertain: !is_limited || due.is_uncertain,
                    is_uncounted: is_limited,
                };
                commit_statuses::mark_failed(&mut tx, &due, &failure, self.now_ms).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
    }

    /// Lets it work undisturbed until nothing is due.
    async fn settle(&mut self) {
        for _ in 0..100 {
            let next =
                commit_statuses::next_due(&mut self.store.read().await.unwrap()).await.unwrap();
            let Some(next) = next else { return };
            self.now_ms = self.now_ms.max(next);
            self.attempt(End::Good).await;
        }
        panic!("something is due for ever");
    }

    fn check(&self) {
        let heard = self.host.heard.lock().unwrap();
        for (context, wanted) in self.wanted.iter().enumerate() {
            let name = format!("ci/russet: {context}");
            let words = heard.iter().filter(|of| of.context == name).map(|of| &of.description);
            let words: Vec<&String> = words.collect();
            let mut rest = wanted.iter();
            for word in &words {
                assert!(rest.any(|state| state == *word), "{words:?} of {wanted:?}");
            }
            assert_eq!(words.last().copied(), wanted.last(), "{words:?} of {wanted:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_killed_states_come_in_order_none_twice_and_the_last_one_in_the_end(
        steps in proptest::collection::vec(step(), 1..30)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut farm = Farm::new().await;
            for step in steps {
                match step {
                    Step::Change(context) => farm.change(context).await,
                    Step::Attempt(end) => farm.attempt(end).await,
                    Step::Pass(ms) => farm.now_ms += ms,
                }
            }
            farm.settle().await;
            farm.check();
        });
    }
}

#[tokio::test]
async fn calls_with_one_credential_are_apart_what_has_ended_comes_first_and_a_pause_is_kept() {
    let mut farm = Farm::new().await;
    // The second name has ended, the first has begun.
    farm.change(0).await;
    farm.change(1).await;
    farm.change(1).await;
    let first = farm.take().await.unwrap();
    assert_eq!(first.state, CommitState::Success);
    assert!(farm.take().await.is_none(), "a second has not passed");
    farm.now_ms += GROUP_PAUSE_MS;
    let mut tx = farm.store.write().await.unwrap();
    let until_ms = farm.now_ms + 30_000;
    commit_statuses::pause_group(&mut tx, &first.call_group, until_ms).await.unwrap();
    tx.commit().await.unwrap();
    assert!(farm.take().await.is_none(), "the host asked for a pause");
    let next = commit_statuses::next_due(&mut farm.store.read().await.unwrap()).await.unwrap();
    assert_eq!(next, Some(until_ms));
    farm.now_ms = until_ms;
    assert_eq!(farm.take().await.unwrap().state, CommitState::Pending);
    // The first is its server's own until its lease ends, and is not known to have arrived then.
    farm.now_ms += LEASE_MS;
    let again = farm.take().await.unwrap();
    assert!(again.is_uncertain && again.version == first.version);
}
