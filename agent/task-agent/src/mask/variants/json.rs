//! Strings of JSON. Which characters are written as `\u` and four digits is up to the writer.

/// Characters that a writer escapes without need, as `\u`; whether it does so with everything that
/// is not ASCII; whether with capital digits; whether a slash gets a backslash.
type Writer = (&'static str, bool, bool, bool);

const WRITERS: [Writer; 9] = [
    // What has to be.
    ("", false, false, false),
    ("", false, false, true),
    // Python, PHP.
    ("", true, false, false),
    ("", true, false, true),
    // Go; `htmlsafe` of Ruby on Rails.
    ("<>&\u{2028}\u{2029}", false, false, false),
    // Gson.
    ("<>&='\u{2028}\u{2029}", false, false, false),
    // .NET.
    ("\"<>&'+`\u{7f}", true, true, false),
    // PHP with all of its JSON_HEX options.
    ("\"<>&'", true, true, true),
    // Jackson with `ESCAPE_NON_ASCII`.
    ("", true, true, false),
];

/// The value as each writer has it, without the quotes around it.
pub(super) fn forms(text: &str) -> impl Iterator<Item = String> {
    WRITERS.into_iter().map(move |writer| escape(text, writer))
}

fn escape(text: &str, (more, is_ascii, upper, slash): Writer) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for character in text.chars() {
        let short = match character {
            _ if more.contains(character) => None,
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '\u{8}' => Some("\\b"),
            '\u{c}' => Some("\\f"),
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            '\t' => Some("\\t"),
            '/' if slash => Some("\\/"),
            _ => None,
        };
        let is_plain = character >= ' ' && !more.contains(character);
        match short {
            Some(short) => out.push_str(short),
            None if is_plain && (character.is_ascii() || !is_ascii) => out.push(character),
            None => {
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&match upper {
                        true => format!("\\u{unit:04X}"),
                        false => format!("\\u{unit:04x}"),
                    });
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_writer_escapes_other_characters() {
        let forms: Vec<String> = super::forms("ü<&>'=/\"\n😀+").collect();
        for wanted in [
            "ü<&>'=/\\\"\\n😀+",
            "\\u00fc<&>'=/\\\"\\n\\ud83d\\ude00+",   // Python
            "\\u00fc<&>'=\\/\\\"\\n\\ud83d\\ude00+", // PHP
            "ü\\u003c\\u0026\\u003e'=/\\\"\\n😀+",   // Go
            "ü\\u003c\\u0026\\u003e\\u0027\\u003d/\\\"\\n😀+", // Gson
            "\\u00FC\\u003C\\u0026\\u003E\\u0027=/\\u0022\\n\\uD83D\\uDE00\\u002B", // .NET
        ] {
            assert!(forms.iter().any(|form| form == wanted), "{wanted} of {forms:?}");
        }
    }
}
