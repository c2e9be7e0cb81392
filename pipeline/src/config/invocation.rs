//! A job of a workflow, as it is written there.

use super::filters::Filters;
use crate::compiled::{JobKind, Required};
use crate::source::Span;

/// A job of a workflow.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// Name within the workflow.
    pub(crate) name: String,
    /// Name among the `jobs`.
    pub(crate) job: String,
    pub(crate) span: Span,
    pub(crate) requires: Vec<(String, Span)>,
    /// Of those it requires, the ones whose other ways of ending will do as well.
    pub(crate) statuses: Vec<Required>,
    pub(crate) kind: JobKind,
    pub(crate) filters: Filters,
    pub(crate) contexts: Vec<String>,
    pub(crate) serial_group: Option<String>,
    /// Number of times that it is run again; the job's own counts where it is greater.
    pub(crate) max_auto_reruns: u32,
}

impl Invocation {
    /// A job with nothing but its name.
    pub(crate) fn new(job: &str, span: Span) -> Self {
        Self {
            name: job.to_owned(),
            job: job.to_owned(),
            span,
            requires: Vec::new(),
            statuses: Vec::new(),
            kind: JobKind::Build,
            filters: Filters::default(),
            contexts: Vec::new(),
            serial_group: None,
            max_auto_reruns: 0,
        }
    }
}
