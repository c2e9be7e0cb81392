//! `russet agent credential`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russet_launch_agent::vault::{Grant, StoredCredential, Vault};
use russet_protocol::credential::Content;
use russet_protocol::secret::Secret;
use serde::Serialize;

use super::vault::{VaultArgs, check_name, vault_failure};
use crate::commands::OutputArgs;
use crate::commands::secret_input::{self, SecretArgs};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, table::Table};

/// Store credentials on this machine and say which tasks may have them
///
/// They are root's alone, encrypted at rest. A task gets one where its class lists it under
/// `credentials` and where class, project, and branch or tag are granted here; a task from a fork
/// never does.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum CredentialCommand {
    /// Store a credential, in place of one with this name
    #[command(subcommand)]
    Add(AddCommand),
    /// List the stored credentials and their grants, without showing their contents
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        vault: VaultArgs,
    },
    /// Remove a credential: tasks that start from now on do not get it
    #[command(alias = "remove")]
    Rm {
        /// Its name
        name: String,
        #[command(flatten)]
        vault: VaultArgs,
    },
}

/// Kinds of credentials.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum AddCommand {
    /// A certificate with its private key (.p12), for codesign; its password is asked for, or read
    /// from --from or standard input
    #[command(
        after_help = "Examples:\n  sudo russet agent credential add signing-identity dist --p12 dist.p12 --class acme/release --project acme/app --branch main --tag 'v*'"
    )]
    SigningIdentity {
        #[command(flatten)]
        common: CommonArgs,
        /// The .p12 file
        #[arg(long, value_name = "FILE")]
        p12: PathBuf,
        #[command(flatten)]
        password: SecretArgs,
    },
    /// A provisioning profile (.mobileprovision or .provisionprofile)
    ProvisioningProfile {
        #[command(flatten)]
        common: CommonArgs,
        /// The profile
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// A key of the App Store Connect API (.p8)
    AppStoreConnectKey {
        #[command(flatten)]
        common: CommonArgs,
        /// The .p8 file
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Its id
        #[arg(long, value_name = "ID")]
        key_id: String,
        /// The issuer's id; individual keys have none
        #[arg(long, value_name = "UUID")]
        issuer_id: Option<String>,
    },
    /// A password or a token, which is asked for, or read from --from or standard input
    Password {
        #[command(flatten)]
        common: CommonArgs,
        #[command(flatten)]
        value: SecretArgs,
    },
}

/// Options of every credential.
#[derive(clap::Args, Debug)]
pub(crate) struct CommonArgs {
    /// Name of it in the configuration
    name: String,
    /// Resource class whose tasks may have it; `*` stands for any text; may be given several times
    #[arg(long, value_name = "CLASS", required = true)]
    class: Vec<String>,
    /// Project whose tasks may have it; `*` stands for any text; may be given several times
    #[arg(long, value_name = "PROJECT", required = true)]
    project: Vec<String>,
    /// Protected branch whose tasks may have it; `*` stands for any text; may be given several
    /// times
    #[arg(long, value_name = "BRANCH", required_unless_present = "tag")]
    branch: Vec<String>,
    /// Protected tag whose tasks may have it; `*` stands for any text; may be given several times
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    #[command(flatten)]
    vault: VaultArgs,
}

/// Runs the command.
pub(crate) fn main(command: CredentialCommand) -> Result<Exit> {
    match command {
        CredentialCommand::Add(command) => add_credential(command)?,
        CredentialCommand::List { output, vault: args } => {
            let config = args.config()?;
            list_credentials(&args.open(config.as_ref())?, output.output)?;
        }
        CredentialCommand::Rm { name, vault: args } => {
            let config = args.config()?;
            let vault = args.open(config.as_ref())?;
            let removed =
                vault.change(|all| all.credentials.remove(&name)).map_err(vault_failure)?;
            if removed.is_none() {
                let message = format!("no credential is stored as `{name}`");
                return Err(CliError::new(Exit::Infrastructure, message)
                    .hint("`russet agent credential list` shows those there are"));
            }
            render::print_line(format_args!("Removed `{name}`."))?;
        }
    }
    Ok(Exit::Success)
}

fn add_credential(command: AddCommand) -> Result<()> {
    let common = match &command {
        AddCommand::SigningIdentity { common, .. }
        | AddCommand::ProvisioningProfile { common, .. }
        | AddCommand::AppStoreConnectKey { common, .. }
        | AddCommand::Password { common, .. } => common,
    };
    check_name(&common.name)?;
    // Before anything is asked for: who may not store it need not type it.
    let config = common.vault.config()?;
    let vault = common.vault.open(config.as_ref())?;
    let content = read_content(&command)?;
    let grant = Grant {
        classes: common.class.clone(),
        projects: common.project.clone(),
        branches: common.branch.clone(),
        tags: common.tag.clone(),
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let stored =
        StoredCredential { content, grant, stored: now.map_or(0, |since| since.as_secs()) };
    let name = common.name.clone();
    let kind = stored.content.kind();
    vault.change(|all| all.credentials.insert(name.clone(), stored)).map_err(vault_failure)?;
    render::print_line(format_args!(
        "Stored {kind} `{name}`. Tasks get it where their class lists it under `credentials`."
    ))
}

fn read_content(command: &AddCommand) -> Result<Content> {
    let wrong = |path: &PathBuf, what: &str| {
        CliError::new(Exit::Usage, format!("{} is no {what}", path.display()))
    };
    Ok(match command {
        AddCommand::SigningIdentity { p12, password, .. } => {
            let bytes = secret_input::read_secret_file(p12)?;
            if !is_der(&bytes) {
                return Err(wrong(p12, ".p12 file")
                    .hint("export the identity from Keychain Access as `.p12`"));
            }
            let password = password.read("password of the .p12 file")?;
            Content::SigningIdentity { p12: encode_base64(&bytes), password }
        }
        AddCommand::ProvisioningProfile { file, .. } => {
            let bytes = secret_input::read_secret_file(file)?;
            let extension = file.extension().and_then(|end| end.to_str()).unwrap_or_default();
            if !is_der(&bytes) || !matches!(extension, "mobileprovision" | "provisionprofile") {
                return Err(wrong(file, "provisioning profile")
                    .hint("its name ends with `.mobileprovision` or `.provisionprofile`"));
            }
            Content::ProvisioningProfile {
                profile: encode_base64(&bytes),
                extension: extension.to_owned(),
            }
        }
        AddCommand::AppStoreConnectKey { key, key_id, issuer_id, .. } => {
            let text = secret_input::secret_text(secret_input::read_secret_file(key)?, key)?;
            if !text.contains("-----BEGIN PRIVATE KEY-----") {
                return Err(wrong(key, "key of the App Store Connect API").hint(
                    "it is the `AuthKey_….p8` that App Store Connect lets you download once",
                ));
            }
            if !key_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) || key_id.is_empty() {
                let message = format!("`{key_id}` is no id of a key");
                return Err(CliError::new(Exit::Usage, message));
            }
            Content::AppStoreConnectKey {
                key_id: key_id.clone(),
                issuer_id: issuer_id.clone(),
                key: Secret::new(text.as_str()),
            }
        }
        AddCommand::Password { value, .. } => Content::Password { value: value.read("password")? },
    })
}

fn encode_base64(bytes: &[u8]) -> Secret {
    Secret::new(STANDARD.encode(bytes))
}

/// Both kinds of files are one ASN.1 sequence.
fn is_der(bytes: &[u8]) -> bool {
    bytes.len() > 16 && bytes.first() == Some(&0x30)
}

#[derive(Serialize)]
struct Item {
    name: String,
    kind: &'static str,
    #[serde(flatten)]
    grant: Grant,
    stored: u64,
}

fn list_credentials(vault: &Vault, format: Format) -> Result<()> {
    let all = vault.read().map_err(vault_failure)?;
    let items: Vec<Item> = all
        .credentials
        .into_iter()
        .map(|(name, stored)| Item {
            name,
            kind: stored.content.kind(),
            grant: stored.grant,
            stored: stored.stored,
        })
        .collect();
    if format == Format::Json {
        return render::print_json(&items);
    }
    let mut table = Table::new(&["NAME", "KIND", "CLASSES", "PROJECTS", "BRANCHES", "TAGS"]);
    for Item { name, kind, grant, .. } in items {
        let [classes, projects, branches, tags] =
            [grant.classes, grant.projects, grant.branches, grant.tags].map(|list| list.join(","));
        table.row([name, kind.to_owned(), classes, projects, branches, tags]);
    }
    render::print_text(&table.render("No credentials are stored."))
}
