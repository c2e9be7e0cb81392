//! The list of tests that a helper is given.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::args::TimingsType;
use super::error::HelperError;
use crate::path_error::PathError;

/// Reads the tests of files, or of standard input, in their order and each once as often as it
/// is there.
pub(super) fn read_tests(
    files: &[PathBuf],
    named_by: TimingsType,
) -> Result<Vec<OsString>, HelperError> {
    let mut text = Vec::new();
    let standard = [PathBuf::from("-")];
    for file in if files.is_empty() { &standard[..] } else { files } {
        if file == Path::new("-") {
            std::io::stdin().lock().read_to_end(&mut text).map_err(HelperError::Tests)?;
        } else {
            let bytes = std::fs::read(file).map_err(PathError::when("read", file))?;
            text.extend(bytes);
        }
        text.push(b'\n');
    }
    Ok(parse(&text, named_by, &|path| path.exists()))
}

/// One test a line. One line alone is what `echo $TESTS` makes of a list, with spaces between;
/// but names of tests may hold spaces, and so may the one file that there is.
fn parse(text: &[u8], named_by: TimingsType, exists: &dyn Fn(&Path) -> bool) -> Vec<OsString> {
    let lines: Vec<&[u8]> = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .collect();
    let own = |bytes: &&[u8]| OsString::from_vec(bytes.to_vec());
    match lines.as_slice() {
        [line] if named_by != TimingsType::Test && !exists(Path::new(OsStr::from_bytes(line))) => {
            let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.map(|word| own(&word)).collect()
        }
        lines => lines.iter().map(own).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::helper::args::TimingsType::{Autodetect, Test};

    #[test]
    fn tests_are_lines_and_one_line_alone_is_words() {
        let read = |text: &str, named_by| {
            parse(text.as_bytes(), named_by, &|path| path == std::path::Path::new("a file"))
        };
        assert_eq!(read("a b\n\n c\r\n", Autodetect), ["a b", "c"]);
        assert_eq!(read("a b  c\n", Autodetect), ["a", "b", "c"]);
        assert_eq!(read("a file\n", Autodetect), ["a file"]);
        assert_eq!(read("adds two numbers\n", Test), ["adds two numbers"]);
        assert!(read("\n \n", Autodetect).is_empty());
    }
}
