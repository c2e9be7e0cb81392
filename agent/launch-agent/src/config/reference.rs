//! `docs/agent-config.md`, printed from the table of keys so that it cannot go out of date.

use super::keys::{CLASS_KEYS, KEYS, Key};

const INTRODUCTION: &str = "\
# The launch agent's configuration

`russet agent run --config FILE` reads YAML with the keys of CircleCI's launch-agent and machine
runner 3, and a few of its own: a file of theirs works as it is. This page is printed from the
table in `agent/launch-agent/src/config/keys/`; `RUSSET_UPDATE_DOCS=1 cargo test -p russet-launch-agent reference` writes it.

```yaml
api:
  url: https://ci.example.com
  auth_token: 0123456789abcdef # or RUSSET_API_AUTH_TOKEN, or auth_token_file
runner:
  name: mini-1
  max_run_time: 2h
```

Several classes, each with a token and slots of its own:

```yaml
api: { url: https://ci.example.com }
runner:
  classes:
    - { token_file: mini.token, slots: 2, allowed_projects: [acme/*] }
    - { token_stored: app, resource_class: acme/app, credentials: [distribution] }
    - { token_file: release.token, hooks: { pre_task: /opt/ci/unlock, timeout: 1m } }
```

A key that is unknown is an error that names it, its line, and the nearest known one. An
environment variable wins over the file; of several for one key the first in its list wins. Paths
in the file are relative to the file.

The file must not be readable by others when it holds a token: the agent refuses it as root, and
warns otherwise (`chmod 600 FILE`).
";

const CLASSES: &str = "
## Keys of `runner.classes`

| Key | Type | Default | Meaning |
|---|---|---|---|
";

const ENDING: &str = "
## Signals

| Signal | In the foreground | Under launchd or systemd |
|---|---|---|
| TERM, INT | first: drain (claim nothing, finish what runs); second: cancel what runs | stop \
claiming and exit within 30 s; tasks live on and are adopted by the next agent |
| HUP | drain | drain |

A drain that takes longer than `runner.max_run_time` cancels what still runs.

## Exit codes

They are in [exit-codes.md](exit-codes.md), with what `russet-boot` does about each.
";

/// The text of `docs/agent-config.md`.
#[must_use]
pub fn keys_reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str(
        "\n## Keys\n\n| Key | Environment | Type | Default | Meaning |\n|---|---|---|---|---|\n",
    );
    for key in KEYS.iter() {
        let variables =
            key.variables().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        append_row(&mut text, key, Some(&variables));
    }
    text.push_str(CLASSES);
    for key in CLASS_KEYS {
        append_row(&mut text, key, None);
    }
    text.push_str(ENDING);
    text
}

fn append_row(text: &mut String, key: &Key, variables: Option<&str>) {
    let middle = variables.map(|variables| format!(" {variables} |")).unwrap_or_default();
    text.push_str(&format!(
        "| `{}` |{middle} {} | {} | {} |\n",
        key.name,
        key.kind.describe(),
        key.default,
        key.doc
    ));
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_in_docs_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/agent-config.md");
        let text = super::keys_reference();
        if std::env::var_os("RUSSET_UPDATE_DOCS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            stored == text,
            "docs/agent-config.md is out of date: RUSSET_UPDATE_DOCS=1 cargo test -p russet-launch-agent reference"
        );
    }
}
