//! `russet agent install`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use russet_launch_agent::config::{Overrides, convert_config};
use russet_launch_agent::install::{self, ConfigSource, InstallError, Report, Settings};
use russet_platform::layout::Layout;
use russet_platform::service::Service;
use russet_protocol::secret::Secret;
use zeroize::Zeroizing;

use super::progress;
use crate::commands::OutputArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format};

/// A token is not longer than this.
const MAX_TOKEN: u64 = 64 * 1024;

/// A configuration is not longer than this.
const MAX_CONFIG: u64 = 1 << 20;

/// The arguments of `russet agent install`.
#[derive(clap::Args, Debug)]
pub(crate) struct InstallArgs {
    /// The agent's configuration, which is copied; kept if there is one already
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "url", "token_file", "name", "slots"])]
    config: Option<PathBuf>,

    /// A configuration of CircleCI's launch-agent or machine runner 3 to take over
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Origin of the control plane, for a new configuration
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// File with the token of the resource class, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The runner's name; the host name unless given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Number of tasks at once, each with a user of its own
    #[arg(long, value_name = "NUMBER")]
    slots: Option<u32>,

    /// This disk is an image: each copy of it claims, under a name of its own
    #[arg(long)]
    image: bool,

    /// Turn developer mode on and let the slots' users debug (macOS)
    #[arg(long)]
    developer: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,

    /// Install below this directory, without starting anything
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,

    /// Make no users
    #[arg(long, hide = true)]
    no_users: bool,

    /// Names of the slots' users, before their number, for a new configuration
    #[arg(long, value_name = "PREFIX", hide = true)]
    user_prefix: Option<String>,
}

/// Runs the command.
pub(crate) fn main(args: InstallArgs) -> Result<Exit> {
    if args.developer && !cfg!(target_os = "macos") {
        return Err(CliError::new(
            Exit::Usage,
            "`--developer` is for macOS: elsewhere anybody may debug",
        ));
    }
    let layout = layout_below(args.root.as_deref())?;
    let mut notes = Vec::new();
    let mut service = args.root.is_none().then(|| Service::system(&layout));
    if let Some(Err(error)) = service.as_ref().map(Service::available) {
        service = None;
        notes.push(format!("{error}; {}", error.hint().unwrap_or_default()));
    }
    let program = std::env::current_exe().and_then(std::fs::canonicalize);
    let program =
        program.map_err(|error| CliError::local("could not find the russet executable", error))?;
    let config = source(&args, &layout, &mut notes)?;
    let settings = Settings {
        layout,
        program,
        config,
        users: !args.no_users,
        service,
        is_image: args.image,
        is_for_developers: args.developer,
    };
    let format = args.output.output;
    let mut watch = progress::print_actions(format);
    let _lock = if args.dry_run { None } else { Some(lock(&settings.layout)?) };
    let reports = install::install_agent(&settings, args.dry_run, &mut watch)
        .map_err(progress::install_failure)?;
    finish_install(&settings, &args, &reports, &notes)
}

/// Keeps other installations and removals away.
fn lock(layout: &Layout) -> Result<install::InstallationLock> {
    install::require_root("install").map_err(progress::install_failure)?;
    install::lock_installation(layout).map_err(progress::install_failure)
}

fn finish_install(
    settings: &Settings,
    args: &InstallArgs,
    reports: &[Report],
    notes: &[String],
) -> Result<Exit> {
    if args.output.output == Format::Json {
        let value = serde_json::json!({
            "dry_run": args.dry_run,
            "config": settings.layout.config(),
            "actions": reports,
            "notes": notes,
        });
        render::print_json(&value)?;
        return Ok(Exit::Success);
    }
    for note in notes {
        render::print_note(format_args!("note: {note}"));
    }
    let done = progress::count_done(reports);
    let config = settings.layout.config();
    match (args.dry_run, done) {
        (true, 0) => render::print_line("Everything is installed; nothing would be done.")?,
        (true, count) => render::print_line(format_args!("{count} actions would be done."))?,
        (false, 0) => render::print_line("Everything is installed already.")?,
        (false, _) => {
            render::print_line(format_args!(
                "Installed. The configuration is {}.",
                config.display()
            ))?;
        }
    }
    Ok(Exit::Success)
}

/// The layout below `root`, or the system's.
pub(super) fn layout_below(root: Option<&Path>) -> Result<Layout> {
    let Some(root) = root else { return Ok(Layout::default()) };
    let root = std::fs::canonicalize(root).map_err(|error| {
        CliError::local(format_args!("could not use {}", root.display()), error)
    })?;
    Ok(Layout::below(&root))
}

/// The configuration that the arguments ask for. One that is installed already wins.
fn source(
    args: &InstallArgs,
    layout: &Layout,
    notes: &mut Vec<String>,
) -> Result<Option<ConfigSource>> {
    let path = layout.config();
    let given = args.config.is_some() || args.from.is_some() || args.url.is_some();
    if path.exists() {
        if given {
            notes.push(format!(
                "{} is there already and stays as it is; edit it and run `russet agent restart`",
                path.display()
            ));
        }
        return Ok(None);
    }
    if let Some(file) = &args.config {
        return Ok(Some(ConfigSource::File(file.clone())));
    }
    let (from, text) = match &args.from {
        Some(file) => (file.as_path(), Zeroizing::new(read(file, MAX_CONFIG)?)),
        None if args.url.is_some() || args.token_file.is_some() => {
            if args.token_file.is_none() || args.url.is_none() {
                return Err(CliError::new(
                    Exit::Usage,
                    "a new configuration needs both `--url` and `--token-file`",
                )
                .hint("make a token with `russet token create NAMESPACE/NAME`"));
            }
            (path.as_path(), Zeroizing::new(String::new()))
        }
        None => return Ok(None),
    };
    let overrides = config_overrides(args, layout)?;
    let converted = convert_config(from, &text, &overrides)
        .map_err(|error| progress::install_failure(InstallError::Config(error)))?;
    notes.extend(converted.notes);
    Ok(Some(ConfigSource::Text(converted.text)))
}

fn config_overrides(args: &InstallArgs, layout: &Layout) -> Result<Overrides> {
    let token = match &args.token_file {
        None => None,
        Some(file) if file == Path::new("-") => {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin()
                .take(MAX_TOKEN)
                .read_to_string(&mut text)
                .map_err(|error| CliError::local("could not read the token", error))?;
            Some(Secret::new(text.trim()))
        }
        Some(file) => Some(Secret::new(Zeroizing::new(read(file, MAX_TOKEN)?).trim())),
    };
    let elsewhere = layout.root() != Path::new("/");
    Ok(Overrides {
        url: args.url.clone(),
        token,
        name: args.name.clone(),
        slots: args.slots,
        user_prefix: args.user_prefix.clone(),
        state_directory: elsewhere.then(|| layout.state()),
        log: Some(layout.agent_log()),
    })
}

fn read(file: &Path, limit: u64) -> Result<String> {
    let failed = |error| CliError::local(format_args!("could not read {}", file.display()), error);
    let open = std::fs::File::open(file).map_err(failed)?;
    let mut text = String::new();
    open.take(limit).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
