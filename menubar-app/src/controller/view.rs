//! Contents of item and menu, for a front end that draws them and decides nothing.

use russet_menubar_bundle::Shape;

use super::Choice;

/// The item in the menu bar and its menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Its picture.
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
        /// Its text.
        label: String,
        /// Its effect.
        choice: Choice,
        /// Set if it can be chosen.
        is_enabled: bool,
        /// Set if it is ticked, where it can be.
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
