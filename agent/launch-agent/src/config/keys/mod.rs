//! The table of keys: name, environment, type, default, meaning.
//!
//! It is the single source: the parser refuses what is not in it, the environment overrides are
//! looked up by it, and `docs/agent-config.md` is printed from it.

mod api;
mod class;
mod logging;
mod machine;
mod runner;
mod seen;
mod update;

use std::sync::LazyLock;

pub(super) use class::CLASS_KEYS;

/// Every key outside of `runner.classes`, in the order of the reference.
pub(super) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let sections =
        [api::API, runner::RUNNER, machine::MACHINE, seen::SEEN, update::UPDATE, logging::LOGGING];
    sections.concat()
});

/// Form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// Text that is never shown.
    Secret,
    /// A path.
    Path,
    /// `true` or `false`.
    Flag,
    /// As Go writes durations: `5h`, `1h30m`, `300ms`.
    Duration,
    /// A whole number.
    Number,
    /// A number of bytes: `20GB`, `512MiB`.
    Size,
    /// A list of texts.
    Words,
    /// A mapping of texts.
    Variables,
    /// One of these.
    Choice(&'static [&'static str]),
    /// The list of classes, with keys of its own ([`CLASS_KEYS`]).
    Classes,
}

impl Kind {
    /// For messages and the reference.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Secret => "secret text".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Duration => "duration, as `5h` or `1h30m`".to_owned(),
            Self::Number => "whole number".to_owned(),
            Self::Size => "size, as `20GB` or `512MiB`".to_owned(),
            Self::Words => "list of texts".to_owned(),
            Self::Variables => "mapping of names to texts".to_owned(),
            Self::Choice(names) => {
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
            }
            Self::Classes => "list of classes".to_owned(),
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its path, with dots.
    pub(super) name: &'static str,
    /// Environment variables that CircleCI's runners read for it. `RUSSET_…` comes from the name.
    pub(super) env: &'static [&'static str],
    pub(super) kind: Kind,
    /// For the reference; what happens without the key.
    pub(super) default: &'static str,
    pub(super) doc: &'static str,
}

impl Key {
    /// The variables that override it, the strongest first.
    pub(super) fn variables(&self) -> Vec<String> {
        if self.kind == Kind::Classes {
            return Vec::new();
        }
        let own = format!("RUSSET_{}", self.name.to_uppercase().replace('.', "_"));
        std::iter::once(own).chain(self.env.iter().map(|name| (*name).to_owned())).collect()
    }
}

const fn key(
    name: &'static str,
    env: &'static [&'static str],
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, env, kind, default, doc }
}
