//! Problems that the stages report, before they are given lines and snippets.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Related, Severity};
use crate::source::{Source, Span};

/// Errors that are shown at most; a file that is all wrong needs no more to be understood.
const MOST_SHOWN: usize = 100;

/// Further lines that are listed for a feature that is used in many places.
const MOST_LINES: usize = 5;

/// Something to report about a span.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) related: Option<(Span, String)>,
    /// The part of the language that is not supported yet, where that is the problem. Such a
    /// problem is reported once, with the other places in a note, and not at all for jobs that
    /// would not run.
    pub(crate) feature: Option<String>,
    pub(crate) nature: Nature,
}

/// The nature of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Something is wrong in what is written.
    Mistake,
    /// It is understood, but cannot be run. No error for who only checks.
    NotRun,
    /// Something that it needs is not there, such as an orb. Matters only where it is used.
    Missing,
    /// It was reported elsewhere.
    Silent,
}

impl Problem {
    /// Something that stands in the way.
    pub(crate) fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span,
            message: message.into(),
            hint: None,
            related: None,
            feature: None,
            nature: Nature::Mistake,
        }
    }

    /// Something worth knowing.
    pub(crate) fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// A part of the language that is known but cannot be run yet.
    pub(crate) fn unsupported(span: Span, feature: impl Into<String>) -> Self {
        let feature = feature.into();
        let message = format!("{feature} is not supported yet");
        Self { feature: Some(feature), nature: Nature::NotRun, ..Self::error(span, message) }
    }

    /// Makes it one that is reported once for all its places, like a part of the language that
    /// is not supported.
    pub(crate) fn grouped(mut self) -> Self {
        self.feature = Some(self.message.clone());
        self.nature = Nature::NotRun;
        self
    }

    /// Makes it one that matters only where what it is about is used.
    pub(crate) fn environmental(mut self) -> Self {
        self.feature = Some(self.message.clone());
        self.nature = Nature::Missing;
        self
    }

    /// Makes it one that is not shown, since another says why.
    pub(crate) fn silent(mut self) -> Self {
        self.nature = Nature::Silent;
        self
    }

    /// Says what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As [`Problem::hint`], where there is one.
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

impl From<russet_yaml::Fault> for Problem {
    fn from(fault: russet_yaml::Fault) -> Self {
        let problem = Self::error(fault.span, fault.message).maybe_hint(fault.hint);
        match fault.related {
            Some((span, message)) => problem.related(span, message),
            None => problem,
        }
    }
}

/// Adds a problem to others. Beyond any number that could be of use it is dropped: a hostile
/// configuration should not cost more memory for its errors than for itself.
pub(crate) fn add(problems: &mut Vec<Problem>, problem: Problem) {
    const MOST: usize = 10_000;
    if problems.len() < MOST {
        problems.push(problem);
    }
}

/// Turns problems into diagnostics, in the order of the text: errors and warnings apart.
pub(crate) fn diagnose(
    source: &Source<'_>,
    mut problems: Vec<Problem>,
) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    problems.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
    // A node that is reached through two aliases is wrong once.
    problems.dedup_by(|a, b| a.span == b.span && a.message == b.message);

    let mut places: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for problem in &problems {
        if let Some(feature) = &problem.feature {
            places.entry(feature.clone()).or_default().push(problem.span);
        }
    }
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    let mut left_out = 0_usize;
    for problem in problems {
        let mut note = None;
        if let Some(feature) = &problem.feature {
            match places.remove(feature) {
                Some(spans) => note = also_at(source, &spans),
                None => continue,
            }
        }
        let list = if problem.severity == Severity::Error { &mut errors } else { &mut warnings };
        if list.len() < MOST_SHOWN {
            list.push(to_diagnostic(source, problem, note));
        } else if problem.severity == Severity::Error {
            left_out += 1;
        }
    }
    if let Some(last) = errors.last_mut().filter(|_| left_out > 0) {
        last.note = Some(format!("{left_out} more errors are not shown"));
    }
    (errors, warnings)
}

/// The note that lists where else a feature is used.
fn also_at(source: &Source<'_>, spans: &[Span]) -> Option<String> {
    let first = source.line(spans.first()?.start);
    let lines: BTreeSet<usize> =
        spans.iter().map(|span| source.line(span.start)).filter(|line| *line != first).collect();
    let shown: Vec<String> = lines.iter().take(MOST_LINES).map(ToString::to_string).collect();
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    match lines.len() {
        0 => None,
        count if count > MOST_LINES => {
            let more = count - MOST_LINES;
            Some(format!("also in {noun} {} and {more} more", shown.join(", ")))
        }
        _ => Some(format!("also in {noun} {}", shown.join(", "))),
    }
}

/// Gives a problem its line.
fn to_diagnostic(source: &Source<'_>, problem: Problem, note: Option<String>) -> Diagnostic {
    let place = source.place(problem.span);
    let related = problem.related.map(|(span, message)| {
        let place = source.place(span);
        let (file, line, column) = (place.file, place.line, place.column);
        Related { message, file, line, column, snippet: place.snippet }
    });
    Diagnostic {
        severity: problem.severity,
        message: problem.message,
        file: place.file,
        line: place.line,
        column: place.column,
        snippet: place.snippet,
        related,
        note,
        hint: problem.hint,
    }
}
