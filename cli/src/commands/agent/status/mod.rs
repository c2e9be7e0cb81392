//! `russet agent status`: what the agent of this machine does.

mod text;

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use russet_protocol::local::Status;

use crate::client::agent::{AgentArgs, AgentClient};
use crate::commands::{OutputArgs, block_on};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::color::Paint;
use crate::render::{self, Format, numbers};

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
            return watch(&agent, args.output.output).await;
        }
        let status = agent.status().await?;
        match args.output.output {
            Format::Json => render::json(&status)?,
            Format::Text => render::print(&shown(&status))?,
        }
        Ok(Exit::Success)
    })
}

fn shown(status: &Status) -> String {
    text::full(status, numbers::now_ms(), Paint::stdout())
}

/// Shows each change until Ctrl-C, which is how such a command ends.
async fn watch(agent: &AgentClient, format: Format) -> Result<Exit> {
    let mut changes = agent.changes().await?;
    let mut view = View::new(format);
    let mut tick = tokio::time::interval(TICK);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            status = changes.next() => match status {
                Some(status) => view.show(status)?,
                None => {
                    view.end();
                    return Err(CliError::new(Exit::Infrastructure, "the agent has ended")
                        .hint("tasks that run go on; `sudo russet agent start` starts it again"));
                }
            },
            _ = tick.tick() => view.draw(),
            _ = &mut interrupted => {
                view.end();
                return Ok(Exit::Success);
            }
        }
    }
}

/// Where changes are shown.
enum View {
    /// A terminal: the newest status, drawn again and again.
    Screen { bar: ProgressBar, status: Option<Box<Status>> },
    /// A line for each change that a line tells of.
    Lines { last: String },
    /// A line of JSON for each change.
    Json,
}

impl View {
    fn new(format: Format) -> Self {
        if format == Format::Json {
            return Self::Json;
        }
        if !std::io::stdout().is_terminal() {
            return Self::Lines { last: String::new() };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self::Screen { bar, status: None }
    }

    fn show(&mut self, new: Status) -> Result<()> {
        match self {
            Self::Screen { status, .. } => {
                *status = Some(Box::new(new));
                self.draw();
                Ok(())
            }
            Self::Lines { last } => {
                let line = text::line(&new);
                if line == *last {
                    return Ok(());
                }
                last.clone_from(&line);
                render::line(format_args!("{}  {line}", numbers::moment(numbers::now_ms())))
            }
            Self::Json => {
                let line = serde_json::to_string(&new)
                    .map_err(|error| CliError::local("could not write JSON", error))?;
                render::line(line)
            }
        }
    }

    /// Times go on.
    fn draw(&self) {
        if let Self::Screen { bar, status: Some(status) } = self {
            bar.set_message(shown(status).trim_end().to_owned());
            bar.tick();
        }
    }

    /// What was shown last stays.
    fn end(&self) {
        if let Self::Screen { bar, .. } = self {
            self.draw();
            bar.abandon();
        }
    }
}
