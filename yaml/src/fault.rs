//! Fault of a text.

use crate::source::Span;

/// Faults that are kept at most: a hostile text should not cost more memory for its faults than for
/// itself.
const MAX_FAULTS: usize = 10_000;

/// Something that is wrong at a place of the text.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The place.
    pub span: Span,
    /// Fault: one sentence without a full stop.
    pub message: String,
    /// Remedy.
    pub hint: Option<String>,
    /// A second place that explains this one, and what it has to do with it.
    pub related: Option<(Span, String)>,
}

impl Fault {
    /// Creates a fault without a hint.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None, related: None }
    }

    /// Says what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As [`Fault::hint`], where there is one.
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Points to a second place.
    pub(crate) fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related = Some((span, message.into()));
        self
    }
}

/// Adds a fault to others, up to [`MAX_FAULTS`].
pub(crate) fn add_fault(faults: &mut Vec<Fault>, fault: Fault) {
    if faults.len() < MAX_FAULTS {
        faults.push(fault);
    }
}
