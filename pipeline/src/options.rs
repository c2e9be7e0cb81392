//! Options of the compiler: the part that is to run, and the pipeline that it is for.

use std::collections::BTreeMap;
use std::sync::Arc;

use russet_protocol::resource_class::ResourceClass;

use crate::versions;

/// Options of the compiler.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the file, for messages only. It is not opened.
    pub file: String,
    /// Run the steps of `docker:` jobs on the machine itself, where they are otherwise refused.
    pub on_host: bool,
    /// Put every job into this class, whatever the configuration says.
    pub resource_class: Option<ResourceClass>,
    /// The classes that other names of machines stand for, such as those of CircleCI's own.
    pub class_aliases: BTreeMap<String, ResourceClass>,
    /// Branch that the pipeline is of, if any. With neither it nor a tag, filters on branches and
    /// tags let everything through.
    pub branch: Option<String>,
    /// Tag that the pipeline is of, if any.
    pub tag: Option<String>,
    /// Only the workflow of this name.
    pub workflow: Option<String>,
    /// Only the job of this name and what it requires, directly or not, whatever their filters
    /// on branches and tags say.
    pub job: Option<String>,
    /// Only look whether the configuration is right: what is understood but cannot be run yet is
    /// a warning, and it is no mistake if nothing would run.
    pub check: bool,
    /// It is what a setup job goes on with: it may leave nothing to run, and may not be
    /// `setup: true` itself.
    pub is_continuation: bool,
    /// Values of the pipeline's parameters.
    pub parameters: BTreeMap<String, Value>,
    /// Values of the pipeline.
    pub pipeline: Pipeline,
    /// Source of the orbs of a registry.
    pub orbs: Orbs,
}

/// The value of a pipeline parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text; for a parameter of another type, what it says, as from a command line.
    Text(String),
    /// A boolean.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
}

/// Known values of a pipeline, for `pipeline.…`. The rest is undefined in expressions and empty in
/// texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// `pipeline.id`.
    pub id: Option<String>,
    /// `pipeline.number`.
    pub number: Option<u64>,
    /// `pipeline.project.slug`.
    pub project: Option<String>,
    /// `pipeline.project.git_url`.
    pub repository_url: Option<String>,
    /// `pipeline.git.revision`.
    pub revision: Option<String>,
    /// `pipeline.git.base_revision`.
    pub base_revision: Option<String>,
    /// `pipeline.git.branch.is_default`.
    pub is_default_branch: bool,
    /// `pipeline.trigger_source`; `api` where it is not known.
    pub trigger_source: Option<String>,
    /// Further values by their full names, such as `pipeline.project.type`. They win over the
    /// others.
    pub values: BTreeMap<String, Value>,
}

/// A source of the orbs of a registry. The compiler opens nothing itself.
pub trait OrbSource: Send + Sync {
    /// The versions of an orb (`namespace/name`) that there are, such as `5.1.0`, in any order.
    fn versions(&self, orb: &str) -> Vec<String>;

    /// The text of one of them. `None` where it is not there or cannot be read.
    fn text(&self, orb: &str, version: &str) -> Option<String>;

    /// The version that `wanted` (`1.2.3`, `1.2`, `1`, `volatile` or `dev:name`) stands for: the
    /// highest that fits, unless something pins it. `None` where none fits.
    fn choose(&self, orb: &str, wanted: &str) -> Option<String> {
        versions::choose_version(wanted, &self.versions(orb)).map(str::to_owned)
    }

    /// Returns the reason why an orb is not there, where more is known than that.
    fn absence(&self, _orb: &str, _wanted: &str) -> Option<OrbTrouble> {
        None
    }

    /// Returns an objection to the text of one of them, such as a hash that it does not have.
    fn objection(&self, _orb: &str, _version: &str, _text: &str) -> Option<OrbTrouble> {
        None
    }

    /// Returns what messages call the text of one of them, such as its file.
    fn place(&self, orb: &str, version: &str) -> String {
        format!("{orb}@{version}")
    }
}

/// Reason why an orb cannot be used, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrbTrouble {
    /// The fault.
    pub message: String,
    /// The remedy.
    pub hint: String,
}

/// An [`OrbSource`], or none.
#[derive(Clone, Default)]
pub struct Orbs(pub Option<Arc<dyn OrbSource>>);

impl std::fmt::Debug for Orbs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Orbs(..)" } else { "Orbs(none)" })
    }
}
