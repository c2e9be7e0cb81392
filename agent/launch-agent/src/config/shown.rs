//! The configuration as it counts, for people: each key with its value and where that comes from.

use std::path::Path;

use russet_text::{format_duration, format_size};
use serde::Serialize;

use super::error::ConfigError;
use super::keys::{CLASS_KEYS, KEYS, Key, Kind};
use super::read::{self, Origin, Values};
use super::values::Value;
use super::{parse, read_text, yaml};

/// A key with the value that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownKey {
    /// Its path, as `runner.ssh.enabled` or `runner.classes[0].slots`.
    pub key: String,
    /// Its value, where one is given. Secrets and the values of variables are not shown.
    pub value: Option<String>,
    /// Where that is given: `line 3`, or the name of an environment variable.
    pub from: Option<String>,
    /// The behaviour without the key.
    pub default: &'static str,
}

/// Reads a file, and the environment over it, and returns every key in the order of the reference.
///
/// # Errors
///
/// As [`super::load_config`]: a configuration that would not start an agent is not shown.
pub fn show_config(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<ShownKey>, ConfigError> {
    let text = read_text(path)?;
    parse(path, &text, env)?;
    let (input, _) = read::read(path, &yaml::parse(path, &text)?, env);
    let mut shown = show_keys(&KEYS, &input.values);
    for class in &input.classes {
        shown.extend(show_keys(CLASS_KEYS, class));
    }
    Ok(shown)
}

fn show_keys(keys: &[Key], values: &Values) -> Vec<ShownKey> {
    // Its entries have keys of their own.
    let own = keys.iter().filter(|key| key.kind != Kind::Classes);
    own.map(|key| {
        let given = values.given(key.name);
        ShownKey {
            key: format!("{}{}", values.label, key.name),
            value: given.map(|(value, _)| show_value(key.kind, value)),
            from: given.map(|(_, origin)| match origin {
                Origin::File(place) => format!("line {}", place.line),
                Origin::Env(variable) => variable.clone(),
            }),
            default: key.default,
        }
    })
    .collect()
}

/// Threat: people paste this into issues.
fn show_value(kind: Kind, value: &Value) -> String {
    match value {
        Value::Secret(_) => "(secret)".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => flag.to_string(),
        Value::Duration(duration) => format_duration(*duration),
        Value::Number(bytes) if kind == Kind::Size => format_size(*bytes),
        Value::Number(number) => number.to_string(),
        Value::Words(words) => format!("[{}]", words.join(", ")),
        // An address of a proxy may have a password in it.
        Value::Variables(pairs) => {
            let names: Vec<_> = pairs.keys().map(|name| format!("{name}=…")).collect();
            format!("{{{}}}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{ShownKey, show_config};

    fn find<'a>(shown: &'a [ShownKey], key: &str) -> &'a ShownKey {
        shown.iter().find(|shown| shown.key == key).unwrap()
    }

    #[test]
    fn each_key_has_its_value_and_its_origin_and_no_secret_is_shown() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "api: {url: 'https://ci.example.com'}\nrunner:\n  name: mini-1\n  max_run_time: 90m\n  \
                    ssh: {enabled: true, allow_forwarding: [agent]}\n  environment: {PROXY: 'http://a:hush@b'}\n  \
                    classes:\n    - {token: hush, slots: 2}\n";
        file.write_all(text.as_bytes()).unwrap();
        let env = |name: &str| (name == "RUSSET_RUNNER_NAME").then(|| "mini-2".to_owned());
        let shown = show_config(file.path(), &env).unwrap();
        let name = find(&shown, "runner.name");
        assert_eq!(name.value.as_deref(), Some("mini-2"));
        assert_eq!(name.from.as_deref(), Some("RUSSET_RUNNER_NAME"));
        let limit = find(&shown, "runner.max_run_time");
        assert_eq!(limit.value.as_deref(), Some("1 h 30 min"));
        assert_eq!(limit.from.as_deref(), Some("line 4"));
        let forwarding = find(&shown, "runner.ssh.allow_forwarding");
        assert_eq!(forwarding.value.as_deref(), Some("[agent]"));
        assert_eq!(find(&shown, "runner.environment").value.as_deref(), Some("{PROXY=…}"));
        assert_eq!(find(&shown, "runner.classes[0].token").value.as_deref(), Some("(secret)"));
        assert_eq!(find(&shown, "runner.classes[0].slots").value.as_deref(), Some("2"));
        let mode = find(&shown, "runner.mode");
        assert!(mode.value.is_none() && mode.from.is_none() && mode.default.contains("continuous"));
        assert!(!format!("{shown:?}").contains("hush"));
    }

    #[test]
    fn a_configuration_that_starts_no_agent_is_not_shown() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"runner: {nmae: mini}\n").unwrap();
        let error = show_config(file.path(), &|_| None).unwrap_err();
        assert!(error.to_string().contains("unknown key `runner.nmae`"), "{error}");
    }
}
