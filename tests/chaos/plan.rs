//! The plan of a run: which jobs are submitted and which faults strike when, as a pure function of
//! the seed.
//!
//! A replay has the same jobs and the same faults in the same order, each after the same number of
//! ended tasks. Which instruction a fault meets is up to the machine, so a rare failure may need
//! several replays.

use std::fmt;
use std::time::Duration;

use crate::jobs::{Batch, Job, Kind};
use crate::random::Random;

/// Hosts that share the ordinary tasks; the next number is that of the host with the small disk.
pub const HOSTS: usize = 2;

/// The host with the small disk.
pub const SMALL_HOST: usize = HOSTS;

/// One fault per so many tasks.
const TASKS_PER_FAULT: usize = 2;

/// Longest stop, cut or pause, far below the lease: none of them may cost a task.
const LONGEST_MS: u64 = 2500;

/// Kind of failure of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Bytes vanish.
    Cut,
    /// Connections are refused.
    Refuse,
    /// Answers come late.
    Delay,
    /// Requests arrive twice.
    Duplicate,
    /// Answers break off.
    Truncate,
    /// Answers are `500`.
    Errors,
}

/// One fault. Hosts are numbers; `pick` chooses among the servers, or the task agents that run then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A server is killed, and started again.
    KillServer(u64),
    /// A server is stopped (SIGSTOP) and goes on.
    StopServer(u64),
    /// The disk of the servers' directories is full.
    FillServerDisk,
    /// A launch agent is killed.
    KillAgent(usize),
    /// A launch agent is stopped and goes on.
    StopAgent(usize),
    /// A launch agent is paused by its owner, and resumed.
    PauseAgent(usize),
    /// A launch agent is asked to end (TERM), drains, and is started again.
    DrainAgent(usize),
    /// A task agent is killed.
    KillTaskAgent(usize, u64),
    /// A task agent is stopped and goes on.
    StopTaskAgent(usize, u64),
    /// A host's network fails.
    Network(usize, Network),
    /// The disk of the host with the small one is full.
    FillAgentDisk,
}

/// The part of the farm that a fault strikes. One fault at a time strikes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The servers.
    Server,
    /// A launch agent.
    Agent(usize),
    /// The task agents of a host.
    TaskAgents(usize),
    /// The network of a host.
    Network(usize),
    /// The small disk.
    AgentDisk,
}

impl Fault {
    /// Returns the part of the farm that it strikes.
    pub fn target(self) -> Target {
        match self {
            Self::KillServer(_) | Self::StopServer(_) | Self::FillServerDisk => Target::Server,
            Self::KillAgent(host)
            | Self::StopAgent(host)
            | Self::PauseAgent(host)
            | Self::DrainAgent(host) => Target::Agent(host),
            Self::KillTaskAgent(host, _) | Self::StopTaskAgent(host, _) => Target::TaskAgents(host),
            Self::Network(host, _) => Target::Network(host),
            Self::FillAgentDisk => Target::AgentDisk,
        }
    }
}

/// A fault and its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Number of tasks that have ended before.
    pub after: usize,
    /// Time that passes then.
    pub delay: Duration,
    /// The fault.
    pub fault: Fault,
    /// Time after which it is over.
    pub lasts: Duration,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (delay, lasts) = (self.delay.as_millis(), self.lasts.as_millis());
        write!(f, "after task {} + {delay} ms, for {lasts} ms: {:?}", self.after, self.fault)
    }
}

/// Everything that a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Pipelines, in the order in which they are submitted.
    pub batches: Vec<Batch>,
    /// Faults, in the order of their moments.
    pub faults: Vec<Planned>,
}

impl Plan {
    /// The plan of a seed for so many tasks.
    pub fn from_seed(seed: u64, tasks: usize) -> Self {
        let mut random = Random::from_seed(seed);
        let batches = plan_batches(&mut random, tasks);
        let mut faults: Vec<Planned> =
            (0..tasks / TASKS_PER_FAULT).map(|_| plan_fault(&mut random, tasks)).collect();
        faults.sort_by_key(|planned| (planned.after, planned.delay));
        Self { batches, faults }
    }

    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.batches.iter().map(Batch::tasks).sum()
    }
}

fn plan_batches(random: &mut Random, tasks: usize) -> Vec<Batch> {
    let (mut batches, mut left, mut key) = (Vec::new(), tasks, 0);
    while left > 0 {
        let mut jobs = Vec::new();
        for _ in 0..random.between(3, 9) {
            let kind = random.weighted(&[
                (6, Kind::Quick),
                (8, Kind::Slow),
                (2, Kind::Bulk),
                (3, Kind::Steps),
                (2, Kind::Failing),
                (4, Kind::Litter),
                (2, Kind::Artifact),
                (2, Kind::Parallel),
                (2, Kind::OnSmallDisk),
                (1, Kind::FillsDisk),
            ]);
            let kind = if kind.parallelism() > left { Kind::Quick } else { kind };
            if left == 0 {
                break;
            }
            left -= kind.parallelism();
            key += 1;
            jobs.push(Job { key, kind });
        }
        batches.push(Batch { jobs });
    }
    batches
}

fn plan_fault(random: &mut Random, tasks: usize) -> Planned {
    let host = usize::try_from(random.between(0, HOSTS as u64 + 1)).unwrap();
    let pick = random.between(0, 1000);
    let network = random.weighted(&[
        (3, Network::Cut),
        (2, Network::Refuse),
        (1, Network::Delay),
        (2, Network::Duplicate),
        (2, Network::Truncate),
        (1, Network::Errors),
    ]);
    let fault = random.weighted(&[
        (3, Fault::KillServer(pick)),
        (2, Fault::StopServer(pick)),
        (1, Fault::FillServerDisk),
        (5, Fault::KillAgent(host)),
        (3, Fault::StopAgent(host)),
        (3, Fault::PauseAgent(host)),
        (1, Fault::DrainAgent(host)),
        (5, Fault::KillTaskAgent(host, pick)),
        (4, Fault::StopTaskAgent(host, pick)),
        (6, Fault::Network(host, network)),
        (1, Fault::FillAgentDisk),
    ]);
    Planned {
        after: usize::try_from(random.between(0, tasks as u64)).unwrap(),
        delay: Duration::from_millis(random.between(0, 400)),
        fault,
        lasts: Duration::from_millis(random.between(0, LONGEST_MS)),
    }
}

#[test]
fn a_seed_has_one_plan_with_all_of_its_tasks() {
    for (seed, tasks) in [(1, 200), (2, 1000), (u64::MAX, 7)] {
        let plan = Plan::from_seed(seed, tasks);
        assert_eq!(plan, Plan::from_seed(seed, tasks));
        assert_ne!(plan, Plan::from_seed(seed.wrapping_add(1), tasks));
        assert_eq!(plan.tasks(), tasks);
        assert_eq!(plan.faults.len(), tasks / TASKS_PER_FAULT);
    }
}

#[test]
fn a_run_of_a_thousand_tasks_has_every_kind_of_job_and_fault() {
    let plan = Plan::from_seed(1, 1000);
    let kinds: std::collections::BTreeSet<String> = plan
        .batches
        .iter()
        .flat_map(|batch| &batch.jobs)
        .map(|job| format!("{:?}", job.kind))
        .collect();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    let name = |planned: &Planned| {
        let text = format!("{:?}", planned.fault);
        text.split('(').next().unwrap().to_owned()
    };
    let faults: std::collections::BTreeSet<String> = plan.faults.iter().map(name).collect();
    assert_eq!(faults.len(), 11, "{faults:?}");
}
