//! Limits of the arguments and the environment of a process.
//!
//! A value that is too large makes exec(2) fail with "Argument list too long", which names neither
//! the variable nor the limit. So it is looked at before.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use nix::unistd::{SysconfVar, sysconf};

use super::environment::Variables;

/// Pages of one string on Linux (`MAX_ARG_STRLEN`); macOS has no such limit.
const MAX_STRING_PAGES: u64 = 32;

/// Bytes of one variable and of all, as far as the system has limits.
#[derive(Clone, Copy, Debug)]
struct Limits {
    one: Option<u64>,
    all: Option<u64>,
}

impl Limits {
    fn of_system() -> Self {
        let number =
            |variable| sysconf(variable).ok().flatten().and_then(|it| u64::try_from(it).ok());
        let page = number(SysconfVar::PAGE_SIZE).filter(|_| cfg!(target_os = "linux"));
        Self { one: page.map(|page| page * MAX_STRING_PAGES), all: number(SysconfVar::ARG_MAX) }
    }
}

/// Arguments or environment that are too large for a process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SizeError {
    #[error(
        "the variable `{}` has {bytes} bytes with its name, and this system gives a process no more \
         than {limit} in one\nhint: hand over what is large in a file, and its path in the variable",
        name.escape_debug()
    )]
    Variable { name: String, bytes: usize, limit: u64 },
    #[error(
        "the environment and the arguments have {bytes} bytes, and this system gives a process no \
         more than {limit}; the largest variable is `{}` with {} bytes\nhint: hand over what is \
         large in a file, and its path in the variable",
        largest.0.escape_debug(),
        largest.1
    )]
    All { bytes: u64, limit: u64, largest: (String, usize) },
}

/// Checks that a process can be started with these arguments and this environment.
pub(super) fn check_size(words: &[OsString], variables: &Variables) -> Result<(), SizeError> {
    let of_words: u64 = words.iter().map(|word| size_of_string(word.as_bytes().len())).sum();
    let sizes: Vec<(&str, usize)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), name.len() + 1 + value.len()))
        .collect();
    check_sizes(&sizes, of_words, Limits::of_system())
}

/// A string with its end and the pointer to it.
fn size_of_string(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(9)
}

fn check_sizes(
    variables: &[(&str, usize)],
    of_words: u64,
    limits: Limits,
) -> Result<(), SizeError> {
    let (mut all, mut largest) = (of_words, ("", 0));
    for (name, bytes) in variables.iter().copied() {
        // The zero byte at the end counts.
        let bytes_of_one = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(1);
        if let Some(limit) = limits.one.filter(|most| bytes_of_one > *most) {
            return Err(SizeError::Variable { name: name.to_owned(), bytes, limit });
        }
        all = all.saturating_add(size_of_string(bytes));
        if bytes > largest.1 {
            largest = (name, bytes);
        }
    }
    match limits.all.filter(|most| all > *most) {
        Some(limit) => {
            let largest = (largest.0.to_owned(), largest.1);
            Err(SizeError::All { bytes: all, limit, largest })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, check_sizes};

    #[test]
    fn what_does_not_fit_is_named_with_the_limit() {
        let limits = Limits { one: Some(100), all: Some(1000) };
        let check = |variables: &[(&str, usize)]| check_sizes(variables, 50, limits);
        check(&[("A", 99), ("B", 99)]).unwrap();
        let error = check(&[("A", 50), ("LARGE", 100)]).unwrap_err().to_string();
        assert!(
            error.contains("`LARGE` has 100 bytes") && error.contains("more than 100"),
            "{error}"
        );
        let many: Vec<(&str, usize)> =
            (0..20).map(|n| (if n == 7 { "MOST" } else { "A" }, 90)).collect();
        let error = check(&many).unwrap_err().to_string();
        assert!(error.contains("more than 1000") && error.contains("with 90 bytes"), "{error}");
    }
}
