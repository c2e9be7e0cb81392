//! Did-you-mean.

use crate::source::quoted;

/// Suggestions that are looked for in one configuration. What has more mistakes than that is not
/// helped by more of them, and each costs a comparison with every name there is.
const MOST_SUGGESTIONS: usize = 200;

/// Looks for suggestions until there were enough.
#[derive(Debug, Default)]
pub struct Suggestions {
    made: usize,
}

impl Suggestions {
    /// Returns true if no more will be made, so that no names need be gathered for them.
    pub fn are_enough(&self) -> bool {
        self.made > MOST_SUGGESTIONS
    }

    /// As [`did_you_mean`].
    #[expect(single_use_lifetimes, reason = "eliding it in `impl Trait` is not stable")]
    pub fn did_you_mean<'a>(
        &mut self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Option<String> {
        self.made += 1;
        if self.made > MOST_SUGGESTIONS { None } else { did_you_mean(word, known) }
    }
}

/// A hint that names the nearest of the words that are known, if one is near.
#[expect(single_use_lifetimes, reason = "eliding it in `impl Trait` is not stable")]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean `{}`?", quoted(near)))
}

/// The nearest of the words that are known, if one is near: a typing mistake or two away, or the
/// same but for case and `-` or `_`.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What is this long is no typing mistake, and comparing costs the product of the lengths.
    const LONGEST: usize = 64;
    // Nor should a suggestion cost much where a configuration has very many names.
    const MOST: usize = 1000;
    if word.len() > LONGEST {
        return None;
    }
    let plain = normal_form(word);
    let length = plain.chars().count();
    let known: Vec<&str> = known.into_iter().take(MOST).collect();
    let abbreviates = |candidate: &&str| plain.len() >= 4 && candidate.starts_with(&plain);
    let abbreviated = known.iter().copied().find(abbreviates);
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST && *candidate != word)
        .map(|candidate| (strsim::damerau_levenshtein(&plain, &normal_form(candidate)), candidate))
        // Of a word of one letter every other one is a mistake away.
        .filter(|(distance, _)| *distance < length && *distance <= 1 + length / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        .or(abbreviated)
}

fn normal_form(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn typing_mistakes_find_their_word_and_other_words_do_not() {
        let known = ["command", "shell", "working_directory", "when"];
        assert_eq!(nearest("comand", known), Some("command"));
        assert_eq!(nearest("Working-Directory", known), Some("working_directory"));
        assert_eq!(nearest("wehn", known), Some("when"));
        assert_eq!(nearest("working_dir", known), Some("working_directory"));
        assert_eq!(nearest("image", known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), known), None);
    }
}
