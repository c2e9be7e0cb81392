//! What is shown, for a front end that knows how and nothing else.

use russet_menubar_bundle::Shape;

use super::Choice;

/// The item in the menu bar and its menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// What it looks like.
    pub(crate) shape: Shape,
    /// The same in words, for a pointer that rests on it and for those who do not see it.
    pub(crate) summary: String,
    /// The menu.
    pub(crate) menu: Vec<Item>,
}

/// A line of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// To be read.
    Text(String),
    /// To be chosen.
    Choice {
        /// What it says.
        label: String,
        /// What is chosen with it.
        choice: Choice,
        /// Whether it can be.
        is_enabled: bool,
        /// Whether it is ticked, where it can be.
        is_ticked: Option<bool>,
    },
    /// Another menu.
    Menu(String, Vec<Self>),
    /// A line.
    Separator,
}

impl Item {
    pub(super) fn choice(label: impl Into<String>, choice: Choice) -> Self {
        Self::Choice { label: label.into(), choice, is_enabled: true, is_ticked: None }
    }

    /// One that can be chosen only if `is_enabled`.
    pub(super) fn choice_if(is_enabled: bool, label: impl Into<String>, choice: Choice) -> Self {
        Self::Choice { label: label.into(), choice, is_enabled, is_ticked: None }
    }
}
