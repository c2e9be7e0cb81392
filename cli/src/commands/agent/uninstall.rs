//! `russet agent uninstall`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use russet_launch_agent::install::{self, Outcome};
use russet_platform::layout::Layout;
use russet_platform::service::Service;
use russet_protocol::local::{DrainRequest, HoldOwner};

use super::{control, progress};
use crate::client::agent::AgentClient;
use crate::commands::values;
use crate::commands::{OutputArgs, block_on};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, plain};

/// Time that canceled tasks have to end and to report, before they are killed.
const CANCELED_END: Duration = Duration::from_secs(60);

/// Time that the slots of ended tasks may take to be clean.
const CLEANED: Duration = Duration::from_secs(60);

/// The arguments of `russet agent uninstall`.
#[derive(clap::Args, Debug)]
pub(crate) struct UninstallArgs {
    /// Keep the configuration, logs, and stored tokens and credentials
    #[arg(long)]
    keep_data: bool,

    /// Wait for tasks that run; none is claimed meanwhile
    #[arg(long)]
    wait: bool,

    /// Wait no longer than this, as `90s`, `30m` or `2h`
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = values::parse_duration)]
    timeout: Option<Duration>,

    /// Cancel tasks that run, with `--wait` those that still run after `--timeout`
    #[arg(long)]
    force: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,

    /// Directory below which it was installed
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn main(args: UninstallArgs) -> Result<Exit> {
    let layout = super::install::layout_below(args.root.as_deref())?;
    let program = std::env::current_exe()
        .map_err(|error| CliError::local("could not find the russet executable", error))?;
    let format = args.output.output;
    let mut watch = progress::print_actions(format);
    if !args.dry_run {
        quiesce_agent(&args, &layout)?;
    }
    let _lock = if args.dry_run {
        None
    } else {
        Some(install::lock_installation(&layout).map_err(progress::install_failure)?)
    };
    let wishes =
        install::Removal { keep_data: args.keep_data, force: args.force, dry_run: args.dry_run };
    let reports =
        install::uninstall_agent(&layout, &program, &Service::system(&layout), wishes, &mut watch)
            .map_err(progress::install_failure)?;
    let actions = reports.as_deref().unwrap_or_default();
    let failed = actions.iter().filter(|report| report.outcome == Outcome::Failed).count();
    let left = match &reports {
        Some(_) if !args.dry_run && !args.keep_data => install::list_leftovers(&layout),
        _ => Vec::new(),
    };
    if format == Format::Json {
        let value = serde_json::json!({
            "dry_run": args.dry_run,
            "installed": reports.is_some(),
            "actions": actions,
            "left": left,
        });
        render::print_json(&value)?;
    } else if reports.is_none() {
        render::print_line("Nothing is installed.")?;
    } else if args.dry_run {
        render::print_line(format_args!(
            "{} actions would be done.",
            progress::count_done(actions)
        ))?;
    } else if failed == 0 {
        render::print_line("Uninstalled.")?;
    }
    if format == Format::Text && !left.is_empty() {
        render::print_note("Left on this machine:");
        for one in &left {
            render::print_note(format_args!("  {}: {}", plain(&one.what), plain(&one.why)));
        }
    }
    if failed > 0 {
        return Err(CliError::new(
            Exit::Infrastructure,
            format!("{failed} of {} actions could not be undone", actions.len()),
        )
        .hint("do what is said there, and run `sudo russet agent uninstall` again for the rest"));
    }
    Ok(Exit::Success)
}

/// Has the agent end what runs, as far as that is asked for. What runs after that is for the
/// removal to refuse, or to kill.
fn quiesce_agent(args: &UninstallArgs, layout: &Layout) -> Result<()> {
    let is_busy = || install::busy_slots(layout).map(|slots| !slots.is_empty());
    if !(args.wait || args.force) || !is_busy().map_err(progress::install_failure)? {
        return Ok(());
    }
    install::require_root("uninstall").map_err(progress::install_failure)?;
    let socket = install::socket_path(layout);
    let drained = block_on(async {
        let agent = AgentClient::at(socket)?;
        drain_agent(args, &agent).await
    });
    match drained {
        Ok(_) => {}
        // Without an agent nobody reports how they ended, and they are killed all the same.
        Err(error) if args.force => {
            render::print_note(format_args!("note: {}", error.message()));
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let start = Instant::now();
    while is_busy().map_err(progress::install_failure)? && start.elapsed() < CLEANED {
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Drains the agent. One that cannot be drained in time claims again, unless a person held it
/// back before.
async fn drain_agent(args: &UninstallArgs, agent: &AgentClient) -> Result<Exit> {
    let holds = agent.status().await?.holds;
    let is_held = holds.iter().any(|hold| hold.owner == HoldOwner::Person);
    let limit = if args.wait { args.timeout } else { Some(Duration::ZERO) };
    let cancel_after = limit.filter(|_| args.force);
    let reason = Some("the agent is being uninstalled".to_owned());
    let cancel_after_s = cancel_after.map(values::whole_seconds);
    agent.ask("drain", &DrainRequest { reason, cancel_after_s }).await?;
    let limit = match (limit, args.force) {
        (Some(limit), true) => limit.checked_add(CANCELED_END),
        (limit, _) => limit,
    };
    let waiting = control::wait_until_idle(agent);
    let Some(limit) = limit else { return waiting.await };
    if let Ok(drained) = tokio::time::timeout(limit, waiting).await {
        return drained;
    }
    if !args.force && !is_held {
        agent.ask("resume", &()).await?;
    }
    let after = russet_text::format_duration(limit);
    Err(CliError::new(Exit::Infrastructure, format!("tasks still run after {after}"))
        .hint("wait longer, or give `--force` to cancel them"))
}
