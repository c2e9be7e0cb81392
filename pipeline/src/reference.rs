//! The reference of the language in `docs/config.md`, made from the lists that the code goes by.

use std::fmt::Write as _;

use crate::vocabulary::{ALL, Support, Vocabulary, Word};

/// The reference as Markdown: one table for each place of a configuration.
#[must_use]
pub fn reference() -> String {
    ALL.iter().map(|vocabulary| write_table(vocabulary)).collect::<Vec<_>>().join("\n")
}

fn write_table(vocabulary: &Vocabulary) -> String {
    let mut out = format!("### {}\n\n| key | |\n|---|---|\n", vocabulary.title);
    for word in vocabulary.words {
        // Writing to a String cannot fail.
        let (Ok(()) | Err(_)) = writeln!(out, "| `{}` | {} |", word.name, word_about(word));
    }
    out
}

fn word_about(word: &Word) -> String {
    match word.support {
        Support::NoEffect => format!("No effect, with a warning: {}.", word.about),
        Support::Yes if word.is_new => format!("{} Version 2.1.", word.about),
        Support::Yes => word.about.to_owned(),
    }
}
