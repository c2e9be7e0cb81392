//! Which version of an orb is meant: `x.y.z`, `x.y`, `x`, `volatile` or `dev:name`.

/// A version with three numbers.
type Numbers = [u64; 3];

/// Returns whether a text can stand behind the `@` of an orb.
pub(crate) fn is_version(wanted: &str) -> bool {
    wanted == "volatile"
        || wanted.strip_prefix("dev:").is_some_and(|name| !name.is_empty())
        || version_numbers(wanted).is_some()
}

/// Returns whether a text names one version and no range of them.
pub(crate) fn is_exact(version: &str) -> bool {
    version != "volatile"
        && is_version(version)
        && version_numbers(version).is_none_or(|p| p.len() == 3)
}

/// The version that is meant, of those that there are: the highest that fits.
pub(crate) fn choose_version<'v>(wanted: &str, known: &'v [String]) -> Option<&'v str> {
    if wanted.starts_with("dev:") {
        return known.iter().map(String::as_str).find(|version| *version == wanted);
    }
    let wanted = if wanted == "volatile" { Vec::new() } else { version_numbers(wanted)? };
    let fitting = known.iter().filter_map(|version| {
        let numbers: Numbers = version_numbers(version)?.try_into().ok()?;
        numbers.starts_with(&wanted).then_some((numbers, version.as_str()))
    });
    fitting.max().map(|(_, version)| version)
}

/// The one to three numbers of a version.
fn version_numbers(version: &str) -> Option<Vec<u64>> {
    let parts: Option<Vec<u64>> = version
        .split('.')
        .map(|part| {
            let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if is_number { part.parse().ok() } else { None }
        })
        .collect();
    parts.filter(|parts| parts.len() <= 3)
}

#[cfg(test)]
mod tests {
    use super::{choose_version, is_version};

    #[test]
    fn the_highest_version_that_fits_is_chosen() {
        let known = ["1.2.3", "1.10.0", "1.2.10", "2.0.0", "dev:first", "notes"].map(str::to_owned);
        let cases = [
            ("1.2.3", Some("1.2.3")),
            ("1.2", Some("1.2.10")),
            ("1", Some("1.10.0")),
            ("volatile", Some("2.0.0")),
            ("dev:first", Some("dev:first")),
            ("dev:second", None),
            ("3", None),
            ("1.2.4", None),
        ];
        for (wanted, expected) in cases {
            assert_eq!(choose_version(wanted, &known), expected, "{wanted}");
        }
        for bad in ["", "x", "1.", "1.2.3.4", "dev:", "v1", "+1", "99999999999999999999999"] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
