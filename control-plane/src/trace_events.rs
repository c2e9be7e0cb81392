//! Ends of things in a commit, for those who make traces. Without them nobody notes anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use russet_protocol::ids::{JobId, PipelineId, TaskId, WorkflowId};
use tokio::sync::mpsc;

/// Ends that are yet to be looked at. More are dropped, and counted.
pub(crate) const MAX_WAITING: usize = 4096;

/// Something that ended, of which a span is made from what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The submit of a pipeline.
    Submit(PipelineId),
    Task(TaskId),
    Job(JobId),
    Workflow(WorkflowId),
}

/// Numbers of spans, for metrics.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    /// Spans that a collector took.
    pub(crate) exported: AtomicU64,
    /// Spans that no collector took.
    pub(crate) failed: AtomicU64,
    /// Ends of which no span was made, since too many waited.
    pub(crate) dropped: AtomicU64,
}

/// The way to those who make traces.
#[derive(Clone, Debug)]
pub(crate) struct EndedSink {
    sender: mpsc::Sender<Ended>,
    counts: Arc<SpanCounts>,
}

impl EndedSink {
    /// Makes a way, and its end.
    pub(crate) fn new(counts: Arc<SpanCounts>) -> (Self, mpsc::Receiver<Ended>) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        (Self { sender, counts }, receiver)
    }

    /// Tells of an end, unless too many wait: no commit waits for a trace.
    pub(crate) fn tell(&self, ended: Ended) {
        if self.sender.try_send(ended).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::{Ended, EndedSink, MAX_WAITING, SpanCounts};

    #[test]
    fn ends_that_nobody_looks_at_are_dropped_and_counted() {
        let counts = Arc::new(SpanCounts::default());
        let (sink, mut receiver) = EndedSink::new(Arc::clone(&counts));
        for _ in 0..MAX_WAITING + 3 {
            sink.tell(Ended::Job("j".into()));
        }
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(receiver.try_recv().unwrap(), Ended::Job("j".into()));
        sink.tell(Ended::Job("j".into()));
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 3);
    }
}
