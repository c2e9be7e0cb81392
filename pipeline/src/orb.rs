//! Names and versions of orbs.

use crate::versions;

/// An orb of a registry that a configuration uses, or that one of its orbs uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrbUse {
    /// Its name, `namespace/name`.
    pub name: String,
    /// The version that is asked for: `1.2.3`, `1.2`, `1`, `volatile` or `dev:name`.
    pub wanted: String,
    /// The version that is taken. `None` where there is none that fits.
    pub version: Option<String>,
}

/// Returns whether a text can be the name of an orb: `namespace/name`.
#[must_use]
pub fn is_orb_name(name: &str) -> bool {
    let is_part = |part: &str| {
        (1..=100).contains(&part.len())
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    name.split('/').count() == 2 && name.split('/').all(is_part)
}

/// Returns whether a text can be the version of an orb that is there: `1.2.3`, or `dev:name` with
/// letters, digits, `-`, `_` and `.`.
#[must_use]
pub fn is_orb_version(version: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    version.len() <= 100 && versions::is_exact(version) && version.chars().all(is_plain)
}

/// Says that `wanted` (`1.2.3`, `1.2`, `1`, `volatile` or `dev:name`) can stand for a version.
#[must_use]
pub fn orb_version_fits(wanted: &str, version: &str) -> bool {
    is_orb_version(version) && versions::choose_version(wanted, &[version.to_owned()]).is_some()
}

#[cfg(test)]
mod tests {
    use super::{is_orb_name, is_orb_version};

    #[test]
    fn names_and_versions_are_told_from_what_leads_elsewhere() {
        for good in ["circleci/node", "a/b-c_d.e"] {
            assert!(is_orb_name(good), "{good}");
        }
        for bad in ["node", "a/b/c", "../etc", "a/..", "a/", "/b", "a/b c", "a/.b"] {
            assert!(!is_orb_name(bad), "{bad}");
        }
        for good in ["1.2.3", "0.0.1", "dev:first", "dev:a.b_c-1"] {
            assert!(is_orb_version(good), "{good}");
        }
        for bad in ["1", "1.2", "volatile", "", "dev:", "dev:a/b", "1.2.3.4", "v1.2.3", "dev:a b"] {
            assert!(!is_orb_version(bad), "{bad}");
        }
    }
}
