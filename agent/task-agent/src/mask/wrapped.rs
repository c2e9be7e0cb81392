//! base64 across line breaks.
//!
//! Tools wrap base64 at 64 or 76 characters, or at any other column, and YAML indents what follows
//! a break. So its characters go through an automaton of their own, which does not see breaks and
//! the blanks after them, and which every other character sets back to its start.
//!
//! Fewer than [`MIN_HELD`] characters before a break are not held back: nearly every line ends with
//! the first character of some encoded secret, and what is held back is not shown before more
//! comes. If a secret does follow, those characters of it, less than three bytes, are all that is
//! seen.

use aho_corasick::automaton::{Automaton, StateID};

use super::{Anchored, Machine, MaskError, Run, Track, add};

/// So many characters before a line break are the beginning of a secret, if one may begin there.
pub(super) const MIN_HELD: usize = 4;

/// Patterns that are looked for across line breaks.
#[derive(Debug)]
pub(super) struct Wrapped {
    /// `None`: nothing.
    track: Option<Track>,
    /// Which bytes a pattern begins with.
    firsts: [bool; 256],
}

/// Position of the automaton in a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    state: Option<StateID>,
    /// Set while only blanks were read since a line break.
    is_at_beginning: bool,
}

impl Wrapped {
    pub(super) fn compile(patterns: &[Vec<u8>]) -> Result<Self, MaskError> {
        let mut firsts = [false; 256];
        for first in patterns.iter().filter_map(|pattern| pattern.first()) {
            firsts[usize::from(*first)] = true;
        }
        let has_any = !patterns.is_empty();
        Ok(Self { track: has_any.then(|| Track::compile(patterns)).transpose()?, firsts })
    }

    pub(super) fn start(&self) -> State {
        State { state: self.track.as_ref().map(|track| track.start), is_at_beginning: true }
    }

    /// Reads `buffer` from `at` on and returns the occurrences that end in it.
    pub(super) fn scan(&self, state: &mut State, buffer: &[u8], at: usize) -> Vec<Run> {
        let mut runs = Vec::new();
        if let Some(track) = &self.track {
            match &track.machine {
                Machine::Fast(dfa) => self.read(dfa, track, state, buffer, at, &mut runs),
                Machine::Compact(nfa) => self.read(nfa, track, state, buffer, at, &mut runs),
            }
        }
        runs
    }

    fn read<A: Automaton>(
        &self,
        automaton: &A,
        track: &Track,
        state: &mut State,
        buffer: &[u8],
        mut at: usize,
        runs: &mut Vec<Run>,
    ) {
        let mut now = state.state.unwrap_or(track.start);
        let mut is_at_beginning = state.is_at_beginning;
        while let Some(byte) = buffer.get(at).copied() {
            // Most of what is printed leads nowhere.
            if now == track.start && !self.firsts[usize::from(byte)] {
                at += 1;
                continue;
            }
            at += 1;
            match byte {
                b'\n' | b'\r' => is_at_beginning = true,
                b' ' | b'\t' if is_at_beginning => {}
                _ if !is_base64(byte) => {
                    now = track.start;
                    is_at_beginning = false;
                }
                _ => {
                    is_at_beginning = false;
                    now = automaton.next_state(Anchored::No, now, byte);
                    if automaton.is_special(now) && automaton.is_match(now) {
                        let longest = (0..automaton.match_len(now))
                            .map(|index| automaton.pattern_len(automaton.match_pattern(now, index)))
                            .max()
                            .unwrap_or_default();
                        add(runs, Run { start: walk_back(&buffer[..at], longest), end: at });
                    }
                }
            }
        }
        *state = State { state: Some(now), is_at_beginning };
    }

    /// Returns where in `buffer` a secret may begin that is not complete.
    pub(super) fn beginning(&self, state: State, buffer: &[u8]) -> usize {
        let (Some(track), Some(state)) = (&self.track, state.state) else { return buffer.len() };
        walk_back(buffer, track.depth(state))
    }
}

/// Returns where the last `count` characters of base64 in `buffer` begin, leaving out those before
/// a break which are too few to be held back. What is not in the buffer any more was let go.
fn walk_back(buffer: &[u8], count: usize) -> usize {
    let (mut left, mut start) = (count, buffer.len());
    for (at, byte) in buffer.iter().enumerate().rev() {
        if left == 0 || (matches!(byte, b'\n' | b'\r') && left < MIN_HELD) {
            break;
        }
        if is_base64(*byte) {
            left -= 1;
            start = at;
        }
    }
    start
}

/// Both alphabets, without the padding.
pub(super) const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}
