//! Faults of a configuration, with their places.

use std::path::{Path, PathBuf};

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// Reason why a configuration cannot be used, and others that were found with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: PathBuf,
    place: Option<Place>,
    message: String,
    hint: Option<String>,
    /// The others, in the order of their places.
    others: Box<[ConfigError]>,
}

impl ConfigError {
    pub(super) fn new(
        file: &Path,
        place: Option<Place>,
        message: String,
        hint: Option<String>,
    ) -> Self {
        Self { file: file.to_owned(), place, message, hint, others: Box::default() }
    }

    /// The same, found in the file that the text came from.
    pub(super) fn in_file(self, file: &Path) -> Self {
        Self { file: file.to_owned(), ..self }
    }

    /// Joins the errors that were found, in the order of their places. Returns `None` without any.
    pub(super) fn join(mut found: Vec<Self>) -> Option<Self> {
        found.sort_by_key(|error| (error.place.is_none(), error.place));
        found.dedup();
        let mut found = found.into_iter();
        let first = found.next()?;
        Some(Self { others: found.collect(), ..first })
    }

    /// Returns true where it is about a place in the file.
    pub(super) fn has_place(&self) -> bool {
        self.place.is_some()
    }

    /// Returns all errors that were found, each alone.
    #[must_use]
    pub fn all(&self) -> Vec<Self> {
        let alone = Self { others: Box::default(), ..self.clone() };
        std::iter::once(alone).chain(self.others.iter().cloned()).collect()
    }

    /// Returns the remedy.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(place) = self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.message)?;
        self.others.iter().try_for_each(|other| write!(f, "\n{other}"))
    }
}

impl std::error::Error for ConfigError {}
