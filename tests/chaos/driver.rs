//! Submits the pipelines of a plan and follows them, on a thread of its own: a control plane that
//! is stopped answers late, and faults must strike meanwhile.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use russet_protocol::admin::Pipeline;
use russet_protocol::secret::Secret;
use serde_json::json;

use crate::jobs::Batch;
use crate::support::Admin;

/// Tasks that wait or run at a time: each slot has work, and the queue is never empty.
const IN_FLIGHT: usize = 30;

/// Pause between two rounds of looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(60);

/// A pipeline that the control plane acknowledged.
pub struct Submitted {
    /// Its jobs.
    pub batch: Batch,
    /// It, as last seen.
    pub pipeline: Pipeline,
}

/// Result of a run.
#[derive(Default)]
pub struct Driven {
    /// Every acknowledged pipeline.
    pub submitted: Vec<Submitted>,
    /// Number of submits whose answer was lost: the control plane may have taken them.
    pub unsure: usize,
    /// Answers that a control plane must not give.
    pub refusals: Vec<String>,
}

/// The thread.
pub struct Driver {
    ended: Arc<AtomicUsize>,
    is_stopped: Arc<AtomicBool>,
    waits_for: Arc<Mutex<String>>,
    thread: JoinHandle<Driven>,
}

impl Driver {
    /// Begins to submit these pipelines.
    pub fn start(url: &str, token: &str, batches: &[Batch], ran: PathBuf) -> Self {
        let (ended, is_stopped, waits_for) =
            (Arc::default(), Arc::default(), Arc::<Mutex<String>>::default());
        let mut drive = Drive {
            admin: None,
            ran,
            waiting: batches.iter().cloned().collect(),
            open: Vec::new(),
            result: Driven::default(),
        };
        let (url, token) = (url.to_owned(), Secret::new(token.to_owned()));
        let shared = (Arc::clone(&ended), Arc::clone(&is_stopped), Arc::clone(&waits_for));
        let thread = std::thread::spawn(move || {
            drive.admin = Some(Admin::new(&url, token));
            drive.run(&shared.0, &shared.1, &shared.2)
        });
        Self { ended, is_stopped, waits_for, thread }
    }

    /// Number of tasks that have ended.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    /// Returns true once there is nothing left to do.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Names the jobs that have not ended.
    pub fn waits_for(&self) -> String {
        self.waits_for.lock().unwrap().clone()
    }

    /// Ends it, done or not, and returns what it has.
    pub fn finish(self) -> Driven {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

struct Drive {
    admin: Option<Admin>,
    ran: PathBuf,
    waiting: VecDeque<Batch>,
    open: Vec<Submitted>,
    result: Driven,
}

impl Drive {
    fn run(
        mut self,
        ended: &AtomicUsize,
        stopped: &AtomicBool,
        waits_for: &Mutex<String>,
    ) -> Driven {
        let admin = self.admin.take().unwrap();
        while !(self.is_done() || stopped.load(Ordering::SeqCst)) {
            let (ended_before, in_flight) = self.count_tasks();
            ended.store(ended_before, Ordering::SeqCst);
            if in_flight < IN_FLIGHT {
                self.submit_next(&admin);
            }
            for submitted in &mut self.open {
                look_at(&admin, submitted);
            }
            let (done, open) =
                self.open.drain(..).partition(|submitted| has_ended(&submitted.pipeline));
            self.open = open;
            self.result.submitted.extend::<Vec<_>>(done);
            *waits_for.lock().unwrap() = self.describe_open();
            std::thread::sleep(LOOK_INTERVAL);
        }
        ended.store(self.count_tasks().0, Ordering::SeqCst);
        self.result.submitted.append(&mut self.open);
        self.result
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.open.is_empty()
    }

    /// Numbers of tasks that have ended, and of submitted ones that have not.
    fn count_tasks(&self) -> (usize, usize) {
        let closed: usize = self.result.submitted.iter().map(|done| done.batch.tasks()).sum();
        let jobs =
            self.open.iter().flat_map(|open| &open.pipeline.workflows).flat_map(|one| &one.jobs);
        let (mut ended, mut in_flight) = (closed, 0);
        for job in jobs {
            let count = if job.outcome.is_some() { &mut ended } else { &mut in_flight };
            *count += job.parallelism as usize;
        }
        (ended, in_flight)
    }

    fn submit_next(&mut self, admin: &Admin) {
        let Some(batch) = self.waiting.front() else { return };
        let body = json!({ "project": "chaos/project", "config": batch.config(&self.ran) });
        match admin.send(reqwest::Method::POST, "/api/v3/pipelines", Some(body)) {
            Ok((status, answer)) if (200..300).contains(&status) => {
                let pipeline = serde_json::from_slice(&answer).unwrap();
                let batch = self.waiting.pop_front().unwrap();
                self.open.push(Submitted { batch, pipeline });
            }
            // Its disk is full, as planned, or nobody is there.
            Ok((503 | 507, _)) => {}
            // The server was killed, or stopped for long, before it answered the proxy.
            Ok((502 | 504, _)) => self.result.unsure += 1,
            Ok((status, answer)) => {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                self.result.refusals.push(format!("a submit was answered {status}: {answer}"));
            }
            Err(error) => self.result.unsure += usize::from(!error.is_connect()),
        }
    }

    fn describe_open(&self) -> String {
        let jobs =
            self.open.iter().flat_map(|open| &open.pipeline.workflows).flat_map(|one| &one.jobs);
        let open = jobs.filter(|job| job.outcome.is_none());
        let lines = open.map(|job| {
            format!("  {} ({}): {} on {:?}\n", job.name, job.id, job.phase.as_str(), job.runner)
        });
        format!(
            "{} pipelines were not submitted; jobs without outcome:\n{}",
            self.waiting.len(),
            lines.collect::<String>()
        )
    }
}

fn look_at(admin: &Admin, submitted: &mut Submitted) {
    let path = format!("/api/v3/pipelines/{}", submitted.pipeline.id);
    let Ok((200, body)) = admin.send(reqwest::Method::GET, &path, None) else { return };
    if let Ok(pipeline) = serde_json::from_slice(&body) {
        submitted.pipeline = pipeline;
    }
}

fn has_ended(pipeline: &Pipeline) -> bool {
    pipeline.workflows.iter().all(|workflow| workflow.outcome.is_some())
}
