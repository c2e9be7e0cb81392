//! `pipeline.…`: the pipeline's parameters, and what is known of it.

use std::rc::Rc;

use super::parameters::{self, Kind as Type};
use super::{Expander, Scope};
use crate::options::Value as Given;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Mapping, Node};

/// Names that CircleCI gives values, besides the parameters. Those that are not known here are
/// empty, as they are for CircleCI where a pipeline has no such thing.
const NAMES: &[&str] = &[
    "pipeline.id",
    "pipeline.number",
    "pipeline.in_setup",
    "pipeline.trigger_source",
    "pipeline.project.git_url",
    "pipeline.project.type",
    "pipeline.project.slug",
    "pipeline.project.id",
    "pipeline.organization.id",
    "pipeline.git.branch",
    "pipeline.git.branch.is_default",
    "pipeline.git.tag",
    "pipeline.git.revision",
    "pipeline.git.base_revision",
    "pipeline.git.repo_id",
    "pipeline.git.repo_name",
    "pipeline.git.repo_owner",
    "pipeline.git.commit.subject",
    "pipeline.git.commit.body",
    "pipeline.git.commit.author_name",
    "pipeline.git.commit.author_email",
    "pipeline.git.commit.author_login",
    "pipeline.schedule.name",
    "pipeline.schedule.id",
    "pipeline.config_source.ref",
    "pipeline.config_source.sha",
];

/// Groups of names that depend on what triggered the pipeline.
const OPEN: &[&str] =
    &["pipeline.trigger_parameters.", "pipeline.event.", "pipeline.trigger.", "pipeline.deploy."];

/// What `pipeline.…` stands for, as far as anything is known of the pipeline.
pub(super) fn look_up(expander: &mut Expander<'_, '_>, name: &str, place: Span) -> Option<Node> {
    let found = find(expander, name, place)?;
    Some(if expander.is_vague { Node::unknown(place) } else { found })
}

fn find(expander: &mut Expander<'_, '_>, name: &str, place: Span) -> Option<Node> {
    if name == "pipeline.parameters" {
        let entries = expander.pipeline.iter();
        let entries = entries.map(|(key, value)| crate::yaml::Entry {
            key: Rc::clone(key),
            key_span: place,
            value: value.clone(),
        });
        return Some(Node::made_mapping(entries.collect(), place, false));
    }
    if let Some(parameter) = name.strip_prefix("pipeline.parameters.") {
        if let Some(value) = expander.pipeline.get(parameter) {
            return Some(value.clone());
        }
        let known: Vec<Rc<str>> = expander.pipeline.keys().cloned().collect();
        let hint = expander.near(parameter, known.iter().map(|key| &**key));
        let message = format!("there is no pipeline parameter `{}`", quoted(parameter));
        let hint = hint.unwrap_or_else(|| "declare it in `parameters` at the top level".to_owned());
        expander.report(Problem::error(place, message).hint(hint));
        return None;
    }
    if NAMES.contains(&name) || OPEN.iter().any(|start| name.starts_with(start)) {
        return Some(value(expander, name, place));
    }
    let hint = expander.near(name, NAMES.iter().copied());
    let message = format!("there is no pipeline value `{}`", quoted(name));
    expander.report(Problem::error(place, message).maybe_hint(hint));
    None
}

/// What is known of the pipeline.
fn value(expander: &Expander<'_, '_>, name: &str, place: Span) -> Node {
    let options = expander.context.options;
    let pipeline = &options.pipeline;
    let slug = pipeline.project.as_deref().unwrap_or_default();
    let text = match name {
        "pipeline.number" => {
            return match pipeline.number {
                Some(number) => Node::made_plain(&number.to_string(), place),
                None => Node::made_text("", place),
            };
        }
        "pipeline.in_setup" | "pipeline.git.branch.is_default" => {
            let is_so = match name {
                "pipeline.in_setup" => expander.context.is_setup,
                _ => pipeline.is_default_branch,
            };
            return Node::made_plain(if is_so { "true" } else { "false" }, place);
        }
        "pipeline.id" => pipeline.id.as_deref(),
        "pipeline.trigger_source" => Some(pipeline.trigger_source.as_deref().unwrap_or("api")),
        "pipeline.project.git_url" => pipeline.repository_url.as_deref(),
        "pipeline.project.type" if slug.matches('/').count() == 2 => match slug.split('/').next() {
            Some("gh" | "github") => Some("github"),
            Some("bb" | "bitbucket") => Some("bitbucket"),
            other => other,
        },
        "pipeline.project.slug" => Some(slug),
        "pipeline.git.branch" => options.branch.as_deref(),
        "pipeline.git.tag" => options.tag.as_deref(),
        "pipeline.git.revision" => pipeline.revision.as_deref(),
        "pipeline.git.base_revision" => pipeline.base_revision.as_deref(),
        "pipeline.git.repo_name" => slug.rsplit('/').next(),
        "pipeline.git.repo_owner" => slug.rsplit('/').nth(1),
        _ => None,
    };
    Node::made_text(text.unwrap_or_default(), place)
}

impl Expander<'_, '_> {
    /// Reads the `parameters` of the top level, and gives them the values of this pipeline.
    pub(super) fn pipeline_parameters(&mut self, root: &Mapping, span: Span) {
        let entry = root.entry("parameters").filter(|_| self.context.is_2_1);
        let declared = entry.map(|entry| self.declared(&entry.value, true)).unwrap_or_default();
        let place = entry.map_or(Span::new(span.start, span.start), |entry| entry.key_span);
        let given = &self.context.options.parameters;
        for name in given.keys() {
            if !declared.iter().any(|parameter| *parameter.name == **name) {
                let hint = self.near(name, declared.iter().map(|parameter| &*parameter.name));
                let message = format!("there is no pipeline parameter `{}`", quoted(name));
                self.report(Problem::error(place, message).maybe_hint(hint));
            }
        }
        for parameter in declared {
            let what = format!("the pipeline parameter `{}`", quoted(&parameter.name));
            let node = match given.get(&*parameter.name) {
                Some(value) => {
                    let value = given_node(value, &parameter.kind, parameter.key_span);
                    parameters::check(self, &value, &parameter.kind, &what, parameter.key_span)
                }
                None => parameter
                    .default
                    .as_ref()
                    .map(|node| self.fill(node, Scope::outside(usize::MAX))),
            };
            if node.is_none()
                && !given.contains_key(&*parameter.name)
                && !self.context.options.check
            {
                let message = format!("{what} has no default, and no value was given");
                let name = quoted(&parameter.name);
                let hint = format!("`--parameter {name}=VALUE` gives one, or write a `default`");
                self.report(Problem::error(parameter.key_span, message).hint(hint));
            }
            let node = node.unwrap_or_else(|| Node::unknown(parameter.key_span));
            self.pipeline.insert(Rc::clone(&parameter.name), node);
        }
    }
}

/// A value that was given from outside. A text is what the declared type makes of it, since
/// that is all a command line has.
fn given_node(value: &Given, kind: &Type, place: Span) -> Node {
    match (value, kind) {
        (Given::Text(text), Type::Boolean | Type::Integer) => Node::made_plain(text, place),
        (Given::Text(text), _) => Node::made_text(text, place),
        (Given::Boolean(value), _) => {
            Node::made_plain(if *value { "true" } else { "false" }, place)
        }
        (Given::Integer(value), _) => Node::made_plain(&value.to_string(), place),
    }
}
