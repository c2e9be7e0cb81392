//! Steps that are understood and checked, but cannot be run yet: caches and workspaces.

use super::read::Context;
use super::vocabulary::{self, Vocabulary};
use crate::problem::Problem;
use crate::source::Span;
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

impl Context<'_> {
    /// Checks a step that cannot be run yet, and refuses it by its name.
    pub(super) fn step_not_run(&mut self, entry: &Entry) {
        let (at, node) = (entry.key_span, &entry.value);
        match &*entry.key {
            "save_cache" => self.with_keys(node, at, &vocabulary::SAVE_CACHE, |this, keys| {
                this.required_text(keys, "key", &vocabulary::SAVE_CACHE, at);
                this.required_list(keys, "paths", &vocabulary::SAVE_CACHE, at);
            }),
            "restore_cache" => {
                self.with_keys(node, at, &vocabulary::RESTORE_CACHE, |this, keys| {
                    this.restored(keys, at);
                })
            }
            "persist_to_workspace" => {
                let vocabulary = &vocabulary::PERSIST_TO_WORKSPACE;
                self.with_keys(node, at, vocabulary, |this, keys| {
                    this.required_text(keys, "root", vocabulary, at);
                    this.required_list(keys, "paths", vocabulary, at);
                });
            }
            "attach_workspace" => {
                let vocabulary = &vocabulary::ATTACH_WORKSPACE;
                self.with_keys(node, at, vocabulary, |this, keys| {
                    this.required_text(keys, "at", vocabulary, at);
                });
            }
            _ => {}
        }
        let feature = format!("the step `{}`", entry.key);
        self.report(Problem::unsupported(at, feature));
    }

    /// What these steps share: a mapping with keys of their own, `name` and `when`.
    fn with_keys(
        &mut self,
        node: &Node,
        at: Span,
        vocabulary: &Vocabulary,
        read: impl FnOnce(&mut Self, &Mapping),
    ) {
        if node.kind() == Kind::Nothing {
            let message = format!("{} needs more than its name", vocabulary.place);
            let words = vocabulary.words.iter().take(2);
            let words: Vec<String> = words.map(|word| format!("`{}`", word.name)).collect();
            let hint = format!("write {} below it, deeper", words.join(" and "));
            self.report(Problem::error(at, message).hint(hint));
            return;
        }
        let Some(mapping) = self.mapping(node, vocabulary.title) else { return };
        self.keys(mapping, vocabulary);
        self.optional_text(mapping, "name");
        self.step_when(mapping);
        read(self, mapping);
    }

    fn restored(&mut self, keys: &Mapping, at: Span) {
        self.optional_text(keys, "key");
        self.texts(keys, "keys");
        if ["key", "keys"].iter().all(|key| keys.get(key).is_none()) && !keys.is_incomplete {
            let message = "a `restore_cache` step needs a `key` or `keys`";
            self.report(Problem::error(at, message));
        }
    }

    fn required_list(&mut self, keys: &Mapping, key: &str, vocabulary: &Vocabulary, at: Span) {
        if keys.get(key).is_none() && !keys.is_incomplete {
            let message = format!("{} needs `{key}`", vocabulary.place);
            self.report(Problem::error(at, message));
        }
        self.texts(keys, key);
    }

    /// A list of texts; one text counts as a list of it.
    pub(super) fn texts(&mut self, keys: &Mapping, key: &str) -> Vec<String> {
        let what = format!("`{key}`");
        let Some(node) = keys.get(key).filter(|node| node.kind() != Kind::Nothing) else {
            return Vec::new();
        };
        match &node.value {
            Value::List(items) => {
                let item = format!("an item of {what}");
                items.iter().filter_map(|node| self.nonempty(node, &item)).collect()
            }
            Value::Scalar { .. } => self.nonempty(node, &what).into_iter().collect(),
            Value::Mapping(_) | Value::Unknown => {
                self.wrong_type(node, &what, "a list of texts");
                Vec::new()
            }
        }
    }
}
