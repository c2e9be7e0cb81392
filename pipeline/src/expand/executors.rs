//! `executor` of a job: what it names is written into the job.

use std::collections::HashSet;
use std::rc::Rc;

use super::package::{Definition, Found};
use super::parameters::{Arguments, Kind as Type};
use super::{Expander, Scope};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::vocabulary;
use crate::yaml::{Entry, Mapping, Node, Value};

/// Keys that say what kind of executor it is.
const KINDS: [&str; 4] = ["docker", "machine", "macos", "windows"];

/// Keys that are for who reads the definition.
const OWN: [&str; 2] = ["parameters", "description"];

impl Expander<'_, '_> {
    /// Returns what the executor that a node names has, with its arguments. `None` where there is
    /// no such executor; that is reported, unless it is in an orb that is not there.
    pub(super) fn write_executor(&mut self, node: &Node, scope: Scope<'_>) -> Option<Vec<Entry>> {
        self.nest_deeper(node.used_at(), |this| this.executor_here(node, scope))?
    }

    fn executor_here(&mut self, node: &Node, scope: Scope<'_>) -> Option<Vec<Entry>> {
        if let Some(passed) = self.argument_of(node, scope) {
            // It was written out where it was given, and is looked up there.
            return self
                .write_executor(&passed.node.used(node.used_at()), Scope::filled(passed.package));
        }
        let (name_node, given): (&Node, Vec<Entry>) = match &node.value {
            Value::Mapping(mapping) => {
                let Some(name) = mapping.get("name") else {
                    if !mapping.is_incomplete {
                        let problem = Problem::error(node.span, "`executor` needs a `name`");
                        self.report(problem);
                    }
                    return None;
                };
                let given = mapping.entries.iter().filter(|entry| &*entry.key != "name");
                (name, given.cloned().collect())
            }
            Value::Unknown => return None,
            _ => (node, Vec::new()),
        };
        if let Some(passed) = self.argument_of(name_node, scope)
            && matches!(passed.node.value, Value::Scalar { .. })
        {
            let name = passed.node.used(name_node.used_at());
            return self.named_executor(&name, passed.package, &given, node.used_at(), scope);
        }
        let name = self.fill_templates(name_node, scope);
        self.named_executor(&name, scope.package, &given, node.used_at(), scope)
    }

    /// The executor of a name in a package, with arguments that are written in a scope.
    fn named_executor(
        &mut self,
        name_node: &Node,
        package: usize,
        given: &[Entry],
        place: Span,
        scope: Scope<'_>,
    ) -> Option<Vec<Entry>> {
        let name = self.context.expect_nonempty(name_node, "the name of an executor")?;
        let at = name_node.used_at();
        match self.find_definition(&name, package, |package| &package.executors) {
            Found::Definition(executor) => {
                let arguments = self.bind_arguments(&executor, given, place, scope);
                self.used.insert(executor.id);
                Some(self.executor_entries(&executor, &arguments, at))
            }
            Found::Missing(_) if package == 0 => None,
            Found::Missing(problem) => {
                self.report((*problem).clone());
                None
            }
            Found::Nothing => {
                let known = self.known_names(package, |package| &package.executors);
                if !self.report_orb_name("executor", &name, at, package, &known) {
                    let hint = self.suggest_near(&name, known.iter().map(String::as_str));
                    let message = format!("there is no executor `{}`", quoted(&name));
                    let problem = Problem::error(name_node.span, message).maybe_hint(hint);
                    // One that was passed on is written elsewhere.
                    self.report(match name_node.alias {
                        Some(alias) => problem.related(alias, "it is used here"),
                        None => problem,
                    });
                }
                None
            }
        }
    }

    /// Returns the definition, as it is written, of the executor that a parameter of the type
    /// `executor` stands for. `None` if the node is anything else, or if there is no such executor.
    pub(super) fn executor_definition(&self, node: &Node, scope: Scope<'_>) -> Option<Node> {
        let argument = self.argument_of(node, scope)?;
        if argument.kind != Type::Executor {
            return None;
        }
        let name = match &argument.node.value {
            Value::Mapping(mapping) => mapping.get("name")?.scalar()?,
            _ => argument.node.scalar()?,
        };
        let found = self.find_definition(name, argument.package, |package| &package.executors);
        let Found::Definition(executor) = found else { return None };
        let value = Value::Mapping(Rc::clone(&executor.body));
        Some(Node { value, ..Node::unknown(node.used_at()) })
    }

    /// Returns what an executor has, with its arguments, as a job at `place` gets it.
    pub(super) fn executor_entries(
        &mut self,
        executor: &Rc<Definition>,
        arguments: &Arguments,
        place: Span,
    ) -> Vec<Entry> {
        let package = executor.package;
        let inside = Scope::inside(package, arguments);
        self.context.check_keys(&executor.body, &vocabulary::EXECUTOR);
        let mut entries = Vec::new();
        for entry in executor.body.entries.iter().filter(|entry| !OWN.contains(&&*entry.key)) {
            let value = self.fill_templates(&entry.value, inside.within(&entry.key));
            if !self.count_work(value.size, place) {
                break;
            }
            let key = Rc::clone(&entry.key);
            // A job that may not run there is told at its own line.
            let key_span = if KINDS.contains(&&*key) { place } else { entry.key_span };
            entries.push(Entry { key, key_span, value });
        }
        entries
    }
}

/// A job with the gaps filled from its executor.
pub(super) fn fill_gaps(own: Vec<Entry>, executor: Vec<Entry>) -> Vec<Entry> {
    let own = Mapping { entries: own, is_incomplete: false };
    let has_kind = KINDS.iter().any(|kind| own.get(kind).is_some());
    let mut filled = Vec::new();
    for entry in executor {
        let is_kind = KINDS.contains(&&*entry.key);
        match own.get(&entry.key) {
            Some(node) if &*entry.key == "environment" => {
                let value = merge_environments(&entry.value, node);
                filled.push(Entry { value, ..entry });
            }
            Some(_) => {}
            None if is_kind && has_kind => {}
            None => filled.push(entry),
        }
    }
    let rest = own.entries.into_iter().filter(|entry| {
        &*entry.key != "environment" || !filled.iter().any(|other| other.key == entry.key)
    });
    let rest: Vec<Entry> = rest.collect();
    filled.extend(rest);
    filled
}

/// Two environments, of which the second wins.
fn merge_environments(first: &Node, second: &Node) -> Node {
    match (&first.value, &second.value) {
        (Value::Mapping(a), Value::Mapping(b)) => {
            let own: HashSet<&str> = b.entries.iter().map(|entry| &*entry.key).collect();
            let mut entries: Vec<Entry> = Vec::with_capacity(a.entries.len() + b.entries.len());
            entries.extend(a.entries.iter().filter(|entry| !own.contains(&*entry.key)).cloned());
            entries.extend(b.entries.iter().cloned());
            Node::made_mapping(entries, second.span, a.is_incomplete || b.is_incomplete)
        }
        _ => {
            let items = [first, second].into_iter().flat_map(|node| match &node.value {
                Value::List(items) => items.to_vec(),
                Value::Mapping(_) => vec![node.clone()],
                Value::Scalar { .. } => Vec::new(),
                Value::Unknown => vec![node.clone()],
            });
            Node::made_list(items.collect(), second.span)
        }
    }
}
