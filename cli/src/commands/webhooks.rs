//! `russet project webhook|deliveries|redeliver|approve`: what the host of a repository tells of it.

use std::path::PathBuf;

use russet_protocol::webhooks::{DeliveryItem, WebhookSetup, WebhookWish};

use super::OutputArgs;
use super::confirm::YesArgs;
use super::secret_input::read_secret_line;
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Commands for webhooks of a connected project.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum WebhookCommand {
    /// Take webhooks of a project's repository at GitHub, and say how to set them up there
    #[command(
        after_help = "Examples:\n  russet project webhook acme/app\n  russet project webhook acme/app --secret-file app-secret.txt\n  russet project webhook acme/app --off"
    )]
    Webhook(WebhookArgs),
    /// List what webhooks brought for a project, and what became of it
    Deliveries {
        /// The project
        project: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Take a delivery of a webhook once more; what it caused is not caused again
    Redeliver {
        /// The project
        project: String,
        /// Id of the delivery, as `russet project deliveries` and GitHub show it
        delivery: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Build a commit of a fork that waits for somebody: this one, and no later one
    Approve {
        /// The project
        project: String,
        /// Id of the trigger, as `russet project show` has it
        trigger: String,
        #[command(flatten)]
        yes: YesArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Options of a webhook.
#[derive(clap::Args, Debug)]
pub(crate) struct WebhookArgs {
    /// The project
    project: String,
    /// Make another secret; GitHub has to be given it
    #[arg(long, conflicts_with_all = ["secret_file", "off"])]
    rotate: bool,
    /// A file with the secret that GitHub has already, as that of an App; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "off")]
    secret_file: Option<PathBuf>,
    /// Make the webhook at GitHub too, by the token or the App of the project
    #[arg(long, conflicts_with = "off")]
    create: bool,
    /// Take no webhooks of the project any more
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs the command.
pub(crate) async fn main(command: WebhookCommand) -> Result<Exit> {
    match command {
        WebhookCommand::Webhook(args) => return set_up(args).await,
        WebhookCommand::Deliveries { project, output, connection } => {
            let items = connection.connect()?.deliveries(&project).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&deliveries_table(items))?,
            }
        }
        WebhookCommand::Redeliver { project, delivery, connection } => {
            let result = connection.connect()?.redeliver(&project, &delivery).await?;
            let (outcome, message) = (result.outcome.as_str(), plain(&result.message));
            render::print_line(format_args!("{outcome}: {message}"))?;
        }
        WebhookCommand::Approve { project, trigger, yes, connection } => {
            let client = connection.connect()?;
            yes.confirm("Run what somebody without write access wrote")?;
            let item = client.approve_trigger(&project, &trigger).await?;
            let (revision, project) = (plain(&item.revision), plain(&project));
            render::print_line(format_args!(
                "Building {revision}, and no later commit. See: russet project show {project}"
            ))?;
        }
    }
    Ok(Exit::Success)
}

async fn set_up(args: WebhookArgs) -> Result<Exit> {
    let client = args.connection.connect()?;
    if args.off {
        client.delete_webhook(&args.project).await?;
        let project = plain(&args.project);
        render::print_line(format_args!("No webhooks are taken of {project} any more."))?;
        return Ok(Exit::Success);
    }
    let file = args.secret_file.as_deref();
    let secret = file.map(|file| read_secret_line(file, "secret")).transpose()?;
    let wish = WebhookWish { secret, rotate: args.rotate, create: args.create };
    let setup = client.put_webhook(&args.project, &wish).await?;
    match args.output.output {
        Format::Json => render::print_json(&setup)?,
        Format::Text => render::print_text(&setup_text(&setup))?,
    }
    Ok(Exit::Success)
}

fn setup_text(setup: &WebhookSetup) -> String {
    if setup.is_made {
        let (url, events) = (setup.url.as_deref().unwrap_or_default(), setup.events.join(", "));
        return format!("GitHub sends {} to {} from now on.\n", plain(&events), plain(url));
    }
    let url = match &setup.url {
        Some(url) => plain(url),
        None => format!("https://YOUR-SERVER{}", plain(&setup.path)),
    };
    let mut text = format!(
        "At GitHub, in the settings of the repository under Webhooks (or in those of your App):\n  \
         Payload URL   {url}\n  Content type  application/json\n"
    );
    text.push_str(&match &setup.secret {
        Some(secret) => format!("  Secret        {}\n", plain(secret.expose())),
        None => "  Secret        as it is; --rotate makes another one\n".to_owned(),
    });
    text.push_str(&format!("  Events        {}\n", plain(&setup.events.join(", "))));
    if setup.secret.is_some() {
        text.push_str("The secret is not shown again.\n");
    }
    if setup.url.is_none() {
        text.push_str(
            "The server does not know its own address: russet server --public-url says it.\n",
        );
    }
    text
}

fn deliveries_table(items: Vec<DeliveryItem>) -> String {
    let mut table = Table::new(&["RECEIVED", "ID", "EVENT", "OUTCOME", "MESSAGE"]);
    for item in items {
        let event = match item.action {
            Some(action) => format!("{} {action}", item.event),
            None => item.event,
        };
        let outcome = item.outcome.as_str().to_owned();
        table.row([numbers::local_time(item.received_ms), item.id, event, outcome, item.message]);
    }
    table.render("No deliveries. `russet project webhook PROJECT` says how GitHub is set up.")
}
