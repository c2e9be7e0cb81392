//! `russet agent token`.

use russet_launch_agent::vault::{self, TokenError};
use serde::Serialize;

use super::vault::{VaultArgs, check_name, vault_failure};
use crate::commands::OutputArgs;
use crate::commands::secret_input::SecretArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, table::Table};

/// Store resource-class tokens on this machine, each for one control plane
///
/// They are root's alone: in the System keychain of a Mac where this program is signed, else in
/// an encrypted file. The configuration names them with `api.auth_token_stored` or, in
/// `runner.classes`, `token_stored`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Store a token, in place of one with this name
    ///
    /// The token is read from a file, from standard input, or asked for. A running agent uses it
    /// from its next claim on.
    #[command(
        after_help = "Examples:\n  sudo russet agent token add mini --url https://ci.example.com\n  russet token create acme/mini --quiet | sudo russet agent token add mini --url https://ci.example.com"
    )]
    Add {
        /// Name of it in the configuration
        name: String,
        /// Origin of the control plane that it is for; it is sent nowhere else. Without it:
        /// `api.url` of the agent's configuration
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        #[command(flatten)]
        secret: SecretArgs,
        #[command(flatten)]
        vault: VaultArgs,
    },
    /// List the stored tokens, without showing them
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        vault: VaultArgs,
    },
    /// Remove a token: classes that use it claim nothing more
    #[command(alias = "remove")]
    Rm {
        /// Its name
        name: String,
        #[command(flatten)]
        vault: VaultArgs,
    },
}

#[derive(Serialize)]
struct Item {
    name: String,
    origin: String,
    kept_in: &'static str,
}

/// Runs the command.
pub(crate) fn main(command: TokenCommand) -> Result<Exit> {
    match command {
        TokenCommand::Add { name, url, secret, vault: args } => {
            check_name(&name)?;
            let config = args.config()?;
            let vault = args.open(config.as_ref())?;
            let url = url.or_else(|| config.map(|config| config.api_url)).ok_or_else(|| {
                CliError::new(Exit::Usage, "for which control plane is the token?")
                    .hint("name it with `--url https://ci.example.com`")
            })?;
            let origin = vault::origin_of(&url).ok_or_else(|| {
                CliError::new(Exit::Usage, format!("`{url}` is no origin of a control plane"))
                    .hint("write `https://host` or `https://host:port`")
            })?;
            let token = secret.read("token")?;
            if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                let message = "the text has characters that no token has";
                return Err(CliError::new(Exit::Usage, message));
            }
            let in_keychain = vault.add_token(&name, &origin, &token).map_err(token_failure)?;
            render::print_line(format_args!(
                "Stored `{name}` for {origin} in {}.",
                if in_keychain { "the System keychain" } else { "the agent's encrypted store" }
            ))?;
        }
        TokenCommand::List { output, vault: args } => {
            let config = args.config()?;
            let all = args.open(config.as_ref())?.read().map_err(vault_failure)?;
            let items = all.tokens.into_iter().map(|(name, token)| Item {
                name,
                origin: token.origin,
                kept_in: if token.token.is_some() { "store" } else { "keychain" },
            });
            list_tokens(items.collect(), output.output)?;
        }
        TokenCommand::Rm { name, vault: args } => {
            let config = args.config()?;
            args.open(config.as_ref())?.remove_token(&name).map_err(token_failure)?;
            render::print_line(format_args!("Removed `{name}`."))?;
        }
    }
    Ok(Exit::Success)
}

fn list_tokens(items: Vec<Item>, format: Format) -> Result<()> {
    if format == Format::Json {
        return render::print_json(&items);
    }
    let mut table = Table::new(&["NAME", "ORIGIN", "KEPT IN"]);
    for item in items {
        table.row([item.name, item.origin, item.kept_in.to_owned()]);
    }
    render::print_text(&table.render("No tokens are stored."))
}

fn token_failure(error: TokenError) -> CliError {
    match error {
        TokenError::Vault(error) => vault_failure(error),
        error => CliError::new(Exit::Infrastructure, error.to_string()),
    }
}
