//! Words of a shell, as `set -x`, `printf %q`, `declare -p` and `export -p` print them.

/// Characters that bash puts a backslash before in `printf %q`.
const BACKSLASHED: &str = " \t!\"$&'()*,;<>?[\\]^`{|}";

/// The value in single quotes, in `$'…'`, in double quotes, and with backslashes; without the
/// quotes around it, which a shell may also leave out.
pub(super) fn forms(text: &str) -> impl Iterator<Item = String> {
    let before = |characters: &str| {
        let mut out = String::with_capacity(text.len());
        for character in text.chars() {
            if characters.contains(character) {
                out.push('\\');
            }
            out.push(character);
        }
        out
    };
    [
        // A quote ends the quotes and stands apart.
        text.replace('\'', "'\\''"),
        text.replace('\'', "'\"'\"'"),
        before("\"\\$`"),
        before("\"\\$`!"),
        before(BACKSLASHED),
        before(&format!("{BACKSLASHED}~#=")),
        dollar(text, true),
        dollar(text, false),
    ]
    .into_iter()
}

/// As within `$'…'`; other characters than ASCII as they are, or as bytes in octal.
fn dollar(text: &str, keeps_unicode: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{1b}' => out.push_str("\\E"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            _ if !character.is_control() && (character.is_ascii() || keeps_unicode) => {
                out.push(character);
            }
            _ => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("\\{byte:03o}"));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use crate::mask::Masks;
    use russet_protocol::secret::Secret;

    #[test]
    fn whatever_a_shell_prints_of_a_variable_is_masked() {
        let script = "set -x; : \"$V\" \"x $V\"; test \"$V\" = y; set +x; printf '%q\\n' \"$V\"; \
                      declare -p V; export -p; set; case a in a) ;; esac";
        for value in [
            "it's a \"secret\" $HOME `x` \\n!",
            "tab\tand;more&things|(here)",
            "line one's\nline two\\",
            "grüße~an=alle#hier",
            "bell\u{7}escape\u{1b}[0m",
            "*?[a-z]{x,y}^",
        ] {
            for locale in ["C", "C.UTF-8"] {
                let output = Command::new("/bin/bash")
                    .args(["-c", &format!("{{ {script}; }} 2>&1")])
                    .env_clear()
                    .env("V", value)
                    .env("LC_ALL", locale)
                    .output()
                    .unwrap();
                // Other variables of bash are no secrets; `_` holds the last word.
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let masked = Masks::new(&[Secret::new(value)]).unwrap().apply(&text);
                assert!(
                    masked.matches("****").count() >= 6,
                    "{value:?} in {text}\nbecame {masked}"
                );
                for word in ["secret", "more", "one", "an=", "bell", "escape", "x,y", "hier"] {
                    let is_seen = value.contains(word)
                        && masked.lines().any(|line| line.contains(word) && !line.starts_with('#'));
                    assert!(!is_seen, "{word} of {value:?} is in {masked}");
                }
            }
        }
    }
}
