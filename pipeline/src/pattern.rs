//! Regular expressions of filters and conditions.
//!
//! Those of real configurations look ahead (`^(?!main$).*`), which needs an engine that can go
//! back. Such a pattern can take exponential time for a value, and both are written by whoever
//! can push: the steps it may take are limited, as is the size it compiles to.

use std::collections::HashMap;
use std::rc::Rc;

use crate::source::quoted;

/// Longest pattern, in bytes. What a pattern compiles to grows with its counts as well.
const LONGEST: usize = 4096;

/// Bytes that a pattern may compile to: most need little, and few are worth the second.
const SIZES: [usize; 2] = [1 << 16, 1 << 20];

/// Bytes that all patterns may compile to.
const MOST_SIZE: usize = 64 << 20;

/// Steps back that one match may take: some milliseconds.
const MOST_STEPS: usize = 50_000;

/// Reasons why a regular expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("this is not a regular expression: it is longer than {LONGEST} bytes")]
    TooLong,
    /// The engine's message, one line of it.
    #[error("this is not a regular expression: {}", quoted(.0))]
    Syntax(String),
    #[error(
        "the regular expressions of this configuration compile to more than {} MiB",
        MOST_SIZE / 1024 / 1024
    )]
    TooMuchInAll,
}

/// A regular expression.
#[derive(Debug)]
pub(crate) struct Pattern(fancy_regex::Regex);

impl Pattern {
    /// Reads a pattern, which has to match the whole of a value or any part of it. `size` is how
    /// many bytes it may compile to.
    ///
    /// # Errors
    ///
    /// The mistake in it.
    fn new(text: &str, whole: bool, size: usize) -> Result<Self, PatternError> {
        if text.len() > LONGEST {
            return Err(PatternError::TooLong);
        }
        // An error tells a position, which should be one of the text as it is written.
        let built = build(text, size).and_then(|plain| {
            if whole { build(&format!(r"\A(?:{text})\z"), size) } else { Ok(plain) }
        });
        match built {
            Ok(regex) => Ok(Self(regex)),
            Err(error) => {
                // The engine draws the pattern below its message; one line is enough here.
                let text = error.to_string();
                let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
                Err(PatternError::Syntax(line.trim().trim_start_matches("error: ").to_owned()))
            }
        }
    }

    /// Returns whether it matches. `None` where finding out takes too long.
    pub(crate) fn is_match(&self, value: &str) -> Option<bool> {
        self.0.is_match(value).ok()
    }
}

fn build(text: &str, size: usize) -> Result<fancy_regex::Regex, fancy_regex::Error> {
    fancy_regex::RegexBuilder::new(text)
        .backtrack_limit(MOST_STEPS)
        .delegate_size_limit(size)
        .delegate_dfa_size_limit(size)
        .build()
}

/// The patterns of a configuration, each made once: one takes up to some milliseconds and a
/// mebibyte.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    made: HashMap<(String, bool), Result<Rc<Pattern>, PatternError>>,
    spent: usize,
}

impl Patterns {
    /// The pattern of a text, which has to match the whole of a value or any part of it.
    ///
    /// # Errors
    ///
    /// The mistake in it.
    pub(crate) fn get(&mut self, text: &str, whole: bool) -> Result<Rc<Pattern>, PatternError> {
        let key = (text.to_owned(), whole);
        if let Some(made) = self.made.get(&key) {
            return made.clone();
        }
        let mut made = Err(PatternError::TooMuchInAll);
        for size in SIZES {
            if self.spent + size > MOST_SIZE {
                return made;
            }
            self.spent += size;
            made = Pattern::new(text, whole, size).map(Rc::new);
            if made.is_ok() {
                break;
            }
        }
        self.made.insert(key, made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_SIZE, Pattern, Patterns, SIZES};

    #[test]
    fn patterns_look_ahead_and_match_the_whole_where_they_should() {
        let not_main = Pattern::new("^(?!main$).*", true, SIZES[0]).unwrap();
        assert_eq!(not_main.is_match("main"), Some(false));
        assert_eq!(not_main.is_match("main2"), Some(true));
        assert_eq!(Pattern::new("v1", true, SIZES[0]).unwrap().is_match("v10"), Some(false));
        assert_eq!(Pattern::new("v1", false, SIZES[0]).unwrap().is_match("v10"), Some(true));
        assert_eq!(Pattern::new("a|b", true, SIZES[0]).unwrap().is_match("ab"), Some(false));
    }

    #[test]
    fn what_takes_too_long_or_grows_too_large_is_given_up() {
        let slow = Pattern::new("^(?!x)((a+)+)+\\1$", false, SIZES[0]).unwrap();
        assert_eq!(slow.is_match(&format!("{}!", "a".repeat(60))), None);
        assert!(Pattern::new("((a{1000}){1000}){1000}", false, SIZES[1]).is_err());
        assert!(Pattern::new("(", false, SIZES[1]).is_err());
        assert!(Pattern::new(&"a".repeat(5000), false, SIZES[1]).is_err());
    }

    #[test]
    fn patterns_are_made_once_and_not_without_end() {
        let mut patterns = Patterns::default();
        for _ in 0..2000 {
            patterns.get("^v[0-9]+$", true).unwrap();
        }
        let most = MOST_SIZE / SIZES[0];
        let made = (0..2 * most).filter(|n| patterns.get(&format!("v{n}"), true).is_ok()).count();
        assert_eq!(made, most - 1);
        let why = patterns.get("other", false).unwrap_err().to_string();
        assert!(why.contains("more than 64 MiB"), "{why}");
        patterns.get("^v[0-9]+$", true).unwrap();
    }
}
