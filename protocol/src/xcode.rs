//! Xcodes of a machine, and which of them a text means.
//!
//! Agents report what is installed and control planes choose a machine by it, so that both match by
//! the same rules: a release before any beta, the version that was written before one that only
//! begins with it, the newest first. Pure.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The most characters of a text that names an Xcode.
pub const MAX_NAME_CHARS: usize = 64;

/// The most numbers in a version.
const MAX_NUMBERS: usize = 4;

/// An Xcode that is installed on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Xcode {
    /// Its version: `16.2`, `26.0.1`. That of a beta is the version that it will be.
    pub version: String,
    /// Its build: `16C5032a`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Set for a beta.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_beta: bool,
    /// Number of the beta, where the name of its bundle tells: nothing inside does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_number: Option<u32>,
    /// Names of its bundle and of links to it, without `.app`: `Xcode-16.2.0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl fmt::Display for Xcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.version)?;
        if self.is_beta {
            f.write_str(" beta")?;
        }
        if let Some(number) = self.beta_number.filter(|_| self.is_beta) {
            write!(f, " {number}")?;
        }
        if let Some(build) = &self.build {
            write!(f, " ({build})")?;
        }
        Ok(())
    }
}

/// A version as a person or a file name writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenVersion {
    /// Its numbers: at least one.
    pub numbers: Vec<u32>,
    /// Set for a beta.
    pub is_beta: bool,
    /// Number of the beta, where one is written.
    pub beta_number: Option<u32>,
}

impl WrittenVersion {
    /// Reads `16.2`, `26.1 beta`, `26.1.0-Beta.3`, `16.0-Release.Candidate`. `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (mut numbers, mut rest) = text.split_at_checked(end)?;
        if let Some(before) = numbers.strip_suffix('.') {
            // The point belongs to what follows, of which there has to be something.
            (numbers, rest) = (before, text.get(before.len()..)?);
        }
        let numbers = parse_numbers(numbers)?;
        let words: Vec<&str> = rest.split([' ', '-', '_', '.']).filter(|w| !w.is_empty()).collect();
        let (is_beta, beta_number) = match words.as_slice() {
            [] if rest.is_empty() => (false, None),
            ["rc" | "gm"] | ["release", "candidate"] | ["gm", "seed"] => (false, None),
            ["rc" | "gm", number] | ["release", "candidate", number] => {
                number.parse::<u32>().ok()?;
                (false, None)
            }
            ["beta"] => (true, None),
            ["beta", number] => (true, Some(number.parse().ok()?)),
            [word] => (true, Some(word.strip_prefix("beta")?.parse().ok()?)),
            _ => return None,
        };
        Some(Self { numbers, is_beta, beta_number })
    }
}

fn parse_numbers(text: &str) -> Option<Vec<u32>> {
    let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    numbers.filter(|numbers| numbers.len() <= MAX_NUMBERS)
}

/// Returns the numbers of a version by which versions are ordered.
fn ordered_numbers(version: &str) -> [u32; MAX_NUMBERS] {
    pad(&parse_numbers(version).unwrap_or_default())
}

fn pad(numbers: &[u32]) -> [u32; MAX_NUMBERS] {
    let mut padded = [0; MAX_NUMBERS];
    padded.iter_mut().zip(numbers).for_each(|(to, from)| *to = *from);
    padded
}

/// Order of builds of a version: `17B5035f` is older than `17B5045g`.
fn build_order(build: Option<&String>) -> (u32, char, u32, String) {
    let Some(build) = build else { return Default::default() };
    let (train, rest) = split_number(build);
    let mut letters = rest.chars();
    let letter = letters.next().unwrap_or_default();
    let (number, suffix) = split_number(letters.as_str());
    (train, letter, number, suffix.to_owned())
}

fn split_number(text: &str) -> (u32, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(digits).unwrap_or((text, ""));
    (number.parse().unwrap_or(0), rest)
}

/// Order of installed Xcodes: releases before betas, the newest first. Copies are equal.
fn newest_first(xcode: &Xcode) -> impl Ord + use<> {
    (
        xcode.is_beta,
        Reverse(ordered_numbers(&xcode.version)),
        Reverse(xcode.beta_number),
        Reverse(build_order(xcode.build.as_ref())),
    )
}

/// Sorts installed Xcodes: releases before betas, the newest first.
pub fn sort_xcodes<T>(all: &mut [T], of: impl Fn(&T) -> &Xcode) {
    all.sort_by_cached_key(|one| newest_first(of(one)));
}

/// Fit of an installed Xcode, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is the very build.
    Build,
    /// It is the version that was written.
    Version,
    /// It begins with the numbers that were written.
    Beginning,
    /// It may be: nothing tells the number of its beta.
    UnknownBeta,
    /// It is called so.
    Name,
}

fn fit_of(wanted: &str, written: Option<&WrittenVersion>, xcode: &Xcode) -> Option<Fit> {
    if xcode.build.as_deref().is_some_and(|build| build.eq_ignore_ascii_case(wanted)) {
        return Some(Fit::Build);
    }
    let Some(written) = written else {
        let wanted = plain_name(wanted);
        let is_it = |name: &String| {
            let name = plain_name(name);
            name == wanted || name.strip_prefix("xcode ") == Some(wanted.as_str())
        };
        return xcode.names.iter().any(is_it).then_some(Fit::Name);
    };
    if written.is_beta && !xcode.is_beta {
        return None;
    }
    let numbers = ordered_numbers(&xcode.version);
    if !numbers.starts_with(&written.numbers) {
        return None;
    }
    match (written.beta_number, xcode.beta_number) {
        (Some(wanted), Some(number)) if wanted != number => None,
        (Some(_), None) => Some(Fit::UnknownBeta),
        // One number alone is a whole series of versions: the newest of it.
        _ if written.numbers.len() > 1 && numbers == pad(&written.numbers) => Some(Fit::Version),
        _ => Some(Fit::Beginning),
    }
}

/// A name without its separators and case.
fn plain_name(name: &str) -> String {
    let words = name.split([' ', '-', '_', '.']).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// Returns the position of the Xcode that `wanted` means: the version that is written (`16.2`,
/// `16.2.0`), else the newest one that begins with all numbers that are (`26` for 26.0.1), releases
/// before betas; a build (`16C5032a`); and for what is no version, the name of a bundle (`beta` for
/// `Xcode-beta.app`). Of copies it is the first.
#[must_use]
pub fn choose_xcode<T: Borrow<Xcode>>(wanted: &str, installed: &[T]) -> Option<usize> {
    let wanted = wanted.trim();
    let written = WrittenVersion::parse(wanted);
    let fits = installed.iter().enumerate().filter_map(|(at, xcode)| {
        let xcode = xcode.borrow();
        let fit = fit_of(wanted, written.as_ref(), xcode)?;
        Some((at, (xcode.is_beta, fit, newest_first(xcode))))
    });
    fits.min_by(|(_, one), (_, other)| one.cmp(other)).map(|(at, _)| at)
}

/// Returns true if one of these Xcodes is what `wanted` means.
#[must_use]
pub fn has_xcode(wanted: &str, installed: &[Xcode]) -> bool {
    choose_xcode(wanted, installed).is_some()
}

#[cfg(test)]
mod tests {
    use super::{WrittenVersion, Xcode, choose_xcode, has_xcode, sort_xcodes};

    fn release(version: &str) -> Xcode {
        Xcode { version: version.to_owned(), ..Xcode::default() }
    }

    fn beta(version: &str, number: Option<u32>, build: &str) -> Xcode {
        let build = Some(build.to_owned());
        Xcode { is_beta: true, beta_number: number, build, ..release(version) }
    }

    /// The version that is chosen.
    fn chosen(wanted: &str, installed: &[Xcode]) -> Option<String> {
        choose_xcode(wanted, installed).map(|at| installed[at].to_string())
    }

    #[test]
    fn a_version_is_read_as_people_and_tools_write_it() {
        let parse = |text: &str| {
            let written = WrittenVersion::parse(text)?;
            Some((written.numbers, written.is_beta, written.beta_number))
        };
        assert_eq!(parse("16.2"), Some((vec![16, 2], false, None)));
        assert_eq!(parse(" 16.2.0 "), Some((vec![16, 2, 0], false, None)));
        assert_eq!(parse("26"), Some((vec![26], false, None)));
        for text in ["26.1 beta 3", "26.1-beta.3", "26.1-Beta.3", "26.1_beta_3", "26.1beta3"] {
            assert_eq!(parse(text), Some((vec![26, 1], true, Some(3))), "{text}");
        }
        assert_eq!(parse("26.1.0-Beta"), Some((vec![26, 1, 0], true, None)));
        for text in ["16.0 RC", "16.0-Release.Candidate.2", "16.0 GM seed", "16.0-rc 1"] {
            assert_eq!(parse(text), Some((vec![16, 0], false, None)), "{text}");
        }
        for text in [
            "",
            "beta",
            "16.",
            ".16",
            "16..2",
            "16.2 ",
            "1.2.3.4.5",
            "16C5032a",
            "16-",
            "99999999999",
        ] {
            let is_version = text.trim() == "16.2";
            assert_eq!(parse(text).is_some(), is_version, "{text}");
        }
    }

    #[test]
    fn the_written_version_comes_first_then_the_newest_that_begins_with_it() {
        let installed = [release("16.2"), release("16.2.1"), release("26.0.1"), release("26.1")];
        for (wanted, expected) in [
            ("16.2", Some("16.2")),
            ("16.2.0", Some("16.2")),
            ("16.2.1", Some("16.2.1")),
            ("16", Some("16.2.1")),
            ("26", Some("26.1")),
            ("26.0", Some("26.0.1")),
            ("26.0.0", None),
            ("16.3", None),
            ("2", None),
            ("16.2 beta", None),
        ] {
            assert_eq!(chosen(wanted, &installed).as_deref(), expected, "{wanted}");
        }
        assert_eq!(chosen("26", &[release("26.0.1")]).as_deref(), Some("26.0.1"));
    }

    #[test]
    fn releases_come_before_betas_and_a_beta_is_found_by_its_number_where_a_name_tells_it() {
        let betas = [beta("26.1", Some(2), "17B5035f"), beta("26.1", Some(3), "17B5045g")];
        assert_eq!(chosen("26.1", &betas).as_deref(), Some("26.1 beta 3 (17B5045g)"));
        assert_eq!(chosen("26.1 beta", &betas).as_deref(), Some("26.1 beta 3 (17B5045g)"));
        assert_eq!(chosen("26.1-Beta.2", &betas).as_deref(), Some("26.1 beta 2 (17B5035f)"));
        assert_eq!(chosen("26.1-beta.4", &betas), None);
        let both = [betas[1].clone(), release("26.1.1")];
        assert_eq!(chosen("26.1", &both).as_deref(), Some("26.1.1"));
        assert_eq!(chosen("26.1 beta", &both).as_deref(), Some("26.1 beta 3 (17B5045g)"));
        // `Xcode-beta.app`: which one it is only its build tells.
        let unknown = [beta("26.1", None, "17B5035f"), beta("26.1", None, "17B5045g")];
        assert_eq!(chosen("26.1 beta 3", &unknown).as_deref(), Some("26.1 beta (17B5045g)"));
        assert_eq!(chosen("17b5035F", &unknown).as_deref(), Some("26.1 beta (17B5035f)"));
    }

    #[test]
    fn a_name_counts_only_for_what_is_no_version() {
        let named = |name: &str, version: &str| Xcode {
            names: vec!["Xcode".to_owned(), name.to_owned()],
            ..release(version)
        };
        let installed = [named("Xcode-beta", "26.1"), named("Xcode_16.2", "16.3")];
        assert_eq!(chosen("beta", &installed).as_deref(), Some("26.1"));
        assert_eq!(chosen("Xcode-Beta", &installed).as_deref(), Some("26.1"));
        assert_eq!(chosen("16.2", &installed), None, "the bundle says another version");
        assert_eq!(chosen("nightly", &installed), None);
        assert!(!has_xcode("", &installed));
    }

    #[test]
    fn xcodes_are_listed_with_the_newest_release_first() {
        let mut all =
            vec![release("9.4"), beta("27.0", None, "18A1"), release("26.0"), release("16.2")];
        sort_xcodes(&mut all, |one| one);
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["26.0", "16.2", "9.4", "27.0 beta (18A1)"]);
    }

    #[test]
    fn a_report_of_the_first_version_is_read_forever() {
        let text = r#"{"version":"26.1","build":"17B5045g","is_beta":true,"beta_number":3,
            "names":["Xcode-beta"],"later":1}"#;
        let xcode: Xcode = serde_json::from_str(text).unwrap();
        assert_eq!(xcode.to_string(), "26.1 beta 3 (17B5045g)");
        assert_eq!(serde_json::to_string(&release("16.2")).unwrap(), r#"{"version":"16.2"}"#);
    }
}
