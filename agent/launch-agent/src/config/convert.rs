//! A configuration for an installed agent: new, or taken over from CircleCI's runner.
//!
//! A file of CircleCI's works as it is, but was written for a runner whose tasks share one user
//! and one directory. What would only bring those back is left out, and said: each slot has a
//! user and directories of its own here.

use std::path::{Path, PathBuf};

use russet_protocol::secret::Secret;
use zeroize::Zeroizing;

use super::error::ConfigError;
use super::yaml::{self, Entry, Node, NodeKind};
use super::{Place, read};

/// Choices of the owner besides the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Origin of the control plane.
    pub url: Option<String>,
    /// Token of the class.
    pub token: Option<Secret>,
    /// The runner's name.
    pub name: Option<String>,
    /// Number of tasks at once.
    pub slots: Option<u32>,
    /// Prefix of the slots' users.
    pub user_prefix: Option<String>,
    /// State directory, if not at its usual place.
    pub state_directory: Option<PathBuf>,
    /// File that the agent logs to.
    pub log: Option<PathBuf>,
}

/// A configuration, and what of the old one is not in it.
#[derive(Debug)]
pub struct Converted {
    /// The text. It holds a token.
    pub text: Zeroizing<String>,
    /// Keys that were left out or changed with the reason, each a sentence.
    pub notes: Vec<String>,
}

/// Keys that are not taken over, and why.
const LEFT_OUT: [(&str, &str); 6] = [
    ("runner.task_agent_directory", "no task agent is downloaded"),
    ("runner.cache_task_agent", "no task agent is downloaded"),
    (
        "runner.working_directory",
        "each task gets a fresh directory of its slot, which is deleted after it",
    ),
    ("runner.cleanup_working_directory", "the slot's directory is always emptied"),
    ("runner.ssh.advertise_addr_url", "people come through the control plane"),
    ("logging.file", "the agent logs to a file of its own, which it rotates"),
];

/// Takes a text of CircleCI's launch-agent or machine runner 3 over; an empty one makes a new
/// configuration.
///
/// # Errors
///
/// The text is no configuration; with its place.
pub fn convert_config(
    from: &Path,
    text: &str,
    overrides: &Overrides,
) -> Result<Converted, ConfigError> {
    let mut root = yaml::parse(from, text)?;
    // Unknown keys are named with their places in the old file.
    if let Some(error) = ConfigError::join(read::read(from, &root, &|_| None).1) {
        return Err(error);
    }
    let mut notes = Vec::new();
    for (key, why) in LEFT_OUT {
        if let Some(value) = take_key(&mut root, key) {
            notes.push(format!("`{key}` ({}) is left out: {why}", shown_value(&value)));
        }
    }
    leave_sudo_out(&mut root, &mut notes);
    set_all(&mut root, overrides);
    let mut out = Zeroizing::new(String::from(
        "# Russet's launch agent. Every key is in docs/agent-config.md.\n",
    ));
    emit_block(&root, 0, &mut out);
    Ok(Converted { text: out, notes })
}

/// A prefix that changes the user would make all slots share it.
fn leave_sudo_out(root: &mut Node, notes: &mut Vec<String>) {
    let key = "runner.command_prefix";
    let Some(value) = take_key(root, key) else { return };
    let is_sudo = match &value.kind {
        NodeKind::List(items) => matches!(
            items.first().map(|item| &item.kind),
            Some(NodeKind::Scalar { text, .. }) if text == "sudo" || text.ends_with("/sudo")
        ),
        _ => false,
    };
    if is_sudo {
        notes.push(format!(
            "`{key}` ({}) is left out: each slot has a user of its own. What jobs found in that \
             user's home (keys, keychains, tools) is not there; put the key back to run all tasks \
             as that user, without isolation",
            shown_value(&value)
        ));
    } else {
        put_key(root, key, value);
    }
}

fn set_all(root: &mut Node, overrides: &Overrides) {
    let mut set = |key: &str, value: Option<String>, quoted: bool| {
        if let Some(text) = value {
            put_key(root, key, make_node(NodeKind::Scalar { text, quoted }));
        }
    };
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    set("api.url", overrides.url.clone(), true);
    set("api.auth_token", overrides.token.as_ref().map(|token| token.expose().to_owned()), true);
    set("runner.name", overrides.name.clone(), true);
    set("runner.slots", overrides.slots.map(|slots| slots.to_string()), false);
    set("runner.user_prefix", overrides.user_prefix.clone(), true);
    set("runner.state_directory", path(&overrides.state_directory), true);
    set("logging.file", path(&overrides.log), true);
}

fn make_node(kind: NodeKind) -> Node {
    Node { place: Place { line: 1, column: 1 }, kind }
}

/// Removes the value of a key with dots.
fn take_key(root: &mut Node, key: &str) -> Option<Node> {
    let NodeKind::Map(entries) = &mut root.kind else { return None };
    match key.split_once('.') {
        None => {
            let index = entries.iter().position(|entry| entry.name == key)?;
            Some(entries.remove(index).value)
        }
        Some((first, rest)) => {
            let index = entries.iter().position(|entry| entry.name == first)?;
            let taken = take_key(&mut entries.get_mut(index)?.value, rest)?;
            let left = entries.get(index).map(|entry| &entry.value.kind);
            if matches!(left, Some(NodeKind::Map(entries)) if entries.is_empty()) {
                entries.remove(index);
            }
            Some(taken)
        }
    }
}

/// Gives a key with dots a value.
fn put_key(root: &mut Node, key: &str, value: Node) {
    if !matches!(root.kind, NodeKind::Map(_)) {
        root.kind = NodeKind::Map(Vec::new());
    }
    let NodeKind::Map(entries) = &mut root.kind else { return };
    let (name, rest) = match key.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (key, None),
    };
    let index = entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
        let empty = make_node(NodeKind::Map(Vec::new()));
        entries.push(Entry { name: name.to_owned(), place: empty.place, value: empty });
        entries.len() - 1
    });
    let Some(entry) = entries.get_mut(index) else { return };
    match rest {
        Some(rest) => put_key(&mut entry.value, rest, value),
        None => entry.value = value,
    }
}

/// A value for a note. None of the keys that notes are about is secret.
fn shown_value(value: &Node) -> String {
    match &value.kind {
        NodeKind::Null => "nothing".to_owned(),
        NodeKind::Scalar { text, .. } => text.clone(),
        NodeKind::List(items) => items.iter().map(shown_value).collect::<Vec<_>>().join(" "),
        NodeKind::Map(_) => "a mapping".to_owned(),
    }
}

fn emit_block(value: &Node, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match &value.kind {
        NodeKind::Map(entries) => {
            for entry in entries {
                match &entry.value.kind {
                    NodeKind::Map(inner) if !inner.is_empty() => {
                        out.push_str(&format!("{indent}{}:\n", emit_scalar(&entry.name, false)));
                        emit_block(&entry.value, depth + 1, out);
                    }
                    _ => {
                        out.push_str(&format!("{indent}{}: ", emit_scalar(&entry.name, false)));
                        emit_flow(&entry.value, out);
                        out.push('\n');
                    }
                }
            }
        }
        _ => emit_flow(value, out),
    }
}

/// A value on one line. What was quoted stays quoted, so that it means the same.
fn emit_flow(value: &Node, out: &mut String) {
    match &value.kind {
        NodeKind::Null => out.push_str("null"),
        NodeKind::Scalar { text, quoted } => out.push_str(&emit_scalar(text, *quoted)),
        NodeKind::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                emit_flow(item, out);
            }
            out.push(']');
        }
        NodeKind::Map(entries) => {
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                out.push_str(&format!("{}: ", emit_scalar(&entry.name, false)));
                emit_flow(&entry.value, out);
            }
            out.push('}');
        }
    }
}

/// Text in double quotes as JSON writes it, which YAML reads as well; plain where that is safe.
fn emit_scalar(text: &str, quoted: bool) -> String {
    let plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '/');
    if plain && !quoted {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Overrides, convert_config};
    use crate::config::{Mode, parse};
    use russet_protocol::secret::Secret;
    use std::path::Path;

    /// The template of CircleCI's launch-agent for macOS, filled in.
    const LAUNCH_AGENT: &str = r#"api:
  auth_token: "0123abcd"
runner:
  name: mini-7
  command_prefix: ["sudo", "-niHu", "ci", "--"]
  working_directory: /var/opt/circleci/workdir
  cleanup_working_directory: true
  disable_auto_update: true
  max_run_time: 1h30m
"#;

    /// Keys of machine runner 3, each with a value.
    const MACHINE_RUNNER_3: &str = r#"
api: {auth_token: 0123abcd, url: "https://ci.example.com"}
runner:
  name: "mini(7)"
  working_directory: "~/Library/com.circleci.runner/workdir"
  cleanup_working_directory: true
  cache_task_agent: true
  task_agent_directory: /opt/agents
  command_prefix: [/opt/ci/prefix.sh, "a b"]
  mode: single-task
  idle_timeout: 10m
  environment: {HTTP_PROXY: "http://proxy:3128", EMPTY: ""}
logging: {level: debug, format: json, file: "/Library/Logs/com.circleci.runner.log"}
"#;

    fn read(text: &str) -> crate::config::Config {
        parse(Path::new("/no/such/file"), text, &|name| (name == "HOME").then(|| "/".into()))
            .unwrap()
    }

    #[test]
    fn a_launch_agents_file_keeps_its_token_and_loses_what_slots_have_of_their_own() {
        let overrides = Overrides {
            url: Some("https://russet.example.com".to_owned()),
            log: Some("/Library/Logs/Russet/agent.log".into()),
            slots: Some(2),
            ..Overrides::default()
        };
        let converted = convert_config(Path::new("old.yaml"), LAUNCH_AGENT, &overrides).unwrap();
        let config = read(&converted.text);
        let class = config.classes.first().unwrap();
        assert_eq!((class.token.read().unwrap().expose(), class.slots), ("0123abcd", 2));
        assert_eq!((config.name.as_str(), config.max_run_time.as_secs()), ("mini-7", 5400));
        assert_eq!(config.api_url, "https://russet.example.com");
        assert!(config.command_prefix.is_empty() && config.working_directory.is_none());
        let notes = converted.notes.join("\n");
        for expected in ["sudo -niHu ci --", "/var/opt/circleci/workdir"] {
            assert!(notes.contains(expected), "{notes}");
        }
        assert!(!notes.contains("0123abcd"), "{notes}");
        assert!(converted.text.contains("disable_auto_update: true"), "updates stay off");
    }

    #[test]
    fn a_machine_runners_file_keeps_everything_that_means_something_here() {
        let converted =
            convert_config(Path::new("old.yaml"), MACHINE_RUNNER_3, &Overrides::default()).unwrap();
        let config = read(&converted.text);
        assert_eq!(config.name, "mini(7)");
        assert_eq!(config.command_prefix, ["/opt/ci/prefix.sh", "a b"]);
        assert_eq!((config.mode, config.logging.file), (Mode::SingleTask, None));
        assert_eq!(config.idle_timeout.unwrap().as_secs(), 600);
        let variables: Vec<(&str, &str)> = config
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(variables, [("EMPTY", ""), ("HTTP_PROXY", "http://proxy:3128")]);
        assert_eq!(converted.notes.len(), 5, "{:?}", converted.notes);
    }

    #[test]
    fn a_new_configuration_is_made_of_what_the_owner_says() {
        let overrides = Overrides {
            url: Some("https://ci.example.com".to_owned()),
            token: Some(Secret::new("tok-\"1\\2")),
            name: Some("yes".to_owned()),
            user_prefix: Some("_mine".to_owned()),
            ..Overrides::default()
        };
        let converted = convert_config(Path::new("new"), "", &overrides).unwrap();
        let config = read(&converted.text);
        assert_eq!(config.classes.first().unwrap().token.read().unwrap().expose(), "tok-\"1\\2");
        assert_eq!((config.name.as_str(), config.user_prefix.as_str()), ("yes", "_mine"));
        assert!(converted.notes.is_empty());
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_its_place() {
        let error =
            convert_config(Path::new("old.yaml"), "runner:\n  nam: x\n", &Overrides::default())
                .unwrap_err();
        assert!(error.to_string().starts_with("old.yaml:2:3"), "{error}");
    }
}
