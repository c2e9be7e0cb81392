//! `russet context` and `russet project env`: variables that jobs get, whose values are never
//! shown again.

use std::path::Path;

use russet_protocol::admin::{AddSshKey, ContextItem, SetContext, VariableItem};
use russet_protocol::secret::Secret;

use super::OutputArgs;
use super::confirm::YesArgs;
use super::connect::{self, ConnectCommand};
use super::notify::{self, NotifyCommand};
use super::project_settings::{self, SettingsCommand};
use super::secret_input::{SecretArgs, read_secret_file, secret_text};
use super::webhooks::{self, WebhookCommand};
use crate::client::{ConnectionArgs, Owner};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Manage contexts (named sets of variables for jobs)
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ContextCommand {
    /// Make a context, or say anew which projects may use it
    #[command(
        after_help = "Examples:\n  russet context create deploy --project acme/app\n  russet context create shared --all-projects"
    )]
    Create {
        /// Its name
        name: String,
        /// A project that may use it; may be given several times
        #[arg(long = "project", value_name = "PROJECT", required_unless_present = "all_projects")]
        projects: Vec<String>,
        /// Every project may use it
        #[arg(long, conflicts_with = "projects")]
        all_projects: bool,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List contexts
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Delete a context with its variables
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Manage the variables of a context
    #[command(subcommand)]
    Env(EnvCommand),
}

/// Manage projects
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ProjectCommand {
    #[command(flatten)]
    Connect(ConnectCommand),
    #[command(flatten)]
    Webhook(WebhookCommand),
    /// Manage the variables that every job of a project gets
    #[command(subcommand)]
    Env(EnvCommand),
    /// Manage the SSH keys that `add_ssh_keys` gives to steps of a project
    #[command(subcommand)]
    SshKey(SshKeyCommand),
    /// Say who hears that workflows and jobs of a project ended
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Show and change the settings of a project, as cancelling superseded pipelines
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Delete a project: its pipelines, caches, variables, SSH keys and settings
    Delete {
        /// The project
        project: String,
        #[command(flatten)]
        yes: YesArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Commands for SSH keys.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum SshKeyCommand {
    /// Add a key; it is read from a file or standard input
    #[command(
        after_help = "The key is a private one in OpenSSH's format, without a passphrase. It is \
                      never shown again.\n\nExample:\n  russet project ssh-key add acme/app \
                      --host github.com --from ~/.ssh/deploy"
    )]
    Add {
        /// The project
        project: String,
        /// The host that it is for; may hold `*` [default: any]
        #[arg(long)]
        host: Option<String>,
        #[command(flatten)]
        secret: SecretArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List the keys by their fingerprints
    List {
        /// The project
        project: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Remove a key
    Rm {
        /// The project
        project: String,
        /// Its fingerprint, SHA-256 or MD5
        fingerprint: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Commands for variables.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum EnvCommand {
    /// Set a variable; its value is asked for, or read from a file or standard input
    #[command(after_help = "The value is never an argument, which everybody on the machine can \
                            read, and is never shown again.")]
    Set {
        /// The context or project that it belongs to
        owner: String,
        /// Name of the variable
        name: String,
        #[command(flatten)]
        secret: SecretArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List the names of the variables
    List {
        /// The context or project
        owner: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Remove a variable
    Rm {
        /// The context or project that it belongs to
        owner: String,
        /// Name of the variable
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Runs `russet context`.
pub(crate) async fn main(command: ContextCommand) -> Result<Exit> {
    match command {
        ContextCommand::Create { name, projects, all_projects, connection } => {
            let wish = SetContext { projects: (!all_projects).then_some(projects) };
            let made = connection.connect()?.put_context(&name, &wish).await?;
            render::print_line(format_args!(
                "The context {} is for {}. Next: russet context env set {0} NAME",
                plain(&made.name),
                project_names(&made)
            ))?;
        }
        ContextCommand::List { output, connection } => {
            let items = connection.connect()?.contexts().await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => {
                    let mut table = Table::new(&["CONTEXT", "PROJECTS", "MADE"]);
                    for item in items {
                        let users = project_names(&item);
                        table.row([item.name, users, numbers::local_time(item.created_ms)]);
                    }
                    render::print_text(&table.render("No contexts."))?;
                }
            }
        }
        ContextCommand::Delete { name, connection } => {
            connection.connect()?.delete_context(&name).await?;
            render::print_line(format_args!("Deleted {}.", plain(&name)))?;
        }
        ContextCommand::Env(command) => return run_env(command, Owner::Context).await,
    }
    Ok(Exit::Success)
}

/// Runs `russet project`.
pub(crate) async fn run_project(command: ProjectCommand) -> Result<Exit> {
    match command {
        ProjectCommand::Connect(command) => connect::main(command).await,
        ProjectCommand::Env(command) => run_env(command, Owner::Project).await,
        ProjectCommand::SshKey(command) => ssh_key(command).await,
        ProjectCommand::Notify(command) => notify::main(command).await,
        ProjectCommand::Settings(command) => project_settings::main(command).await,
        ProjectCommand::Webhook(command) => webhooks::main(command).await,
        ProjectCommand::Delete { project, yes, connection } => {
            let client = connection.connect()?;
            yes.confirm(&format!("Delete the project {} with all that it has", plain(&project)))?;
            client.delete_project(&project).await?;
            render::print_line(format_args!("Deleted the project {}.", plain(&project)))?;
            Ok(Exit::Success)
        }
    }
}

async fn ssh_key(command: SshKeyCommand) -> Result<Exit> {
    match command {
        SshKeyCommand::Add { project, host, secret, connection } => {
            let client = connection.connect()?;
            let private_key = secret.read_text("private key")?;
            let added = client.add_ssh_key(&project, &AddSshKey { private_key, host }).await?;
            let (sha256, md5) = (plain(&added.sha256), plain(&added.md5));
            render::print_line(format_args!("Added {sha256} (MD5 {md5})."))?;
        }
        SshKeyCommand::List { project, output, connection } => {
            let items = connection.connect()?.ssh_keys(&project).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => {
                    let mut table = Table::new(&["FINGERPRINT", "MD5", "KIND", "HOST", "ADDED"]);
                    for item in items {
                        let host = item.host.unwrap_or_else(|| "any".to_owned());
                        let added = numbers::local_time(item.created_ms);
                        table.row([item.sha256, item.md5, item.kind, host, added]);
                    }
                    render::print_text(&table.render("No SSH keys."))?;
                }
            }
        }
        SshKeyCommand::Rm { project, fingerprint, connection } => {
            connection.connect()?.remove_ssh_key(&project, &fingerprint).await?;
            render::print_line(format_args!("Removed {}.", plain(&fingerprint)))?;
        }
    }
    Ok(Exit::Success)
}

async fn run_env(command: EnvCommand, of: fn(String) -> Owner) -> Result<Exit> {
    match command {
        EnvCommand::Set { owner, name, secret, connection } => {
            let client = connection.connect()?;
            let value = secret.read_text(&format!("value of {name}"))?;
            client.set_variable(&of(owner), &name, value).await?;
            render::print_line(format_args!("Set {name}."))?;
        }
        EnvCommand::List { owner, output, connection } => {
            let items = connection.connect()?.variables(&of(owner)).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&variables_table(items))?,
            }
        }
        EnvCommand::Rm { owner, name, connection } => {
            connection.connect()?.unset_variable(&of(owner), &name).await?;
            render::print_line(format_args!("Removed {name}."))?;
        }
    }
    Ok(Exit::Success)
}

fn project_names(item: &ContextItem) -> String {
    match &item.projects {
        None => "all projects".to_owned(),
        Some(projects) if projects.is_empty() => "no project".to_owned(),
        Some(projects) => projects.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", "),
    }
}

fn variables_table(items: Vec<VariableItem>) -> String {
    let mut table = Table::new(&["VARIABLE", "SET"]);
    for item in items {
        table.row([item.name, numbers::local_time(item.updated_ms)]);
    }
    table.render("No variables.")
}

/// Reads the variables of a file in the form of `.env` files, in its order.
pub(crate) fn env_file(path: &Path) -> Result<Vec<(String, Secret)>> {
    let text = secret_text(read_secret_file(path)?, path)?;
    let mut variables = Vec::new();
    for item in dotenvy::from_read_iter(text.as_bytes()) {
        let (name, value) = item.map_err(|error| {
            // The error quotes the line, which may hold a secret.
            let place = match error {
                dotenvy::Error::LineParse(line, at) => place_of(&text, &line, at),
                _ => String::new(),
            };
            let message = format!("{}{place}: the line sets no variable", path.display());
            CliError::new(Exit::Usage, message)
                .hint("each line is NAME=VALUE, or # and a comment; a value with spaces is quoted")
        })?;
        variables.push((name, Secret::new(value)));
    }
    Ok(variables)
}

/// Returns `:line:column` of a mistake, which the parser knows by the text of the line alone, or by
/// that of its value. A value in quotes may take several lines, of which the first counts.
fn place_of(text: &str, wrong: &str, at: usize) -> String {
    let wrong = wrong.trim_end();
    let mut start = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let value = line.find('=').map(|equals| equals + 1);
        for skipped in [0].into_iter().chain(value) {
            let rest = text.get(start + skipped..).and_then(|rest| rest.strip_prefix(wrong));
            // The parser leaves out what is a comment.
            let ends =
                |rest: &str| rest.is_empty() || rest.starts_with(['\n', '\r', ' ', '\t', '#']);
            if rest.is_some_and(ends) {
                return match line.get(..skipped + at).filter(|_| !wrong.contains('\n')) {
                    Some(before) => format!(":{number}:{}", before.chars().count() + 1),
                    None => format!(":{number}"),
                };
            }
        }
        start += line.len();
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::env_file;

    fn refusal(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        std::fs::write(&path, text).unwrap();
        let error = format!("{:?}", env_file(&path).unwrap_err());
        error.replace(&path.display().to_string(), "env")
    }

    #[test]
    fn a_line_of_a_file_of_variables_that_is_wrong_is_named_and_not_shown() {
        let said = refusal("A=1\n# B\nWRONG=hunter2 and more\n");
        assert!(said.contains("\"env:3:") && !said.contains("hunter2"), "{said}");
        assert!(refusal("A=1\nA\n").contains("\"env:2:"));
        assert!(refusal("A='1\n2'\n\nB='open\nC=2\n").contains("\"env:4: "));
    }
}
