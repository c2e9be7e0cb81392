//! `filters`: for which branches and tags a job runs.
//!
//! As CircleCI has it: a job runs for every branch unless its filters say otherwise, and for no
//! tag unless they do. Patterns match the whole of a name.

use std::rc::Rc;

use crate::context::Context;
use crate::pattern::Pattern;
use crate::problem::Problem;
use crate::vocabulary;
use crate::yaml::{Kind, Mapping, Node, Value};

/// The filters of a job.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    branches: Option<Filter>,
    tags: Option<Filter>,
}

/// Which names are let through.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    only: Option<Vec<Rule>>,
    ignore: Option<Vec<Rule>>,
}

#[derive(Debug)]
enum Rule {
    Name(String),
    Pattern(Rc<Pattern>),
}

impl Filters {
    /// Returns whether a job with these runs for a branch or tag. With neither, it does.
    pub(crate) fn admit(&self, branch: Option<&str>, tag: Option<&str>) -> bool {
        match (branch, tag) {
            (_, Some(tag)) => self.tags.as_ref().is_some_and(|filter| filter.admits(tag)),
            (Some(branch), None) => {
                self.branches.as_ref().is_none_or(|filter| filter.admits(branch))
            }
            (None, None) => true,
        }
    }
}

impl Filter {
    /// Returns whether a name is let through. Of both, `only` is asked first.
    pub(crate) fn admits(&self, name: &str) -> bool {
        let any = |rules: &[Rule]| rules.iter().any(|rule| rule.is_match(name));
        match (&self.only, &self.ignore) {
            (Some(only), _) => any(only),
            (None, Some(ignore)) => !any(ignore),
            (None, None) => true,
        }
    }
}

impl Rule {
    /// A pattern that takes too long matches nothing.
    fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Pattern(pattern) => pattern.is_match(name).unwrap_or(false),
        }
    }
}

impl Context<'_> {
    /// Reads `filters`.
    pub(super) fn read_filters(&mut self, keys: &Mapping) -> Filters {
        let Some(node) = keys.get("filters").filter(|node| node.kind() != Kind::Nothing) else {
            return Filters::default();
        };
        let Some(mapping) = self.expect_mapping(node, "`filters`") else {
            return Filters::default();
        };
        self.check_keys(mapping, &vocabulary::FILTERS);
        Filters {
            branches: mapping.get("branches").and_then(|node| self.read_filter(node, "`branches`")),
            tags: mapping.get("tags").and_then(|node| self.read_filter(node, "`tags`")),
        }
    }

    /// Reads `branches` or `tags`.
    pub(super) fn read_filter(&mut self, node: &Node, what: &str) -> Option<Filter> {
        if node.kind() == Kind::Nothing {
            return None;
        }
        let mapping = self.expect_mapping(node, what)?;
        self.check_keys(mapping, &vocabulary::FILTER);
        let only = mapping.get("only").map(|node| self.read_rules(node, "`only`"));
        let ignore = mapping.get("ignore").map(|node| self.read_rules(node, "`ignore`"));
        Some(Filter { only, ignore })
    }

    fn read_rules(&mut self, node: &Node, what: &str) -> Vec<Rule> {
        match &node.value {
            Value::List(items) => {
                let mut rules = Vec::new();
                for item in items.iter() {
                    // A list that an alias puts into a list.
                    match &item.value {
                        Value::List(_) => rules.extend(self.read_rules(item, what)),
                        _ => rules.extend(self.read_rule(item, what)),
                    }
                }
                rules
            }
            _ if node.kind() == Kind::Nothing => Vec::new(),
            _ => self.read_rule(node, what).into_iter().collect(),
        }
    }

    fn read_rule(&mut self, node: &Node, what: &str) -> Option<Rule> {
        let text = self.expect_text(node, &format!("a name in {what}"))?;
        let Some(pattern) =
            text.strip_prefix('/').and_then(|text| text.strip_suffix('/')).map(str::to_owned)
        else {
            return Some(Rule::Name(text));
        };
        match self.patterns.get(&pattern, true) {
            Ok(pattern) => Some(Rule::Pattern(pattern)),
            Err(error) => {
                self.report(Problem::error(node.span, error.to_string()));
                None
            }
        }
    }
}
