//! `env subst`: variables in a text, as scripts of orbs use it.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::error::HelperError;

/// Text around a name in braces.
struct Reference<'a> {
    name: &'a [u8],
    /// `:-` and such, without its colon.
    operator: Option<u8>,
    /// Set if an empty value counts as none.
    with_colon: bool,
    word: &'a [u8],
}

/// Replaces variables in the text, or in standard input.
pub(super) fn substitute_variables(text: &[OsString]) -> Result<Vec<u8>, HelperError> {
    if text.is_empty() {
        let mut input = Vec::new();
        std::io::stdin().lock().read_to_end(&mut input).map_err(HelperError::Input)?;
        return substitute(&input, &look_up);
    }
    let words: Vec<&[u8]> = text.iter().map(|word| word.as_bytes()).collect();
    let mut out = substitute(&words.join(&b' '), &look_up)?;
    out.push(b'\n');
    Ok(out)
}

fn look_up(name: &[u8]) -> Option<Vec<u8>> {
    std::env::var_os(OsStr::from_bytes(name)).map(OsString::into_vec)
}

type LookUp<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<u8>>;

/// A variable that is not there is replaced by nothing.
fn substitute(text: &[u8], look_up: LookUp<'_>) -> Result<Vec<u8>, HelperError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        match rest {
            [b'$', after @ ..] => {
                out.push(b'$');
                rest = after;
            }
            [b'{', after @ ..] => {
                let end = closing(after).ok_or_else(|| {
                    let shown = String::from_utf8_lossy(first_line(after));
                    HelperError::OpenReference(shown.into_owned())
                })?;
                out.extend(value(&after[..end], look_up)?);
                rest = &after[end + 1..];
            }
            _ => match name_length(rest) {
                0 => out.push(b'$'),
                length => {
                    out.extend(look_up(&rest[..length]).unwrap_or_default());
                    rest = &rest[length..];
                }
            },
        }
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// Returns the position of the brace that closes the open one.
fn closing(text: &[u8]) -> Option<usize> {
    let mut depth = 1_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'$' if text.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn value(inside: &[u8], look_up: LookUp<'_>) -> Result<Vec<u8>, HelperError> {
    let Some(reference) = read(inside) else {
        let inside = String::from_utf8_lossy(first_line(inside));
        return Err(HelperError::NoVariable(inside.into_owned()));
    };
    let value = look_up(reference.name);
    let is_set = value.as_ref().is_some_and(|it| !reference.with_colon || !it.is_empty());
    match reference.operator {
        Some(b'-' | b'=') if !is_set => substitute(reference.word, look_up),
        Some(b'+') if is_set => substitute(reference.word, look_up),
        Some(b'+') => Ok(Vec::new()),
        _ => Ok(value.unwrap_or_default()),
    }
}

fn read(inside: &[u8]) -> Option<Reference<'_>> {
    let length = name_length(inside);
    let (name, rest) = inside.split_at(length);
    if name.is_empty() {
        return None;
    }
    let (with_colon, rest) = match rest {
        [] => return Some(Reference { name, operator: None, with_colon: false, word: &[] }),
        [b':', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    match rest {
        [operator @ (b'-' | b'=' | b'+'), word @ ..] => {
            Some(Reference { name, operator: Some(*operator), with_colon, word })
        }
        _ => None,
    }
}

/// Returns the number of bytes at the beginning that are the name of a variable.
fn name_length(text: &[u8]) -> usize {
    if text.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

fn first_line(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::substitute;
    use proptest::prelude::*;

    fn subst(text: &str) -> Result<String, String> {
        let look_up = |name: &[u8]| match name {
            b"NAME" => Some(b"value".to_vec()),
            b"EMPTY" => Some(Vec::new()),
            _ => None,
        };
        substitute(text.as_bytes(), &look_up)
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn variables_are_replaced_as_a_shell_would() {
        for (text, wanted) in [
            ("a $NAME b", "a value b"),
            ("${NAME}x$NAME.", "valuexvalue."),
            ("$NONE|${NONE}", "|"),
            ("${NONE:-other} ${NONE-other} ${NONE:=other}", "other other other"),
            ("${EMPTY:-other} ${EMPTY-other}", "other "),
            ("${NAME:+there}${NONE:+there}${EMPTY+there}", "therethere"),
            ("${NONE:-${NAME}!}", "value!"),
            ("$$NAME costs 5$ or $1", "$NAME costs 5$ or $1"),
            ("", ""),
        ] {
            assert_eq!(subst(text).as_deref(), Ok(wanted), "{text}");
        }
        assert!(subst("${NAME").unwrap_err().contains("has no end"));
        assert!(subst("${NAME?x}").unwrap_err().contains("names no variable"));
        assert!(subst("${}").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"[${}a:+\-N]{0,40}") {
            drop(subst(&text));
        }
    }
}
