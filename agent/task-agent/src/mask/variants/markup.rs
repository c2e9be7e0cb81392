//! Text of HTML and XML.

/// Replacements that a writer makes of characters.
type Writer = &'static [(char, &'static str)];

const WRITERS: [Writer; 8] = [
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")],
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;")],
    // XML, and JUnit's reports.
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&apos;")],
    // Ruby, Java's libraries.
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")],
    // Python.
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#x27;")],
    // PHP.
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#039;")],
    // Go.
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&#34;"),
        ('\'', "&#39;"),
        ('+', "&#43;"),
    ],
    // Mustache and Handlebars, which agree but for `'`; Handlebars leaves `/`.
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#39;"),
        ('/', "&#x2F;"),
        ('`', "&#x60;"),
        ('=', "&#x3D;"),
    ],
];

/// The value as each writer has it, other characters than ASCII as they are or by their number.
pub(super) fn forms(text: &str) -> impl Iterator<Item = String> {
    WRITERS.into_iter().flat_map(move |writer| {
        let decimal = |character: char| format!("&#{};", u32::from(character));
        let hexadecimal = |character: char| format!("&#x{:X};", u32::from(character));
        [
            escape(text, writer, &|character| character.to_string()),
            escape(text, writer, &decimal),
            escape(text, writer, &hexadecimal),
        ]
    })
}

fn escape(text: &str, writer: Writer, other: &dyn Fn(char) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match writer.iter().find(|(it, _)| *it == character) {
            Some((_, entity)) => out.push_str(entity),
            None if character.is_ascii() => out.push(character),
            None => out.push_str(&other(character)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_writer_has_entities_of_its_own() {
        let forms: Vec<String> = super::forms("a<'\"&=/ü").collect();
        for wanted in [
            "a&lt;'\"&amp;=/ü",
            "a&lt;&#x27;&quot;&amp;=/ü",          // Python
            "a&lt;&#39;&#34;&amp;=/ü",            // Go
            "a&lt;&apos;&quot;&amp;=/&#252;",     // XML in ASCII
            "a&lt;&#39;&quot;&amp;&#x3D;&#x2F;ü", // Mustache
        ] {
            assert!(forms.iter().any(|form| form == wanted), "{wanted} of {forms:?}");
        }
    }
}
