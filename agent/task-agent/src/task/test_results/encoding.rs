//! Text of a report, in whatever encoding it was written.
//!
//! XML says its encoding by a byte order mark, else in its declaration; what says neither is UTF-8,
//! or UTF-16 where its first characters are two bytes each. A declaration of UTF-16 that can be
//! read byte by byte is wrong about itself: .NET writes some of those.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Bytes in which a declaration stands.
const MAX_DECLARATION_BYTES: usize = 256;

/// Returns the text, and what was wrong with it.
pub(super) fn decode(bytes: &[u8]) -> (String, Option<String>) {
    let (encoding, problem) = encoding_of(bytes);
    // Takes a byte order mark for what it is, whatever else was found.
    let (text, used, is_damaged) = encoding.decode(bytes);
    let damaged = is_damaged.then(|| {
        let name = used.name();
        format!("it has bytes that are not {name}; `�` stands for them")
    });
    (text.into_owned(), problem.or(damaged))
}

fn encoding_of(bytes: &[u8]) -> (&'static Encoding, Option<String>) {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return (encoding, None);
    }
    match bytes {
        [b'<', 0, ..] => return (UTF_16LE, None),
        [0, b'<', ..] => return (UTF_16BE, None),
        _ => {}
    }
    let Some(label) = declared(bytes) else { return (UTF_8, None) };
    match Encoding::for_label(&label) {
        Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => (UTF_8, None),
        Some(encoding) => (encoding, None),
        None => {
            let shown = String::from_utf8_lossy(&label).escape_debug().to_string();
            (UTF_8, Some(format!("its encoding `{shown}` is not known; it was read as UTF-8")))
        }
    }
}

/// The encoding in `<?xml … encoding="…"?>`.
fn declared(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = &bytes[..bytes.len().min(MAX_DECLARATION_BYTES)];
    let head = head.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = head.windows(2).position(|pair| pair == b"?>")?;
    let head = &head[..end];
    let at = head.windows(8).position(|name| name == b"encoding")?;
    let value = head[at + 8..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, rest) = value.split_first()?;
    let end = rest.iter().position(|byte| byte == quote)?;
    Some(rest[..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::decode;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn marks_and_declarations_tell_the_encoding() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a name=\"tést\"/>";
        let (le, be) = (utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes));
        for bytes in [
            [&[0xff, 0xfe][..], &le].concat(),
            [&[0xfe, 0xff][..], &be].concat(),
            [&[0xef, 0xbb, 0xbf][..], text.as_bytes()].concat(),
            le,
            be,
            // The declaration is wrong, and the text is UTF-8.
            text.as_bytes().to_vec(),
        ] {
            assert_eq!(decode(&bytes), (text.to_owned(), None));
        }
        for (label, bytes) in [
            ("ISO-8859-1", &b"\xe9"[..]),
            ("windows-1252", b"\xe9"),
            ("utf-8", "é".as_bytes()),
            ("IBM866", b"\xa0"),
        ] {
            let head = format!("<?xml version='1.0' encoding = '{label}' ?><a>");
            let (text, problem) = decode(&[head.as_bytes(), bytes].concat());
            let wanted = if label == "IBM866" { 'а' } else { 'é' };
            assert_eq!((text.chars().last(), problem), (Some(wanted), None), "{label}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let problem = decode(b"<?xml version='1.0' encoding='klingon'?><a/>").1.unwrap();
        assert!(problem.contains("`klingon`"), "{problem}");
        let (text, problem) = decode(b"<a>\xe9</a>");
        assert_eq!(text, "<a>\u{fffd}</a>");
        assert!(problem.unwrap().contains("not UTF-8"));
        assert_eq!(decode(b""), (String::new(), None));
    }
}
