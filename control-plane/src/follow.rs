//! Position of a reader of a live pipeline, and the events that come next.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russet_protocol::admin::{StepState, StreamEvent};
use russet_protocol::ids::{JobId, PipelineId};
use russet_protocol::machine::Waiting;
use russet_protocol::outcome::{Outcome, Phase};

use crate::follow_seen::Seen;
use crate::output_reader::{ReadError, piece};
use crate::people::Reach;
use crate::state::App;
use crate::store::jobs::JobRow;
use crate::store::steps::StepRow;
use crate::store::{jobs, pipelines, steps, workflows};
use crate::waits::Explainer;

/// Destination of events.
pub(crate) trait Sink {
    /// Sends one; waits until there is room. `false`: nobody reads any more.
    fn send(&mut self, event: &StreamEvent) -> impl Future<Output = bool> + Send;
}

/// Part of a step that was sent.
#[derive(Debug)]
struct Sent {
    job: JobId,
    /// Last state of it that was sent.
    said: Option<StepState>,
    /// Bytes of its output.
    bytes: u64,
}

/// The place of a reader in a pipeline.
#[derive(Debug)]
pub(crate) struct Follower {
    pipeline: PipelineId,
    /// Namespaces that the reader may see.
    sight: Reach,
    /// The changes of jobs and of steps that were sent. Two, since they are read one after the
    /// other, and there may be a commit between.
    jobs_seen: Seen<JobId>,
    steps_seen: Seen<i64>,
    steps: HashMap<i64, Sent>,
    /// Time at which each job was claimed, which tells one claim from the next.
    claims: HashMap<JobId, u64>,
    /// Jobs that are queued, with the reason to wait that was sent last.
    queued: BTreeMap<JobId, (JobRow, Option<Waiting>)>,
    /// Reasons to wait were looked for.
    has_explained: bool,
}

/// Pause between two looks for reasons to wait, and time in the queue before the first: most jobs
/// are not there for long.
const WAIT_LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Tells a reader to go on or to stop.
type Go = Result<bool, ReadError>;

impl Follower {
    pub(crate) fn new(pipeline: PipelineId, sight: Reach) -> Self {
        Self {
            pipeline,
            sight,
            jobs_seen: Seen::nothing(),
            steps_seen: Seen::nothing(),
            steps: HashMap::new(),
            claims: HashMap::new(),
            queued: BTreeMap::new(),
            has_explained: false,
        }
    }

    /// Returns the pipeline that is followed.
    pub(crate) fn pipeline(&self) -> &PipelineId {
        &self.pipeline
    }

    /// Returns the time until reasons to wait are to be looked for, which may change without a
    /// commit; `None` while no job is queued. A reader that comes late, or comes back, need not wait
    /// for those of jobs that have been queued for a while.
    pub(crate) fn until_look(&self, now_ms: u64) -> Option<Duration> {
        let since =
            self.queued.values().map(|(row, _)| row.job.queued_ms.unwrap_or(now_ms)).min()?;
        let queued_for = Duration::from_millis(now_ms.saturating_sub(since));
        Some(match self.has_explained {
            true => WAIT_LOOK_INTERVAL,
            false => WAIT_LOOK_INTERVAL.saturating_sub(queued_for),
        })
    }

    /// Sends the queued jobs whose reasons to wait have changed. Answers whether nobody reads any
    /// more.
    pub(crate) async fn explain_waits(&mut self, app: &App, sink: &mut impl Sink) -> Go {
        self.has_explained = true;
        let (mut explainer, mut changed) = (Explainer::new(self.sight.clone()), Vec::new());
        let mut conn = app.store.read().await?;
        for (row, said) in self.queued.values_mut() {
            let mut job = row.job.clone();
            explainer.explain_wait(app, &mut conn, &mut job).await?;
            if job.waiting != *said {
                said.clone_from(&job.waiting);
                changed.push(StreamEvent::Job { workflow: row.workflow.clone(), job });
            }
        }
        drop(conn);
        for event in &changed {
            if !sink.send(event).await {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends everything that has happened since the last call. Answers whether nothing will
    /// follow: all has ended, or nobody reads any more.
    pub(crate) async fn catch_up(&mut self, app: &App, sink: &mut impl Sink) -> Go {
        // In this order: what is read later is at least as new. So when all had ended, all of it
        // is read, and a job that has ended has all its steps.
        let mut conn = app.store.read().await?;
        let horizon = conn.horizon().await?;
        let ended = workflows::all_ended(&mut conn, &self.pipeline).await?;
        let (seen_jobs, seen_steps) = (self.jobs_seen.all_to(), self.steps_seen.all_to());
        let mut jobs = jobs::changed_since(&mut conn, &self.pipeline, seen_jobs).await?;
        let mut steps = steps::changed_since(&mut conn, &self.pipeline, seen_steps).await?;
        drop(conn);
        jobs.retain(|row| self.jobs_seen.is_new(row.job.id.clone(), row.rev));
        steps.retain(|row| self.steps_seen.is_new(row.key, row.rev));
        self.jobs_seen.pass(horizon);
        self.steps_seen.pass(horizon);
        self.forget_earlier_claims(&jobs);
        // What has ended comes first, with its steps before it: what runs now, or waits for an
        // approval, may follow from that.
        let (mut over, open): (Vec<JobRow>, Vec<JobRow>) =
            jobs.into_iter().partition(|row| row.job.phase == Phase::Ended);
        over.sort_by_key(|row| row.job.ended_ms);
        let (running, waiting): (Vec<JobRow>, Vec<JobRow>) =
            open.into_iter().partition(|row| row.job.phase == Phase::Running);
        let over_ids: HashSet<&JobId> = over.iter().map(|row| &row.job.id).collect();
        let (early, late): (Vec<StepRow>, Vec<StepRow>) =
            steps.into_iter().partition(|step| over_ids.contains(&step.job));
        let go = self.steps(app, sink, early).await?
            && self.jobs(sink, over).await
            && self.jobs(sink, running).await
            && self.steps(app, sink, late).await?
            && self.jobs(sink, waiting).await;
        if !go {
            return Ok(true);
        }
        if ended {
            let mut conn = app.store.read().await?;
            let pipeline = pipelines::get(&mut conn, &self.pipeline).await?;
            drop(conn);
            if let Some(pipeline) = pipeline {
                sink.send(&StreamEvent::End { pipeline }).await;
            }
        }
        Ok(ended)
    }

    /// A job that was put back and claimed anew has other steps now, also where they have the keys
    /// of the earlier ones, and their output begins at its beginning.
    fn forget_earlier_claims(&mut self, jobs: &[JobRow]) {
        for JobRow { job, .. } in jobs {
            if let Some(at) = job.started_ms
                && self.claims.insert(job.id.clone(), at).is_some_and(|before| before != at)
            {
                self.steps.retain(|_, sent| sent.job != job.id);
            }
        }
    }

    async fn jobs(&mut self, sink: &mut impl Sink, rows: Vec<JobRow>) -> bool {
        for row in rows {
            if !self.job(sink, row).await {
                return false;
            }
        }
        true
    }

    async fn steps(&mut self, app: &App, sink: &mut impl Sink, rows: Vec<StepRow>) -> Go {
        for row in rows {
            if !self.step(app, sink, row).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn job(&mut self, sink: &mut impl Sink, row: JobRow) -> bool {
        if row.job.phase == Phase::Queued {
            let said = self.queued.remove(&row.job.id).and_then(|(_, said)| said);
            self.queued.insert(row.job.id.clone(), (row.clone(), said));
        } else {
            self.queued.remove(&row.job.id);
        }
        sink.send(&StreamEvent::Job { workflow: row.workflow, job: row.job }).await
    }

    /// A step: that it began, then its output, then how it ended, once all output was sent.
    async fn step(&mut self, app: &App, sink: &mut impl Sink, row: StepRow) -> Go {
        let sent = self.steps.entry(row.key).or_insert_with(|| Sent {
            job: row.job.clone(),
            said: None,
            bytes: 0,
        });
        let begun = StepState {
            outcome: None,
            exit_code: None,
            message: None,
            ended_ms: None,
            output_bytes: 0,
            ..row.step.clone()
        };
        let known = sent.said.as_ref();
        // One that was left out never began.
        let announce = row.step.outcome != Some(Outcome::NotRun)
            && known.is_none_or(|said| {
                said.outcome.is_none()
                    && (said.name != begun.name || said.background != begun.background)
            });
        if announce {
            sent.said = Some(begun.clone());
            if !sink.send(&StreamEvent::Step { job: row.job.clone(), step: begun }).await {
                return Ok(false);
            }
        }
        while sent.bytes < row.step.output_bytes {
            let bytes = piece(app, row.key, sent.bytes, row.step.output_bytes).await?;
            let event = StreamEvent::Output {
                job: row.job.clone(),
                task: row.step.task,
                step: row.step.number,
                offset: sent.bytes,
                data: STANDARD.encode(&bytes),
            };
            sent.bytes += bytes.len() as u64;
            if !sink.send(&event).await {
                return Ok(false);
            }
        }
        if row.is_complete() && sent.said.as_ref() != Some(&row.step) {
            sent.said = Some(row.step.clone());
            return Ok(sink.send(&StreamEvent::Step { job: row.job, step: row.step }).await);
        }
        Ok(true)
    }
}
