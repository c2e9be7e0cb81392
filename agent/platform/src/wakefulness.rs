//! Parts of a machine that are kept awake, as both systems have them.

/// Part of the machine that is to stay awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakefulness {
    /// The system; its display may sleep.
    System,
    /// The display too: tasks draw on it.
    Display,
}
