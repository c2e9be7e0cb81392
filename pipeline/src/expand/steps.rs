//! Lists of steps: commands and conditions are written out.

use std::rc::Rc;

use super::package::{Definition, Found, given_arguments};
use super::parameters::{Argument, Arguments};
use super::{Expander, Scope};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::vocabulary;
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

impl Expander<'_, '_> {
    /// Writes out a list of steps, or a parameter that stands for one.
    pub(super) fn write_steps(&mut self, node: &Node, scope: Scope<'_>, out: &mut Vec<Node>) {
        if let Some(argument) = self.argument_of(node, scope).filter(|a| a.is_steps()) {
            self.put_steps(&argument.node, node.used_at(), out);
            return;
        }
        match &node.value {
            Value::List(items) => {
                for item in items.iter() {
                    self.nest_deeper(item.used_at(), |this| this.write_step(item, scope, out));
                }
            }
            Value::Unknown => out.push(node.clone()),
            _ => {
                // An expression that stands for nothing has an error of its own.
                let filled = self.fill_templates(node, scope);
                self.context.wrong_type(&filled, "`steps`", "a list");
                out.push(Node::unknown(node.used_at()));
            }
        }
    }

    /// Puts in steps that are written out already.
    fn put_steps(&mut self, node: &Node, place: Span, out: &mut Vec<Node>) {
        match &node.value {
            Value::List(items) => {
                for item in items.iter() {
                    if !self.count_work(item.size, place) {
                        return;
                    }
                    out.push(item.clone());
                }
            }
            _ => out.push(Node::unknown(place)),
        }
    }

    fn write_step(&mut self, item: &Node, scope: Scope<'_>, out: &mut Vec<Node>) {
        match &item.value {
            Value::Scalar { .. } => {
                if let Some(argument) = self.argument_of(item, scope).filter(|a| a.is_steps()) {
                    self.put_steps(&argument.node, item.used_at(), out);
                    return;
                }
                let filled = self.fill_templates(item, scope);
                let name = filled.scalar().map(Rc::<str>::from);
                let nothing = Node::made_plain("", item.span);
                match name {
                    Some(name)
                        if self.write_command(&name, &nothing, item.used_at(), scope, out) => {}
                    _ => self.plain_step(filled, out),
                }
            }
            Value::Mapping(mapping) => match mapping.entries.as_slice() {
                [entry] => self.keyed_step(item, entry, scope, out),
                _ => {
                    let filled = self.fill_templates(item, scope);
                    self.plain_step(filled, out);
                }
            },
            Value::List(_) | Value::Unknown => self.plain_step(item.clone(), out),
        }
    }

    fn plain_step(&mut self, node: Node, out: &mut Vec<Node>) {
        if self.count_work(node.size, node.used_at()) {
            out.push(node);
        }
    }

    fn keyed_step(&mut self, item: &Node, entry: &Entry, scope: Scope<'_>, out: &mut Vec<Node>) {
        let Some(key) = self.fill_key(entry, scope) else {
            out.push(Node::unknown(item.used_at()));
            return;
        };
        let is_2_1 = self.packages.get(scope.package).is_none_or(|package| package.is_2_1);
        match &*key {
            "when" | "unless" if is_2_1 => self.write_conditional(&key, entry, scope, out),
            "steps" if is_2_1 => self.write_steps(&entry.value, scope, out),
            _ if self.write_command(&key, &entry.value, entry.key_span, scope, out) => {}
            _ => {
                let filled = self.fill_templates(item, scope);
                self.plain_step(filled, out);
            }
        }
    }

    /// `when` or `unless` with its steps.
    fn write_conditional(
        &mut self,
        key: &str,
        entry: &Entry,
        scope: Scope<'_>,
        out: &mut Vec<Node>,
    ) {
        let what = format!("the step `{key}`");
        let Some(mapping) = self.context.expect_mapping(&entry.value, &what) else { return };
        self.context.check_keys(mapping, &vocabulary::CONDITIONAL);
        for needed in ["condition", "steps"] {
            if mapping.get(needed).is_none() && !mapping.is_incomplete {
                let message = format!("{what} needs `{needed}`");
                self.report(Problem::error(entry.key_span, message));
            }
        }
        let holds = mapping.get("condition").map(|node| self.holds(node, scope));
        let Some(steps) = mapping.get("steps") else { return };
        match holds {
            // Where it is not known, the steps are looked through for mistakes.
            None | Some(None) => self.write_steps(steps, scope, out),
            Some(Some(holds)) if holds == (key == "when") => self.write_steps(steps, scope, out),
            Some(Some(_)) => {
                self.is_left_out = true;
                self.probe_left_out(steps, scope);
            }
        }
    }

    /// Writes out steps that a condition leaves out, to be looked through for mistakes. Nothing
    /// is known of parameters and of the pipeline then, since the condition may be what makes
    /// their values fit. Each list is looked through once, and all together may cost as much as
    /// the configuration itself.
    fn probe_left_out(&mut self, steps: &Node, scope: Scope<'_>) {
        let is_wanted = self.context.options.check && !self.ignores_conditions && !self.is_over;
        let is_own = self.context.source.is_main(steps.span);
        if !is_wanted || !is_own || scope.is_filled || !self.probes.seen.insert(steps.span) {
            return;
        }
        let parameters = scope.parameters.map(|all| {
            let unknown = |argument: &Argument| Argument {
                node: Node::unknown(steps.used_at()),
                kind: argument.kind.clone(),
                package: argument.package,
            };
            all.iter().map(|(name, argument)| (Rc::clone(name), unknown(argument))).collect()
        });
        let parameters: Option<Arguments> = parameters;
        let scope = Scope { parameters: parameters.as_ref(), ..scope };
        let problems = std::mem::take(&mut self.context.problems);
        let work = std::mem::replace(&mut self.work, self.probes.work);
        self.ignores_conditions = true;
        let mut out = Vec::new();
        self.write_steps(steps, scope, &mut out);
        (self.ignores_conditions, self.is_over) = (false, false);
        self.probes.work = std::mem::replace(&mut self.work, work);
        // Orbs are other people's, and what of them is not used does not matter.
        let found = std::mem::replace(&mut self.context.problems, problems);
        let own = found.into_iter().filter(|problem| self.context.source.is_main(problem.span));
        let own: Vec<Problem> = own.filter(|problem| problem.feature.is_none()).collect();
        own.into_iter().for_each(|problem| self.report(problem));
        let value = Node::made_list(out, steps.span);
        self.probes.steps.push(Entry { key: Rc::from("steps"), key_span: steps.span, value });
    }

    /// Writes out a command. False where the name is not that of one.
    fn write_command(
        &mut self,
        name: &str,
        given: &Node,
        place: Span,
        scope: Scope<'_>,
        out: &mut Vec<Node>,
    ) -> bool {
        match self.find_definition(name, scope.package, |package| &package.commands) {
            Found::Definition(command) => {
                if self.calls.contains(&command.id) && self.ignores_conditions {
                    out.push(Node::unknown(place));
                    return true;
                }
                if self.calls.contains(&command.id) {
                    // A command may wrap the step whose name it has.
                    if vocabulary::STEP.word(name).is_some() {
                        return false;
                    }
                    let message = format!("{} uses itself", command.describe());
                    self.report(Problem::error(place, message));
                    // It has steps, though it is not known which.
                    out.push(Node::unknown(place));
                    return true;
                }
                self.nest_deeper(place, |this| {
                    this.call_command(&command, given, place, scope, out)
                });
                true
            }
            // What lacks the orb is told when the step is read; that is in one place only.
            Found::Missing(_) if scope.package == 0 => false,
            Found::Missing(problem) => {
                self.report((*problem).clone());
                out.push(Node::unknown(place));
                true
            }
            Found::Nothing => {
                if scope.is_filled || !name.contains('/') {
                    return false;
                }
                let known = self.known_names(scope.package, |package| &package.commands);
                let is_orb = self.report_orb_name("command", name, place, scope.package, &known);
                if is_orb {
                    out.push(Node::unknown(place));
                }
                is_orb
            }
        }
    }

    fn call_command(
        &mut self,
        command: &Rc<Definition>,
        given: &Node,
        place: Span,
        scope: Scope<'_>,
        out: &mut Vec<Node>,
    ) {
        let given = given_arguments(self, given, &command.describe());
        let arguments = self.bind_arguments(command, given, place, scope);
        self.used.insert(command.id);
        let before = out.len();
        self.command_steps(command, &arguments, out);
        if command.package != scope.package && self.context.source.is_main(place) {
            // What is wrong with steps of an orb is told where the configuration uses it.
            for step in out.get_mut(before..).unwrap_or_default() {
                if !self.context.source.is_main(step.span) {
                    step.alias = Some(place);
                }
            }
        }
    }

    /// The steps of a command with its arguments.
    pub(super) fn command_steps(
        &mut self,
        command: &Rc<Definition>,
        arguments: &super::parameters::Arguments,
        out: &mut Vec<Node>,
    ) {
        self.context.check_keys(&command.body, &vocabulary::COMMAND);
        let Some(steps) = command.body.get("steps") else {
            if !command.body.is_incomplete {
                let message = format!("{} has no `steps`", command.describe());
                self.report(Problem::error(command.key_span, message));
            }
            return;
        };
        if steps.kind() == Kind::Nothing {
            let message = format!("{} has no `steps`", command.describe());
            self.report(Problem::error(command.key_span, message));
            return;
        }
        let package = command.package;
        let inside = Scope::inside(package, arguments);
        self.calls.push(command.id);
        self.write_steps(steps, inside, out);
        self.calls.pop();
    }

    /// `pre-steps` and `post-steps` of a job of a workflow.
    pub(super) fn extra_steps(&mut self, keys: &Mapping, key: &str, scope: Scope<'_>) -> Vec<Node> {
        let mut steps = Vec::new();
        if let Some(node) = keys.get(key).filter(|node| node.kind() != Kind::Nothing) {
            if matches!(node.value, Value::List(_) | Value::Unknown) {
                self.write_steps(node, scope, &mut steps);
            } else {
                self.context.wrong_type(node, &format!("`{}`", quoted(key)), "a list of steps");
            }
        }
        steps
    }
}
