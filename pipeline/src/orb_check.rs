//! Orbs by themselves: those that a configuration uses, and a check that a text is one.

use std::sync::Arc;

use crate::options::{Options, OrbSource, Orbs};
use crate::orb::OrbUse;
use crate::problem::{self, Problem};
use crate::source::{Source, Span};
use crate::{Errors, compile, read, yaml};

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
    use super::{OrbUse, check_orb, orbs};
    use crate::options::{Options, Orbs};

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
