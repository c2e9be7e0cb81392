//! Chaos: a farm of real binaries, real users and real HTTP under random faults, and the account
//! of every task at the end.
//!
//! `.ci/chaos` runs it. `RUSSET_CHAOS_SEED` replays the plan of a run, which prints its seed;
//! `RUSSET_CHAOS_TASKS` is the number of tasks, `RUSSET_CHAOS_LIMIT` the time that they may take, in
//! seconds, and `RUSSET_TEST_STORE` the store, as for the other tests.
#![cfg(target_os = "linux")]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "a failed step of a test is its failure; tests/support has more than is used here"
)]

#[path = "../support/mod.rs"]
mod support;

mod database;
mod driver;
mod farm;
mod jobs;
mod ledger;
mod litter;
mod plan;
mod random;
mod striker;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use driver::{Driven, Driver};
use farm::Farm;
use ledger::Ledger;
use plan::Plan;
use striker::{Hits, Striker};
use support::server::Store;
use support::{can_be_root, has_tool, wait_for};

/// Number of tasks where nothing else is asked for.
const TASKS: usize = 200;

/// Pause between two looks at the plan.
const TICK: Duration = Duration::from_millis(10);

/// Parameters of a run.
struct Run {
    seed: u64,
    tasks: usize,
    limit: Duration,
    logs: PathBuf,
}

impl Run {
    fn from_environment() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
        };
        let mut random = [0; 4];
        getrandom::fill(&mut random).unwrap();
        let seed = number("RUSSET_CHAOS_SEED").unwrap_or(u32::from_ne_bytes(random).into());
        let tasks =
            number("RUSSET_CHAOS_TASKS").map_or(TASKS, |tasks| usize::try_from(tasks).unwrap());
        // Two hundred tasks have three minutes, with the account at the end.
        let limit = number("RUSSET_CHAOS_LIMIT").unwrap_or(20 + tasks as u64 * 7 / 10);
        let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{seed}"));
        std::fs::create_dir_all(&logs).unwrap();
        Self { seed, tasks, limit: Duration::from_secs(limit), logs }
    }

    fn replay(&self) -> String {
        let Self { seed, tasks, .. } = self;
        let store = match Store::of_this_run() {
            Store::Sqlite => "",
            Store::Postgres => " --store postgres",
        };
        format!("RUSSET_CHAOS_SEED={seed} .ci/chaos{store} {tasks}")
    }

    /// Lets the farm work under the faults of a plan. Returns what was submitted, what was hit and
    /// what is wrong.
    fn strike(&self, farm: &mut Farm, plan: &Plan) -> (Driven, Hits, Vec<String>) {
        let mut found = Vec::new();
        let (url, token) = (farm.server.url().to_owned(), farm.server.admin.token().to_owned());
        let driver = Driver::start(&url, &token, &plan.batches, farm.ran());
        let mut striker = Striker::new(farm, &plan.faults);
        let start = Instant::now();
        while !driver.is_finished() {
            striker.tick(driver.ended());
            if start.elapsed() > self.limit {
                found.push(format!("after {:?} {}", self.limit, driver.waits_for()));
                break;
            }
            std::thread::sleep(TICK);
        }
        striker.heal();
        std::fs::write(self.logs.join("faults.log"), &striker.log).unwrap();
        let (ended, took) = (driver.ended(), start.elapsed());
        eprintln!("{ended} tasks ended after {took:.1?} under {} faults", plan.faults.len());
        let hits = striker.hits;
        (driver.finish(), hits, found)
    }
}

#[test]
#[ignore = "it takes minutes: .ci/chaos runs it"]
fn every_task_of_a_farm_under_random_faults_has_one_outcome_and_leaves_nothing() {
    if !can_be_root("to have slots' users and small disks") || !has_tool("perl") {
        return;
    }
    let run = Run::from_environment();
    let plan = Plan::from_seed(run.seed, run.tasks);
    let text: String = plan.faults.iter().map(|planned| format!("  {planned}\n")).collect();
    eprintln!("replay: {}\nlogs: {}\nfaults:\n{text}", run.replay(), run.logs.display());
    let Some(mut farm) = Farm::start(&run.logs) else { return };
    let (driven, hits, mut found) = run.strike(&mut farm, &plan);
    found.extend(check_all(&mut farm, &driven, &hits));
    let (count, text) = (found.len(), found.join("\n"));
    let (replay, logs) = (run.replay(), run.logs.display());
    assert!(found.is_empty(), "{count} findings; replay: {replay}; logs: {logs}\n{text}");
    drop(farm);
    std::fs::remove_dir_all(&run.logs).ok();
}

/// Lists what is wrong at the end of a run.
fn check_all(farm: &mut Farm, driven: &Driven, hits: &Hits) -> Vec<String> {
    let mut found = driven.refusals.clone();
    found.extend(farm.hosts.iter().filter_map(|host| host.wait_idle().err()));
    let mut database = farm.database();
    let tasks = database.tasks();
    let ledger = Ledger { admin: &farm.server.admin, tasks: &tasks, hits };
    driven.submitted.iter().for_each(|submitted| ledger.check(submitted, &mut found));
    found.extend(ledger::list_doubled(&farm.ran(), driven.unsure));
    let (count, acknowledged) = (database.count_pipelines(), driven.submitted.len());
    if !(acknowledged..=acknowledged + driven.unsure).contains(&count) {
        found.push(format!("{count} pipelines are there, {acknowledged} were acknowledged"));
    }
    found.extend(check_slots(farm));
    found.extend(check_remains(farm));
    farm.server.kill();
    farm.server.start_again();
    found.extend(database.list_damage());
    found
}

/// Shows that every slot works: one task in each at the same time.
fn check_slots(farm: &Farm) -> Vec<String> {
    let go = farm.ran().with_file_name("go");
    let mut pipelines = Vec::new();
    for (class, slots) in [(jobs::CLASS, 6), (jobs::SMALL_CLASS, 1)] {
        let script = format!("until test -e {}; do sleep 0.05; done", go.display());
        let config = support::config(&[&support::run(&script)])
            .replace(support::CLASS, class)
            .replacen("machine: true", &format!("machine: true\n    parallelism: {slots}"), 1);
        pipelines.push(farm.server.admin.submit(&config));
    }
    let mut found = Vec::new();
    let start = Instant::now();
    let is_busy = |status: russet_protocol::local::Status| {
        status.slots.iter().all(|slot| slot.task.is_some()).then_some(())
    };
    for host in &farm.hosts {
        while host.agent.status().and_then(is_busy).is_none() {
            if start.elapsed() > support::LIMIT {
                found.push(format!(
                    "a slot of {} takes no task: {:#?}",
                    host.name,
                    host.agent.status()
                ));
                break;
            }
            std::thread::sleep(TICK);
        }
    }
    std::fs::write(&go, "").unwrap();
    for pipeline in &pipelines {
        let ended = farm.server.admin.wait(pipeline);
        if ended.workflows[0].outcome != Some(russet_protocol::outcome::Outcome::Success) {
            found.push(format!("a task after the faults did not succeed: {ended:?}"));
        }
    }
    found
}

/// Time in which what ended processes held has to be gone: the kernel frees keys and objects late.
const REMAINS_LIMIT: Duration = Duration::from_secs(10);

/// Lists what is left of the slots' users.
fn check_remains(farm: &Farm) -> Vec<String> {
    let start = Instant::now();
    loop {
        let found: Vec<String> = farm.hosts.iter().flat_map(remains_of).collect();
        if found.is_empty() || start.elapsed() > REMAINS_LIMIT {
            return found;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn remains_of(host: &farm::Host) -> Vec<String> {
    let lines = |uid: u32| {
        let remains = litter::list_remains(uid, &host.agent.state());
        remains.into_iter().map(move |line| format!("left of user {uid} of {}: {line}", host.name))
    };
    host.users.uids().into_iter().flat_map(lines).collect()
}
