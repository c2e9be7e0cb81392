//! Reading nodes as what they should be, with the error that says what they are instead.

use std::collections::BTreeSet;

use super::vocabulary::{Support, Vocabulary};
use crate::Options;
use crate::problem::Problem;
use crate::source::{Source, Span, quoted};
use crate::suggest::Suggestions;
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// What all readers need: the choices that were made, and where to put problems.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) options: &'a Options,
    /// Whether the configuration is of version 2.1, in which `<<` in a text has a meaning.
    pub(crate) is_2_1: bool,
    /// Names of the `commands`, which are steps once commands are supported.
    pub(crate) commands: BTreeSet<String>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) suggestions: Suggestions,
}

impl Context<'_> {
    /// Reports a problem. Beyond any number that could be of use, it is dropped: a hostile
    /// configuration should not cost more memory for its errors than for itself.
    pub(crate) fn report(&mut self, problem: Problem) {
        const MOST: usize = 10_000;
        if self.problems.len() < MOST {
            self.problems.push(problem);
        }
    }

    /// Reports that a node is not what it should be.
    pub(crate) fn wrong_type(&mut self, node: &Node, what: &str, expected: &str) {
        if node.kind() == Kind::Unknown {
            return;
        }
        let found = match (&node.value, node.kind()) {
            (Value::Scalar { text, .. }, kind) if kind != Kind::Nothing => {
                format!("{} (`{}`)", kind.describe(), quoted(text))
            }
            (_, kind) => kind.describe().to_owned(),
        };
        let mut problem =
            Problem::error(node.span, format!("{what} must be {expected}, but found {found}"));
        if let Some(alias) = node.alias {
            problem = problem.related(alias, "it is used here");
        }
        self.report(problem);
    }

    /// The mapping that a node should be.
    pub(crate) fn mapping<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n Mapping> {
        match &node.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => {
                self.wrong_type(node, what, "a mapping");
                None
            }
        }
    }

    /// The list that a node should be.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                self.wrong_type(node, what, "a list");
                None
            }
        }
    }

    /// The text that a node should be. Numbers and booleans count as what is written.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, .. } if node.kind() != Kind::Nothing => {
                self.plain_text(text, node.span)
            }
            _ => {
                self.wrong_type(node, what, "a text");
                None
            }
        }
    }

    /// As [`Context::text`], and there must be something in it.
    pub(crate) fn nonempty(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if text.trim().is_empty() {
            self.report(Problem::error(node.span, format!("{what} is empty")));
            return None;
        }
        Some(text)
    }

    /// As [`Context::text`] for the value of a key, where the key is there.
    pub(crate) fn optional_text(&mut self, mapping: &Mapping, key: &str) -> Option<String> {
        self.nonempty(mapping.get(key)?, &format!("`{key}`"))
    }

    /// As [`Context::text`] for the value of a key that must be there. `at` is the place of what
    /// lacks it.
    pub(crate) fn required_text(
        &mut self,
        mapping: &Mapping,
        key: &str,
        vocabulary: &Vocabulary,
        at: Span,
    ) -> Option<String> {
        if mapping.get(key).is_none() && !mapping.is_incomplete {
            self.report(Problem::error(at, format!("{} needs a `{key}`", vocabulary.place)));
        }
        self.optional_text(mapping, key)
    }

    /// The boolean that the value of a key should be; false where the key is not there.
    pub(crate) fn flag(&mut self, mapping: &Mapping, key: &str) -> bool {
        let Some(node) = mapping.get(key) else { return false };
        match node.kind() {
            Kind::Boolean(value) => value,
            // An expression has an error of its own.
            Kind::Text if self.text(node, key).is_none() => false,
            _ => {
                self.wrong_type(node, &format!("`{key}`"), "`true` or `false`");
                false
            }
        }
    }

    /// A text with the escapes of version 2.1 resolved; expressions are refused.
    pub(crate) fn plain_text(&mut self, text: &str, span: Span) -> Option<String> {
        if text.contains('\0') {
            // No program could be given such an argument or variable.
            self.report(Problem::error(span, "a text must not contain the character NUL"));
            return None;
        }
        if !self.is_2_1 || !text.contains("<<") {
            return Some(text.to_owned());
        }
        let has_expression = text
            .match_indices("<<")
            .any(|(at, _)| !text.get(..at).is_some_and(|before| before.ends_with('\\')));
        if has_expression {
            self.refuse_expression(span);
            return None;
        }
        Some(text.replace("\\<<", "<<"))
    }

    /// Reports the first `<<` of a text at its own place.
    fn refuse_expression(&mut self, span: Span) {
        let written = self.source.text.get(span.start..span.end).unwrap_or("");
        let start = written
            .match_indices("<<")
            .map(|(at, _)| at)
            .find(|at| !written.get(..*at).is_some_and(|before| before.ends_with('\\')));
        let Some(start) = start else {
            self.report(Problem::unsupported(span, "`<< … >>`"));
            return;
        };
        let rest = written.get(start..).unwrap_or("");
        let first_line = rest.lines().next().unwrap_or("").trim_end();
        let marked = first_line.find(">>").map_or(first_line.len(), |end| end + 2);
        let place = Span::new(span.start + start, span.start + start + marked);
        let problem = if is_closed(rest) {
            Problem::unsupported(place, "`<< … >>`")
        } else {
            Problem::error(place, "`<<` starts an expression in version 2.1, but it has no `>>`")
                .hint("for a here-document write `\\<<`")
        };
        self.report(problem);
    }

    /// Checks the keys of a mapping against what its place may hold.
    pub(crate) fn keys(&mut self, mapping: &Mapping, vocabulary: &Vocabulary) {
        self.words(&mapping.entries, vocabulary);
    }

    #[expect(single_use_lifetimes, reason = "eliding it in `impl Trait` is not stable")]
    /// As [`Context::keys`] for some of the entries of a mapping.
    pub(crate) fn words<'e>(
        &mut self,
        entries: impl IntoIterator<Item = &'e Entry>,
        vocabulary: &Vocabulary,
    ) {
        for entry in entries {
            let Some(word) = vocabulary.word(&entry.key) else {
                if self.plain_text(&entry.key, entry.key_span).is_some() {
                    self.unknown_key(&entry.key, entry.key_span, vocabulary);
                }
                continue;
            };
            match word.support {
                Support::Yes => {}
                Support::NotYet => {
                    let feature = if vocabulary.title == "Top level" || word.name.contains('_') {
                        format!("`{}`", word.name)
                    } else {
                        format!("`{}` in {}", word.name, vocabulary.place)
                    };
                    self.report(Problem::unsupported(entry.key_span, feature));
                }
                Support::NoEffect => {
                    let message = format!("`{}` has no effect: {}", word.name, word.about);
                    self.report(Problem::warning(entry.key_span, message).grouped());
                }
            }
        }
    }

    /// Reports a key that no place of this kind has.
    fn unknown_key(&mut self, key: &str, span: Span, vocabulary: &Vocabulary) {
        let supported = vocabulary.words.iter().filter(|word| word.support == Support::Yes);
        let list = supported.map(|word| format!("`{}`", word.name)).collect::<Vec<_>>().join(", ");
        let suggestion = self.suggestions.did_you_mean(key, vocabulary.names());
        let hint = suggestion.unwrap_or_else(|| format!("the keys are {list}"));
        let message = format!("unknown key `{}` in {}", quoted(key), vocabulary.place);
        self.report(Problem::error(span, message).hint(hint));
    }
}

/// Whether a text that starts with `<<` goes on as an expression does, up to its `>>`.
fn is_closed(text: &str) -> bool {
    let inner = text.get(2..).unwrap_or("");
    let in_expression =
        |c: char| c.is_alphanumeric() || c.is_whitespace() || "._-/#\"'=!()".contains(c);
    let end = inner.find(|c: char| !in_expression(c)).unwrap_or(inner.len());
    inner.get(end..).is_some_and(|rest| rest.starts_with(">>"))
}
