//! Strikes the farm with the faults of a plan, takes each away when its time is over, and notes
//! which tasks a fault may end.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::farm::Farm;
use crate::plan::{Fault, Network, Planned, SMALL_HOST, Target};
use crate::support;
use crate::support::disk::fill_disk;

/// Pause before something that could not be taken away is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Tasks that a fault may end, by design.
#[derive(Debug, Default)]
pub struct Hits {
    /// Ids of tasks whose task agent was killed.
    pub killed: Vec<String>,
    /// Times during which the small disk was full, in milliseconds since 1970.
    pub disk_was_full: Vec<(u64, u64)>,
}

/// A fault that lasts.
struct Active {
    fault: Fault,
    until: Instant,
    /// The process that is stopped.
    stopped: Option<Pid>,
    began_ms: u64,
}

/// Strikes.
pub struct Striker<'a> {
    farm: &'a mut Farm,
    waiting: VecDeque<(Planned, Option<Instant>)>,
    active: Vec<Active>,
    start: Instant,
    /// Tasks that may have been ended.
    pub hits: Hits,
    /// Journal of the faults, for people.
    pub log: String,
}

impl<'a> Striker<'a> {
    /// One that has not struck yet.
    pub fn new(farm: &'a mut Farm, faults: &[Planned]) -> Self {
        let waiting = faults.iter().map(|planned| (*planned, None)).collect();
        let (active, start) = (Vec::new(), Instant::now());
        Self { farm, waiting, active, start, hits: Hits::default(), log: String::new() }
    }

    /// Begins and ends what is due, once so many tasks have ended.
    pub fn tick(&mut self, ended: usize) {
        self.end_due(Instant::now());
        let now = Instant::now();
        for (planned, due) in &mut self.waiting {
            if planned.after <= ended && due.is_none() {
                *due = Some(now + planned.delay);
            }
        }
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let mut later = VecDeque::new();
        while let Some((planned, due)) = self.waiting.pop_front() {
            let is_free =
                self.active.iter().all(|one| one.fault.target() != planned.fault.target());
            if is_due(due) && is_free {
                self.begin(planned);
            } else {
                later.push_back((planned, due));
            }
        }
        self.waiting = later;
    }

    /// Takes every fault away.
    pub fn heal(&mut self) {
        let start = Instant::now();
        while !self.active.is_empty() {
            assert!(start.elapsed() < support::LIMIT, "a fault does not end: {}", self.log);
            self.end_due(Instant::now() + Duration::from_secs(3600));
            std::thread::sleep(RETRY_INTERVAL);
        }
    }

    fn say(&mut self, text: &str) {
        writeln!(self.log, "{:>8} ms {text}", self.start.elapsed().as_millis()).unwrap();
    }

    fn begin(&mut self, planned: Planned) {
        self.say(&format!("begins: {planned}"));
        let began_ms = now_ms();
        let mut stopped = None;
        match planned.fault {
            Fault::KillServer(pick) => self.farm.server.kill_one(pick),
            Fault::StopServer(pick) => stop(self.farm.server.pid_of_one(pick), &mut stopped),
            Fault::FillServerDisk => fill_disk(&self.farm.server_ballast()),
            Fault::KillAgent(host) => self.farm.hosts[host].agent.kill(),
            Fault::StopAgent(host) => {
                stop(self.farm.hosts[host].agent.process().pid(), &mut stopped);
            }
            Fault::PauseAgent(host) => {
                // One that has just been started may not answer yet: then it is not paused.
                self.farm.hosts[host].agent.ask(&["pause", "--reason", "chaos"]);
            }
            Fault::DrainAgent(host) => self.farm.hosts[host].agent.signal(Signal::SIGTERM),
            Fault::KillTaskAgent(host, pick) => self.kill_task_agent(host, pick),
            Fault::StopTaskAgent(host, pick) => {
                if let Some(pid) = self.pick_task_agent(host, pick) {
                    stop(pid, &mut stopped);
                }
            }
            Fault::Network(host, network) => {
                self.farm.hosts[host].network.set(proxy_fault(network));
            }
            Fault::FillAgentDisk => fill_disk(&self.agent_ballast()),
        }
        let until = Instant::now() + planned.lasts;
        self.active.push(Active { fault: planned.fault, until, stopped, began_ms });
    }

    fn end_due(&mut self, now: Instant) {
        let (due, active) =
            std::mem::take(&mut self.active).into_iter().partition(|one| one.until <= now);
        self.active = active;
        let due: Vec<Active> = due;
        for mut one in due {
            if self.end(&one) {
                self.say(&format!("ended: {:?}", one.fault));
            } else {
                one.stopped = None;
                one.until = Instant::now() + RETRY_INTERVAL;
                self.active.push(one);
            }
        }
    }

    /// Takes a fault away. Returns false if that has to be tried again.
    fn end(&mut self, active: &Active) -> bool {
        if let Some(pid) = active.stopped {
            // One that was ended meanwhile needs nothing.
            kill(pid, Signal::SIGCONT).ok();
        }
        match active.fault {
            Fault::KillServer(pick) => self.farm.server.start_one_again(pick),
            Fault::FillServerDisk => std::fs::remove_file(self.farm.server_ballast()).unwrap(),
            Fault::KillAgent(host) => self.farm.hosts[host].agent.start_again(),
            Fault::DrainAgent(host) => {
                let agent = &mut self.farm.hosts[host].agent;
                if agent.process().is_running() {
                    return false;
                }
                agent.start_again();
            }
            Fault::PauseAgent(host) => {
                return self.farm.hosts[host].agent.ask(&["resume"]).status.success();
            }
            Fault::Network(host, _) => self.farm.hosts[host].network.set(support::Fault::None),
            Fault::FillAgentDisk => {
                std::fs::remove_file(self.agent_ballast()).unwrap();
                self.hits.disk_was_full.push((active.began_ms, now_ms()));
            }
            _ => {}
        }
        true
    }

    fn agent_ballast(&self) -> std::path::PathBuf {
        self.farm.hosts[SMALL_HOST].agent.state().join("ballast")
    }

    fn pick_task_agent(&self, host: usize, pick: u64) -> Option<Pid> {
        let mut running = self.farm.hosts[host].agent.task_agents();
        // A child that a task agent has forked looks like it until it becomes a step's shell.
        let all = running.clone();
        running.retain(|pid| parent_of(*pid).is_some_and(|parent| !all.contains(&parent)));
        let index = usize::try_from(pick).unwrap().checked_rem(running.len())?;
        Some(Pid::from_raw(running[index]))
    }

    /// Kills a task agent, with or without a task, and notes the task. It is stopped first, so that
    /// it begins nothing between the look at the journals and its end.
    fn kill_task_agent(&mut self, host: usize, pick: u64) {
        let Some(pid) = self.pick_task_agent(host, pick) else { return };
        kill(pid, Signal::SIGSTOP).ok();
        let tasks = tasks_of(&self.farm.hosts[host].agent.state(), pid);
        kill(pid, Signal::SIGKILL).ok();
        self.say(&format!("killed task agent {pid} of {tasks:?}"));
        self.hits.killed.extend(tasks);
    }
}

/// Returns the parent of a process.
fn parent_of(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn stop(pid: Pid, stopped: &mut Option<Pid>) {
    if kill(pid, Signal::SIGSTOP).is_ok() {
        *stopped = Some(pid);
    }
}

/// Ids of the tasks that journals say a process runs.
fn tasks_of(state: &Path, pid: Pid) -> Vec<String> {
    let slots = std::fs::read_dir(state.join("slots")).into_iter().flatten().flatten();
    slots
        .filter_map(|slot| std::fs::read(slot.path().join("journal.json")).ok())
        .filter_map(|text| serde_json::from_slice::<Value>(&text).ok())
        .filter(|journal| journal["process"]["pid"].as_i64() == Some(i64::from(pid.as_raw())))
        .filter_map(|journal| Some(journal["task_id"].as_str()?.to_owned()))
        .collect()
}

fn proxy_fault(network: Network) -> support::Fault {
    match network {
        Network::Cut => support::Fault::Cut,
        Network::Refuse => support::Fault::Refuse,
        Network::Delay => support::Fault::Delay(Duration::from_millis(300)),
        Network::Duplicate => support::Fault::Duplicate(2),
        Network::Truncate => support::Fault::Truncate(3),
        Network::Errors => support::Fault::Status(500, 2),
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
