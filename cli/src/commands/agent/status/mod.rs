//! `russet agent status`: what the agent of this machine does.

mod screen;
mod text;

use std::io::IsTerminal as _;
use std::time::Duration;

use russet_protocol::local::Status;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::agent::{AgentArgs, AgentClient};
use crate::color::Paint;
use crate::commands::{OutputArgs, block_on};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, numbers};
use screen::Screen;

/// Times go on while nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// `russet agent status`.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    /// Go on, and show each change: in place at a terminal, else a line each
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    agent: AgentArgs,
}

/// Shows what the agent does.
pub(crate) fn main(args: &StatusArgs) -> Result<Exit> {
    block_on(async {
        let agent = args.agent.connect()?;
        if args.watch {
            return watch_status(&agent, args.output.output).await;
        }
        let status = agent.status().await?;
        match args.output.output {
            Format::Json => render::print_json(&status)?,
            Format::Text => render::print_text(&status_text(&status))?,
        }
        Ok(Exit::Success)
    })
}

fn status_text(status: &Status) -> String {
    text::full_text(status, numbers::now_ms(), Paint::stdout())
}

/// Shows each change until Ctrl-C, which is how such a command ends.
async fn watch_status(agent: &AgentClient, format: Format) -> Result<Exit> {
    let listen =
        |kind| signal(kind).map_err(|error| CliError::local("could not listen for signals", error));
    let (mut interrupted, mut ended) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut changes = agent.changes().await?;
    let mut view = View::new(format)?;
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            status = changes.next() => match status {
                Some(status) => view.show(status)?,
                None => {
                    view.end()?;
                    return Err(CliError::new(Exit::Infrastructure, "the agent has ended")
                        .hint("tasks that run go on; `sudo russet agent start` starts it again"));
                }
            },
            _ = tick.tick() => view.draw()?,
            _ = interrupted.recv() => break,
            _ = ended.recv() => break,
        }
    }
    view.end().map(|()| Exit::Success)
}

/// Output that shows changes.
enum View {
    /// A terminal: the newest status, drawn again and again.
    Screen { screen: Screen, status: Option<Box<Status>> },
    /// A line for each change that a line tells of.
    Lines { last: String },
    /// A line of JSON for each change.
    Json,
}

impl View {
    fn new(format: Format) -> Result<Self> {
        if format == Format::Json {
            return Ok(Self::Json);
        }
        if !std::io::stdout().is_terminal() {
            return Ok(Self::Lines { last: String::new() });
        }
        Ok(Self::Screen { screen: Screen::open()?, status: None })
    }

    fn show(&mut self, new: Status) -> Result<()> {
        match self {
            Self::Screen { status, .. } => {
                *status = Some(Box::new(new));
                self.draw()
            }
            Self::Lines { last } => {
                let line = text::change_line(&new);
                if line == *last {
                    return Ok(());
                }
                last.clone_from(&line);
                render::print_line(format_args!(
                    "{}  {line}",
                    numbers::local_time(numbers::now_ms())
                ))
            }
            Self::Json => {
                let line = serde_json::to_string(&new)
                    .map_err(|error| CliError::local("could not write JSON", error))?;
                render::print_line(line)
            }
        }
    }

    /// Times go on.
    fn draw(&self) -> Result<()> {
        match self {
            Self::Screen { screen, status: Some(status) } => screen.draw(&status_text(status)),
            _ => Ok(()),
        }
    }

    /// Ends the view; its last picture stays.
    fn end(self) -> Result<()> {
        match self {
            Self::Screen { screen, status } => {
                drop(screen);
                status.map_or(Ok(()), |status| render::print_text(&status_text(&status)))
            }
            Self::Lines { .. } | Self::Json => Ok(()),
        }
    }
}
