//! `russet audit`.

use russet_protocol::people::AuditItem;

use super::{OutputArgs, values};
use crate::client::{Client, ConnectionArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Events of a call.
const PAGE: &str = "1000";

/// Show who changed what, from where and when
#[derive(clap::Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// List changes, the newest first
    #[command(after_help = "Examples:
  russet audit list --who ana --since 7d
  russet audit list --operation DELETE --target /contexts/deploy")]
    List {
        #[command(flatten)]
        wanted: WantedArgs,
        /// Number of changes at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Print all changes as lines of JSON, the newest first
    #[command(after_help = "Examples:
  russet audit export > audit.jsonl
  russet audit export --since 30d | gzip > audit.jsonl.gz")]
    Export {
        #[command(flatten)]
        wanted: WantedArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Changes that are wanted.
#[derive(clap::Args, Debug)]
pub(crate) struct WantedArgs {
    /// Name of the one who made the change; `admin token` for its holder
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Part of method and path, such as DELETE or /contexts
    #[arg(long, value_name = "TEXT")]
    operation: Option<String>,
    /// Part of the path with its names
    #[arg(long, value_name = "TEXT")]
    target: Option<String>,
    /// Only changes in this namespace
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Only changes of this time until now, such as 7d
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration)]
    since: Option<std::time::Duration>,
}

impl WantedArgs {
    async fn fetch_page(
        &self,
        client: &Client,
        since_ms: &str,
        limit: &str,
        before: Option<&str>,
    ) -> Result<Vec<AuditItem>> {
        let given = [
            ("who", self.who.as_deref()),
            ("operation", self.operation.as_deref()),
            ("target", self.target.as_deref()),
            ("namespace", self.namespace.as_deref()),
            ("before", before),
        ];
        let mut query = vec![("since_ms", since_ms), ("limit", limit)];
        query.extend(given.iter().filter_map(|(name, text)| Some((*name, (*text)?))));
        client.audit(&query).await
    }

    fn since_ms(&self) -> String {
        let since = self.since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        since.map_or(0, |since| numbers::now_ms().saturating_sub(since)).to_string()
    }
}

/// Runs the command.
pub(crate) async fn main(command: AuditCommand) -> Result<Exit> {
    match command {
        AuditCommand::List { wanted, limit, output, connection } => {
            let client = connection.connect()?;
            let since_ms = wanted.since_ms();
            let items = wanted.fetch_page(&client, &since_ms, &limit.to_string(), None).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&audit_table(items))?,
            }
        }
        AuditCommand::Export { wanted, connection } => {
            let client = connection.connect()?;
            let since_ms = wanted.since_ms();
            let mut before: Option<String> = None;
            loop {
                let page = wanted.fetch_page(&client, &since_ms, PAGE, before.as_deref()).await?;
                for item in &page {
                    render::print_line(serde_json::to_string(item).unwrap_or_default())?;
                }
                match page.last() {
                    Some(last) => before = Some(last.id.clone()),
                    None => break,
                }
            }
        }
    }
    Ok(Exit::Success)
}

fn audit_table(items: Vec<AuditItem>) -> String {
    let mut table = Table::new(&["WHEN", "WHO", "BY", "FROM", "WHAT", "CHANGE"]);
    for item in items {
        let shown = |value: &Option<serde_json::Value>| {
            value.as_ref().map(|value| plain(&value.to_string())).unwrap_or_default()
        };
        let change = match (shown(&item.before), shown(&item.after)) {
            (before, after) if before.is_empty() => after,
            (before, after) if after.is_empty() => before,
            (before, after) => format!("{before} -> {after}"),
        };
        let method = item.operation.split(' ').next().unwrap_or_default();
        table.row([
            format!("{} ago", numbers::duration_between(item.at_ms, numbers::now_ms())),
            item.who,
            item.means,
            item.address,
            format!("{method} {}", item.target),
            change,
        ]);
    }
    table.render("No changes.")
}
