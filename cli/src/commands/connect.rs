//! `russet project add|list|show|remove|poll|build`: projects and their Git remotes.

use std::path::PathBuf;
use std::time::Duration;

use russet_protocol::projects::{
    BuildProject, CommitStatusItem, ConnectProject, ConnectionDetails, ConnectionItem,
    CredentialKind, GithubApp, HostKind, PollItem, TriggerItem, TriggerState,
};
use russet_protocol::secret::Secret;

use super::confirm::YesArgs;
use super::secret_input::{read_secret_line, read_secret_text};
use super::{OutputArgs, values};
use crate::client::ConnectionArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::owner_and_name;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Commands for projects that are connected to a Git remote.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ConnectCommand {
    /// Connect a project to a Git remote: what is pushed there is built from then on
    #[command(
        after_help = "Examples:\n  russet project add https://github.com/acme/app --git-token-file token.txt\n  russet project add https://github.com/acme/app --github-app 123456 --github-app-key app.private-key.pem\n  russet project add git@git.example.com:acme/app.git --deploy-key\n  russet project add https://git.example.com/app.git --name acme/app --poll 5m"
    )]
    Add(AddArgs),
    /// List the projects that are connected to a Git remote
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Show a connected project: its remote, its last poll, what was built
    Show {
        /// The project
        project: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Disconnect a project from its Git remote; its pipelines stay
    Remove {
        /// The project
        project: String,
        #[command(flatten)]
        yes: YesArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Ask the Git remote of a project now what changed
    Poll {
        /// The project
        project: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Build the newest commit of a branch or tag of a connected project
    Build {
        /// The project
        project: String,
        /// The branch [default: the remote's default branch]
        #[arg(long, value_name = "NAME", conflicts_with = "tag")]
        branch: Option<String>,
        /// The tag
        #[arg(long, value_name = "NAME")]
        tag: Option<String>,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Software of a host.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum HostName {
    /// Any, known by nothing but git
    Git,
    /// GitHub, or GitHub Enterprise
    Github,
    /// Gitea or Forgejo
    Gitea,
}

impl From<HostName> for HostKind {
    fn from(name: HostName) -> Self {
        match name {
            HostName::Git => Self::Git,
            HostName::Github => Self::Github,
            HostName::Gitea => Self::Gitea,
        }
    }
}

/// Options of a connection.
#[derive(clap::Args, Debug)]
pub(crate) struct AddArgs {
    /// Address of the repository: https://HOST/PATH, ssh://git@HOST/PATH or git@HOST:PATH
    #[arg(value_name = "URL")]
    remote: String,
    /// Name of the project [default: `owner/name` of the address]
    #[arg(long, value_name = "PROJECT")]
    name: Option<String>,
    /// A file with a token that may read the repository, for https; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["deploy_key", "github_app"])]
    git_token_file: Option<PathBuf>,
    /// User that goes with the token, for hosts that look at it
    #[arg(long, value_name = "NAME", requires = "git_token_file")]
    git_user: Option<String>,
    /// Make an SSH key for the repository, and print its public part
    #[arg(long)]
    deploy_key: bool,
    /// App ID or client ID of a GitHub App that is installed on the repository
    #[arg(long, value_name = "ID", requires = "github_app_key", conflicts_with = "deploy_key")]
    github_app: Option<String>,
    /// A file with the App's private key, in PEM; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "github_app")]
    github_app_key: Option<PathBuf>,
    /// Software of the host [default: it is asked]
    #[arg(long, value_name = "KIND")]
    host: Option<HostName>,
    /// Address of the host's API, where it is not the usual one
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Interval in which the remote is asked what changed
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::parse_duration)]
    poll: Duration,
    /// Path of the configuration in the repository
    #[arg(long, value_name = "PATH", default_value = russet_protocol::admin::DEFAULT_CONFIG_PATH)]
    config_path: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs the command.
pub(crate) async fn main(command: ConnectCommand) -> Result<Exit> {
    match command {
        ConnectCommand::Add(args) => return add(args).await,
        ConnectCommand::List { output, connection } => {
            let items = connection.connect()?.connections().await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&connections_table(items))?,
            }
        }
        ConnectCommand::Show { project, output, connection } => {
            let of = connection.connect()?.connection(&project).await?;
            match output.output {
                Format::Json => render::print_json(&of)?,
                Format::Text => render::print_text(&details_text(&of))?,
            }
        }
        ConnectCommand::Remove { project, yes, connection } => {
            let client = connection.connect()?;
            yes.confirm(&format!("Disconnect {} from its Git remote", plain(&project)))?;
            client.disconnect_project(&project).await?;
            let project = plain(&project);
            render::print_line(format_args!("{project} is not connected any more."))?;
        }
        ConnectCommand::Poll { project, connection } => {
            connection.connect()?.poll_project(&project).await?;
            let project = plain(&project);
            render::print_line(format_args!("Asking. See: russet project show {project}"))?;
        }
        ConnectCommand::Build { project, branch, tag, connection } => {
            let wish = BuildProject { branch, tag };
            let of = connection.connect()?.build_project(&project, &wish).await?;
            let newest = of.triggers.iter().find(|trigger| trigger.kind == "api");
            let what = newest.map(|of| format!("{} at {}", short_name(of), short_hash(of)));
            render::print_line(format_args!(
                "Building {}. See: russet project show {}",
                plain(&what.unwrap_or_default()),
                plain(&project)
            ))?;
        }
    }
    Ok(Exit::Success)
}

async fn add(args: AddArgs) -> Result<Exit> {
    let name = args.name.clone().or_else(|| owner_and_name(&args.remote)).ok_or_else(|| {
        CliError::new(Exit::Usage, "the address does not say `owner/name` of a project")
            .hint("name the project with --name NAMESPACE/NAME")
    })?;
    let token: Option<Secret> =
        args.git_token_file.as_deref().map(|file| read_secret_line(file, "token")).transpose()?;
    let key = args.github_app_key.as_deref().map(|file| read_secret_text(file, "private key"));
    let github_app = args
        .github_app
        .zip(key.transpose()?)
        .map(|(id, private_key)| GithubApp { id, private_key });
    let wish = ConnectProject {
        url: args.remote,
        host_kind: args.host.map(HostKind::from),
        api_url: args.api_url,
        github_app,
        token,
        user: args.git_user,
        deploy_key: args.deploy_key,
        poll_ms: u64::try_from(args.poll.as_millis()).unwrap_or(u64::MAX),
        config_path: args.config_path,
    };
    let item = args.connection.connect()?.connect_project(&name, &wish).await?;
    match args.output.output {
        Format::Json => render::print_json(&item)?,
        Format::Text => {
            let shown = plain(&item.project);
            let mut text =
                format!("{shown} is connected to {}{}.\n", plain(&item.url), host_text(&item));
            for note in &item.notes {
                text.push_str(&format!("note: {}\n", plain(note)));
            }
            if let Some(key) = &item.public_key {
                text.push_str(&format!(
                    "Add this key to the repository, to read it (a deploy key):\n\n{}\n\n",
                    plain(key)
                ));
            }
            text.push_str(&format!(
                "What is pushed from now on is built. To build what is there now:\n  \
                 russet project build {shown}\nTo see whether the remote answers:\n  \
                 russet project show {shown}\n"
            ));
            render::print_text(&text)?;
        }
    }
    Ok(Exit::Success)
}

fn connections_table(items: Vec<ConnectionItem>) -> String {
    let mut table = Table::new(&["PROJECT", "REMOTE", "LAST POLL", "STATE"]);
    for item in items {
        let polled = item.last_poll.as_ref().map(|poll| numbers::local_time(poll.at_ms));
        let state = state_of(&item).to_owned();
        table.row([item.project, item.url, polled.unwrap_or_default(), state]);
    }
    table.render("No connected projects. `russet project add URL` connects one.")
}

fn state_of(item: &ConnectionItem) -> &'static str {
    match &item.last_poll {
        None => "not polled yet",
        Some(PollItem { error: Some(_), .. }) => "failing",
        Some(_) => "good",
    }
}

fn details_text(of: &ConnectionDetails) -> String {
    let item = &of.connection;
    let credential = match item.credential {
        CredentialKind::None => "none",
        CredentialKind::Token => "a token",
        CredentialKind::DeployKey => "a deploy key",
        CredentialKind::GithubApp => "a GitHub App",
    };
    let mut lines = vec![
        format!("{}: {}{}", plain(&item.project), plain(&item.url), host_text(item)),
        format!("credential: {credential}"),
        format!("configuration: {}", plain(&item.config_path)),
        format!(
            "polled every {}",
            russet_text::format_duration(Duration::from_millis(item.poll_ms))
        ),
        format!("next poll: {}", numbers::local_time(item.next_poll_ms)),
    ];
    lines.extend(item.public_key.as_ref().map(|key| format!("deploy key: {}", plain(key))));
    lines.extend(item.host_keys.iter().map(|key| format!("host key: {}", plain(key))));
    if let Some(since) = item.webhook_ms {
        lines.push(format!("webhooks: taken since {}", numbers::local_time(since)));
    }
    if let Some(poll) = &item.last_poll {
        let took = russet_text::format_duration(Duration::from_millis(poll.took_ms));
        let when = numbers::local_time(poll.at_ms);
        match &poll.error {
            None => lines.push(format!("last poll: {when}, in {took}")),
            Some(error) => lines.push(format!("last poll: {when}, failed: {}", plain(error))),
        }
        lines.extend(poll.hint.as_ref().map(|hint| format!("hint: {}", plain(hint))));
    }
    let mut table = Table::new(&["HEARD OF", "BRANCH OR TAG", "COMMIT", "STATE", "PIPELINE"]);
    for trigger in &of.triggers {
        table.row([
            numbers::local_time(trigger.created_ms),
            short_name(trigger),
            short_hash(trigger),
            trigger_state(trigger).to_owned(),
            trigger.pipeline.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    let mut text = format!("{}\n\n{}", lines.join("\n"), table.render("Nothing was built yet."));
    for trigger in of.triggers.iter().filter(|of| of.state == TriggerState::Held) {
        text.push_str(&format!(
            "\n{} at {} is of a fork. To build this commit:\n  russet project approve {} {}",
            plain(&short_name(trigger)),
            plain(&trigger.revision),
            plain(&item.project),
            plain(&trigger.id)
        ));
    }
    for trigger in of.triggers.iter().filter(|trigger| trigger.message.is_some()) {
        let (name, message) = (short_name(trigger), trigger.message.clone().unwrap_or_default());
        text.push_str(&format!(
            "\n{} at {}: {}",
            plain(&name),
            short_hash(trigger),
            plain(&message)
        ));
        if let Some(hint) = &trigger.hint {
            text.push_str(&format!("\nhint: {}", plain(hint)));
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&statuses_text(&of.statuses));
    text
}

fn host_text(item: &ConnectionItem) -> &'static str {
    match item.host_kind {
        HostKind::Git => "",
        HostKind::Github => " (GitHub)",
        HostKind::Gitea => " (Gitea)",
    }
}

/// Returns the newest statuses at commits, with what keeps the host from having them.
fn statuses_text(statuses: &[CommitStatusItem]) -> String {
    if statuses.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["CHANGED", "COMMIT", "STATUS", "STATE", "SENT"]);
    for status in statuses {
        let sent = match (status.is_sent, status.next_ms) {
            (true, _) => "yes".to_owned(),
            (false, Some(at)) if status.error.is_some() => {
                format!("again {}", numbers::local_time(at))
            }
            (false, Some(_)) => "soon".to_owned(),
            (false, None) => "given up".to_owned(),
        };
        table.row([
            numbers::local_time(status.changed_ms),
            status.revision.chars().take(10).collect(),
            status.context.clone(),
            format!("{}: {}", status.state.as_str(), status.description),
            sent,
        ]);
    }
    let mut text = format!("\n{}", table.render(""));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    if let Some(failed) = statuses.iter().find(|status| status.error.is_some()) {
        let error = failed.error.as_deref().unwrap_or_default();
        text.push_str(&format!("{}: {}\n", plain(&failed.context), plain(error)));
        if let Some(hint) = &failed.hint {
            text.push_str(&format!("hint: {}\n", plain(hint)));
        }
    }
    text
}

fn short_name(trigger: &TriggerItem) -> String {
    let name = &trigger.reference;
    let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
    let of_pull = || name.strip_prefix("refs/").and_then(|name| name.strip_suffix("/head"));
    short.or_else(of_pull).unwrap_or(name).to_owned()
}

fn short_hash(trigger: &TriggerItem) -> String {
    trigger.revision.chars().take(10).collect()
}

fn trigger_state(trigger: &TriggerItem) -> &'static str {
    match trigger.state {
        TriggerState::Waiting if trigger.message.is_some() => "tried again",
        TriggerState::Waiting => "waiting",
        TriggerState::Built => "built",
        TriggerState::Skipped => "skipped",
        TriggerState::Failed => "failed",
        TriggerState::Held => "needs approval",
    }
}
