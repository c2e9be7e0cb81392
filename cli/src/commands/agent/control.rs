//! `russet agent status`, `pause`, `resume` and `drain`: what the agent of this machine does, and
//! what a person wants of it.

use std::io::IsTerminal as _;
use std::time::Duration;

use russet_protocol::local::{DrainRequest, PauseRequest, State, Status};

use crate::client::agent::{AgentArgs, AgentClient};
use crate::commands::{OutputArgs, block_on};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::color::Paint;
use crate::render::table::Table;
use crate::render::{self, Format, numbers, plain};

/// `russet agent status`.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    /// Go on, and show each change
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    agent: AgentArgs,
}

/// `russet agent pause`.
#[derive(clap::Args, Debug)]
pub(crate) struct PauseArgs {
    /// Why, for everybody who looks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Claim again after this long, as `90s`, `30m` or `2h`
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    #[command(flatten)]
    agent: AgentArgs,
}

/// `russet agent resume`.
#[derive(clap::Args, Debug)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    agent: AgentArgs,
}

/// `russet agent drain`.
#[derive(clap::Args, Debug)]
pub(crate) struct DrainArgs {
    /// Return when no task runs any more
    #[arg(long)]
    wait: bool,
    /// Why, for everybody who looks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Cancel what still runs after this long, as `90s`, `30m` or `2h`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    deadline: Option<Duration>,
    #[command(flatten)]
    agent: AgentArgs,
}

/// Shows what the agent does.
pub(crate) fn status(args: &StatusArgs) -> Result<Exit> {
    block_on(async {
        let agent = args.agent.connect()?;
        if !args.watch {
            show(&agent.status().await?, args.output.output)?;
            return Ok(Exit::Success);
        }
        let mut changes = agent.changes().await?;
        while let Some(status) = changes.next().await {
            if args.output.output == Format::Text && std::io::stdout().is_terminal() {
                // Home, and clear what follows.
                render::print("\x1b[H\x1b[2J")?;
            }
            show(&status, args.output.output)?;
        }
        Err(CliError::new(Exit::Infrastructure, "the agent has ended"))
    })
}

/// Claims nothing more.
pub(crate) fn pause(args: PauseArgs) -> Result<Exit> {
    let body = PauseRequest { reason: args.reason, for_s: args.time.map(|time| time.as_secs()) };
    block_on(async {
        args.agent.connect()?.ask("pause", &body).await?;
        render::note(
            "Paused: no task is claimed; what runs goes on. `russet agent resume` ends it.",
        );
        Ok(Exit::Success)
    })
}

/// Claims again.
pub(crate) fn resume(args: &ResumeArgs) -> Result<Exit> {
    block_on(async {
        args.agent.connect()?.ask("resume", &()).await?;
        render::note("Tasks are claimed again.");
        Ok(Exit::Success)
    })
}

/// Claims nothing more, and waits for what runs.
pub(crate) fn drain(args: DrainArgs) -> Result<Exit> {
    let cancel_after_s = args.deadline.map(|time| time.as_secs());
    let body = DrainRequest { reason: args.reason, cancel_after_s };
    block_on(async {
        let agent = args.agent.connect()?;
        agent.ask("drain", &body).await?;
        render::note("Draining: no task is claimed. `russet agent resume` ends it.");
        if args.wait { wait(&agent).await } else { Ok(Exit::Success) }
    })
}

async fn wait(agent: &AgentClient) -> Result<Exit> {
    let mut changes = agent.changes().await?;
    let mut said = 0;
    while let Some(status) = changes.next().await {
        if !status.holds.iter().any(|hold| hold.source == "drain") {
            let message = "somebody resumed the agent before it was drained";
            return Err(CliError::new(Exit::Infrastructure, message));
        }
        let running = status.slots.iter().filter(|slot| slot.task.is_some()).count();
        if running == 0 {
            render::note("Drained: no task runs.");
            return Ok(Exit::Success);
        }
        if running != said {
            let number = u64::try_from(running).unwrap_or_default();
            render::note(format_args!("Waiting for {}.", numbers::count(number, "task")));
            said = running;
        }
    }
    Err(CliError::new(Exit::Infrastructure, "the agent ended while it drained")
        .hint("its tasks go on; `russet agent status` says how it is once it runs again"))
}

fn show(status: &Status, format: Format) -> Result<()> {
    match format {
        Format::Json => render::json(status),
        Format::Text => render::print(&text(status, numbers::now_ms(), Paint::stdout())),
    }
}

/// The status as people read it.
fn text(status: &Status, now_ms: u64, paint: Paint) -> String {
    let word = match status.state {
        State::Idle | State::Running => paint.good(status.state.as_str()),
        State::Offline | State::Unhealthy => paint.bad(status.state.as_str()),
        _ => paint.warn(status.state.as_str()),
    };
    let mut text = format!(
        "{} {word} for {}{}\n",
        paint.strong(&plain(&status.name)),
        numbers::between(status.since_ms, now_ms),
        status.reason.as_deref().map(|why| format!(": {}", plain(why))).unwrap_or_default(),
    );
    text.push_str(&paint.dim(&format!(
        "russet {}, process {}, up {}, {}",
        plain(&status.agent_version),
        status.pid,
        numbers::between(status.started_ms, now_ms),
        plain(&status.control_plane)
    )));
    text.push('\n');
    for hold in &status.holds {
        let of = hold.class.as_deref().map(|class| format!(" ({})", plain(class)));
        text.push_str(&format!(
            "{}{}: {}\n",
            hold.source,
            of.unwrap_or_default(),
            plain(&hold.reason)
        ));
    }
    text.push('\n');
    let mut slots = Table::new(&["slot", "project", "job", "time"]);
    for slot in &status.slots {
        let name = |name: &Option<String>| name.as_deref().map_or_else(|| "-".to_owned(), plain);
        slots.row(match &slot.task {
            Some(task) => [
                slot.number.to_string(),
                name(&task.project),
                name(&task.job),
                numbers::between(task.since_ms, now_ms),
            ],
            None => [slot.number.to_string(), "-".to_owned(), "free".to_owned(), String::new()],
        });
    }
    text.push_str(&slots.render("No slots."));
    if !status.recent.is_empty() {
        let mut recent = Table::new(&["ended", "project", "job", "outcome", "took"]);
        for task in status.recent.iter().take(10) {
            recent.row([
                numbers::moment(task.ended_ms),
                task.project.as_deref().map_or_else(|| "-".to_owned(), plain),
                task.job.as_deref().map_or_else(|| "-".to_owned(), plain),
                task.outcome.map_or("unknown", |outcome| outcome.as_str()).to_owned(),
                numbers::between(task.started_ms, task.ended_ms),
            ]);
        }
        text.push('\n');
        text.push_str(&recent.render(""));
    }
    text
}

/// A time as `90s`, `30m`, `2h` or `1h30m`.
fn duration(text: &str) -> std::result::Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write it as 90s, 30m or 1h30m");
    let mut total = 0_u64;
    let mut number = String::new();
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(wrong()),
        };
        let count: u64 = number.parse().map_err(|_| wrong())?;
        total = count.checked_mul(unit).and_then(|s| total.checked_add(s)).ok_or_else(wrong)?;
        number.clear();
    }
    if !number.is_empty() || total == 0 { Err(wrong()) } else { Ok(Duration::from_secs(total)) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use russet_protocol::local::{Hold, Slot, State, Status, Task};

    use super::{duration, text};
    use crate::render::color::Paint;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("45s"), Ok(Duration::from_secs(45)));
        for wrong in ["", "5", "m", "0s", "2d", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_status_says_what_runs_and_what_holds_back() {
        let status = Status {
            state: State::Draining,
            reason: Some("new disk".to_owned()),
            name: "mini-1".to_owned(),
            agent_version: "0.1.0".to_owned(),
            pid: 7,
            control_plane: "https://ci".to_owned(),
            holds: vec![Hold { source: "drain".into(), class: None, reason: "new disk".into() }],
            slots: vec![
                Slot {
                    number: 1,
                    task: Some(Task {
                        project: Some("acme/app".to_owned()),
                        job: Some("test\u{1b}[31m".to_owned()),
                        ..Task::default()
                    }),
                    ..Slot::default()
                },
                Slot { number: 2, ..Slot::default() },
            ],
            ..Status::default()
        };
        insta::assert_snapshot!(text(&status, 65_000, Paint::PLAIN));
    }
}
