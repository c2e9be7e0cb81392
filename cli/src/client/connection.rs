//! Which control plane, and with which token.
//!
//! From the arguments, else the environment, else `$XDG_CONFIG_HOME/russet/cli.yml`. A token is
//! never an argument: arguments are seen by everybody on the machine.

use std::path::{Path, PathBuf};

use russet_protocol::secret::Secret;
use russet_yaml::{Kind, Limits, Source, quoted};

use super::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Address of `russet server` unless configured.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Options for reaching the control plane.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Control plane")]
pub(crate) struct ConnectionArgs {
    /// Address of the control plane [default: http://127.0.0.1:8080]
    #[arg(long, env = "RUSSET_URL", hide_env_values = true, value_name = "URL")]
    url: Option<String>,

    /// File with the admin token; or put the token itself into RUSSET_TOKEN
    #[arg(long, env = "RUSSET_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// The file `cli.yml`.
#[derive(Debug, Default)]
struct Settings {
    url: Option<String>,
    token_file: Option<PathBuf>,
}

impl ConnectionArgs {
    /// A client for the control plane that is meant.
    pub(crate) fn connect(&self) -> Result<Client> {
        let settings = read_settings(config_file().as_deref())?;
        let url = self.url.clone().or(settings.url).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let token = match (&self.token_file, std::env::var("RUSSET_TOKEN")) {
            (Some(file), _) => read_token(file)?,
            (None, Ok(token)) if !token.trim().is_empty() => Secret::new(token.trim()),
            (None, _) => match &settings.token_file {
                Some(file) => read_token(file)?,
                None => return Err(no_token(&url)),
            },
        };
        Client::new(&url, &token)
    }
}

fn no_token(url: &str) -> CliError {
    CliError::new(Exit::Usage, format!("there is no admin token for the control plane at {url}"))
        .hint(
            "name its file with --token-file or RUSSET_TOKEN_FILE; `russet server` keeps it as \
             `admin.token` in its data directory",
        )
}

fn read_token(file: &Path) -> Result<Secret> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("could not read the admin token from {}: {error}", file.display());
        CliError::new(Exit::BadConfig, message)
    })?;
    match text.trim() {
        "" => Err(CliError::new(
            Exit::BadConfig,
            format!("the admin token in {} is empty", file.display()),
        )),
        token => Ok(Secret::new(token)),
    }
}

fn config_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(base.join("russet/cli.yml"))
}

fn read_settings(file: Option<&Path>) -> Result<Settings> {
    let Some(file) = file else { return Ok(Settings::default()) };
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
        CliError::new(Exit::BadConfig, format!("{}:{error}", file.display()))
            .hint("it has two keys: `url` and `token_file`")
    })?;
    // Relative to the file, not to wherever the command was called.
    if let (Some(token_file), Some(parent)) = (&mut settings.token_file, file.parent()) {
        *token_file = parent.join(&*token_file);
    }
    Ok(settings)
}

/// Parses the text of `cli.yml`. An error begins with its place: `3:1: unknown key …`.
fn parse_settings(text: &str) -> std::result::Result<Settings, String> {
    const LIMITS: Limits =
        Limits { max_bytes: 64 * 1024, max_size: 8 * 1024 * 1024, max_depth: 4, aliases: false };
    let (root, faults) = russet_yaml::parse(text, 0, &LIMITS);
    let source = Source::new("cli.yml", text);
    let wrong = |span, message: &str| {
        let (line, column) = source.position(span);
        format!("{line}:{column}: {message}")
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
            key => return Err(wrong(entry.key_span, &format!("unknown key `{}`", quoted(key)))),
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::parse_settings;

    #[test]
    fn settings_have_two_keys_and_an_error_names_its_place() {
        let settings =
            parse_settings("# mine\nurl: https://ci.example:8443\ntoken_file: t\n").unwrap();
        assert_eq!(settings.url.as_deref(), Some("https://ci.example:8443"));
        assert_eq!(settings.token_file.as_deref(), Some(Path::new("t")));
        assert!(parse_settings("\n# nothing\n").unwrap().url.is_none());
        for (text, error) in [
            ("url: x\nurls: y\n", "2:1: unknown key `urls`"),
            ("url: [x]\n", "1:6: `url` must be a text"),
            ("- url\n", "1:1: it must be a mapping of keys"),
            ("url: &a x\ntoken_file: *a\n", "2:13: aliases (`*name`) are not supported here"),
        ] {
            assert_eq!(parse_settings(text).unwrap_err(), error, "{text}");
        }
    }
}
