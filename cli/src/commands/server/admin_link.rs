//! `russet server admin-link`.

use std::path::PathBuf;

use super::default_data_dir;
use crate::client::{Client, read_token};
use crate::commands::user::print_sign_in_link;
use crate::error::Result;
use crate::exit::Exit;

/// Print a link with which a first administrator sets a password
///
/// For whoever can read the data directory of a server that runs here. The link counts once and for
/// an hour, and an earlier one counts no more. An account that is there already gets a new password
/// and becomes an administrator.
#[derive(clap::Args, Debug)]
pub(crate) struct AdminLinkArgs {
    /// Data directory of the server [default: $XDG_DATA_HOME/russet/server]
    #[arg(long, value_name = "DIR", env = "RUSSET_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    /// Address at which the server listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// File with certificates, in PEM, that are trusted for it beside those of the system
    #[arg(long, env = "RUSSET_CA_FILE", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Prints a link.
pub(super) async fn print_link(args: AdminLinkArgs) -> Result<Exit> {
    let data_dir = args.data_dir.map_or_else(default_data_dir, Ok)?;
    let token = read_token(&data_dir.join("admin.token"))?;
    let client = Client::trusting(&args.url, &token, args.ca_file.as_deref())?;
    let link = client.create_admin_link().await?;
    print_sign_in_link(&client, &link)?;
    Ok(Exit::Success)
}
