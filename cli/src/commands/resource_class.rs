//! `russet resource-class`.

use russet_protocol::admin::{ClassSsh, NewResourceClass, Pin, PinnedClass, ResourceClassItem};
use russet_protocol::resource_class::ResourceClass;

use super::OutputArgs;
use crate::client::{Client, ConnectionArgs};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, table::Table};

/// Manage resource classes: the queues that tasks wait in
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ResourceClassCommand {
    /// Make a resource class
    #[command(
        after_help = "Examples:\n  russet resource-class create acme/mini --description 'M4 minis'"
    )]
    Create {
        /// Its name
        #[arg(value_name = "NAMESPACE/NAME")]
        class: ResourceClass,
        /// Purpose, for people
        #[arg(long, default_value = "", hide_default_value = true)]
        description: String,
        /// Take tasks of forks, whose steps anybody can write; they never get secrets
        #[arg(long)]
        allow_forks: bool,
        /// Let people rerun its jobs with SSH; the agents' own configuration has to allow it too
        #[arg(long)]
        allow_ssh: bool,
        /// The same for jobs of forks
        #[arg(long, requires = "allow_ssh")]
        allow_ssh_forks: bool,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List resource classes, with their running tasks and their runners
    List {
        /// Only those of this namespace
        namespace: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Say which release the runners of a class are to run, of those that the server has
    ///
    /// It holds newer releases back, and takes no runner back to an older one. A runner that serves
    /// several classes is offered the oldest of what they are to run.
    #[command(
        after_help = "Examples:\n  russet resource-class pin acme/mini --version 1.2.0\n  russet \
                      resource-class pin acme/mini --channel beta"
    )]
    Pin {
        /// The class
        #[arg(value_name = "NAMESPACE/NAME")]
        class: ResourceClass,
        #[command(flatten)]
        to: PinTo,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Let the runners of a class run the newest release of the stable channel again
    Unpin {
        /// The class
        #[arg(value_name = "NAMESPACE/NAME")]
        class: ResourceClass,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Say whether people may rerun the jobs of a class with SSH, and get into them on its machines
    ///
    /// The agents' own configuration has to allow it too (`runner.ssh`). Tasks that are held already are
    /// held further.
    #[command(
        after_help = "Examples:\n  russet resource-class ssh acme/mini allow\n  russet resource-class ssh acme/mini refuse"
    )]
    Ssh {
        /// The class
        #[arg(value_name = "NAMESPACE/NAME")]
        class: ResourceClass,
        /// The decision
        decision: SshDecision,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Delete a resource class
    Delete {
        /// Its name
        #[arg(value_name = "NAMESPACE/NAME")]
        class: ResourceClass,
        /// Delete its tokens with it; its runners can claim nothing from then on
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Decision about SSH.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(crate) enum SshDecision {
    /// Jobs of forks stay out
    Allow,
    /// Jobs of forks too, whose steps anybody can write
    AllowForks,
    /// Nobody gets in
    Refuse,
}

impl SshDecision {
    fn settings(self) -> ClassSsh {
        ClassSsh {
            allow_ssh: matches!(self, Self::Allow | Self::AllowForks),
            allow_ssh_forks: matches!(self, Self::AllowForks),
        }
    }
}

/// To what.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct PinTo {
    /// This version
    #[arg(long)]
    version: Option<String>,
    /// The newest release of this channel
    #[arg(long)]
    channel: Option<String>,
}

/// Runs the command.
pub(crate) async fn main(command: ResourceClassCommand) -> Result<Exit> {
    match command {
        ResourceClassCommand::Create {
            class,
            description,
            allow_forks,
            allow_ssh,
            allow_ssh_forks,
            output,
            connection,
        } => {
            let ssh = ClassSsh { allow_ssh, allow_ssh_forks };
            let new = NewResourceClass { resource_class: class, description, allow_forks, ssh };
            let made = connection.connect()?.create_class(&new).await?;
            match output.output {
                Format::Json => render::print_json(&made)?,
                Format::Text => render::print_line(format_args!(
                    "Made {}. Next: russet token create {0}",
                    made.resource_class
                ))?,
            }
        }
        ResourceClassCommand::List { namespace, output, connection } => {
            let items = connection.connect()?.classes(namespace.as_deref()).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&classes_table(items, namespace.as_deref()))?,
            }
        }
        ResourceClassCommand::Pin { class, to, output, connection } => {
            let pin = to.version.map(Pin::Version).or(to.channel.map(Pin::Channel));
            set_pin(&connection.connect()?, &class, pin.as_ref(), output.output).await?;
        }
        ResourceClassCommand::Unpin { class, output, connection } => {
            set_pin(&connection.connect()?, &class, None, output.output).await?;
        }
        ResourceClassCommand::Ssh { class, decision, output, connection } => {
            let client = connection.connect()?;
            let id = find_class(&client, &class).await?;
            let item = client.set_class_ssh(&id, decision.settings()).await?;
            match output.output {
                Format::Json => render::print_json(&item)?,
                Format::Text => render::print_line(format_args!(
                    "Reruns with SSH in {class}: {}.",
                    ssh_words(item.ssh)
                ))?,
            }
        }
        ResourceClassCommand::Delete { class, force, connection } => {
            let client = connection.connect()?;
            let id = find_class(&client, &class).await?;
            client.delete_class(&id, force).await.map_err(|error| {
                if force { error } else { error.hint("--force deletes its tokens with it") }
            })?;
            render::print_line(format_args!("Deleted {class}."))?;
        }
    }
    Ok(Exit::Success)
}

async fn set_pin(
    client: &Client,
    class: &ResourceClass,
    pin: Option<&Pin>,
    format: Format,
) -> Result<()> {
    let id = find_class(client, class).await?;
    let pinned = client.pin_class(&id, pin).await?;
    match format {
        Format::Json => render::print_json(&pinned),
        Format::Text => render::print_line(pin_text(&pinned)),
    }
}

fn pin_text(pinned: &PinnedClass) -> String {
    let PinnedClass { class, offers } = pinned;
    let offers = match offers {
        Some(version) => format!("the server offers them version {version}."),
        None => "the server has no such release yet, so they stay as they are.".to_owned(),
    };
    format!("Runners of {} are to run {}; {offers}", class.resource_class, pin_of(class))
}

fn ssh_words(ssh: ClassSsh) -> &'static str {
    match (ssh.allow_ssh, ssh.allow_ssh_forks) {
        (false, _) => "refused",
        (true, false) => "allowed",
        (true, true) => "allowed, forks too",
    }
}

fn pin_of(class: &ResourceClassItem) -> String {
    class.pin.as_ref().map_or_else(|| "channel stable".to_owned(), Pin::to_string)
}

fn classes_table(items: Vec<ResourceClassItem>, namespace: Option<&str>) -> String {
    let mut table = Table::new(&[
        "RESOURCE CLASS",
        "RUNNERS",
        "RUNNING",
        "FORKS",
        "SSH",
        "UPDATES",
        "DESCRIPTION",
    ]);
    for item in items {
        let forks = if item.allow_forks { "allowed" } else { "refused" };
        let updates = pin_of(&item);
        let class = item.resource_class.to_string();
        let number =
            |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let (runners, running) = (number(item.runners), number(item.active_tasks));
        let ssh = ssh_words(item.ssh).to_owned();
        table.row([class, runners, running, forks.to_owned(), ssh, updates, item.description]);
    }
    table.render(&match namespace {
        Some(namespace) => format!("No resource classes in {namespace}."),
        None => "No resource classes.".to_owned(),
    })
}

/// The API deletes by id, people think in names.
async fn find_class(client: &Client, class: &ResourceClass) -> Result<String> {
    let items = client.classes(Some(class.namespace())).await?;
    items
        .into_iter()
        .find(|item| item.resource_class == *class)
        .map(|item| item.id.to_string())
        .ok_or_else(|| {
            let message = format!("there is no resource class `{class}` on {}", client.url());
            CliError::new(Exit::ControlPlane, message).hint(format!(
                "`russet resource-class list {}` shows those there are",
                class.namespace()
            ))
        })
}
