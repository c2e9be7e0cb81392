//! Names that a control plane knows.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use russet_protocol::admin::{JobItem, Page, Pipeline, WorkflowItem};

use super::ANSWER_TIMEOUT;
use crate::client::{Client, ConnectionArgs, Filter, Listed};
use crate::commands::block_on;
use crate::error::Result;

/// Most of a list that are offered.
const MAX_OFFERED: u32 = 50;

/// Kind of thing that has names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pipeline,
    Workflow,
    Job,
    Class,
    Runner,
    Project,
    Context,
    Token,
    AlertTarget,
}

/// A name, and a few words about it.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) about: String,
}

impl Name {
    fn new(text: impl Into<String>, about: impl Into<String>) -> Self {
        Self { text: text.into(), about: about.into() }
    }
}

/// Returns the names of a kind, some of which begin with a word. None where the control plane does not
/// answer in time.
pub(super) fn find_names(kind: Kind, word: &str) -> Vec<Name> {
    let names = block_on(async {
        let client = connection(std::env::args_os()).connect()?;
        match tokio::time::timeout(ANSWER_TIMEOUT, ask_for_names(&client, kind, word)).await {
            Ok(names) => names,
            Err(_) => Ok(Vec::new()),
        }
    });
    // A message in the middle of a line that is being typed would help nobody.
    names.unwrap_or_default()
}

/// Options of the line for reaching the control plane. The rest of it may not make sense yet.
fn connection(words: impl Iterator<Item = OsString>) -> ConnectionArgs {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let value_of = |option: &str| {
        let joined = format!("{option}=");
        words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(&joined) {
            Some(value) => Some(value.to_owned()),
            None if word == option => words.get(at + 1).cloned(),
            None => None,
        })
    };
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    ConnectionArgs::new(
        value_of("--url").or_else(|| set("RUSSET_URL")),
        value_of("--token-file").or_else(|| set("RUSSET_TOKEN_FILE")).map(PathBuf::from),
    )
}

async fn ask_for_names(client: &Client, kind: Kind, word: &str) -> Result<Vec<Name>> {
    Ok(match kind {
        Kind::Pipeline => {
            let pipelines: Vec<Pipeline> = latest(client, word).await?;
            let named = pipelines.iter().map(|pipeline| {
                let state = crate::commands::lists::pipeline_state(pipeline);
                let name = format!("{}#{}", pipeline.project, pipeline.number);
                let branch = pipeline.branch.as_deref().unwrap_or_default();
                (name, pipeline.id.to_string(), format!("{state} {branch}"))
            });
            with_ids(named, word)
        }
        Kind::Workflow => {
            let workflows: Vec<WorkflowItem> = latest(client, word).await?;
            let named = workflows.iter().map(|item| {
                let of = &item.pipeline;
                let name = format!("{}#{}/{}", of.project, of.number, item.name);
                (name, item.id.to_string(), state_text(item.outcome, item.phase))
            });
            with_ids(named, word)
        }
        Kind::Job => {
            let jobs: Vec<JobItem> = latest(client, word).await?;
            let named = jobs.iter().map(|item| {
                let of = &item.pipeline;
                let name = format!("{}#{}/{}", of.project, of.number, item.name);
                (name, item.id.to_string(), state_text(item.outcome, item.phase))
            });
            with_ids(named, word)
        }
        Kind::Class => {
            let classes = client.classes(None).await?;
            let of = |class: russet_protocol::admin::ResourceClassItem| {
                Name::new(class.resource_class.to_string(), class.description)
            };
            classes.into_iter().map(of).collect()
        }
        Kind::Runner => {
            let runners = client.runners(None).await?;
            runners
                .into_iter()
                .map(|runner| Name::new(runner.name, runner.resource_class.to_string()))
                .collect()
        }
        Kind::Project => {
            // Of the latest pipelines: the list of all projects says how many bytes each has, which is
            // too much to ask at each key.
            let pipelines: Vec<Pipeline> = latest(client, "").await?;
            let projects: BTreeSet<String> =
                pipelines.into_iter().map(|pipeline| pipeline.project).collect();
            projects.into_iter().map(|project| Name::new(project, "")).collect()
        }
        Kind::Context => {
            let contexts = client.contexts().await?;
            contexts.into_iter().map(|context| Name::new(context.name, "")).collect()
        }
        Kind::Token => {
            let mut names = Vec::new();
            for class in client.classes(None).await? {
                let tokens = client.tokens(&class.resource_class).await?;
                let of = |token: russet_protocol::admin::TokenItem| {
                    Name::new(
                        token.id.to_string(),
                        format!("{} {}", class.resource_class, token.nickname),
                    )
                };
                names.extend(tokens.into_iter().map(of));
            }
            names
        }
        Kind::AlertTarget => {
            let targets = client.alert_targets().await?;
            targets.into_iter().map(|target| Name::new(target.name, "")).collect()
        }
    })
}

/// The latest of a list; of one project where the word names it already.
async fn latest<T: Listed>(client: &Client, word: &str) -> Result<Vec<T>> {
    let project = word.rsplit_once('#').map(|(project, _)| project.to_owned());
    let filter = Filter { project, ..Filter::default() };
    let page: Page<T> = client.list_page(&filter, MAX_OFFERED, None).await?;
    Ok(page.items)
}

fn state_text(
    outcome: Option<russet_protocol::outcome::Outcome>,
    phase: russet_protocol::outcome::Phase,
) -> String {
    outcome.map_or(phase.as_str(), russet_protocol::outcome::Outcome::as_str).to_owned()
}

/// Names for people; and ids for whoever has begun to type one, since an id says nothing to anybody.
fn with_ids(named: impl Iterator<Item = (String, String, String)>, word: &str) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for (name, id, about) in named {
        if !word.is_empty() && id.starts_with(word) {
            names.push(Name::new(id, format!("{name} {about}")));
        }
        // The last run of a workflow comes first, and is what its name stands for.
        if !names.iter().any(|known| known.text == name) {
            names.push(Name::new(name, about));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{connection, with_ids};

    #[test]
    fn ids_are_offered_to_whoever_types_one() {
        let one = || [("app#1".to_owned(), "019a".to_owned(), "failed".to_owned())].into_iter();
        let texts = |word| -> Vec<String> {
            with_ids(one(), word).into_iter().map(|name| name.text).collect()
        };
        assert_eq!(texts(""), ["app#1"]);
        assert_eq!(texts("01"), ["019a", "app#1"]);
    }

    #[test]
    fn options_of_the_line_name_the_control_plane() {
        let words =
            ["russet", "--", "russet", "job", "logs", "--url=http://a:1", "--token-file", "t"];
        let found = format!("{:?}", connection(words.iter().map(Into::into)));
        assert!(found.contains("http://a:1") && found.contains("\"t\""), "{found}");
    }
}
