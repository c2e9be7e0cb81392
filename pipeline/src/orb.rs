//! Orbs by themselves: which ones a configuration uses, and whether a text is one.

use std::sync::Arc;

use crate::options::{Options, OrbSource, Orbs};
use crate::problem::{self, Problem};
use crate::source::{Source, Span};
use crate::{Errors, compile, read, versions, yaml};

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

/// The orbs that a configuration uses, directly or not, each once and by name. Of a configuration
/// that is wrong, those that can be told.
#[must_use]
pub fn orbs(text: &str, options: &Options) -> Vec<OrbUse> {
    let options = Options { check: true, ..options.clone() };
    let mut orbs = read(text, &options).map(|(context, _)| context.orbs).unwrap_or_default();
    orbs.sort();
    orbs.dedup();
    orbs
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

/// Looks whether a text is an orb. What it uses of `others` and is not there is no mistake of its
/// own.
///
/// # Errors
///
/// All that is wrong with it, in the order of the text.
pub fn check_orb(name: &str, version: &str, source: &str, others: &Orbs) -> Result<(), Errors> {
    let one = One {
        name: name.to_owned(),
        version: version.to_owned(),
        source: source.to_owned(),
        others: others.clone(),
    };
    let options = Options {
        file: "orb".to_owned(),
        check: true,
        orbs: Orbs(Some(Arc::new(one))),
        ..Options::default()
    };
    let text = format!("version: 2.1\norbs: {{orb: \"{name}@{version}\"}}\nworkflows: {{}}\n");
    compile(&text, &options)?;
    offers_something(name, version, source)
}

/// Returns whether the top level of an orb has anything that a configuration could use. What else
/// is there does not matter: orbs are other people's.
fn offers_something(name: &str, version: &str, source: &str) -> Result<(), Errors> {
    let (root, _) = yaml::parse(source, 0);
    let is_any = |entry: &yaml::Entry| ["commands", "jobs", "executors"].contains(&&*entry.key);
    if root.is_some_and(|root| root.entries().iter().any(is_any)) {
        return Ok(());
    }
    let problem = Problem::error(Span::new(0, 0), "an orb has `commands`, `jobs` or `executors`")
        .hint("a directory with an `@orb.yml` is packed by `russet config orb add`");
    let file = format!("{name}@{version}");
    let place = Source::new(&file, source);
    Err(Errors(problem::diagnose(&place, vec![problem]).0))
}

/// One orb, and others.
struct One {
    name: String,
    version: String,
    source: String,
    others: Orbs,
}

impl OrbSource for One {
    fn versions(&self, orb: &str) -> Vec<String> {
        if orb == self.name {
            return vec![self.version.clone()];
        }
        self.others.0.as_ref().map(|others| others.versions(orb)).unwrap_or_default()
    }

    fn text(&self, orb: &str, version: &str) -> Option<String> {
        if orb == self.name {
            return Some(self.source.clone());
        }
        self.others.0.as_ref()?.text(orb, version)
    }
}

#[cfg(test)]
mod tests {
    use super::{OrbUse, check_orb, is_orb_name, is_orb_version, orbs};
    use crate::options::{Options, Orbs};

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

    #[test]
    fn an_orb_is_told_from_a_text_that_is_none() {
        let check = |source: &str| check_orb("acme/tools", "1.0.0", source, &Orbs::default());
        check("version: 2.1\ncommands: {hello: {steps: [{run: echo hello}]}}\n").unwrap();
        check("orbs: {other: acme/other@1}\ncommands: {a: {steps: [other/b]}}\n").unwrap();
        assert!(check("- a list").unwrap_err().to_string().contains("an orb"));
        let wrong = check("comands: {}").unwrap_err().to_string();
        assert!(wrong.contains("an orb has `commands`"), "{wrong}");
        assert!(wrong.contains("acme/tools@1.0.0:1:1"), "{wrong}");
        assert!(check("a: [").is_err());
    }

    #[test]
    fn the_orbs_of_a_configuration_are_listed_with_what_is_there() {
        let text = "version: 2.1\norbs: {b: acme/b@1, a: acme/a@2.0, own: {commands: {}}}\n";
        let missing = |name: &str, wanted: &str| OrbUse {
            name: name.to_owned(),
            wanted: wanted.to_owned(),
            version: None,
        };
        assert_eq!(
            orbs(text, &Options::default()),
            [missing("acme/a", "2.0"), missing("acme/b", "1")]
        );
    }
}
