//! `russet agent logs`: the agent's log, from its files, so that it can be read whether or not the
//! agent runs; with `--task`, what a task says, from the agent.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use russet_launch_agent::config;
use russet_launch_agent::logs::{Wanted, read_history};
use russet_platform::FileWatch;
use russet_platform::layout::Layout;
use russet_protocol::local::{LogLevel, LogLine};
use tokio::sync::oneshot;

use super::config_failure::config_failure;
use crate::client::agent::AgentArgs;
use crate::color::Paint;
use crate::commands::values;
use crate::commands::{OutputArgs, block_on};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{Format, numbers, output, plain};

/// Lines that are shown where the person says nothing.
const USUAL_LINES: usize = 50;

/// Maximum size of each file that is looked at; agents rotate long before.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// `russet agent logs`.
#[derive(clap::Args, Debug)]
pub(crate) struct LogsArgs {
    /// Go on, and show each line as it is written
    #[arg(short, long)]
    follow: bool,

    /// Number of last lines [default: 50, or all with `--since`]
    #[arg(short = 'n', long, value_name = "NUMBER")]
    lines: Option<usize>,

    /// Only what was said within this time, as `90s`, `30m` or `2h`
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration)]
    since: Option<Duration>,

    /// Only what is at least this important
    #[arg(long, value_name = "LEVEL", value_enum)]
    level: Option<Importance>,

    /// Show the log of russet-boot, which starts the agent, with the agent's panics
    #[arg(long)]
    boot: bool,

    /// The log of another agent
    #[arg(long, value_name = "FILE", conflicts_with_all = ["boot", "config"])]
    file: Option<PathBuf>,

    /// The configuration of another agent, which names its log
    #[arg(short, long, value_name = "FILE", conflicts_with = "boot")]
    config: Option<PathBuf>,

    /// Show the output of a task that runs, or that ended here lately; `status` has the ids
    #[arg(long, value_name = "ID", value_parser = values::parse_task_id,
        conflicts_with_all = ["boot", "file", "config", "lines", "since", "level", "output"])]
    task: Option<String>,

    #[command(flatten)]
    agent: AgentArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Level of a line.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Importance {
    Debug,
    Info,
    Warn,
    Error,
}

impl From<Importance> for LogLevel {
    fn from(level: Importance) -> Self {
        match level {
            Importance::Debug => Self::Debug,
            Importance::Info => Self::Info,
            Importance::Warn => Self::Warn,
            Importance::Error => Self::Error,
        }
    }
}

/// Shows the log.
pub(crate) fn main(args: &LogsArgs) -> Result<Exit> {
    if let Some(task) = &args.task {
        return block_on(show_task(args, task));
    }
    let path = log_path(args)?;
    let since_ms = args.since.map(|time| {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        numbers::now_ms().saturating_sub(time)
    });
    let wanted = Wanted {
        lines: args.lines.or(args.since.is_none().then_some(USUAL_LINES)),
        since_ms,
        level: args.level.map(LogLevel::from),
        most_bytes: MOST_BYTES,
    };
    let show = Show { format: args.output.output, paint: Paint::stdout() };
    block_on(async {
        // Before it is read: what is written meanwhile is not missed.
        let watch = args.follow.then(|| FileWatch::new(&path));
        let (lines, mut follower) = read_history(&path, wanted)
            .map_err(|error| unreadable_log(&path, &error, args.boot))?;
        let mut is_read = show.lines(&lines)?;
        let Some(watch) = watch else { return Ok(Exit::Success) };
        let failed =
            |error| CliError::local(format_args!("could not follow {}", path.display()), error);
        let mut watch = watch.map_err(failed)?;
        let mut gone = std::pin::pin!(reader_gone());
        while is_read {
            while let Some(lines) = follower.more().map_err(failed)? {
                is_read = is_read && show.lines(&lines)?;
            }
            tokio::select! {
                changed = watch.changed() => changed.map_err(failed)?,
                // The usual end of following something.
                _ = tokio::signal::ctrl_c() => break,
                () = &mut gone => break,
            }
        }
        Ok(Exit::Success)
    })
}

/// Shows what a task says, and said.
async fn show_task(args: &LogsArgs, task: &str) -> Result<Exit> {
    let mut output = args.agent.connect()?.output(task, args.follow).await?;
    output::copy_output(async || output.next().await).await.map(|_| Exit::Success)
}

/// Which log.
fn log_path(args: &LogsArgs) -> Result<PathBuf> {
    let environment = |name: &str| std::env::var(name).ok();
    let installed = Layout::default();
    if let Some(file) = &args.file {
        return Ok(file.clone());
    }
    if args.boot {
        return Ok(installed.boot_log());
    }
    if let Some(file) = &args.config {
        let config =
            config::load_config(file, &environment).map_err(|error| config_failure(&error))?;
        return config.logging.file.ok_or_else(|| {
            let message = format!("the agent of {} logs to standard error", file.display());
            CliError::new(Exit::Infrastructure, message)
                .hint("`logging.file` names a file instead, which the agent rotates")
        });
    }
    // Its configuration is root's; who cannot read it cannot read a log in an unusual place.
    let configured = config::load_config(&installed.config(), &environment).ok();
    Ok(configured.and_then(|config| config.logging.file).unwrap_or_else(|| installed.agent_log()))
}

fn unreadable_log(path: &Path, error: &std::io::Error, is_boot: bool) -> CliError {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound if is_boot && cfg!(target_os = "linux") => {
            CliError::new(Exit::Infrastructure, "russet-boot writes to systemd's journal here")
                .hint("`journalctl -u russet-agent` shows it")
        }
        ErrorKind::NotFound => {
            CliError::new(Exit::Infrastructure, format!("nothing is logged in {path} yet")).hint(
                "an installed agent writes there once it runs (`sudo russet agent start`); \
                 `--config` or `--file` names the log of another one",
            )
        }
        ErrorKind::PermissionDenied => {
            CliError::new(Exit::Infrastructure, format!("you may not read {path}"))
                .hint("use `sudo`")
        }
        _ => CliError::local(format_args!("could not read {path}"), error),
    }
}

/// Returns when nobody reads standard output any more: `russet agent logs -f | head` ends with
/// head, and not with the next line. A terminal that goes away sends a signal.
async fn reader_gone() {
    let (sender, gone) = oneshot::channel();
    if !std::io::stdout().is_terminal() {
        std::thread::spawn(move || {
            let out = std::io::stdout();
            // Nothing is asked for, so what comes is that the other end is closed.
            let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
            let is_over = poll(&mut fds, PollTimeout::NONE).is_ok();
            let closed = PollFlags::POLLERR | PollFlags::POLLHUP;
            if is_over && fds.iter().any(|fd| fd.revents().is_some_and(|it| it.intersects(closed)))
            {
                // The command may just have ended.
                let _told = sender.send(());
            }
        });
    }
    if gone.await.is_err() {
        // What cannot be watched (a file, a terminal) does not go away.
        std::future::pending().await
    }
}

struct Show {
    format: Format,
    paint: Paint,
}

impl Show {
    /// False: nobody reads it any more.
    fn lines(&self, lines: &[LogLine]) -> Result<bool> {
        let mut out = std::io::stdout().lock();
        let written = lines
            .iter()
            .try_for_each(|line| out.write_all(self.line(line).as_bytes()))
            .and_then(|()| out.flush());
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(CliError::local("could not write to standard output", error)),
        }
    }

    fn line(&self, line: &LogLine) -> String {
        match self.format {
            // These types always become JSON: their keys are strings.
            Format::Json => serde_json::to_string(line).unwrap_or_default() + "\n",
            Format::Text => line_text(line, self.paint),
        }
    }
}

/// A line as people read it.
fn line_text(line: &LogLine, paint: Paint) -> String {
    let mut text = String::new();
    if let Some(time) = line.time_ms.and_then(local_time) {
        text.push_str(&paint.dim(&time));
        text.push(' ');
    }
    if let Some(level) = line.level {
        text.push_str(&match level {
            LogLevel::Debug => paint.dim("DEBUG"),
            LogLevel::Info => paint.good(" INFO"),
            LogLevel::Warn => paint.warn(" WARN"),
            LogLevel::Error => paint.bad("ERROR"),
        });
        text.push(' ');
    }
    let said: Vec<String> = line.text.lines().map(plain).collect();
    text.push_str(&said.join("\n"));
    for (name, value) in &line.fields {
        text.push_str(&format!(" {}", paint.dim(&plain(&format!("{name}={value}")))));
    }
    text.push('\n');
    text
}

fn local_time(ms: u64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::{LogLevel, LogLine, line_text};
    use crate::color::Paint;

    #[test]
    fn a_line_has_its_time_its_level_and_no_control_characters() {
        let mut line = LogLine {
            time_ms: Some(1_795_536_000_120),
            level: Some(LogLevel::Warn),
            text: "gave \u{1b}[31ma task back\n  hint: look".to_owned(),
            ..LogLine::default()
        };
        line.fields.insert("slot".to_owned(), 2.into());
        assert_eq!(
            line_text(&line, Paint::PLAIN),
            "2026-11-24T16:00:00.120Z  WARN gave \u{fffd}[31ma task back\n  hint: look slot=2\n"
        );
        let panic = LogLine { text: "panicked".to_owned(), ..LogLine::default() };
        assert_eq!(line_text(&panic, Paint::PLAIN), "panicked\n");
    }
}
