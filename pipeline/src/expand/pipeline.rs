//! `pipeline.…`: the pipeline's parameters, and what is known of it.

use std::rc::Rc;

use super::parameters::{self, Kind as Type};
use super::value_text::truth_text;
use super::{Expander, Scope};
use crate::options::Value as Given;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Mapping, Node};

/// The package of the configuration itself, in which alone parameters of the pipeline are visible.
const MAIN: usize = 0;

/// Names that CircleCI gives values, besides the parameters: the registry of its public expression
/// library (<https://github.com/CircleCI-Public/expr>), and `organization.id`, `project.id` and
/// `config_source.…` of its manual. Those without a value here are undefined, as they are there
/// where a pipeline has no such thing.
const NAMES: &[&str] = &[
    "pipeline.id",
    "pipeline.name",
    "pipeline.number",
    "pipeline.in_setup",
    "pipeline.integration_source",
    "pipeline.trigger_source",
    "pipeline.definition.id",
    "pipeline.config_source",
    "pipeline.project.git_url",
    "pipeline.project.type",
    "pipeline.project.slug",
    "pipeline.project.url",
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
    "pipeline.git.repo_url",
    "pipeline.git.origin_repo_id",
    "pipeline.git.origin_repo_url",
    "pipeline.git.target_repo_url",
    "pipeline.git.ssh_checkout_url",
    "pipeline.schedule.name",
    "pipeline.schedule.id",
];

/// Groups of names whose members depend on what triggered the pipeline.
const OPEN: &[&str] = &[
    "pipeline.trigger_parameters.",
    "pipeline.event.",
    "pipeline.trigger.",
    "pipeline.deploy.",
    "pipeline.config.",
    "pipeline.config_source.",
    "pipeline.git.commit.",
    "pipeline.vcs.",
];

/// Returns the value of `pipeline.…`: nothing for one that this pipeline does not have.
pub(super) fn look_up(
    expander: &mut Expander<'_, '_>,
    name: &str,
    place: Span,
    scope: Scope<'_>,
) -> Option<Node> {
    let found = find_value(expander, name, place, scope)?;
    Some(if expander.ignores_conditions { Node::unknown(place) } else { found })
}

fn find_value(
    expander: &mut Expander<'_, '_>,
    name: &str,
    place: Span,
    scope: Scope<'_>,
) -> Option<Node> {
    let is_parameter = name == "pipeline.parameters" || name.starts_with("pipeline.parameters.");
    if is_parameter && scope.package != MAIN {
        report_hidden_parameter(expander, name, place, scope);
        return None;
    }
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
        let hint = expander.suggest_near(parameter, known.iter().map(|key| &**key));
        let message = format!("there is no pipeline parameter `{}`", quoted(parameter));
        let hint = hint.unwrap_or_else(|| "declare it in `parameters` at the top level".to_owned());
        expander.report(Problem::error(place, message).hint(hint));
        return None;
    }
    if let Some(value) = expander.context.options.pipeline.values.get(name) {
        return Some(given_node(value, &Type::Unknown, place));
    }
    if NAMES.contains(&name) || OPEN.iter().any(|start| name.starts_with(start)) {
        return Some(known_value(expander, name, place));
    }
    let hint = expander.suggest_near(name, NAMES.iter().copied());
    let message = format!("there is no pipeline value `{}`", quoted(name));
    expander.report(Problem::error(place, message).maybe_hint(hint));
    None
}

/// Reports a parameter of the pipeline where CircleCI has none: in an orb, and in the declaration
/// of another one.
fn report_hidden_parameter(
    expander: &mut Expander<'_, '_>,
    name: &str,
    place: Span,
    scope: Scope<'_>,
) {
    let (message, hint) = if scope.package == usize::MAX {
        ("the default of a pipeline parameter cannot use another one", "write its value")
    } else {
        (
            "parameters of the pipeline are not visible inside orbs",
            "declare a parameter in the orb, and pass the value where the orb is used",
        )
    };
    let message = format!("{message}: `{}`", quoted(name));
    expander.report(Problem::error(place, message).hint(hint));
}

/// Returns what is known of the pipeline.
fn known_value(expander: &Expander<'_, '_>, name: &str, place: Span) -> Node {
    let options = expander.context.options;
    let pipeline = &options.pipeline;
    let slug = pipeline.project.as_deref();
    let url = pipeline.repository_url.as_deref();
    let part = |at: usize| slug.and_then(|slug| slug.rsplit('/').nth(at));
    let text = match name {
        "pipeline.number" => {
            return match pipeline.number {
                Some(number) => Node::made_plain(&number.to_string(), place),
                None => undefined(place),
            };
        }
        "pipeline.in_setup" => return boolean(expander.context.is_setup, place),
        "pipeline.git.branch.is_default" => return boolean(pipeline.is_default_branch, place),
        "pipeline.id" => pipeline.id.as_deref(),
        "pipeline.trigger_source" => Some(pipeline.trigger_source.as_deref().unwrap_or("api")),
        "pipeline.project.git_url" | "pipeline.git.repo_url" => url,
        "pipeline.project.type" => Some(project_type(slug, url)),
        "pipeline.project.slug" => slug,
        "pipeline.git.branch" => options.branch.as_deref(),
        "pipeline.git.tag" => options.tag.as_deref(),
        "pipeline.git.revision" => pipeline.revision.as_deref(),
        "pipeline.git.base_revision" => pipeline.base_revision.as_deref(),
        "pipeline.git.repo_name" => part(0),
        "pipeline.git.repo_owner" => part(1),
        _ => None,
    };
    match text {
        Some(text) => Node::made_text(text, place),
        None => undefined(place),
    }
}

fn undefined(place: Span) -> Node {
    Node::made_plain("", place)
}

fn boolean(value: bool, place: Span) -> Node {
    Node::made_plain(truth_text(value), place)
}

/// Returns the host of the project as CircleCI calls it: by its slug (`gh/owner/name`), else by the
/// address of its repository, else `github`, as CircleCI's own command line has it.
fn project_type(slug: Option<&str>, url: Option<&str>) -> &'static str {
    let start = slug.filter(|slug| slug.matches('/').count() == 2);
    match start.and_then(|slug| slug.split('/').next()) {
        Some("gh" | "github") => return "github",
        Some("bb" | "bitbucket") => return "bitbucket",
        Some("gl" | "gitlab") => return "gitlab",
        Some("circleci") => return "circleci",
        _ => {}
    }
    match url {
        Some(url) if url.contains("bitbucket.org") => "bitbucket",
        Some(url) if url.contains("gitlab.com") => "gitlab",
        _ => "github",
    }
}

impl Expander<'_, '_> {
    /// Reads the `parameters` of the top level, and gives them the values of this pipeline.
    pub(super) fn pipeline_parameters(&mut self, root: &Mapping, span: Span) {
        let entry = root.entry("parameters").filter(|_| self.context.is_2_1);
        let declared =
            entry.map(|entry| self.read_parameters(&entry.value, true)).unwrap_or_default();
        let place = entry.map_or(Span::new(span.start, span.start), |entry| entry.key_span);
        let given = &self.context.options.parameters;
        for name in given.keys() {
            if !declared.iter().any(|parameter| *parameter.name == **name) {
                let hint =
                    self.suggest_near(name, declared.iter().map(|parameter| &*parameter.name));
                let message = format!("there is no pipeline parameter `{}`", quoted(name));
                self.report(Problem::error(place, message).maybe_hint(hint));
            }
        }
        for parameter in declared {
            let what = format!("the pipeline parameter `{}`", quoted(&parameter.name));
            let node = match given.get(&*parameter.name) {
                Some(value) => {
                    let value = given_node(value, &parameter.kind, parameter.key_span);
                    parameters::check_value(
                        self,
                        &value,
                        &parameter.kind,
                        &what,
                        parameter.key_span,
                    )
                }
                None => parameter
                    .default
                    .as_ref()
                    .map(|node| self.fill_templates(node, Scope::outside(usize::MAX))),
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
