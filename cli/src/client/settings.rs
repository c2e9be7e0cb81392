//! Settings of all commands: `$XDG_CONFIG_HOME/russet/cli.yml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use russet_protocol::resource_class::{InvalidResourceClass, ResourceClass};
use russet_yaml::{Entry, Kind, Limits, Source, Span, quoted};

use crate::error::{CliError, Result};
use crate::exit::Exit;

/// The file `cli.yml`.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Address of the control plane.
    pub(crate) url: Option<String>,
    /// File with the admin token.
    pub(crate) token_file: Option<PathBuf>,
    /// File with certificates that are trusted beside those of the system.
    pub(crate) ca_file: Option<PathBuf>,
    /// Registry that missing orbs are fetched from.
    pub(crate) orb_registry: Option<String>,
    /// File with a token for that registry, and for no other.
    pub(crate) orb_registry_token_file: Option<PathBuf>,
    /// Classes that other names of machines stand for.
    pub(crate) class_aliases: BTreeMap<String, ResourceClass>,
}

impl Settings {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or has a mistake.
    pub(crate) fn read() -> Result<Self> {
        config_dir()
            .map_or_else(|| Ok(Self::default()), |directory| read_file(&directory.join("cli.yml")))
    }
}

/// Returns the directory of configuration of a person's commands.
pub(super) fn config_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(base.join("russet"))
}

fn read_file(file: &Path) -> Result<Settings> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Settings::default());
        }
        Err(error) => {
            let message = format!("could not read {}: {error}", file.display());
            return Err(CliError::new(Exit::BadConfig, message));
        }
    };
    let mut settings = parse_settings(&text).map_err(|error| {
        CliError::new(Exit::BadConfig, format!("{}:{error}", file.display())).hint(
            "its keys are `url`, `token_file`, `ca_file`, `orb_registry`, \
             `orb_registry_token_file` and `class_aliases`",
        )
    })?;
    // Relative to the file, not to wherever the command was called.
    for path in
        [&mut settings.token_file, &mut settings.ca_file, &mut settings.orb_registry_token_file]
    {
        if let (Some(path), Some(parent)) = (path, file.parent()) {
            *path = parent.join(&*path);
        }
    }
    Ok(settings)
}

/// A mistake in `cli.yml`, printed with its place: `3:1: unknown key …`.
#[derive(Debug, thiserror::Error)]
#[error("{line}:{column}: {message}")]
struct SettingsError {
    line: usize,
    column: usize,
    message: String,
}

/// Parses the text of `cli.yml`.
fn parse_settings(text: &str) -> std::result::Result<Settings, SettingsError> {
    const LIMITS: Limits =
        Limits { max_bytes: 64 * 1024, max_size: 8 * 1024 * 1024, max_depth: 4, aliases: false };
    let (root, faults) = russet_yaml::parse(text, 0, &LIMITS);
    let source = Source::new("cli.yml", text);
    let wrong = |span: Span, message: &str| {
        let (line, column) = source.position(span);
        SettingsError { line, column, message: message.to_owned() }
    };
    if let Some(fault) = faults.first() {
        return Err(wrong(fault.span, &fault.message));
    }
    let mut settings = Settings::default();
    let Some(root) = root.filter(|root| root.kind() != Kind::Nothing) else { return Ok(settings) };
    if root.kind() != Kind::Mapping {
        return Err(wrong(root.span, "it must be a mapping of keys"));
    }
    for entry in root.entries() {
        if &*entry.key == "class_aliases" {
            settings.class_aliases = parse_aliases(entry, &wrong)?;
            continue;
        }
        let value = match entry.value.kind() {
            Kind::Nothing => None,
            Kind::List | Kind::Mapping | Kind::Unknown => {
                return Err(wrong(entry.value.span, &format!("`{}` must be a text", entry.key)));
            }
            _ => entry.value.scalar().map(str::to_owned),
        };
        match &*entry.key {
            "url" => settings.url = value,
            "token_file" => settings.token_file = value.map(PathBuf::from),
            "ca_file" => settings.ca_file = value.map(PathBuf::from),
            "orb_registry" => settings.orb_registry = value,
            "orb_registry_token_file" => {
                settings.orb_registry_token_file = value.map(PathBuf::from);
            }
            key => return Err(wrong(entry.key_span, &format!("unknown key `{}`", quoted(key)))),
        }
    }
    Ok(settings)
}

/// Parses a mapping of names to classes.
fn parse_aliases(
    entry: &Entry,
    wrong: &dyn Fn(Span, &str) -> SettingsError,
) -> std::result::Result<BTreeMap<String, ResourceClass>, SettingsError> {
    if !matches!(entry.value.kind(), Kind::Mapping | Kind::Nothing) {
        return Err(wrong(entry.value.span, "`class_aliases` must be a mapping of name to class"));
    }
    let alias = |alias: &Entry| {
        let class = alias.value.scalar().unwrap_or_default().parse();
        let class = class.map_err(|error: InvalidResourceClass| {
            wrong(alias.value.span, &quoted(&error.to_string()))
        })?;
        Ok((alias.key.to_string(), class))
    };
    entry.value.entries().iter().map(alias).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::parse_settings;

    #[test]
    fn settings_have_known_keys_and_an_error_names_its_place() {
        let settings = parse_settings(
            "# mine\nurl: https://ci.example:8443\ntoken_file: t\norb_registry: https://orbs.example\n\
             class_aliases: {m4pro.medium: acme/mini}\n",
        )
        .unwrap();
        assert_eq!(settings.url.as_deref(), Some("https://ci.example:8443"));
        assert_eq!(settings.token_file.as_deref(), Some(Path::new("t")));
        assert_eq!(settings.orb_registry.as_deref(), Some("https://orbs.example"));
        assert_eq!(settings.class_aliases["m4pro.medium"].as_str(), "acme/mini");
        assert!(parse_settings("\n# nothing\n").unwrap().url.is_none());
        for (text, error) in [
            ("url: x\nurls: y\n", "2:1: unknown key `urls`"),
            ("url: [x]\n", "1:6: `url` must be a text"),
            ("- url\n", "1:1: it must be a mapping of keys"),
            ("url: &a x\ntoken_file: *a\n", "2:13: aliases (`*name`) are not supported here"),
            ("class_aliases: x\n", "1:16: `class_aliases` must be a mapping of name to class"),
        ] {
            assert_eq!(parse_settings(text).unwrap_err().to_string(), error, "{text}");
        }
        let wrong = parse_settings("class_aliases: {large: mini}\n").unwrap_err().to_string();
        assert!(wrong.starts_with("1:24: `mini` is not a resource class"), "{wrong}");
    }
}
