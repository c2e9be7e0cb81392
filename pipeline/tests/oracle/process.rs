//! A configuration of version 2.1 written out, by CircleCI's manual.

use std::collections::BTreeMap;

use super::expression;
use super::tree::Tree;

type Result<T> = std::result::Result<T, String>;

/// Values by name: parameters, or what a matrix chose.
type Values = BTreeMap<String, Tree>;

/// A job of a workflow.
#[derive(Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) requires: Vec<String>,
    /// Other keys of its entry in the workflow.
    pub(crate) keys: Vec<(String, Tree)>,
    /// The job itself. An approval has none.
    pub(crate) body: Option<Tree>,
}

/// A configuration or an orb.
#[derive(Default)]
struct Package {
    root: Option<Tree>,
    orbs: BTreeMap<String, Self>,
    is_orb: bool,
}

/// Scope of a text: names that it may refer to.
#[derive(Clone, Copy)]
struct Scope<'s> {
    package: &'s Package,
    parameters: Option<&'s Values>,
    matrix: Option<&'s Values>,
    is_environment: bool,
}

/// A configuration for one pipeline.
struct Config<'c> {
    main: &'c Package,
    is_2_1: bool,
    pipeline: Values,
    branch: Option<&'c str>,
}

const EXECUTORS: [&str; 3] = ["docker", "machine", "macos"];

/// Writes a configuration out. `given` are parameters of the pipeline.
pub(crate) fn process(
    root: &Tree,
    given: &Values,
    branch: Option<&str>,
) -> Result<Vec<(String, Vec<Job>)>> {
    let main = package(root, false)?;
    let is_2_1 = root.get("version").and_then(Tree::as_str) == Some("2.1");
    let mut pipeline = Values::new();
    for (name, declared) in root.get("parameters").map(Tree::entries).unwrap_or_default() {
        let value = given.get(name).or_else(|| declared.get("default"));
        pipeline.insert(name.clone(), value.cloned().unwrap_or(Tree::text("")));
    }
    let config = Config { main: &main, is_2_1, pipeline, branch };
    config.workflows()
}

fn package(root: &Tree, is_orb: bool) -> Result<Package> {
    let mut orbs = BTreeMap::new();
    for (name, orb) in root.get("orbs").map(Tree::entries).unwrap_or_default() {
        if matches!(orb, Tree::Map(_)) {
            orbs.insert(name.clone(), package(orb, true)?);
        }
    }
    Ok(Package { root: Some(root.clone()), orbs, is_orb })
}

impl Package {
    /// A definition by its name, or by `orb/name`, and the package that it is in.
    fn find(&self, kind: &str, name: &str) -> Option<(&Self, &Tree)> {
        let own = self.root.as_ref()?.get(kind).and_then(|all| all.get(name));
        own.map(|own| (self, own)).or_else(|| {
            let (orb, name) = name.split_once('/')?;
            let orb = self.orbs.get(orb)?;
            Some((orb, orb.root.as_ref()?.get(kind)?.get(name)?))
        })
    }
}

impl Config<'_> {
    fn outside<'s>(&'s self, matrix: Option<&'s Values>) -> Scope<'s> {
        Scope { package: self.main, parameters: None, matrix, is_environment: false }
    }

    // ---- texts ----

    /// The value of a name. `None` is undefined.
    fn look_up(&self, name: &str, scope: Scope<'_>) -> Option<Option<Tree>> {
        let of = |all: Option<&Values>, name: &str| all.and_then(|all| all.get(name)).cloned();
        if let Some(name) = name.strip_prefix("parameters.") {
            return of(scope.parameters, name).map(Some);
        }
        if let Some(name) = name.strip_prefix("matrix.") {
            return of(scope.matrix, name).map(Some);
        }
        if let Some(name) = name.strip_prefix("pipeline.parameters.") {
            return self.pipeline.get(name).filter(|_| !scope.package.is_orb).cloned().map(Some);
        }
        Some(match name {
            "pipeline.number" => Some(Tree::plain("1")),
            "pipeline.trigger_source" => Some(Tree::text("api")),
            "pipeline.project.type" => Some(Tree::text("github")),
            "pipeline.in_setup" => {
                let setup = self.main.root.as_ref()?.get("setup");
                Some(Tree::plain((setup.and_then(Tree::boolean) == Some(true)).to_string()))
            }
            "pipeline.git.branch.is_default" => Some(Tree::plain("false")),
            "pipeline.git.branch" => self.branch.map(Tree::text),
            _ if name.starts_with("pipeline.") => None,
            _ => return None,
        })
    }

    /// A tree with what stands between brackets replaced.
    fn fill(&self, tree: &Tree, scope: Scope<'_>) -> Result<Tree> {
        Ok(match tree {
            Tree::Scalar(text, plain) => self.fill_text(text, *plain, scope)?,
            Tree::List(items) => {
                Tree::List(items.iter().map(|item| self.fill(item, scope)).collect::<Result<_>>()?)
            }
            Tree::Map(entries) => {
                let fill = |(key, value): &(String, Tree)| {
                    let within = scope.is_environment || key == "environment";
                    let value = self.fill(value, Scope { is_environment: within, ..scope })?;
                    let key = self.fill_text(key, false, scope)?;
                    Ok((key.as_str().unwrap_or_default().to_owned(), value))
                };
                Tree::Map(entries.iter().map(fill).collect::<Result<_>>()?)
            }
        })
    }

    fn fill_text(&self, text: &str, plain: bool, scope: Scope<'_>) -> Result<Tree> {
        if !self.is_2_1 || !text.contains("<<") {
            return Ok(Tree::Scalar(text.to_owned(), plain));
        }
        let trimmed = text.trim();
        let whole = trimmed.strip_prefix("<<").and_then(|rest| rest.strip_suffix(">>"));
        if let Some(inner) = whole.filter(|inner| !inner.contains("<<") && !inner.contains(">>")) {
            let value = self.bracket(inner.trim(), scope)?;
            return Ok(match value.boolean() {
                Some(value) if scope.is_environment => Tree::plain(if value { "1" } else { "0" }),
                _ => value,
            });
        }
        let (mut out, mut rest) = (String::new(), text);
        while let Some(at) = rest.find("<<") {
            if let Some(before) = rest[..at].strip_suffix('\\') {
                out.push_str(before);
                out.push_str("<<");
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let end = rest[at..].find(">>").ok_or("open")? + at;
            let inner = rest[at + 2..end].trim();
            rest = &rest[end + 2..];
            if let Some(name) = inner.strip_prefix(['#', '^']) {
                let name = name.trim();
                let start = rest.find(&format!("<</ {name} >>")).map(|at| (at, name.len() + 7));
                let start = start
                    .or_else(|| rest.find(&format!("<</{name}>>")).map(|at| (at, name.len() + 5)));
                let (start, length) = start.ok_or("section")?;
                if self.bracket(name, scope)?.is_truthy() == inner.starts_with('#') {
                    let section = self.fill_text(&rest[..start], false, scope)?;
                    out.push_str(section.as_str().unwrap_or_default());
                }
                rest = &rest[start + length..];
                continue;
            }
            let value = self.bracket(inner, scope)?;
            match &value {
                _ if value.is_null() => {}
                Tree::Scalar(text, _) => {
                    out.push_str(&value.boolean().map_or(text.clone(), |value| value.to_string()));
                }
                Tree::Map(_) if value.get("name").is_some() => {
                    out.push_str(value.get("name").and_then(Tree::as_str).unwrap_or_default());
                }
                _ => return Err("a list in a text".to_owned()),
            }
        }
        out.push_str(rest);
        Ok(Tree::text(out))
    }

    /// Returns the value of the inside of brackets. The undefined is an empty text, or false where
    /// it comes from a comparison.
    fn bracket(&self, inner: &str, scope: Scope<'_>) -> Result<Tree> {
        let is_name = !inner.contains([' ', '"', '(']);
        if let Some(value) = is_name.then(|| self.look_up(inner, scope)).flatten() {
            return Ok(value.unwrap_or(Tree::text("")));
        }
        let value = expression::evaluate(inner, &|name| self.look_up(name, scope));
        let is_comparison = ["==", "!=", "<", ">", "matches", "starts-with", "contains"]
            .iter()
            .any(|o| inner.contains(o));
        let value = value.ok_or_else(|| format!("not known: {inner}"))?;
        Ok(value.unwrap_or(if is_comparison { Tree::plain("false") } else { Tree::text("") }))
    }

    // ---- conditions ----

    fn holds(&self, condition: &Tree, scope: Scope<'_>) -> Result<bool> {
        let Tree::Map(entries) = condition else {
            let Tree::Scalar(text, _) = condition else { return Ok(condition.is_truthy()) };
            let is_expression = !text.contains("<<")
                && (text.contains("pipeline.")
                    || text.contains("parameters.")
                    || text.starts_with("not "));
            if is_expression {
                let value = expression::evaluate(text, &|name| self.look_up(name, scope));
                return value.map(|value| expression::truth(&value)).ok_or("expression".to_owned());
            }
            return Ok(self.fill(condition, scope)?.is_truthy());
        };
        let Some((statement, argument)) = entries.first() else { return Ok(false) };
        Ok(match statement.as_str() {
            "and" | "or" => {
                let all = argument.items().iter().map(|item| self.holds(item, scope));
                let all: Vec<bool> = all.collect::<Result<_>>()?;
                match statement.as_str() {
                    _ if all.is_empty() => false,
                    "and" => all.iter().all(|holds| *holds),
                    _ => all.contains(&true),
                }
            }
            "not" => !self.holds(argument, scope)?,
            "equal" => {
                let has_definition = argument.items().iter().any(|i| matches!(i, Tree::Map(_)));
                let value = |item: &Tree| {
                    if let (true, Some(executor)) =
                        (has_definition, self.passed_executor(item, scope))
                    {
                        return Ok(executor);
                    }
                    if has_definition && matches!(item, Tree::Map(_)) {
                        return Ok(item.clone());
                    }
                    self.fill(item, scope)
                };
                let all: Vec<Tree> = argument.items().iter().map(value).collect::<Result<_>>()?;
                all.first().is_some_and(|first| all.iter().all(|item| item.equals(first)))
            }
            "matches" => {
                let text = |key: &str| -> Result<String> {
                    let value = self.fill(argument.get(key).ok_or("matches")?, scope)?;
                    Ok(value.as_str().unwrap_or_default().to_owned())
                };
                expression::is_match(&text("pattern")?, &text("value")?).ok_or("pattern")?
            }
            other => return Err(format!("statement {other}")),
        })
    }

    /// The definition of the executor that a parameter passes.
    fn passed_executor(&self, item: &Tree, scope: Scope<'_>) -> Option<Tree> {
        let inner = item.as_str()?.trim().strip_prefix("<<")?.strip_suffix(">>")?.trim();
        let value = scope.parameters?.get(inner.strip_prefix("parameters.")?)?;
        let name = value.get("name").unwrap_or(value).as_str()?;
        self.main.find("executors", name).map(|(_, found)| found.clone())
    }

    /// Returns true if `when` and `unless` of a mapping let it run.
    fn is_let_through(&self, keys: &Tree, scope: Scope<'_>) -> Result<bool> {
        let when = keys.get("when").filter(|_| self.is_2_1);
        let unless = keys.get("unless").filter(|_| self.is_2_1);
        Ok(when.map_or(Ok(true), |when| self.holds(when, scope))?
            && !unless.map_or(Ok(false), |unless| self.holds(unless, scope))?)
    }

    // ---- parameters ----

    /// Arguments of a definition: what is given, and defaults for the rest.
    fn bind(
        &self,
        (package, definition): (&Package, &Tree),
        given: &[(String, Tree)],
        scope: Scope<'_>,
    ) -> Result<Values> {
        let mut values = Values::new();
        for (name, declared) in definition.get("parameters").map(Tree::entries).unwrap_or_default()
        {
            let inside = Scope { package, ..self.outside(None) };
            let kind = declared.get("type").and_then(Tree::as_str).unwrap_or_default();
            let (value, scope) = match given.iter().find(|(key, _)| key == name) {
                Some((_, value)) => (value, scope),
                None => (declared.get("default").ok_or_else(|| format!("no {name}"))?, inside),
            };
            let value = match kind {
                "steps" => Tree::List(self.steps(value, scope)?),
                _ => self.fill(value, Scope { is_environment: false, ..scope })?,
            };
            let value = match (kind, value) {
                ("string" | "enum" | "env_var_name", Tree::Scalar(text, _)) => Tree::text(text),
                (_, value) => match value.boolean() {
                    Some(truth) if kind == "boolean" => Tree::plain(truth.to_string()),
                    _ => value,
                },
            };
            values.insert(name.clone(), value);
        }
        Ok(values)
    }

    // ---- steps ----

    fn steps(&self, tree: &Tree, scope: Scope<'_>) -> Result<Vec<Tree>> {
        let whole = |text: &str| -> Option<Vec<Tree>> {
            let inner = text.trim().strip_prefix("<<")?.strip_suffix(">>")?.trim();
            let value = scope.parameters?.get(inner.strip_prefix("parameters.")?)?;
            matches!(value, Tree::List(_)).then(|| value.items().to_vec())
        };
        if let Some(steps) = tree.as_str().and_then(whole) {
            return Ok(steps);
        }
        let mut out = Vec::new();
        for step in tree.items() {
            let (name, given): (&str, Option<&Tree>) = match step {
                Tree::Scalar(text, _) => (text, None),
                Tree::Map(entries) if entries.len() == 1 => (&entries[0].0, Some(&entries[0].1)),
                _ => {
                    out.push(self.fill(step, scope)?);
                    continue;
                }
            };
            if let Some(steps) = given.is_none().then(|| whole(name)).flatten() {
                out.extend(steps);
                continue;
            }
            match (name, given) {
                ("when" | "unless", Some(given)) if self.is_2_1 => {
                    let condition = given.get("condition").ok_or("condition")?;
                    if self.holds(condition, scope)? == (name == "when") {
                        out.extend(self.steps(given.get("steps").ok_or("steps")?, scope)?);
                    }
                }
                ("steps", Some(given)) if self.is_2_1 => out.extend(self.steps(given, scope)?),
                _ => {
                    let found = scope.package.find("commands", name).filter(|_| self.is_2_1);
                    let Some((package, command)) = found else {
                        out.push(self.fill(step, scope)?);
                        continue;
                    };
                    let given = given.map(Tree::entries).unwrap_or_default();
                    let values = self.bind((package, command), given, scope)?;
                    let inside = Scope { package, parameters: Some(&values), ..self.outside(None) };
                    out.extend(self.steps(command.get("steps").ok_or("steps")?, inside)?);
                }
            }
        }
        Ok(out)
    }

    // ---- jobs ----

    /// A job with its arguments, its executor written into it, and its steps.
    fn job(
        &self,
        (package, job): (&Package, &Tree),
        given: &[(String, Tree)],
        (before, after): (&Tree, &Tree),
        scope: Scope<'_>,
    ) -> Result<Tree> {
        let values = self.bind((package, job), given, scope)?;
        let inside = Scope { package, parameters: Some(&values), ..self.outside(None) };
        let mut entries: Vec<(String, Tree)> = Vec::new();
        let mut executor = Vec::new();
        for (key, value) in job.entries() {
            match key.as_str() {
                "parameters" if self.is_2_1 => {}
                "steps" => {
                    let mut steps = self.steps(before, scope)?;
                    steps.extend(self.steps(value, inside)?);
                    steps.extend(self.steps(after, scope)?);
                    entries.push((key.clone(), Tree::List(steps)));
                }
                "executor" if self.is_2_1 => executor = self.executor(value, inside)?,
                _ => {
                    let is_environment = key == "environment";
                    entries
                        .push((key.clone(), self.fill(value, Scope { is_environment, ..inside })?));
                }
            }
        }
        let has_kind = entries.iter().any(|(key, _)| EXECUTORS.contains(&key.as_str()));
        for (key, value) in executor {
            match entries.iter_mut().find(|(own, _)| *own == key) {
                Some((_, own)) if key == "environment" => {
                    let mut both = variables(&value);
                    for (name, value) in variables(own) {
                        both.retain(|(other, _)| *other != name);
                        both.push((name, value));
                    }
                    *own = Tree::Map(both);
                }
                Some(_) => {}
                None if has_kind && EXECUTORS.contains(&key.as_str()) => {}
                None => entries.push((key, value)),
            }
        }
        Ok(Tree::Map(entries))
    }

    fn executor(&self, value: &Tree, scope: Scope<'_>) -> Result<Vec<(String, Tree)>> {
        let value = self.fill(value, scope)?;
        let name = value.get("name").unwrap_or(&value).as_str().ok_or("executor")?.to_owned();
        // One that a parameter passes is named where the job is run.
        let found = scope.package.find("executors", &name);
        let (package, executor) = found
            .or_else(|| self.main.find("executors", &name))
            .ok_or_else(|| format!("no executor {name}"))?;
        let values = self.bind((package, executor), value.entries(), scope)?;
        let inside = Scope { package, parameters: Some(&values), ..self.outside(None) };
        let kept = executor.entries().iter();
        let kept = kept.filter(|(key, _)| key != "parameters" && key != "description");
        kept.map(|(key, value)| {
            let is_environment = key == "environment";
            Ok((key.clone(), self.fill(value, Scope { is_environment, ..inside })?))
        })
        .collect()
    }

    // ---- workflows ----

    fn workflows(&self) -> Result<Vec<(String, Vec<Job>)>> {
        let root = self.main.root.as_ref().ok_or("root")?;
        let mut out = Vec::new();
        for (name, workflow) in root.get("workflows").map(Tree::entries).unwrap_or_default() {
            if name == "version" || !self.is_let_through(workflow, self.outside(None))? {
                continue;
            }
            out.push((name.clone(), self.workflow(workflow)?));
        }
        Ok(out)
    }

    /// The items of a workflow, with those of job groups in their places; and what names of
    /// groups stand for, by positions.
    fn items(&self, workflow: &Tree) -> (Vec<Tree>, BTreeMap<String, Vec<usize>>) {
        let groups = self.main.root.as_ref().and_then(|root| root.get("job-groups"));
        let (mut items, mut named) = (Vec::new(), BTreeMap::new());
        for item in workflow.get("jobs").map(Tree::items).unwrap_or_default() {
            let name =
                item.as_str().or_else(|| item.entries().first().map(|(key, _)| key.as_str()));
            let name = name.unwrap_or_default();
            let Some(group) = groups.and_then(|groups| groups.get(name)) else {
                items.push(item.clone());
                continue;
            };
            let of_group = item.get(name).map(Tree::entries).unwrap_or_default();
            for member in group.get("jobs").map(Tree::items).unwrap_or_default() {
                let member_name =
                    member.as_str().unwrap_or_else(|| &member.entries()[0].0).to_owned();
                let mut keys =
                    member.get(&member_name).map(Tree::entries).unwrap_or_default().to_vec();
                for (key, value) in of_group {
                    if !keys.iter().any(|(own, _)| own == key) {
                        keys.push((key.clone(), value.clone()));
                    }
                }
                named.entry(name.to_owned()).or_insert_with(Vec::new).push(items.len());
                items.push(Tree::Map(vec![(member_name, Tree::Map(keys))]));
            }
        }
        (items, named)
    }

    fn workflow(&self, workflow: &Tree) -> Result<Vec<Job>> {
        // Each with whether its name may be numbered, and whether it runs.
        let mut found: Vec<(Job, bool, bool)> = Vec::new();
        let mut aliases: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let (items, groups) = self.items(workflow);
        let mut places = Vec::new();
        for item in &items {
            let first = found.len();
            let empty = Tree::Map(Vec::new());
            let (job, keys) = match item {
                Tree::Scalar(name, _) => (name.clone(), &empty),
                _ => item.entries().first().map(|(k, v)| (k.clone(), v)).ok_or("job")?,
            };
            let job = self.fill_text(&job, false, self.outside(None))?;
            let job = job.as_str().unwrap_or_default().to_owned();
            let matrix = keys.get("matrix").filter(|_| self.is_2_1);
            for row in matrix.map_or(Ok(vec![None]), |matrix| self.rows(matrix))? {
                found.push(self.invocation(&job, keys, row.as_ref())?);
            }
            if let Some(matrix) = matrix {
                let alias = matrix.get("alias").and_then(Tree::as_str).unwrap_or(&job);
                aliases.entry(alias.to_owned()).or_default().extend(first..found.len());
            }
            places.push(first..found.len());
        }
        for (group, members) in groups {
            let all = members.into_iter().flat_map(|at| places[at].clone());
            aliases.entry(group).or_default().extend(all);
        }
        number(&mut found);
        // A name is of a job; else of a matrix or a group, for all of its jobs.
        let names: Vec<String> = found.iter().map(|(job, ..)| job.name.clone()).collect();
        for (job, ..) in &mut found {
            let wanted = std::mem::take(&mut job.requires);
            for name in wanted {
                match aliases.get(&name).filter(|_| !names.contains(&name)) {
                    Some(all) => {
                        let all = all.iter().map(|at| names[*at].clone());
                        job.requires.extend(all.filter(|name| *name != job.name));
                    }
                    None => job.requires.push(name),
                }
            }
            job.requires.sort();
            job.requires.dedup();
        }
        // What filters leave out is ignored, and with all that a job requires the job is out.
        loop {
            let runs =
                |name: &String| found.iter().any(|(job, _, runs)| *runs && job.name == *name);
            let gone = found.iter().position(|(job, _, is_running)| {
                *is_running && !job.requires.is_empty() && !job.requires.iter().any(&runs)
            });
            match gone {
                Some(at) => found[at].2 = false,
                None => break,
            }
        }
        let running: Vec<String> =
            found.iter().filter(|(.., runs)| *runs).map(|(job, ..)| job.name.clone()).collect();
        let kept = found.into_iter().filter(|(.., runs)| *runs).map(|(mut job, ..)| {
            job.requires.retain(|name| running.contains(name));
            job
        });
        Ok(kept.collect())
    }

    /// All combinations of a matrix, by the names of its parameters, but the excluded ones.
    fn rows(&self, matrix: &Tree) -> Result<Vec<Option<Values>>> {
        let parameters =
            self.fill(matrix.get("parameters").ok_or("matrix")?, self.outside(None))?;
        let mut lists: Vec<&(String, Tree)> = parameters.entries().iter().collect();
        lists.sort_by(|a, b| a.0.cmp(&b.0));
        let mut rows = vec![Values::new()];
        for (name, values) in lists {
            let values =
                if let Tree::List(items) = values { items.clone() } else { vec![values.clone()] };
            let longer = rows.iter().flat_map(|row| {
                values.iter().map(move |value| {
                    let mut row = row.clone();
                    row.insert(name.clone(), value.clone());
                    row
                })
            });
            rows = longer.collect();
        }
        let excluded: Vec<Tree> = matrix
            .get("exclude")
            .map(Tree::items)
            .unwrap_or_default()
            .iter()
            .map(|item| self.fill(item, self.outside(None)))
            .collect::<Result<_>>()?;
        rows.retain(|row| {
            let is_this = |item: &Tree| {
                item.entries()
                    .iter()
                    .all(|(key, value)| row.get(key).is_some_and(|own| own.equals(value)))
            };
            !excluded.iter().any(is_this)
        });
        Ok(rows.into_iter().map(Some).collect())
    }

    fn invocation(
        &self,
        job: &str,
        keys: &Tree,
        row: Option<&Values>,
    ) -> Result<(Job, bool, bool)> {
        let scope = self.outside(row);
        let other = match keys.get("override-with") {
            Some(name) => {
                self.fill(name, scope)?.as_str().and_then(|name| self.main.find("jobs", name))
            }
            None => None,
        };
        let definition = other.or_else(|| self.main.find("jobs", job));
        let declared = definition.and_then(|(_, job)| job.get("parameters"));
        let is_argument = |key: &str| {
            !["name", "requires", "matrix"].contains(&key)
                && declared.is_some_and(|d| d.get(key).is_some())
        };
        let given_name = keys.get("name").map(|name| self.fill(name, scope)).transpose()?;
        let given_name = given_name.and_then(|name| name.as_str().map(str::to_owned));
        let mut name = given_name.clone().unwrap_or_else(|| job.to_owned());
        let values = row.into_iter().flatten().map(|(_, value)| value.get("name").unwrap_or(value));
        for value in values.filter(|_| given_name.is_none()) {
            name.push_str(&format!("-{}", value.as_str().unwrap_or_default()));
        }
        let filter =
            keys.get("filters").filter(|filter| filter.as_str().is_some() && !filter.is_null());
        let is_about_git =
            |text: &str| text.contains("pipeline.git.branch") || text.contains("pipeline.git.tag");
        let is_let_through = match filter.filter(|_| self.is_2_1) {
            Some(filter) => {
                self.holds(filter, scope)?
                    || (self.branch.is_none() && filter.as_str().is_some_and(is_about_git))
            }
            None => true,
        };
        let runs = is_let_through && self.is_let_through(keys, scope)?;
        let (mut requires, mut rest, mut given) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in keys.entries() {
            let gone =
                ["matrix", "pre-steps", "post-steps", "when", "unless", "override-with", "name"];
            if is_argument(key) {
                given.push((key.clone(), value.clone()));
            } else if key == "requires" {
                let value = self.fill(value, scope)?;
                let items =
                    if let Tree::List(items) = &value { items.clone() } else { vec![value] };
                for item in items.iter().filter(|item| !item.is_null()) {
                    match item {
                        Tree::Map(all) => requires.extend(all.iter().map(|(name, _)| name.clone())),
                        _ => requires.extend(item.as_str().map(str::to_owned)),
                    }
                }
            } else if !(self.is_2_1 && gone.contains(&key.as_str()))
                && filter.is_none_or(|_| key != "filters")
            {
                rest.push((key.clone(), self.fill(value, scope)?));
            }
        }
        given.extend(row.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
        let none = Tree::List(Vec::new());
        let extra = |key: &str| keys.get(key).filter(|steps| !steps.is_null());
        let around = (extra("pre-steps").unwrap_or(&none), extra("post-steps").unwrap_or(&none));
        let body = definition.map(|job| self.job(job, &given, around, scope)).transpose()?;
        let is_numbered = given_name.is_none() || row.is_some();
        Ok((Job { name, requires, keys: rest, body }, is_numbered, runs))
    }
}

/// Numbers the jobs that share a name.
fn number(found: &mut [(Job, bool, bool)]) {
    let running = |(job, is_numbered, runs): &(Job, bool, bool)| {
        (*is_numbered && *runs).then(|| job.name.clone())
    };
    let names: Vec<String> = found.iter().filter_map(running).collect();
    let mut taken: Vec<String> =
        found.iter().filter(|(.., runs)| *runs).map(|(job, ..)| job.name.clone()).collect();
    for (job, ..) in found.iter_mut().filter(|(_, is_numbered, runs)| *is_numbered && *runs) {
        if names.iter().filter(|name| **name == job.name).count() > 1 {
            let free =
                (1..).map(|n| format!("{}-{n}", job.name)).find(|name| !taken.contains(name));
            job.name = free.unwrap_or_default();
            taken.push(job.name.clone());
        }
    }
}

/// `environment` as a mapping: it may also be a list of mappings and `NAME=value`, or one text.
pub(crate) fn variables(tree: &Tree) -> Vec<(String, Tree)> {
    match tree {
        Tree::Map(entries) => entries.clone(),
        Tree::List(items) => items.iter().flat_map(variables).collect(),
        Tree::Scalar(text, _) => text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), Tree::text(value)))
            .collect(),
    }
}
