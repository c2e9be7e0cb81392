//! Masking of secrets in a stream of output.
//!
//! Replacing what a matcher reports, match by match, leaks: with `hunter2` and `hunter2-prod`
//! the shorter one is reported first and `-prod` is printed, and of two secrets that overlap
//! (`alphaBETA`, `BETAgamma`) only one is ever reported. So every occurrence is looked for,
//! overlapping ones too, and the union of their ranges is what `****` stands for.
//!
//! A secret may arrive in pieces. The automaton knows at each byte how long a beginning of a
//! secret the output ends with; exactly so many bytes are held back, everything before them goes
//! out at once. They are let go when what follows shows that they are no secret, or at the end
//! of the stream, never because time passed.
//!
//! base64 is looked for besides, across the line breaks that tools wrap it with: see `wrapped`.

mod variants;
mod wrapped;

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::automaton::{Automaton, Candidate, StateID};
use aho_corasick::{Anchored, Span, dfa, nfa};
use russet_protocol::secret::Secret;

use wrapped::Wrapped;

/// Text that stands in the place of a secret.
pub const MASK: &[u8] = b"****";

/// Up to this many bytes of patterns the fastest automaton is built. Its size is a multiple of
/// them (about 256 times), so for more a compact one does.
const DFA_PATTERN_BYTES: usize = 4096;

/// A set of secrets to look for, compiled once and shared by all steps of a task.
#[derive(Clone, Debug, Default)]
pub struct Masks(Option<Arc<Compiled>>);

#[derive(Debug)]
struct Compiled {
    /// Patterns that are looked for as they stand.
    plain: Track,
    /// Patterns that are looked for across line breaks.
    wrapped: Wrapped,
}

/// An automaton with what it takes to hold back as little as possible.
#[derive(Debug)]
struct Track {
    machine: Machine,
    start: StateID,
    /// Bytes of a secret that are read in each state, by state.
    depths: HashMap<StateID, usize>,
    longest: usize,
}

#[derive(Debug)]
enum Machine {
    Fast(dfa::DFA),
    Compact(nfa::contiguous::NFA),
}

impl Track {
    fn compile(patterns: &[Vec<u8>]) -> Result<Self, MaskError> {
        let bytes: usize = patterns.iter().map(Vec::len).sum();
        let machine = if bytes <= DFA_PATTERN_BYTES {
            Machine::Fast(dfa::Builder::new().build(patterns).map_err(MaskError::new)?)
        } else {
            Machine::Compact(
                nfa::contiguous::Builder::new().build(patterns).map_err(MaskError::new)?,
            )
        };
        let compiled = match &machine {
            Machine::Fast(dfa) => index(dfa, patterns),
            Machine::Compact(nfa) => index(nfa, patterns),
        };
        let (start, depths) = compiled?;
        let longest = patterns.iter().map(Vec::len).max().unwrap_or_default();
        Ok(Self { machine, start, depths, longest })
    }

    /// Bytes of a secret that are read in a state. An unknown state cannot come up; holding
    /// back more than needed would be its safe side.
    fn depth(&self, state: StateID) -> usize {
        self.depths.get(&state).copied().unwrap_or(self.longest)
    }

    /// Reads `buffer` from `at` on and adds the occurrences that end in it to `runs`.
    fn scan(&self, state: StateID, buffer: &[u8], at: usize, runs: &mut Vec<Run>) -> StateID {
        match &self.machine {
            Machine::Fast(dfa) => scan(dfa, self, state, buffer, at, runs),
            Machine::Compact(nfa) => scan(nfa, self, state, buffer, at, runs),
        }
    }
}

impl Masks {
    /// Compiles what must not be seen: the values, and the forms in which tools print them.
    ///
    /// # Errors
    /// There are more secrets than an automaton can hold, which is some gigabytes.
    pub fn new(secrets: &[Secret]) -> Result<Self, MaskError> {
        let patterns = variants::of_all(secrets.iter().map(Secret::expose));
        if patterns.plain.is_empty() {
            return Ok(Self(None));
        }
        let plain = Track::compile(&patterns.plain)?;
        let wrapped = Wrapped::compile(&patterns.base64)?;
        Ok(Self(Some(Arc::new(Compiled { plain, wrapped }))))
    }

    /// A masker for one stream.
    #[must_use]
    pub fn masker(&self) -> Masker {
        Masker {
            states: self.0.as_deref().map(Compiled::start),
            masks: self.clone(),
            held: Vec::new(),
            runs: Vec::new(),
            first_run_is_out: false,
        }
    }

    /// A whole text, masked.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        let mut masker = self.masker();
        masker.push(text.as_bytes(), &mut out);
        masker.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// The secrets could not be compiled. The text names none of them.
#[derive(Debug, thiserror::Error)]
#[error("could not prepare the masking of secrets: {0}")]
pub struct MaskError(String);

impl MaskError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Walks every pattern once: the state after its first `n` bytes is the one of depth `n`.
fn index<A: Automaton>(
    automaton: &A,
    patterns: &[Vec<u8>],
) -> Result<(StateID, HashMap<StateID, usize>), MaskError> {
    let start = automaton.start_state(Anchored::No).map_err(MaskError::new)?;
    let mut depths = HashMap::from([(start, 0)]);
    for pattern in patterns {
        let mut state = start;
        for (position, byte) in pattern.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, *byte);
            depths.insert(state, position + 1);
        }
    }
    Ok((start, depths))
}

impl Compiled {
    fn start(&self) -> States {
        States { plain: self.plain.start, wrapped: self.wrapped.start() }
    }
}

/// Positions of the automata in a stream.
#[derive(Clone, Copy, Debug)]
struct States {
    plain: StateID,
    wrapped: wrapped::State,
}

/// A run of bytes to be replaced, relative to what is held back.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    end: usize,
}

/// Masks one stream of output.
#[derive(Debug)]
pub struct Masker {
    masks: Masks,
    states: Option<States>,
    /// Bytes that may be the beginning of a secret.
    held: Vec<u8>,
    /// Ranges of `held` to be replaced so far: sorted, apart from each other.
    runs: Vec<Run>,
    /// Set once the mask of the first run has been written.
    first_run_is_out: bool,
}

impl Masker {
    /// Reads `input` and appends to `out` what can be shown of it by now.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let (Some(compiled), Some(states)) = (self.masks.0.clone(), self.states) else {
            out.extend_from_slice(input);
            return;
        };
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            self.take(&compiled, states, input, 0, out);
        } else {
            let known = held.len();
            let mut buffer = held;
            buffer.extend_from_slice(input);
            self.take(&compiled, states, &buffer, known, out);
        }
    }

    /// The stream is at its end: what was held back is no secret, or is masked already.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.emit(&held, held.len(), out);
        self.states = self.masks.0.as_deref().map(Compiled::start);
        self.runs.clear();
        self.first_run_is_out = false;
    }

    fn take(
        &mut self,
        compiled: &Compiled,
        states: States,
        buffer: &[u8],
        known: usize,
        out: &mut Vec<u8>,
    ) {
        let mut plain = Vec::new();
        let state = compiled.plain.scan(states.plain, buffer, known, &mut plain);
        let mut wrapped = states.wrapped;
        let more = compiled.wrapped.scan(&mut wrapped, buffer, known);
        if !plain.is_empty() || !more.is_empty() {
            self.runs = union(std::mem::take(&mut self.runs).into_iter().chain(plain).chain(more));
        }
        let limit = buffer.len().saturating_sub(compiled.plain.depth(state));
        let limit = limit.min(compiled.wrapped.beginning(wrapped, buffer));
        self.states = Some(States { plain: state, wrapped });
        self.emit(buffer, limit, out);
        self.held.extend_from_slice(&buffer[limit..]);
    }

    /// Writes the first `limit` bytes of `buffer`, with the runs replaced, and keeps the runs
    /// that reach or touch the rest: what follows may lengthen them.
    fn emit(&mut self, buffer: &[u8], limit: usize, out: &mut Vec<u8>) {
        let mut at = 0;
        let mut rest = Vec::new();
        for (position, run) in self.runs.iter().enumerate() {
            let is_out = position == 0 && self.first_run_is_out;
            if run.start < limit || is_out {
                out.extend_from_slice(&buffer[at..run.start.max(at)]);
                if !is_out {
                    out.extend_from_slice(MASK);
                }
                at = run.end.min(limit).max(at);
            }
            if run.end >= limit {
                rest.push(Run { start: run.start.saturating_sub(limit), end: run.end - limit });
                if rest.len() == 1 {
                    self.first_run_is_out = run.start < limit || is_out;
                }
            }
        }
        out.extend_from_slice(&buffer[at..limit]);
        if rest.is_empty() {
            self.first_run_is_out = false;
        }
        self.runs = rest;
    }
}

/// Reads `buffer` from `at` on and adds the occurrences that end in it to `runs`.
fn scan<A: Automaton>(
    automaton: &A,
    track: &Track,
    mut state: StateID,
    buffer: &[u8],
    mut at: usize,
    runs: &mut Vec<Run>,
) -> StateID {
    // A prefilter finds whole secrets only. In the last bytes one may begin that ends in the
    // next piece, so the automaton reads those itself.
    let tail = buffer.len().saturating_sub(track.longest);
    let prefilter = automaton.prefilter();
    while at < buffer.len() {
        if state == track.start
            && at < tail
            && let Some(prefilter) = prefilter
        {
            let found = match prefilter.find_in(buffer, Span { start: at, end: buffer.len() }) {
                Candidate::None => tail,
                Candidate::Match(found) => found.start(),
                Candidate::PossibleStartOfMatch(start) => start,
            };
            at = found.min(tail).max(at);
        }
        state = automaton.next_state(Anchored::No, state, buffer[at]);
        at += 1;
        if automaton.is_special(state) && automaton.is_match(state) {
            let longest = (0..automaton.match_len(state))
                .map(|index| automaton.pattern_len(automaton.match_pattern(state, index)))
                .max()
                .unwrap_or_default();
            add(runs, Run { start: at.saturating_sub(longest), end: at });
        }
    }
    state
}

/// Adds a run that ends after all others, swallowing those that it overlaps or touches.
fn add(runs: &mut Vec<Run>, mut new: Run) {
    while let Some(last) = runs.last()
        && last.end >= new.start
    {
        new.start = new.start.min(last.start);
        new.end = new.end.max(last.end);
        runs.pop();
    }
    runs.push(new);
}

/// Joins runs in any order: sorted, apart from each other. One that is out already begins at 0, and
/// stays the first.
fn union(runs: impl Iterator<Item = Run>) -> Vec<Run> {
    let mut sorted: Vec<Run> = runs.collect();
    sorted.sort_by_key(|run| run.start);
    let mut joined: Vec<Run> = Vec::with_capacity(sorted.len());
    for run in sorted {
        match joined.last_mut() {
            Some(last) if last.end >= run.start => last.end = last.end.max(run.end),
            _ => joined.push(run),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
