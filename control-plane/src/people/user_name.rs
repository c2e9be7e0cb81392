//! Names of accounts.

/// Longest name of an account, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Refuses names that could be mistaken for others, or that a path or a terminal could take for
/// something else.
pub(crate) fn check_user_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.@+".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !begins || name.len() > MAX_NAME_BYTES || !name.chars().all(is_plain) {
        return Err(format!(
            "the name of an account is 1 to {MAX_NAME_BYTES} of a-z, 0-9, `-`, `_`, `.`, `@` and \
             `+`, and begins with a letter or a digit"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_user_name;

    #[test]
    fn names_of_accounts_cannot_be_mistaken_for_others() {
        for good in ["ana", "ana@example.com", "a.b-c_d+e", "7"] {
            assert!(check_user_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Ana", ".", "..", "a b", "a/b", "an\u{430}", "-a", &"a".repeat(65)] {
            assert!(check_user_name(bad).is_err(), "{bad}");
        }
    }
}
