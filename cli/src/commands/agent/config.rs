//! `russet agent config`: the keys that count, and where each value comes from.

use std::path::PathBuf;

use russet_launch_agent::config::{self, ShownKey};
use russet_platform::layout::Layout;

use super::config_failure::config_failure;
use crate::commands::OutputArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, table::Table};

/// `russet agent config`.
#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArgs {
    /// The agent's configuration; variables of this environment count over it, as with `agent run`
    /// [default: that of the installed agent, which has none of them]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show keys that are not set too, with what happens without them
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Shows the configuration.
pub(crate) fn main(args: &ConfigArgs) -> Result<Exit> {
    let shown = match &args.config {
        Some(file) => config::show_config(file, &|name| std::env::var(name).ok()),
        None => config::show_config(&Layout::default().config(), &config::installed_environment),
    };
    let mut shown = shown.map_err(|error| config_failure(&error))?;
    shown.retain(|key| args.all || key.value.is_some());
    match args.output.output {
        Format::Json => render::print_json(&shown)?,
        Format::Text => render::print_text(&config_table(shown))?,
    }
    Ok(Exit::Success)
}

fn config_table(shown: Vec<ShownKey>) -> String {
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    for ShownKey { key, value, from, default } in shown {
        let value = value.unwrap_or_else(|| default.replace('`', ""));
        table.row([key, value, from.unwrap_or_else(|| "default".to_owned())]);
    }
    table.render("No key is set.")
}
