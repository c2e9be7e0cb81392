//! Percent-encoding. Each language has its own set of characters that it leaves as they are, and
//! some write a space as `+`.

/// Characters that are left as they are besides letters and digits, whether a space is `+`, and who
/// does so.
const WRITERS: [(&str, bool); 15] = [
    // RFC 3986: Go's and Ruby's libraries, curl, `rawurlencode` of PHP, `EscapeDataString` of .NET.
    ("-._~", false),
    ("-._~", true),
    // `quote` of Python; before 3.7 without `~`.
    ("-._~/", false),
    ("-._/", false),
    // `encodeURIComponent` of JavaScript.
    ("-_.!~*'()", false),
    // `encodeURI` of JavaScript.
    ("-_.!~*'();/?:@&=+$,#", false),
    // Forms of browsers, `URLEncoder` of Java, `encode_www_form_component` of Ruby.
    ("*-._", true),
    // `urlencode` of PHP, `quote_plus` of older Pythons.
    ("-_.", true),
    // `UrlEncode` of .NET.
    ("-_.!*()", true),
    // `PathEscape` of Go.
    ("-._~$&+=:@", false),
    // `urlQueryAllowed`, `urlHostAllowed` and `urlUserAllowed` of Swift.
    ("!$&'()*+,-./:;=?@_~", false),
    ("!$&'()*+,-.:;=[]_~", false),
    ("!$&'()*+,-.;=_~", false),
    // Users and passwords in addresses of browsers and Node.js.
    ("!$%&'()*+,-._~", false),
    // Everything, as crates of Rust can.
    ("", false),
];

/// The value as each writer has it, with digits of either case.
pub(super) fn forms(text: &str) -> impl Iterator<Item = String> {
    WRITERS.into_iter().flat_map(move |(safe, is_form)| {
        [encode(text, safe, is_form, true), encode(text, safe, is_form, false)]
    })
}

fn encode(text: &str, safe: &str, is_form: bool, upper: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' if is_form => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || safe.as_bytes().contains(&byte) => {
                out.push(char::from(byte));
            }
            _ if upper => out.push_str(&format!("%{byte:02X}")),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_language_leaves_other_characters_as_they_are() {
        let forms: Vec<String> = super::forms("a/b!*'() c~ü").collect();
        for wanted in [
            "a%2Fb%21%2A%27%28%29%20c~%C3%BC", // Go, curl
            "a/b%21%2A%27%28%29%20c~%C3%BC",   // Python
            "a%2Fb!*'()%20c~%C3%BC",           // encodeURIComponent
            "a/b!*'()%20c~%C3%BC",             // encodeURI
            "a%2Fb%21*%27%28%29+c%7E%C3%BC",   // Java
            "a%2fb!*%27()+c%7e%c3%bc",         // .NET
        ] {
            assert!(forms.iter().any(|form| form == wanted), "{wanted} of {forms:?}");
        }
    }
}
