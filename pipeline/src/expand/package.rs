//! Definitions of a configuration or an orb: commands, executors, jobs, and the orbs that it uses.

use std::collections::HashMap;
use std::rc::Rc;

use super::Expander;
use super::parameters::Parameter;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// A configuration or an orb.
#[derive(Debug, Default)]
pub(super) struct Package {
    /// Prefix of its names where it is used, with a `/`; empty for the configuration itself.
    pub(super) prefix: String,
    /// Set if `<<` has a meaning in its texts.
    pub(super) is_2_1: bool,
    pub(super) commands: Definitions,
    pub(super) executors: Definitions,
    pub(super) jobs: Definitions,
    pub(super) orbs: HashMap<Rc<str>, Import>,
}

/// An orb that a package uses.
#[derive(Clone, Debug)]
pub(super) enum Import {
    /// It is this package.
    Package(usize),
    /// It is not there. Who uses it is told so.
    Missing(Rc<Problem>),
}

/// Definitions by name.
pub(super) type Definitions = HashMap<Rc<str>, Rc<Definition>>;

/// A command, executor or job as it is written.
#[derive(Debug)]
pub(super) struct Definition {
    /// Name in messages.
    kind: &'static str,
    full_name: String,
    pub(super) name: Rc<str>,
    pub(super) key_span: Span,
    pub(super) span: Span,
    pub(super) body: Rc<Mapping>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) package: usize,
    /// Its number among all definitions.
    pub(super) id: usize,
}

impl Definition {
    /// Name in messages.
    pub(super) fn describe(&self) -> String {
        format!("the {} `{}`", self.kind, quoted(&self.full_name))
    }
}

/// The meaning of a name.
pub(super) enum Found {
    Definition(Rc<Definition>),
    /// It is in an orb that is not there.
    Missing(Rc<Problem>),
    Nothing,
}

impl Expander<'_, '_> {
    /// Reads what the top level of a configuration or an orb defines. Answers its index.
    pub(super) fn read_package(
        &mut self,
        root: &Mapping,
        prefix: String,
        is_main: bool,
        level: usize,
    ) -> usize {
        let index = self.packages.len();
        let is_2_1 = !is_main || self.context.is_2_1;
        self.packages.push(Package { prefix, is_2_1, ..Package::default() });
        if is_2_1 {
            let orbs = self.read_imports(root, index, level);
            if let Some(package) = self.packages.get_mut(index) {
                package.orbs = orbs;
            }
        }
        let commands = self.read_definitions(root, "commands", "command", index);
        let executors = self.read_definitions(root, "executors", "executor", index);
        let jobs = self.read_definitions(root, "jobs", "job", index);
        if let Some(package) = self.packages.get_mut(index) {
            package.commands = commands;
            package.executors = executors;
            package.jobs = jobs;
        }
        index
    }

    fn read_definitions(
        &mut self,
        root: &Mapping,
        key: &'static str,
        kind: &'static str,
        package: usize,
    ) -> Definitions {
        let mut definitions = Definitions::new();
        let is_2_1 = self.packages.get(package).is_some_and(|package| package.is_2_1);
        let Some(node) = root.get(key).filter(|node| node.kind() != Kind::Nothing) else {
            return definitions;
        };
        if !is_2_1 && kind != "job" {
            return definitions;
        }
        let Some(mapping) = self.context.expect_mapping(node, &format!("`{key}`")) else {
            return definitions;
        };
        let prefix = self.packages.get(package).map(|p| p.prefix.clone()).unwrap_or_default();
        for entry in &mapping.entries {
            let full_name = format!("{prefix}{}", entry.key);
            let what = format!("the {kind} `{}`", quoted(&full_name));
            let body = match &entry.value.value {
                Value::Mapping(body) => Rc::clone(body),
                // Its name is known all the same, so that who uses it is not told that it is not.
                _ => {
                    self.context.expect_mapping(&entry.value, &what);
                    Rc::new(Mapping { entries: Vec::new(), is_incomplete: true })
                }
            };
            let declared = body.get("parameters").filter(|_| is_2_1);
            let parameters =
                declared.map(|node| self.read_parameters(node, false)).unwrap_or_default();
            self.definitions += 1;
            let definition = Definition {
                kind,
                full_name,
                name: Rc::clone(&entry.key),
                key_span: entry.key_span,
                span: entry.value.used_at(),
                body,
                parameters,
                package,
                id: self.definitions,
            };
            definitions.insert(Rc::clone(&entry.key), Rc::new(definition));
        }
        definitions
    }

    /// Returns what a name stands for in a package: its own, or `orb/name`.
    pub(super) fn find_definition(
        &self,
        name: &str,
        package: usize,
        of: impl Fn(&Package) -> &Definitions,
    ) -> Found {
        let Some(package) = self.packages.get(package) else { return Found::Nothing };
        if let Some(own) = of(package).get(name) {
            return Found::Definition(Rc::clone(own));
        }
        let Some((orb, name)) = name.split_once('/') else { return Found::Nothing };
        match package.orbs.get(orb) {
            None => Found::Nothing,
            Some(Import::Missing(problem)) => Found::Missing(Rc::clone(problem)),
            Some(Import::Package(index)) => {
                let orb = self.packages.get(*index);
                let found = orb.and_then(|package| of(package).get(name));
                found.map_or(Found::Nothing, |found| Found::Definition(Rc::clone(found)))
            }
        }
    }

    /// Names that could be meant in a package, for suggestions.
    pub(super) fn known_names(
        &self,
        package: usize,
        of: impl Fn(&Package) -> &Definitions,
    ) -> Vec<String> {
        const MOST: usize = 1000;
        let package = self.packages.get(package);
        let Some(package) = package.filter(|_| !self.context.suggestions.are_enough()) else {
            return Vec::new();
        };
        let own = of(package).keys().map(|name| name.to_string());
        let imported = package.orbs.iter().filter_map(|(alias, import)| match import {
            Import::Package(index) => Some((alias, self.packages.get(*index)?)),
            Import::Missing(_) => None,
        });
        let imported = imported.flat_map(|(alias, package)| {
            of(package).keys().map(move |name| format!("{alias}/{name}"))
        });
        let mut names: Vec<String> = own.chain(imported).take(MOST).collect();
        names.sort();
        names
    }

    /// Reports that a name with a `/` names nothing in an orb that is there, or no orb at all.
    /// False where it is not such a name.
    pub(super) fn report_orb_name(
        &mut self,
        kind: &str,
        name: &str,
        place: Span,
        package: usize,
        known: &[String],
    ) -> bool {
        let Some((orb, rest)) = name.split_once('/') else { return false };
        let Some(own) = self.packages.get(package) else { return false };
        if own.orbs.contains_key(orb) {
            let hint = self.suggest_near(name, known.iter().map(String::as_str));
            let message = format!("the orb `{}` has no {kind} `{}`", quoted(orb), quoted(rest));
            self.report(Problem::error(place, message).maybe_hint(hint));
        } else {
            let orbs: Vec<Rc<str>> = own.orbs.keys().cloned().collect();
            let hint = self.suggest_near(orb, orbs.iter().map(|name| &**name));
            let message = format!("there is no orb `{}` in `orbs`", quoted(orb));
            self.report(Problem::error(place, message).maybe_hint(hint));
        }
        true
    }
}

/// The arguments that stand behind the name of a command, executor or job.
pub(super) fn given_arguments<'n>(
    expander: &mut Expander<'_, '_>,
    node: &'n Node,
    what: &str,
) -> &'n [Entry] {
    if node.kind() == Kind::Nothing {
        return &[];
    }
    match expander.context.expect_mapping(node, &format!("what {what} is given")) {
        Some(mapping) => &mapping.entries,
        None => &[],
    }
}
