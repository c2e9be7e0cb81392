//! Caches and workspaces.

use russet_protocol::cache_key;
use russet_protocol::task::{Action, FIRST_STEP, Step, When};

use super::duration;
use crate::context::{Context, is_empty_text};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::vocabulary::{self, Vocabulary};
use crate::yaml::{Kind, Mapping, Node, Value};

impl Context<'_> {
    /// `save_cache`, `restore_cache`, `persist_to_workspace` or `attach_workspace`.
    pub(super) fn storage_step(&mut self, name: &str, node: &Node, at: Span) -> Option<Step> {
        match name {
            "save_cache" => {
                let words = &vocabulary::SAVE_CACHE;
                self.stored_step(node, at, words, "Saving cache", |this, keys| {
                    let key = this.required_text(keys, "key", words, at);
                    this.check_templates(keys);
                    let paths = this.required_list(keys, "paths", words, at);
                    Some(Action::SaveCache { key: key?, paths, retention_ms: None })
                })
            }
            "restore_cache" => {
                let words = &vocabulary::RESTORE_CACHE;
                self.stored_step(node, at, words, "Restoring cache", |this, keys| {
                    Some(Action::RestoreCache { keys: this.read_restored_keys(keys, at) })
                })
            }
            "persist_to_workspace" => {
                let words = &vocabulary::PERSIST_TO_WORKSPACE;
                self.stored_step(node, at, words, "Persisting to workspace", |this, keys| {
                    let root = this.required_text(keys, "root", words, at);
                    let paths = this.required_list(keys, "paths", words, at);
                    Some(Action::PersistToWorkspace { root: root?, paths })
                })
            }
            _ => {
                let words = &vocabulary::ATTACH_WORKSPACE;
                self.stored_step(node, at, words, "Attaching workspace", |this, keys| {
                    let at = this.required_text(keys, "at", words, at);
                    Some(Action::AttachWorkspace { at: at? })
                })
            }
        }
    }

    fn stored_step(
        &mut self,
        node: &Node,
        at: Span,
        vocabulary: &Vocabulary,
        heading: &str,
        read: impl FnOnce(&mut Self, &Mapping) -> Option<Action>,
    ) -> Option<Step> {
        let mut made = None;
        let mut shared = (None, When::OnSuccess);
        self.with_keys(node, at, vocabulary, |this, keys| {
            shared = (this.optional_text(keys, "name"), this.read_when(keys, When::OnSuccess));
            made = read(this, keys);
        });
        let name = shared.0.unwrap_or_else(|| heading.to_owned());
        Some(Step { number: FIRST_STEP, name, when: shared.1, action: made? })
    }

    /// `retention: {caches: 15d}` of a job, in milliseconds.
    pub(super) fn cache_retention(&mut self, job: &Mapping) -> Option<u64> {
        let keys = self.expect_mapping(job.get("retention")?, "`retention`")?;
        self.check_keys(keys, &vocabulary::RETENTION);
        let node = keys.get("caches")?;
        let text = self.expect_nonempty(node, "`caches`")?;
        match duration::parse_days(&text) {
            Ok(duration) => u64::try_from(duration.as_millis()).ok(),
            Err(why) => {
                let message = format!("`{}` is not how long to keep caches: {why}", quoted(&text));
                self.report(Problem::error(node.span, message));
                None
            }
        }
    }

    /// Returns what these steps share: a mapping with keys of their own.
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
        let Some(mapping) = self.expect_mapping(node, vocabulary.title) else { return };
        self.check_keys(mapping, vocabulary);
        read(self, mapping);
    }

    /// The keys of a `restore_cache` step, the more exact ones first.
    fn read_restored_keys(&mut self, keys: &Mapping, at: Span) -> Vec<String> {
        let mut all: Vec<String> = self.optional_text(keys, "key").into_iter().collect();
        all.extend(self.read_texts(keys, "keys"));
        self.check_templates(keys);
        if ["key", "keys"].iter().all(|key| keys.get(key).is_none()) && !keys.is_incomplete {
            let message = "a `restore_cache` step needs a `key` or `keys`";
            self.report(Problem::error(at, message));
        }
        all
    }

    /// Warns of keys with templates that fail the step.
    fn check_templates(&mut self, keys: &Mapping) {
        let nodes = ["key", "keys"].into_iter().filter_map(|key| keys.get(key));
        let items = nodes.flat_map(|node| match &node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![node],
        });
        for item in items {
            let Some(Err(mistake)) = item.scalar().map(cache_key::parse) else { continue };
            // What is written may be long, and what there is instead is to be read to its end.
            let message = format!("this step will fail: {}", quoted(&mistake.what));
            let hint = mistake.instead.map(str::to_owned);
            self.report(Problem::warning(item.used_at(), message).maybe_hint(hint));
        }
    }

    fn required_list(
        &mut self,
        keys: &Mapping,
        key: &str,
        vocabulary: &Vocabulary,
        at: Span,
    ) -> Vec<String> {
        self.require_key(keys, key, vocabulary, at);
        self.read_texts(keys, key)
    }

    /// A list of texts; one text counts as a list of it.
    pub(super) fn read_texts(&mut self, keys: &Mapping, key: &str) -> Vec<String> {
        let what = format!("`{key}`");
        let Some(node) = keys.get(key).filter(|node| node.kind() != Kind::Nothing) else {
            return Vec::new();
        };
        match &node.value {
            Value::List(items) => {
                let item = format!("an item of {what}");
                // An empty one is what the empty default of a parameter leaves.
                let items = items.iter().filter(|node| !is_empty_text(node));
                items.filter_map(|node| self.expect_nonempty(node, &item)).collect()
            }
            Value::Scalar { .. } if is_empty_text(node) => Vec::new(),
            Value::Scalar { .. } => self.expect_nonempty(node, &what).into_iter().collect(),
            Value::Mapping(_) | Value::Unknown => {
                self.wrong_type(node, &what, "a list of texts");
                Vec::new()
            }
        }
    }
}
