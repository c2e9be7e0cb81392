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

/// Checks that a process can be started with this environment.
///
/// # Errors
///
/// A sentence that names the variable and the limit.
pub(super) fn check(words: &[OsString], variables: &Variables) -> Result<(), String> {
    let of_words: u64 = words.iter().map(|word| size(word.as_bytes().len())).sum();
    let sizes: Vec<(&str, usize)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), name.len() + 1 + value.len()))
        .collect();
    check_sizes(&sizes, of_words, Limits::of_system())
}

/// A string with its end and the pointer to it.
fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(9)
}

fn check_sizes(variables: &[(&str, usize)], of_words: u64, limits: Limits) -> Result<(), String> {
    const HINT: &str = "hint: hand over what is large in a file, and its path in the variable";
    let (mut all, mut largest) = (of_words, ("", 0));
    for (name, bytes) in variables.iter().copied() {
        // The zero byte at the end counts.
        let bytes_of_one = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(1);
        if let Some(most) = limits.one.filter(|most| bytes_of_one > *most) {
            return Err(format!(
                "the variable `{}` has {bytes} bytes with its name, and this system gives a process \
                 no more than {most} in one\n{HINT}",
                name.escape_debug()
            ));
        }
        all = all.saturating_add(size(bytes));
        if bytes > largest.1 {
            largest = (name, bytes);
        }
    }
    match limits.all.filter(|most| all > *most) {
        Some(most) => Err(format!(
            "the environment and the arguments have {all} bytes, and this system gives a process no more \
             than {most}; the largest variable is `{}` with {} bytes\n{HINT}",
            largest.0.escape_debug(),
            largest.1
        )),
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
        let error = check(&[("A", 50), ("LARGE", 100)]).unwrap_err();
        assert!(
            error.contains("`LARGE` has 100 bytes") && error.contains("more than 100"),
            "{error}"
        );
        let many: Vec<(&str, usize)> =
            (0..20).map(|n| (if n == 7 { "MOST" } else { "A" }, 90)).collect();
        let error = check(&many).unwrap_err();
        assert!(error.contains("more than 1000") && error.contains("with 90 bytes"), "{error}");
    }
}
