//! Reading nodes as what they should be, with the error that says what they are instead.

use std::collections::BTreeMap;

use crate::Options;
use crate::diagnostic::Severity;
use crate::orb::OrbUse;
use crate::pattern::Patterns;
use crate::problem::{self, Nature, Problem};
use crate::source::{Source, Span, article, quoted};
use crate::suggest::{self, Suggestions};
use crate::vocabulary::{ALL, Support, Vocabulary};
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// State that all readers share: options, sources, and the problems so far.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) options: &'a Options,
    /// Set for version 2.1, in which `<<` in a text has a meaning.
    pub(crate) is_2_1: bool,
    /// Set if it says `setup: true`.
    pub(crate) is_setup: bool,
    /// Problems of the orbs that are not there, by the names under which they are used.
    pub(crate) missing: BTreeMap<String, Problem>,
    /// The orbs of a registry that it uses, and those that they use.
    pub(crate) orbs: Vec<OrbUse>,
    /// Bytes of the orbs that were read.
    pub(crate) orb_bytes: usize,
    /// Names of the commands, for suggestions.
    pub(crate) commands: Vec<String>,
    /// `code_signing` of the job whose steps are read.
    pub(crate) code_signing: Vec<String>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) suggestions: Suggestions,
    pub(crate) patterns: Patterns,
}

impl Context<'_> {
    /// Reports a problem.
    pub(crate) fn report(&mut self, mut problem: Problem) {
        match problem.nature {
            Nature::Silent => return,
            Nature::NotRun if self.options.check => problem.severity = Severity::Warning,
            _ => {}
        }
        problem::add(&mut self.problems, problem);
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
    pub(crate) fn expect_mapping<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n Mapping> {
        match &node.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => {
                self.wrong_type(node, what, "a mapping");
                None
            }
        }
    }

    /// The list that a node should be.
    pub(crate) fn expect_list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                self.wrong_type(node, what, "a list");
                None
            }
        }
    }

    /// The text that a node should be. Numbers and booleans count as what is written.
    pub(crate) fn expect_text(&mut self, node: &Node, what: &str) -> Option<String> {
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

    /// As [`Context::expect_text`], and there must be something in it.
    pub(crate) fn expect_nonempty(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.expect_text(node, what)?;
        if text.trim().is_empty() {
            self.report(Problem::error(node.span, format!("{what} is empty")));
            return None;
        }
        Some(text)
    }

    /// Returns the text of a key that may be absent. An empty one counts as absent, since the empty
    /// default of a parameter has no other way to say so.
    pub(crate) fn optional_text(&mut self, mapping: &Mapping, key: &str) -> Option<String> {
        let node = mapping.get(key).filter(|node| !is_empty_text(node))?;
        self.expect_nonempty(node, &format!("`{key}`"))
    }

    /// Returns the text of a key that must be there. `at` is the place of what lacks it.
    pub(crate) fn required_text(
        &mut self,
        mapping: &Mapping,
        key: &str,
        vocabulary: &Vocabulary,
        at: Span,
    ) -> Option<String> {
        self.require_key(mapping, key, vocabulary, at);
        self.expect_nonempty(mapping.get(key)?, &format!("`{key}`"))
    }

    /// Reports that a key is missing, unless another one is that key with a typing mistake, which
    /// has an error of its own.
    pub(crate) fn require_key(
        &mut self,
        mapping: &Mapping,
        key: &str,
        vocabulary: &Vocabulary,
        at: Span,
    ) {
        let is_misspelt = |entry: &Entry| {
            vocabulary.word(&entry.key).is_none() && suggest::nearest(&entry.key, [key]).is_some()
        };
        if mapping.get(key).is_none()
            && !mapping.is_incomplete
            && !mapping.entries.iter().any(is_misspelt)
        {
            let article = if key.ends_with('s') { "" } else { article(key) };
            let message = format!("{} needs {article} `{key}`", vocabulary.place);
            self.report(Problem::error(at, message.replace("  ", " ")));
        }
    }

    /// The boolean that the value of a key should be; false where the key is not there.
    pub(crate) fn read_flag(&mut self, mapping: &Mapping, key: &str) -> bool {
        let node = mapping.get(key).filter(|node| !is_empty_text(node));
        node.is_some_and(|node| self.expect_boolean(node, &format!("`{key}`")))
    }

    /// The boolean that a node should be.
    pub(crate) fn expect_boolean(&mut self, node: &Node, what: &str) -> bool {
        match node.kind() {
            Kind::Boolean(value) => value,
            _ => {
                self.wrong_type(node, what, "`true` or `false`");
                false
            }
        }
    }

    /// A text that a program could be given.
    pub(crate) fn plain_text(&mut self, text: &str, span: Span) -> Option<String> {
        if text.contains('\0') {
            // No program could be given such an argument or variable.
            self.report(Problem::error(span, "a text must not contain the character NUL"));
            return None;
        }
        Some(text.to_owned())
    }

    /// Checks the keys of a mapping against what its place may hold.
    pub(crate) fn check_keys(&mut self, mapping: &Mapping, vocabulary: &Vocabulary) {
        self.check_words(&mapping.entries, vocabulary);
    }

    #[expect(single_use_lifetimes, reason = "eliding it in `impl Trait` is not stable")]
    /// As [`Context::check_keys`] for some of the entries of a mapping.
    pub(crate) fn check_words<'e>(
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
                Support::Yes if !self.is_2_1 && word.is_new => {
                    let message = format!("`{}` has no effect in version 2", word.name);
                    let problem = Problem::warning(entry.key_span, message);
                    self.report(problem.hint("write `version: 2.1`").grouped());
                }
                Support::Yes => {}
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
        let is_close = suggestion.is_some() || self.suggestions.are_enough();
        let hint = suggestion.unwrap_or_else(|| format!("the keys are {list}"));
        let message = format!("unknown key `{}` in {}", quoted(key), vocabulary.place);
        // What means something elsewhere is mostly left over from moving things around.
        let is_word = ALL.iter().any(|other| other.word(key).is_some());
        // CircleCI lets any key into its steps.
        let is_lenient = !is_close && vocabulary.place.ends_with(" step");
        self.report(if is_word || is_lenient {
            let message = format!("`{}` has no effect in {}", quoted(key), vocabulary.place);
            Problem::warning(span, message)
        } else {
            Problem::error(span, message).hint(hint)
        });
    }
}

/// Returns true for a text with nothing in it, in quotes or from a parameter.
pub(crate) fn is_empty_text(node: &Node) -> bool {
    node.kind() == Kind::Text && node.scalar().is_some_and(|text| text.trim().is_empty())
}
