//! Arguments of commands, executors and jobs, for the parameters that they declare.

use std::rc::Rc;

use super::package::Definition;
use super::parameters::{Argument, Arguments, Kind, Parameter, check_value};
use super::{Expander, Scope};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Entry, Node, Value};

impl Expander<'_, '_> {
    /// The arguments of one use of a definition. `call` is where that stands; `scope` is what
    /// the arguments may refer to.
    pub(super) fn bind_arguments(
        &mut self,
        definition: &Rc<Definition>,
        given: &[Entry],
        call: Span,
        scope: Scope<'_>,
    ) -> Arguments {
        let mut arguments = Arguments::new();
        let what = definition.describe();
        for entry in given {
            let parameter = definition.parameters.iter().find(|p| *p.name == *entry.key);
            let Some(parameter) = parameter else {
                self.unknown_argument(definition, entry);
                continue;
            };
            let argument = self.read_argument(parameter, &entry.value, &what, scope);
            arguments.insert(Rc::clone(&parameter.name), argument);
        }
        for parameter in &definition.parameters {
            if arguments.contains_key(&parameter.name) {
                continue;
            }
            let inside = Scope::outside(definition.package);
            let argument = match &parameter.default {
                Some(default) => self.read_argument(parameter, default, &what, inside),
                None => {
                    let message =
                        format!("{what} needs the parameter `{}`", quoted(&parameter.name));
                    let problem = Problem::error(call, message);
                    self.report(problem.related(parameter.key_span, "it is declared here"));
                    placeholder_for(parameter, call, definition.package)
                }
            };
            arguments.insert(Rc::clone(&parameter.name), argument);
        }
        arguments
    }

    /// Arguments of which nothing is known, to look through what nothing uses.
    pub(super) fn unknown_arguments(&mut self, definition: &Rc<Definition>) -> Arguments {
        let parameters = definition.parameters.iter();
        parameters
            .map(|p| (Rc::clone(&p.name), placeholder_for(p, p.key_span, definition.package)))
            .collect()
    }

    fn read_argument(
        &mut self,
        parameter: &Parameter,
        value: &Node,
        what: &str,
        scope: Scope<'_>,
    ) -> Argument {
        let kind = parameter.kind.clone();
        let name = quoted(&parameter.name);
        let what = format!("the parameter `{name}` of {what}");
        // An executor that is passed on is looked up where it was named first.
        let passed = self.argument_of(value, scope);
        let package = passed.map_or(scope.package, |argument| argument.package);
        let node = if kind == Kind::Steps {
            self.steps_argument(value, &what, scope)
        } else {
            let filled = self.fill_templates(value, scope);
            // What was passed on from another value has the type of that, and is converted.
            let is_written = value.scalar() == filled.scalar();
            let filled = match filled.scalar() {
                Some(text) if kind == Kind::Text && !is_written => {
                    Node { alias: filled.alias, ..Node::made_text(text, filled.span) }
                }
                _ => filled,
            };
            check_value(self, &filled, &kind, &what, parameter.key_span)
        };
        let node = node.unwrap_or_else(|| Node::unknown(value.used_at()));
        Argument { node, kind, package }
    }

    /// Steps are written out where they are given, since what they name is known there.
    fn steps_argument(&mut self, value: &Node, what: &str, scope: Scope<'_>) -> Option<Node> {
        let is_steps = self.argument_of(value, scope).is_some_and(Argument::is_steps);
        if !is_steps && !matches!(value.value, Value::List(_)) {
            self.context.wrong_type(value, what, "a list of steps");
            return None;
        }
        let mut steps = Vec::new();
        self.write_steps(value, scope, &mut steps);
        Some(Node::made_list(steps, value.span))
    }

    fn unknown_argument(&mut self, definition: &Rc<Definition>, entry: &Entry) {
        let known = definition.parameters.iter().map(|parameter| &*parameter.name);
        let hint = self.suggest_near(&entry.key, known.clone()).unwrap_or_else(|| {
            let known: Vec<String> = known.take(10).map(|n| format!("`{}`", quoted(n))).collect();
            if known.is_empty() {
                "it has no parameters".to_owned()
            } else {
                format!("its parameters are {}", known.join(", "))
            }
        });
        let what = definition.describe();
        let message = format!("{what} has no parameter `{}`", quoted(&entry.key));
        self.report(Problem::error(entry.key_span, message).hint(hint));
    }
}

fn placeholder_for(parameter: &Parameter, place: Span, package: usize) -> Argument {
    Argument { node: Node::unknown(place), kind: parameter.kind.clone(), package }
}
