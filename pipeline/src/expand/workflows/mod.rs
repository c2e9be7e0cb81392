//! Workflows: conditions, matrices, names, and the jobs that they run with what they are given.

mod job_groups;
mod names;
mod otherwise;
mod requires;
mod unused;

use std::collections::BTreeMap;
use std::rc::Rc;

use self::names::{Jobs, number_names};
use self::requires::Groups;
use super::jobs::Extra;
use super::matrix::{self, Row};
use super::package::{Definition, Found};
use super::{Expanded, Expander, Scope};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::suggest;
use crate::vocabulary;
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// Keys of a job of a workflow that are gone when it is written out.
const WRITTEN_OUT: [&str; 6] =
    ["matrix", "pre-steps", "post-steps", "when", "unless", "override-with"];

/// Keys that a parameter of the same name does not hide.
const RESERVED: [&str; 3] = ["name", "requires", "matrix"];

/// One job of a workflow, written out.
#[derive(Debug)]
struct Invocation {
    name: String,
    /// Set if the name gets a number where several have it: one that is made from that of the
    /// job, or one that is given to a whole matrix.
    is_numbered: bool,
    /// The job under its own name.
    job: Rc<str>,
    place: Span,
    /// Its keys in the workflow.
    keys: Option<Vec<Entry>>,
    keys_span: Span,
    /// The job itself, where there is one, and where it is defined.
    node: Option<(Node, Span)>,
}

impl Expander<'_, '_> {
    /// Writes out the workflows, and the jobs that they run.
    pub(super) fn write_workflows(&mut self, root: &Mapping, main: usize) -> Expanded {
        let mut jobs = Jobs::default();
        let mut skipped = BTreeMap::new();
        let node = root.get("workflows").filter(|node| node.kind() != Kind::Nothing);
        let mapping = node.and_then(|node| self.context.expect_mapping(node, "`workflows`"));
        let workflows = mapping.map(|mapping| {
            let mut workflows = Vec::new();
            for entry in &mapping.entries {
                if !is_workflow(entry) {
                    continue;
                }
                match self.workflow_condition(entry) {
                    Some(place) => {
                        self.is_left_out = true;
                        skipped.insert(Rc::clone(&entry.key), place);
                    }
                    None => workflows.push(self.write_workflow(entry, &mut jobs)),
                }
            }
            workflows
        });
        let used = jobs.entries.iter().map(|entry| Rc::clone(&entry.key)).collect();
        let (unused_steps, unused_executors) = self.write_unused(main, &mut jobs);
        let setup = root.entry("setup").cloned();
        let setup = setup.map(|entry| {
            let value = self.fill_templates(&entry.value, Scope::outside(main));
            Entry { value, ..entry }
        });
        Expanded {
            setup,
            jobs: jobs.entries,
            used,
            workflows,
            skipped,
            otherwise: None,
            unused_steps,
            unused_executors,
        }
    }

    /// Returns where the condition of a workflow is, if it does not hold.
    fn workflow_condition(&mut self, entry: &Entry) -> Option<Span> {
        let Value::Mapping(mapping) = &entry.value.value else { return None };
        self.failed_condition(mapping)
    }

    /// Returns where a condition of a mapping is that does not hold.
    fn failed_condition(&mut self, mapping: &Mapping) -> Option<Span> {
        if !self.context.is_2_1 {
            return None;
        }
        self.fails_in(mapping, Scope::outside(0))
    }

    fn fails_in(&mut self, mapping: &Mapping, scope: Scope<'_>) -> Option<Span> {
        let mut failed = None;
        for (key, wanted) in [("when", true), ("unless", false)] {
            let Some(entry) = mapping.entry(key) else { continue };
            if self.holds(&entry.value, scope) == Some(!wanted) {
                failed = Some(entry.key_span);
            }
        }
        failed
    }

    fn write_workflow(&mut self, entry: &Entry, jobs: &mut Jobs) -> Entry {
        let Value::Mapping(mapping) = &entry.value.value else { return entry.clone() };
        let scope = Scope::outside(0);
        let mut entries = Vec::new();
        for inner in &mapping.entries {
            let value = match (&*inner.key, &inner.value.value) {
                ("when" | "unless", _) if self.context.is_2_1 => continue,
                ("jobs", Value::List(items)) => {
                    let items = self.write_jobs(items, jobs);
                    Node { alias: inner.value.alias, ..Node::made_list(items, inner.value.span) }
                }
                _ => self.fill_templates(&inner.value, scope),
            };
            entries.push(Entry { value, ..inner.clone() });
        }
        let made = Node::made_mapping(entries, entry.value.span, mapping.is_incomplete);
        Entry { value: Node { alias: entry.value.alias, ..made }, ..entry.clone() }
    }

    /// The jobs of a workflow.
    fn write_jobs(&mut self, items: &[Node], jobs: &mut Jobs) -> Vec<Node> {
        let mut found: Vec<Result<Invocation, Node>> = Vec::new();
        let mut groups = Groups::default();
        for item in items {
            let Some((name, members)) = self.grouped_jobs(item) else {
                self.listed_job(item, &mut found, &mut groups);
                continue;
            };
            let first = found.len();
            members.iter().for_each(|member| self.listed_job(member, &mut found, &mut groups));
            let all = groups.matrices.entry(name.to_string()).or_default();
            all.extend(first..found.len());
        }
        if self.ignores_conditions {
            otherwise::keep_one_of_each(&mut found);
        }
        number_names(&mut found);
        let names = found.iter().map(|job| job.as_ref().ok().map(|job| job.name.clone()));
        groups.names = names.collect();
        groups.known = groups.names.iter().flatten().cloned().collect();
        if groups.leave_out(&found) {
            self.is_left_out = true;
        }
        for job in found.iter().flatten().filter(|_| !self.ignores_conditions) {
            groups.by_job.entry(Rc::clone(&job.job)).or_insert_with(|| job.name.clone());
        }
        let written = found.into_iter().filter_map(|job| match job {
            Ok(job) if !groups.known.contains(&job.name) => None,
            Ok(job) => Some(self.write_item(job, &groups, jobs)),
            Err(node) => Some(node),
        });
        written.collect()
    }

    /// One item of a workflow's `jobs`.
    fn listed_job(
        &mut self,
        item: &Node,
        found: &mut Vec<Result<Invocation, Node>>,
        groups: &mut Groups,
    ) {
        match &item.value {
            Value::Scalar { .. } if item.kind() != Kind::Nothing => {
                let name = self.fill_templates(item, Scope::outside(0));
                let nothing = Node::made_plain("", item.span);
                match name.scalar().map(Rc::<str>::from) {
                    Some(name) => {
                        self.add_invocations(&name, item.used_at(), &nothing, found, groups)
                    }
                    None => found.push(Err(name)),
                }
            }
            Value::Mapping(mapping) if mapping.entries.len() == 1 => {
                for entry in &mapping.entries {
                    match self.fill_key(entry, Scope::outside(0)) {
                        Some(name) => {
                            let place = entry.key_span;
                            self.add_invocations(&name, place, &entry.value, found, groups);
                        }
                        None => found.push(Err(Node::unknown(entry.key_span))),
                    }
                }
            }
            // What reads the workflow says what is wrong with it.
            _ => found.push(Err(item.clone())),
        }
    }

    /// One job of a workflow, or as many as its matrix stands for.
    fn add_invocations(
        &mut self,
        job: &Rc<str>,
        place: Span,
        node: &Node,
        found: &mut Vec<Result<Invocation, Node>>,
        groups: &mut Groups,
    ) {
        let nothing = Mapping::default();
        let keys: &Mapping = match &node.value {
            Value::Mapping(mapping) => mapping,
            _ if node.kind() == Kind::Nothing => &nothing,
            _ => {
                self.context.wrong_type(node, &format!("the job `{}`", quoted(job)), "a mapping");
                return;
            }
        };
        let matrix = match keys.entry("matrix").filter(|_| self.context.is_2_1) {
            None => None,
            Some(entry) => match self.read_matrix(entry) {
                Some(matrix) => Some(matrix),
                None => {
                    found.push(Err(Node::unknown(place)));
                    return;
                }
            },
        };
        let Some(matrix) = matrix else {
            self.add_invocation(job, place, keys, node, None, found, groups);
            return;
        };
        let first = found.len();
        for row in &matrix.rows {
            if self.is_over {
                return;
            }
            self.add_invocation(job, place, keys, node, Some(row), found, groups);
        }
        let alias = matrix.alias.unwrap_or_else(|| job.to_string());
        groups.matrices.entry(alias).or_default().extend(first..found.len());
    }

    #[expect(clippy::too_many_arguments, reason = "what one job of a workflow is made from")]
    fn add_invocation(
        &mut self,
        job: &Rc<str>,
        place: Span,
        keys: &Mapping,
        node: &Node,
        row: Option<&Row>,
        found: &mut Vec<Result<Invocation, Node>>,
        groups: &mut Groups,
    ) {
        let is_2_1 = self.context.is_2_1;
        let scope = Scope { matrix: row.map(Vec::as_slice), ..Scope::outside(0) };
        let definition = match self.find_override(keys, scope) {
            Some(definition) => Found::Definition(definition),
            None => self.find_definition(job, 0, |package| &package.jobs),
        };
        let made_name = row.map_or_else(|| job.to_string(), |row| matrix::job_name(job, row));
        let given_name = keys.get("name").map(|node| self.fill_templates(node, scope));
        // Others may require it by the name that it would have.
        let is_unknown = |node: &Node| node.kind() == Kind::Unknown;
        if match &given_name {
            Some(name) => is_unknown(name),
            None => row.into_iter().flatten().any(|(_, value)| is_unknown(value)),
        } {
            found.push(Err(Node::unknown(place)));
        }
        let given_name = given_name.and_then(|node| self.context.expect_nonempty(&node, "`name`"));
        let is_made = given_name.is_none();
        let name = given_name.unwrap_or(made_name);
        if is_2_1 && (self.fails_in(keys, scope).is_some() || self.is_filtered(keys, scope)) {
            self.is_left_out = true;
            groups.dropped.insert(name);
            return;
        }
        let mut arguments: Vec<Entry> = Vec::new();
        let mut words: Vec<Entry> = Vec::new();
        for entry in &keys.entries {
            if self.is_argument(entry, &definition) || self.is_misspelt(entry, &definition) {
                arguments.push(entry.clone());
            } else if !(is_2_1 && WRITTEN_OUT.contains(&&*entry.key)) {
                let value = self.fill_templates(&entry.value, scope);
                let Some(key) = self.fill_key(entry, scope) else { continue };
                // A filter that is an expression was looked at, and lets the job through.
                let is_done = is_2_1 && &*key == "filters" && value.scalar().is_some();
                if is_done && self.context.options.tag.is_some() {
                    words.push(Entry { key, key_span: entry.key_span, value: any_tag(&value) });
                } else if &*key != "name" && !is_done {
                    words.push(Entry { key, key_span: entry.key_span, value });
                }
            }
        }
        let node_made = match &definition {
            Found::Definition(definition) => {
                let rest = row.into_iter().flatten().map(|(key, value)| {
                    let key_span = matrix::parameter_place(keys, key).unwrap_or(place);
                    Entry { key: Rc::clone(key), key_span, value: value.clone() }
                });
                let definition = Rc::clone(definition);
                let node =
                    self.invoke_job(&definition, place, keys, arguments, rest.collect(), scope);
                Some((node, definition.key_span))
            }
            Found::Missing(_) => {
                words.retain(|entry| vocabulary::WORKFLOW_JOB.word(&entry.key).is_some());
                None
            }
            Found::Nothing => {
                let is_orb = is_2_1 && job.contains('/');
                let known =
                    if is_orb { self.known_names(0, |package| &package.jobs) } else { Vec::new() };
                if is_orb && self.report_orb_name("job", job, place, 0, &known) {
                    found.push(Err(Node::unknown(place)));
                    return;
                }
                None
            }
        };
        found.push(Ok(Invocation {
            name,
            is_numbered: is_made || row.is_some(),
            job: Rc::clone(job),
            place,
            keys: (node.kind() != Kind::Nothing || !is_made).then_some(words),
            keys_span: node.used_at(),
            node: node_made,
        }));
    }

    /// The job of an orb that is run in the place of another one. Where there is none of that name
    /// the job itself is run, as CircleCI does it.
    fn find_override(&mut self, keys: &Mapping, scope: Scope<'_>) -> Option<Rc<Definition>> {
        let node = keys.get("override-with").filter(|_| self.context.is_2_1)?;
        let node = self.fill_templates(node, scope);
        let name = self.context.expect_nonempty(&node, "`override-with`")?;
        match self.find_definition(&name, 0, |package| &package.jobs) {
            Found::Definition(definition) => Some(definition),
            Found::Missing(_) | Found::Nothing => None,
        }
    }

    /// A job with what a workflow gives it.
    fn invoke_job(
        &mut self,
        definition: &Rc<Definition>,
        place: Span,
        keys: &Mapping,
        mut arguments: Vec<Entry>,
        row: Vec<Entry>,
        scope: Scope<'_>,
    ) -> Node {
        self.used.insert(definition.id);
        let mut extra = Extra::default();
        if self.context.is_2_1 {
            extra.before = self.extra_steps(keys, "pre-steps", scope);
            extra.after = self.extra_steps(keys, "post-steps", scope);
        }
        for entry in row {
            if let Some(own) = arguments.iter().find(|own| own.key == entry.key) {
                let message =
                    format!("`{}` is a parameter of the matrix as well", quoted(&entry.key));
                self.report(Problem::error(own.key_span, message));
                continue;
            }
            arguments.push(entry);
        }
        let arguments = self.bind_arguments(definition, &arguments, place, scope);
        self.write_job(definition, &arguments, extra)
    }

    /// Returns whether a key of a job of a workflow is an argument of the job.
    fn is_argument(&self, entry: &Entry, definition: &Found) -> bool {
        if !self.context.is_2_1 || RESERVED.contains(&&*entry.key) {
            return false;
        }
        match definition {
            Found::Definition(definition) => {
                definition.parameters.iter().any(|parameter| parameter.name == entry.key)
            }
            Found::Missing(_) => vocabulary::WORKFLOW_JOB.word(&entry.key).is_none(),
            Found::Nothing => false,
        }
    }

    /// Returns whether a key of a job of a workflow is nearly an argument of the job, and nothing
    /// else.
    fn is_misspelt(&mut self, entry: &Entry, definition: &Found) -> bool {
        let Found::Definition(definition) = definition else { return false };
        let is_word = vocabulary::ALL.iter().any(|place| place.word(&entry.key).is_some());
        if !self.context.is_2_1 || is_word {
            return false;
        }
        let words = vocabulary::WORKFLOW_JOB.names().chain(RESERVED);
        let near_word = suggest::nearest(&entry.key, words).is_some();
        let parameters = definition.parameters.iter().map(|parameter| &*parameter.name);
        !near_word && self.suggest_near(&entry.key, parameters).is_some()
    }

    /// Returns whether a filter that is an expression keeps a job from running.
    fn is_filtered(&mut self, keys: &Mapping, scope: Scope<'_>) -> bool {
        let Some(node) = keys.get("filters") else { return false };
        let holds = match &node.value {
            Value::Scalar { text, .. } if node.kind() == Kind::Text && !text.contains("<<") => {
                let value = self.evaluate_expression(text, node.used_at(), scope);
                value.and_then(|(value, _)| value.truth())
            }
            Value::Scalar { .. } if node.kind() != Kind::Nothing => self.holds(node, scope),
            _ => None,
        };
        // Without a branch and a tag, no filter on them keeps a job back.
        let options = self.context.options;
        let asks = |name| node.scalar().is_some_and(|text| text.contains(name));
        let is_open = options.branch.is_none() && options.tag.is_none();
        holds == Some(false)
            && !(is_open && (asks("pipeline.git.branch") || asks("pipeline.git.tag")))
    }
}

/// Returns whether an entry of `workflows` is one, and not a word of its own.
fn is_workflow(entry: &Entry) -> bool {
    vocabulary::WORKFLOWS.word(&entry.key).is_none()
}

/// Filters that let every tag through: without any, a job runs for none.
fn any_tag(node: &Node) -> Node {
    let place = node.span;
    let within = |key: &str, value: Node| {
        let entry = Entry { key: Rc::from(key), key_span: place, value };
        Node::made_mapping(vec![entry], place, false)
    };
    within("tags", within("only", Node::made_text("/.*/", place)))
}
