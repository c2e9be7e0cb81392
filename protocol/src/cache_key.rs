//! Templates in the keys of caches: the part of Go's template language that CircleCI shows. The
//! compiler checks them, and the agent fills them in.

use std::fmt;

/// One piece of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text that is not a valid template.
    Text(&'a str),
    /// `.Branch`.
    Branch,
    /// `.Revision`.
    Revision,
    /// `.BuildNum`.
    BuildNum,
    /// `.CheckoutKey`.
    CheckoutKey,
    /// `.Environment.NAME`.
    Environment(&'a str),
    /// `checksum "file"`.
    Checksum(String),
    /// `epoch`: seconds since 1970.
    Epoch,
    /// `arch`: system and processor.
    Arch,
}

/// Fault of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Text as written.
    pub what: String,
    /// Text to write instead, where that is known.
    pub instead: Option<&'static str>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instead {
            Some(instead) => write!(formatter, "{}: {instead}", self.what),
            None => formatter.write_str(&self.what),
        }
    }
}

/// Takes a key apart.
///
/// # Errors
/// Fault, with the template that has it.
pub fn parse(key: &str) -> Result<Vec<Piece<'_>>, Mistake> {
    let mut pieces = Vec::new();
    let mut rest = key;
    while let Some((text, after)) = rest.split_once("{{") {
        let (inside, after) = split_end(after).ok_or_else(|| {
            let start: String = after.chars().take(40).collect();
            Mistake { what: format!("`{{{{{start}` has no `}}}}`"), instead: None }
        })?;
        // `{{-` and `-}}` take the white space next to them away.
        let (inside, trims_before) = match inside.strip_prefix('-') {
            Some(inside) if inside.starts_with(char::is_whitespace) => (inside, true),
            _ => (inside, false),
        };
        let (inside, trims_after) = match inside.strip_suffix('-') {
            Some(inside) if inside.ends_with(char::is_whitespace) => (inside, true),
            _ => (inside, false),
        };
        pieces.push(Piece::Text(if trims_before { text.trim_end() } else { text }));
        pieces.push(template(inside.trim())?);
        rest = if trims_after { after.trim_start() } else { after };
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Up to the `}}` that is in no quotes.
fn split_end(text: &str) -> Option<(&str, &str)> {
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match quote {
            _ if is_escaped => is_escaped = false,
            Some('"') if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '`') => quote = Some(c),
            None if text[at..].starts_with("}}") => return Some((&text[..at], &text[at + 2..])),
            None => {}
        }
    }
    None
}

fn template(text: &str) -> Result<Piece<'_>, Mistake> {
    let piece = match text {
        ".Branch" => Piece::Branch,
        ".Revision" => Piece::Revision,
        ".BuildNum" => Piece::BuildNum,
        "epoch" => Piece::Epoch,
        "arch" => Piece::Arch,
        _ => {
            if let Some(name) = text.strip_prefix(".Environment.").filter(|name| is_name(name)) {
                Piece::Environment(name)
            } else if text
                .strip_prefix(".CheckoutKey")
                .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(is_name))
            {
                Piece::CheckoutKey
            } else if let Some(rest) = text.strip_prefix("checksum") {
                Piece::Checksum(quoted(rest.trim()).ok_or_else(|| Mistake {
                    what: format!("`{{{{ {text} }}}}`"),
                    instead: Some("write `checksum \"file\"`"),
                })?)
            } else {
                return Err(Mistake {
                    what: format!("there is no template `{{{{ {text} }}}}`"),
                    instead: Some(
                        "there are .Branch, .BuildNum, .Revision, .CheckoutKey, \
                         .Environment.NAME, checksum \"file\", epoch and arch",
                    ),
                });
            }
        }
    };
    Ok(piece)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A text of Go's: in double quotes with escapes, or in back quotes as it is.
fn quoted(text: &str) -> Option<String> {
    if let Some(raw) = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        return (!raw.contains('`')).then(|| raw.to_owned());
    }
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    let (mut out, mut chars) = (String::new(), inside.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                c @ ('"' | '\\') => c,
                _ => return None,
            }),
            c => out.push(c),
        }
    }
    Some(out)
}
