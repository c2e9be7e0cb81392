//! Numbers of objects.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::histograms;

/// Limits of the buckets of operations' durations, in seconds.
const OPERATION_SECONDS: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0];

/// Operation on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Write,
    Read,
    Stat,
    Delete,
    List,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Write, Self::Read, Self::Stat, Self::Delete, Self::List];

    fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Stat => "stat",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOperation {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    operation: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDirection {
    direction: &'static str,
}

/// Numbers of the place where objects are.
#[derive(Debug)]
pub(crate) struct ObjectMeters {
    operations: Family<ByResult, Counter>,
    seconds: Family<ByOperation, Histogram>,
    bytes: Family<ByDirection, Counter>,
}

impl Default for ObjectMeters {
    fn default() -> Self {
        let meters = Self {
            operations: Family::default(),
            seconds: histograms(|| Histogram::new(OPERATION_SECONDS)),
            bytes: Family::default(),
        };
        for operation in Operation::ALL {
            drop(meters.operations.get_or_create(&by_result(operation, "unavailable")));
            drop(meters.operations.get_or_create(&by_result(operation, "failed")));
        }
        meters
    }
}

fn by_result(operation: Operation, result: &'static str) -> ByResult {
    ByResult { operation: operation.as_str(), result }
}

impl ObjectMeters {
    /// Counts an operation that began at `began` and ended with `result`.
    pub(crate) fn count(&self, operation: Operation, began: Instant, result: &'static str) {
        self.operations.get_or_create(&by_result(operation, result)).inc();
        self.seconds
            .get_or_create(&ByOperation { operation: operation.as_str() })
            .observe(began.elapsed().as_secs_f64());
    }

    /// Counts bytes that were written.
    pub(crate) fn count_written(&self, bytes: u64) {
        self.bytes.get_or_create(&ByDirection { direction: "written" }).inc_by(bytes);
    }

    /// Counts bytes that are read.
    pub(crate) fn count_read(&self, bytes: u64) {
        self.bytes.get_or_create(&ByDirection { direction: "read" }).inc_by(bytes);
    }

    /// Adds the numbers to what is told.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "object_operations",
            "Operations on objects: `ok`, `not_found`, `unavailable` (the bucket does not answer, or \
             refuses), `busy` (too many large uploads at the same time), `refused` (the caller's bytes \
             broke off, were too many or others than announced), `failed`",
            self.operations.clone(),
        );
        registry.register_with_unit(
            "object_operation",
            "Duration of operations on objects; a read ends with the begin of its bytes, and a write \
             takes as long as its bytes come",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register_with_unit(
            "object",
            "Bytes of objects, `written` and `read`",
            Unit::Bytes,
            self.bytes.clone(),
        );
    }
}
