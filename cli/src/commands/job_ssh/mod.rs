//! `russet job rerun --ssh` and `russet job ssh`: a way into a task, on its machine.

mod arguments;
mod connect;
mod proxy;
mod waiting;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use russet_protocol::admin::RerunKind;
use russet_protocol::ssh::{SshItem, SshPhase, SshRerun};

use super::people::PersonArgs;
use super::rerun::{RerunArgs, run_line};
use super::ssh_key::read_public_key;
use super::watch::watch_pipeline;
use super::{OutputArgs, values};
use crate::client::{Client, ConnectionArgs};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Options of a rerun with SSH.
#[derive(clap::Args, Debug)]
pub(crate) struct SshArgs {
    /// Hold its tasks after their steps, and let you in by `russet job ssh`. The keys that you keep may log
    /// in (`russet ssh-key`); the class and the machine have to allow it
    #[arg(long)]
    ssh: bool,
    /// File of a public key that may log in besides those that you keep; may be repeated
    #[arg(long = "key", value_name = "FILE", requires = "ssh")]
    keys: Vec<PathBuf>,
    /// Wait until the first task can be reached
    #[arg(long, requires = "ssh", conflicts_with = "watch")]
    wait: bool,
}

impl SshArgs {
    /// Returns true for a rerun with SSH.
    pub(super) fn is_wanted(&self) -> bool {
        self.ssh
    }
}

/// Options of `russet job ssh`.
#[derive(clap::Args, Debug)]
pub(crate) struct JobSshArgs {
    /// Its id, or `PROJECT#NUMBER/JOB`
    id: String,
    /// Task of a job of several, from 0
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    node: u32,
    /// Show who may get in, the host key, and until when
    #[arg(long, conflicts_with_all = ["proxy", "extend", "end"])]
    show: bool,
    /// Hold the job's tasks for longer by this time, such as 30m
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration, conflicts_with_all = ["proxy", "end"])]
    extend: Option<Duration>,
    /// End the hold of the job's tasks; each reports the outcome of its steps
    #[arg(long, conflicts_with = "proxy")]
    end: bool,
    /// Pass bytes between standard input and output and the task's SSH server: for `ProxyCommand`
    #[arg(long)]
    proxy: bool,
    /// Go through the control plane though the machine can be reached
    #[arg(long)]
    tunnel: bool,
    /// File for the reason of the end, for the command that started this one
    #[arg(long, hide = true, requires = "proxy")]
    note: Option<PathBuf>,
    /// Arguments of `ssh`, or a command
    #[arg(last = true, value_name = "SSH ARGS")]
    ssh_args: Vec<OsString>,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs a job again with SSH.
pub(super) async fn rerun_with_ssh(
    client: &Client,
    id: &str,
    failed_tests: bool,
    ssh: &SshArgs,
    args: &RerunArgs,
) -> Result<Exit> {
    let keys = ssh.keys.iter().map(|file| read_public_key(file)).collect::<Result<Vec<_>>>()?;
    let kind = if failed_tests { RerunKind::FailedTests } else { RerunKind::Job };
    let (by, ssh_wish) = (args.person.name(), SshRerun { keys });
    let run = client.rerun_job_with_ssh(id, kind, &by, &ssh_wish).await?;
    let job = run.jobs.iter().find(|job| job.ssh.is_some());
    let job = job.ok_or_else(|| {
        CliError::new(Exit::ControlPlane, "the further run has no job that is reached by SSH")
    })?;
    if let (true, Some(pipeline)) = (args.watch, &run.pipeline) {
        render::print_note(format_args!("Get in with: russet job ssh {}", job.id));
        return watch_pipeline(client, pipeline.as_str(), args.output.output).await;
    }
    match args.output.output {
        Format::Json => render::print_json(&run)?,
        Format::Text => {
            render::print_line(run_line(&run))?;
            render::print_line(format_args!("Get in with: russet job ssh {}", job.id))?;
        }
    }
    if ssh.wait {
        let item = waiting::wait_until_ready(client, job.id.as_str(), 0).await?;
        let print = item.host_fingerprint.unwrap_or_default();
        render::print_note(format_args!("It can be reached. Host key: {}", plain(&print)));
    }
    Ok(Exit::Success)
}

/// Gets into a task, or decides about its hold.
pub(super) async fn run_ssh(args: JobSshArgs) -> Result<Exit> {
    let client = args.connection.connect()?;
    let by = args.person.name();
    if args.proxy {
        return proxy::pass_through(&client, &args, &by).await;
    }
    // What a name is of may be another job a moment later.
    let id = client.job(&args.id).await?.id.to_string();
    let shown = if let Some(time) = args.extend {
        let by_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Some(client.extend_job_ssh(&id, by_ms, &by).await?)
    } else if args.end {
        Some(client.end_job_ssh(&id, &by).await?)
    } else if args.show {
        Some(client.job_ssh(&id).await?)
    } else {
        None
    };
    match shown {
        None => connect::connect(&client, &args, &id).await,
        Some(items) => {
            match args.output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&ways_text(&id, &items))?,
            }
            Ok(Exit::Success)
        }
    }
}

/// Describes the ways into the tasks of a job.
fn ways_text(id: &str, items: &[SshItem]) -> String {
    let now_ms = numbers::now_ms();
    let mut table = Table::new(&["NODE", "PHASE", "SESSIONS", "ENDS", "HOST KEY"]);
    for item in items {
        let ends = match item.ends_ms {
            Some(at) if at > now_ms => format!("in {}", numbers::duration_between(now_ms, at)),
            Some(_) => "now".to_owned(),
            None => String::new(),
        };
        table.row([
            item.node_index.to_string(),
            phase_word(item.phase).to_owned(),
            item.sessions.to_string(),
            ends,
            item.host_fingerprint.clone().unwrap_or_default(),
        ]);
    }
    let mut text = table.render("No task yet.");
    if let Some(first) = items.first() {
        let (person, keys) = (plain(&first.person), plain(&first.keys.join(", ")));
        text.push_str(&format!("\nHeld for {person}, with the keys {keys}.\n"));
        text.push_str(&format!("Get in with: russet job ssh {id}\n"));
    }
    text
}

fn phase_word(phase: SshPhase) -> &'static str {
    match phase {
        SshPhase::Starting => "starting",
        SshPhase::Running => "steps run",
        SshPhase::Waiting => "held",
        SshPhase::Ended => "ended",
    }
}
