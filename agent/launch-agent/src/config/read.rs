//! From the tree of the file and the environment to one table of typed values.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use russet_protocol::secret::Secret;

use super::error::{ConfigError, Place};
use super::keys::{CLASS_KEYS, KEYS, Key, Kind};
use super::values::{self, Value};
use super::yaml::{Entry, Node, NodeKind};

/// Origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    File(Place),
    Env(String),
}

#[derive(Clone, Debug)]
struct Found {
    value: Value,
    origin: Origin,
}

/// The values that are given, by the names of their keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    found: BTreeMap<&'static str, Found>,
    /// Prefix of the names in messages: empty, or `runner.classes[0].`.
    pub(super) label: String,
    /// Place of its beginning, for missing keys.
    pub(super) place: Option<Place>,
}

/// Everything that is given.
#[derive(Clone, Debug, Default)]
pub(super) struct Input {
    pub(super) values: Values,
    pub(super) classes: Vec<Values>,
}

/// Reads the tree, and the environment over it. Returns what can be read, and what is wrong.
pub(super) fn read(
    file: &Path,
    root: &Node,
    env: &dyn Fn(&str) -> Option<String>,
) -> (Input, Vec<ConfigError>) {
    let mut input = Input::default();
    let mut reader = Reader::new(file, &KEYS, Values::default());
    reader.map(root, "");
    input.classes = reader.classes;
    input.values = reader.values;
    let mut errors = reader.errors;
    override_from_env(file, &mut input.values, env, &mut errors);
    (input, errors)
}

fn override_from_env(
    file: &Path,
    values: &mut Values,
    env: &dyn Fn(&str) -> Option<String>,
    errors: &mut Vec<ConfigError>,
) {
    for key in KEYS.iter() {
        let set = key.variables().into_iter().find_map(|name| Some((env(&name)?, name)));
        let Some((text, variable)) = set else { continue };
        match values::from_env(key.kind, &text) {
            Ok(Some(value)) => {
                values.found.insert(key.name, Found { value, origin: Origin::Env(variable) });
            }
            Ok(None) => {}
            Err(wrong) => {
                let message =
                    format!("the environment variable {variable} ({}): {wrong}", key.name);
                errors.push(ConfigError::new(file, None, message, None));
            }
        }
    }
}

struct Reader<'a> {
    file: &'a Path,
    keys: &'static [Key],
    values: Values,
    classes: Vec<Values>,
    /// Mistakes so far.
    errors: Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a Path, keys: &'static [Key], values: Values) -> Self {
        Self { file, keys, values, classes: Vec::new(), errors: Vec::new() }
    }

    fn wrong(&mut self, place: Place, message: String, hint: Option<String>) {
        self.errors.push(ConfigError::new(self.file, Some(place), message, hint));
    }

    fn map(&mut self, node: &Node, prefix: &str) {
        let entries = match &node.kind {
            NodeKind::Map(entries) => entries,
            NodeKind::Null => return,
            other => {
                let what = prefix.trim_end_matches('.');
                let what = if what.is_empty() { "the file" } else { what };
                let message = format!(
                    "`{}{what}` must be a mapping of keys, found {}",
                    self.values.label,
                    other.describe()
                );
                return self.wrong(node.place, message, None);
            }
        };
        entries.iter().for_each(|entry| self.entry(entry, prefix));
    }

    fn entry(&mut self, entry: &Entry, prefix: &str) {
        let name = format!("{prefix}{}", entry.name);
        if let Some(key) = self.keys.iter().find(|key| key.name == name) {
            return self.value(key, entry);
        }
        let inner = format!("{name}.");
        if self.keys.iter().any(|key| key.name.starts_with(&inner)) {
            return self.map(&entry.value, &inner);
        }
        let message = format!("unknown key `{}{name}`", self.values.label);
        let of_a_class = || {
            let own = name.strip_prefix("runner.").filter(|own| is_of_class(own))?;
            Some(format!("`{own}` is a key of an entry of `runner.classes`"))
        };
        let near = || {
            let near = nearest_key(&name, self.keys)?;
            Some(format!("did you mean `{}{near}`?", self.values.label))
        };
        let hint = of_a_class().or_else(near);
        let hint = hint.unwrap_or_else(|| "every key is in docs/agent-config.md".to_owned());
        self.wrong(entry.place, message, Some(hint));
    }

    fn value(&mut self, key: &'static Key, entry: &Entry) {
        if key.kind == Kind::Classes {
            return self.class_list(&entry.value);
        }
        match values::from_node(key.kind, &entry.value) {
            Ok(Some(value)) => {
                let origin = Origin::File(entry.value.place);
                self.values.found.insert(key.name, Found { value, origin });
            }
            Ok(None) => {}
            Err(wrong) => {
                let message = format!("`{}{}`: {wrong}", self.values.label, key.name);
                self.wrong(entry.value.place, message, None);
            }
        }
    }

    fn class_list(&mut self, node: &Node) {
        let items = match &node.kind {
            NodeKind::List(items) => items,
            NodeKind::Null => return,
            other => {
                let message =
                    format!("`runner.classes` must be a list, found {}", other.describe());
                let hint = "write each class as `- token: …` with its keys below";
                return self.wrong(node.place, message, Some(hint.to_owned()));
            }
        };
        for (index, item) in items.iter().enumerate() {
            let values = Values {
                label: format!("runner.classes[{index}]."),
                place: Some(item.place),
                ..Values::default()
            };
            let mut reader = Reader::new(self.file, CLASS_KEYS, values);
            reader.map(item, "");
            self.classes.push(reader.values);
            self.errors.append(&mut reader.errors);
        }
    }
}

/// Returns true if this is a key of a class, or the first part of one.
fn is_of_class(name: &str) -> bool {
    let starts = |key: &Key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    CLASS_KEYS.iter().any(|key| key.name == name || starts(key))
}

/// The key that was probably meant.
fn nearest_key(name: &str, keys: &[Key]) -> Option<&'static str> {
    let leaf = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    // A known key in the wrong place is nearer than any misspelling.
    if let Some(moved) = keys.iter().find(|key| leaf(key.name) == leaf(name)) {
        return Some(moved.name);
    }
    keys.iter()
        .map(|key| (strsim::damerau_levenshtein(name, key.name), key.name))
        .min()
        .filter(|(distance, _)| *distance <= 2 + name.len() / 6)
        .map(|(_, name)| name)
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $variant:ident -> $type:ty;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(&self, key: &str) -> Option<$type> {
            match self.found.get(key).map(|found| &found.value) {
                Some(Value::$variant(value)) => Some(value.clone()),
                _ => None,
            }
        }
    )*};
}

impl Values {
    getters! {
        text: Text -> String;
        secret: Secret -> Secret;
        flag: Flag -> bool;
        duration: Duration -> Duration;
        number: Number -> u64;
        words: Words -> Vec<String>;
        variables: Variables -> BTreeMap<String, String>;
    }

    /// Returns the value of a key, where one is given, and its origin.
    pub(super) fn given(&self, key: &str) -> Option<(&Value, &Origin)> {
        self.found.get(key).map(|found| (&found.value, &found.origin))
    }

    /// Returns the origin of a key's value.
    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        self.found.get(key).map(|found| &found.origin)
    }

    /// An error about a key.
    pub(super) fn error(
        &self,
        file: &Path,
        key: &str,
        message: &str,
        hint: Option<&str>,
    ) -> ConfigError {
        let (place, via) = match self.origin(key) {
            Some(Origin::File(place)) => (Some(*place), String::new()),
            Some(Origin::Env(name)) => (None, format!(" (from {name})")),
            None => (self.place, String::new()),
        };
        let message = format!("`{}{key}`{via} {message}", self.label);
        ConfigError::new(file, place, message, hint.map(str::to_owned))
    }
}
