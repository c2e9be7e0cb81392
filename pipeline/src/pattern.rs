//! Regular expressions of filters and conditions.
//!
//! Those of real configurations look ahead (`^(?!main$).*`), which needs an engine that can go
//! back. Such a pattern can take exponential time for a value, and both are written by whoever
//! can push: the steps it may take are limited, as is the size it compiles to.

/// Longest pattern, in bytes. What a pattern compiles to grows with its counts as well.
const LONGEST: usize = 4096;

/// Steps back that one match may take: some milliseconds.
const MOST_STEPS: usize = 50_000;

/// A regular expression.
#[derive(Debug)]
pub(crate) struct Pattern(fancy_regex::Regex);

impl Pattern {
    /// Reads a pattern, which has to match the whole of a value or any part of it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn new(text: &str, whole: bool) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let text = if whole { format!(r"\A(?:{text})\z") } else { text.to_owned() };
        let built = fancy_regex::RegexBuilder::new(&text)
            .backtrack_limit(MOST_STEPS)
            .delegate_size_limit(1 << 20)
            .delegate_dfa_size_limit(1 << 20)
            .build();
        match built {
            Ok(regex) => Ok(Self(regex)),
            Err(error) => {
                // The engine draws the pattern below its message; one line is enough here.
                let text = error.to_string();
                let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
                Err(line.trim().trim_start_matches("error: ").to_owned())
            }
        }
    }

    /// Whether it matches. `None` where finding out takes too long.
    pub(crate) fn is_match(&self, value: &str) -> Option<bool> {
        self.0.is_match(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_look_ahead_and_match_the_whole_where_they_should() {
        let not_main = Pattern::new("^(?!main$).*", true).unwrap();
        assert_eq!(not_main.is_match("main"), Some(false));
        assert_eq!(not_main.is_match("main2"), Some(true));
        assert_eq!(Pattern::new("v1", true).unwrap().is_match("v10"), Some(false));
        assert_eq!(Pattern::new("v1", false).unwrap().is_match("v10"), Some(true));
        assert_eq!(Pattern::new("a|b", true).unwrap().is_match("ab"), Some(false));
    }

    #[test]
    fn what_takes_too_long_or_grows_too_large_is_given_up() {
        let slow = Pattern::new("^(?!x)((a+)+)+\\1$", false).unwrap();
        assert_eq!(slow.is_match(&format!("{}!", "a".repeat(60))), None);
        assert!(Pattern::new("((a{1000}){1000}){1000}", false).is_err());
        assert!(Pattern::new("(", false).is_err());
        assert!(Pattern::new(&"a".repeat(5000), false).is_err());
    }
}
