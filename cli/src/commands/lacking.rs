//! Things that a configuration still lacks before it can run: orbs, and parts of the control plane
//! that it is meant for does not have.

use std::collections::BTreeSet;
use std::path::Path;

use russet_pipeline::{Compiled, Options, is_orb_version};
use serde_json::json;

use super::orb::fetch_command;
use super::quoted_for_shell;
use crate::client::Client;
use crate::error::Result;
use crate::{project, render};

/// An orb that is nowhere.
#[derive(Debug)]
struct MissingOrb {
    name: String,
    wanted: String,
}

impl MissingOrb {
    /// Returns the shell command that provides it.
    fn command(&self) -> String {
        let (name, wanted) = (&self.name, &self.wanted);
        let file = format!("{}.yml", Path::new(name).file_name().unwrap_or_default().display());
        // Which version the others stand for, only who publishes the orb knows.
        let version = if is_orb_version(wanted) { wanted } else { "X.Y.Z" };
        format!("russet config orb add {file} --as {name}@{version}")
    }
}

/// Facts about the configuration that the printed commands name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    /// The configuration, as it was named.
    pub(crate) path: &'a Path,
    /// Directory of the project.
    pub(crate) project: Option<&'a Path>,
    /// Set where it is for a control plane.
    pub(crate) is_on_server: bool,
    /// Set where a registry was asked, in vain.
    pub(crate) has_registry: bool,
}

/// Missing things.
#[derive(Debug)]
pub(crate) struct Lacking {
    /// The command that fetches all orbs, where that can help.
    fetch: Option<String>,
    /// Name of the project.
    project: String,
    orbs: Vec<MissingOrb>,
    /// Contexts that the control plane does not have.
    contexts: BTreeSet<String>,
    /// Resource classes that the control plane does not have.
    classes: BTreeSet<String>,
    /// Resource classes that no runner has ever claimed for.
    idle: BTreeSet<String>,
}

impl Lacking {
    /// The orbs that a configuration uses and that are not there.
    pub(crate) fn of(text: &str, options: &Options, wish: Wish<'_>) -> Self {
        let used = russet_pipeline::orbs(text, options).into_iter();
        let orbs = used.filter(|orb| orb.version.is_none());
        let orbs = orbs.map(|orb| MissingOrb { name: orb.name, wanted: orb.wanted });
        let fetch = (!wish.has_registry).then(|| fetch_command(wish.path, wish.is_on_server));
        Self {
            fetch,
            project: wish.project.map_or_else(|| "PROJECT".to_owned(), project::name_of),
            orbs: orbs.collect(),
            contexts: BTreeSet::new(),
            classes: BTreeSet::new(),
            idle: BTreeSet::new(),
        }
    }

    /// Asks a control plane what it has of what the jobs need.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) async fn ask(&mut self, client: &Client, compiled: &Compiled) -> Result<()> {
        let jobs = || compiled.workflows.iter().flat_map(|workflow| &workflow.jobs);
        let contexts: BTreeSet<&String> = jobs().flat_map(|job| &job.contexts).collect();
        if !contexts.is_empty() {
            let there = client.contexts().await?;
            let lacking =
                contexts.into_iter().filter(|name| there.iter().all(|c| c.name != **name));
            self.contexts = lacking.cloned().collect();
        }
        let classes: BTreeSet<String> =
            jobs().filter_map(|job| job.resource_class.as_ref()).map(ToString::to_string).collect();
        for class in classes {
            let namespace = class.split('/').next().unwrap_or_default();
            let is = |other: &dyn std::fmt::Display| other.to_string() == class;
            if !client.classes(Some(namespace)).await?.iter().any(|item| is(&item.resource_class)) {
                self.classes.insert(class);
            } else if client.runners(Some(class.as_str())).await?.is_empty() {
                self.idle.insert(class);
            }
        }
        Ok(())
    }

    /// Returns true if nothing is missing.
    pub(crate) fn is_nothing(&self) -> bool {
        self.orbs.is_empty()
            && self.contexts.is_empty()
            && self.classes.is_empty()
            && self.idle.is_empty()
    }

    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let orbs = self.orbs.iter().map(|orb| {
            json!({
                "name": orb.name,
                "version": orb.wanted,
                "command": orb.command(),
            })
        });
        json!({
            "command": self.provide_all(),
            "orbs": orbs.collect::<Vec<_>>(),
            "contexts": self.contexts,
            "resource_classes": self.classes,
            "resource_classes_without_runners": self.idle,
        })
    }

    /// The one command that provides everything that commands can provide.
    fn provide_all(&self) -> Option<String> {
        let fetch = self.fetch.clone().filter(|_| !self.orbs.is_empty());
        let contexts = self.contexts.iter().map(|name| self.make_context(name));
        let classes = self.classes.iter().map(|name| make_class(name));
        let all: Vec<String> = fetch.into_iter().chain(contexts).chain(classes).collect();
        (!all.is_empty()).then(|| all.join(" && "))
    }

    fn make_context(&self, name: &str) -> String {
        let [name, project] = [name, &self.project].map(quoted_for_shell);
        format!("russet context create {name} --project {project}")
    }

    /// Tells people, each thing with the command that provides it.
    pub(crate) fn show(&self) {
        if self.is_nothing() {
            return;
        }
        render::print_note("What is missing, and what provides it:");
        for orb in &self.orbs {
            let (name, wanted) = (&orb.name, &orb.wanted);
            render::print_note(format_args!("  orb {name}@{wanted}\n      {}", orb.command()));
        }
        for name in &self.contexts {
            let shown = render::plain(name);
            render::print_note(format_args!(
                "  context {shown}\n      {}",
                self.make_context(name)
            ));
        }
        for name in &self.classes {
            render::print_note(format_args!("  resource class {name}\n      {}", make_class(name)));
        }
        for name in &self.idle {
            render::print_note(format_args!(
                "  a runner of the resource class {name}\n      russet token create {name}, for the \
                 runner's configuration"
            ));
        }
        if let Some(command) = self.provide_all() {
            render::print_note(format_args!("All at once:\n  {command}"));
        }
    }
}

fn make_class(name: &str) -> String {
    format!("russet resource-class create {}", quoted_for_shell(name))
}
