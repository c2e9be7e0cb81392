//! `orbs`: written in the configuration itself, or found by name and version where the caller
//! says.

use std::collections::HashMap;
use std::rc::Rc;

use super::package::Import;
use super::{Expander, Scope};
use crate::options::OrbTrouble;
use crate::orb::{OrbUse, is_orb_name};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::versions;
use crate::vocabulary;
use crate::yaml::{self, Entry, Kind, Mapping, Node, Value};

/// Orbs of orbs of orbs, at most.
const MAX_LEVEL: usize = 8;

/// Orbs of a registry that one configuration may read, and their bytes together. The largest
/// public ones have some 100 KB.
const MOST_ORBS: usize = 100;
const MOST_BYTES: usize = 16 * 1024 * 1024;

impl Expander<'_, '_> {
    /// Reads the `orbs` of a configuration or an orb.
    pub(super) fn read_imports(
        &mut self,
        root: &Mapping,
        package: usize,
        level: usize,
    ) -> HashMap<Rc<str>, Import> {
        let mut imports = HashMap::new();
        let Some(node) = root.get("orbs").filter(|node| node.kind() != Kind::Nothing) else {
            return imports;
        };
        let Some(mapping) = self.context.expect_mapping(node, "`orbs`") else { return imports };
        for entry in &mapping.entries {
            let import = self.read_import(entry, package, level);
            // What the configuration itself lacks is told where it is used; an orb in use that
            // lacks another of its own is no use.
            if let (Import::Missing(problem), 0) = (&import, package) {
                self.context.missing.insert(entry.key.to_string(), (**problem).clone());
            }
            imports.insert(Rc::clone(&entry.key), import);
        }
        imports
    }

    fn read_import(&mut self, entry: &Entry, package: usize, level: usize) -> Import {
        let place = entry.value.used_at();
        if level >= MAX_LEVEL {
            let message = format!("orbs use each other more than {MAX_LEVEL} levels deep");
            let problem = Problem::error(place, message);
            self.report(problem.clone());
            return Import::Missing(Rc::new(problem));
        }
        match &entry.value.value {
            Value::Mapping(mapping) if mapping.entries.is_empty() && !mapping.is_incomplete => {
                let message = format!("the orb `{}` is empty", quoted(&entry.key));
                let hint = "name a published version, `namespace/name@1.2.3`, or write its \
                            commands, jobs and executors here";
                Import::Missing(Rc::new(Problem::error(place, message).hint(hint).environmental()))
            }
            Value::Mapping(mapping) => {
                self.context.check_keys(mapping, &vocabulary::ORB);
                let prefix = format!("{}/", entry.key);
                Import::Package(self.read_package(mapping, prefix, false, level + 1))
            }
            _ => {
                // Values of the pipeline may choose the version.
                let value = self.fill_templates(&entry.value, Scope::outside(package));
                if value.kind() == Kind::Unknown {
                    return Import::Missing(Rc::new(silent_problem(place)));
                }
                let found = self.context.expect_nonempty(&value, "an orb");
                match found {
                    Some(text) => self.read_registered(&text, &entry.key, place, level),
                    None => Import::Missing(Rc::new(silent_problem(place))),
                }
            }
        }
    }

    /// An orb by `namespace/name@version`.
    fn read_registered(&mut self, text: &str, alias: &str, place: Span, level: usize) -> Import {
        if let Some(import) = self.registry.get(text) {
            return import.clone();
        }
        let parts = text
            .split_once('@')
            .filter(|(name, version)| is_orb_name(name) && versions::is_version(version));
        let Some((name, wanted)) = parts else {
            let message = format!("`{}` names no orb", quoted(text));
            let hint = "write `namespace/name@version`, with a version such as `1.2.3`, `1.2`, `1`, \
                        `volatile` or `dev:name`";
            self.report(Problem::error(place, message).hint(hint));
            return Import::Missing(Rc::new(silent_problem(place)));
        };
        let import = match self.read_orb(name, wanted, place) {
            Err(problem) => Import::Missing(problem),
            Ok(root) => {
                // Should it use itself, that is as if it were not there.
                let circle =
                    Problem::error(place, format!("the orb `{}` uses itself", quoted(text)));
                self.registry.insert(text.to_owned(), Import::Missing(Rc::new(circle)));
                match &root.value {
                    Value::Mapping(mapping) => Import::Package(self.read_package(
                        mapping,
                        format!("{alias}/"),
                        false,
                        level + 1,
                    )),
                    _ => {
                        self.context.wrong_type(&root, "an orb", "a mapping");
                        Import::Missing(Rc::new(silent_problem(place)))
                    }
                }
            }
        };
        self.registry.insert(text.to_owned(), import.clone());
        import
    }

    /// Finds and reads the text of an orb.
    fn read_orb(&mut self, name: &str, wanted: &str, place: Span) -> Result<Node, Rc<Problem>> {
        let source = self.context.options.orbs.0.clone();
        let known = source.as_ref().map(|source| source.versions(name)).unwrap_or_default();
        let version = source.as_ref().and_then(|source| source.choose(name, wanted));
        self.context.orbs.push(OrbUse {
            name: name.to_owned(),
            wanted: wanted.to_owned(),
            version: version.clone(),
        });
        let chosen = source.as_ref().zip(version.as_deref());
        let found = chosen.and_then(|(source, version)| {
            Some((source.text(name, version)?, source.place(name, version)))
        });
        let Some((text, file)) = found else {
            let trouble = source.as_ref().and_then(|source| source.absence(name, wanted));
            let problem = match trouble {
                Some(OrbTrouble { message, hint }) => {
                    Problem::error(place, message).hint(hint).environmental()
                }
                None => not_there(name, wanted, &known, place),
            };
            return Err(Rc::new(problem));
        };
        // A text that is not the pinned one is not looked at, whatever it says.
        let objection = chosen.and_then(|(source, version)| source.objection(name, version, &text));
        if let Some(OrbTrouble { message, hint }) = objection {
            return Err(Rc::new(Problem::error(place, message).hint(hint).environmental()));
        }
        let read: usize = self.context.orb_bytes.saturating_add(text.len());
        self.context.orb_bytes = read;
        if self.registry.len() >= MOST_ORBS
            || read > MOST_BYTES
            || text.len() > yaml::limits::MAX_BYTES
        {
            let limit = MOST_BYTES / 1024 / 1024;
            let message = format!("the orbs are more than {MOST_ORBS}, or longer than {limit} MiB");
            self.report(Problem::error(place, message));
            return Err(Rc::new(silent_problem(place)));
        }
        let base = self.context.source.add(file, text.clone());
        let (root, problems) = yaml::parse(&text, base);
        problems.into_iter().for_each(|problem| self.report(problem));
        root.ok_or_else(|| Rc::new(silent_problem(place)))
    }
}

/// The problem of who uses an orb that is not there.
fn not_there(name: &str, wanted: &str, known: &[String], place: Span) -> Problem {
    let message = format!("the orb `{}@{}` is not there", quoted(name), quoted(wanted));
    let version = match wanted.matches('.').count() {
        _ if wanted.starts_with("dev:") => wanted.to_owned(),
        _ if wanted == "volatile" => "1.0.0".to_owned(),
        0 => format!("{wanted}.0.0"),
        1 => format!("{wanted}.0"),
        _ => wanted.to_owned(),
    };
    let file = format!("DIR/{}@{}.yml", quoted(name), quoted(&version));
    let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
    known.sort_unstable();
    let others = match known.as_slice() {
        [] => String::new(),
        some => format!(
            "; what is there is {}",
            some.iter().take(10).copied().collect::<Vec<_>>().join(", ")
        ),
    };
    let hint = format!(
        "`russet config orb fetch` gets it from a registry, `russet config orb add FILE --as {}@{}` \
         takes it from a file; or put its source into {file} and say `--orb-path DIR`{others}",
        quoted(name),
        quoted(&version)
    );
    Problem::error(place, message).hint(hint).environmental()
}

/// Returns what stands for an orb whose problem was reported.
fn silent_problem(place: Span) -> Problem {
    Problem::error(place, "").silent()
}
