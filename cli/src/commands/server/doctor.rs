//! `russet server doctor`: what is in the way of a server on this machine.
//!
//! Works on the options of the installed service, or on those that are given, whether or not the
//! server runs; as root it finds out most. It changes nothing.

mod files;
mod judge;
mod network;
mod process;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use russet_control_plane::inspect;
use russet_launch_agent::health::{Check, Level};
use russet_launch_agent::install;
use russet_platform::server_layout::ServerLayout;

use super::install::parse_options;
use super::options::{absolute_options, take_value};
use super::{ServerArgs, default_data_dir};
use crate::commands::OutputArgs;
use crate::commands::agent::doctor::print_checks;
use crate::commands::agent::progress;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::Format;

/// Say what is in the way of the server, and what to do about it
///
/// Looks at the installed service, or at a server with the options that are given, and changes
/// nothing.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  sudo russet server doctor
  sudo russet server doctor --backups /srv/backups --output json
  russet server doctor --data-dir ~/.local/share/russet/server")]
pub(crate) struct DoctorArgs {
    /// Directory of backups, to look at the newest
    #[arg(long, value_name = "DIR")]
    backups: Option<PathBuf>,

    /// File with certificates, in PEM, that agents and people trust beside those of their systems
    #[arg(long, env = "RUSSET_CA_FILE", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,

    /// Directory below which it was installed
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,

    /// Options of `russet server`, behind those above [default: those of the installed service]
    #[arg(value_name = "SERVER-OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Subjects of the checks.
struct Question {
    server: ServerArgs,
    data_dir: PathBuf,
    layout: ServerLayout,
    is_installed: bool,
    ca_file: Option<PathBuf>,
    backups: Option<PathBuf>,
    /// Time, in seconds since 1970.
    now_s: i64,
}

/// Makes a check.
fn check(name: &'static str, level: Level, found: impl Into<String>, hint: &str) -> Check {
    let hint = matches!(level, Level::Warning | Level::Bad).then(|| hint.to_owned());
    Check { name, level, found: found.into(), hint }
}

/// Looks, and says what it found.
pub(super) async fn main(mut args: DoctorArgs) -> Result<Exit> {
    let output = take_value(&mut args.options, "--output");
    let format = match output.as_deref() {
        Some("json") => Format::Json,
        _ => args.output.output,
    };
    let question = question(&args)?;
    let mut checks = vec![process::check_service(&question)];
    checks.extend(files::check_data(&question));
    checks.push(database_check(&question).await);
    checks.push(process::check_backup(&question));
    checks.extend(process::check_descriptors(&question));
    checks.extend(files::check_certificate(&question));
    checks.push(network::check_port(&question));
    checks.extend(network::check_public_url(&question).await);
    checks.extend(network::check_mail(&question).await);
    checks.extend(network::check_bucket(&question).await);
    print_checks(&checks, format)
}

fn question(args: &DoctorArgs) -> Result<Question> {
    let layout = args.root.as_deref().map_or_else(ServerLayout::default, ServerLayout::below);
    let installed = install::server_options(&layout).map_err(progress::install_failure)?;
    let given = absolute_options(args.options.clone())?;
    let is_installed = given.is_empty() && installed.is_some();
    let options = if given.is_empty() { installed.unwrap_or_default() } else { given };
    let server = parse_options(&options)?;
    let data_dir = server.data_dir.clone().map_or_else(default_data_dir, Ok)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Question {
        server,
        data_dir,
        layout,
        is_installed,
        ca_file: args.ca_file.clone(),
        backups: args.backups.clone(),
        now_s: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
    })
}

async fn database_check(question: &Question) -> Check {
    let url = match question.server.database.open() {
        Ok(url) => url,
        Err(error) => return judge::option_fault("database", &error),
    };
    let place = match &url {
        Some(url) => url.to_string(),
        None => question.data_dir.join("russet.db").display().to_string(),
    };
    let looked = inspect::look_at_database(&question.data_dir, url.as_ref()).await;
    judge::judge_database(&place, looked)
}
