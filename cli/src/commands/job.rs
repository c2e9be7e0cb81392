//! `russet job`.

use std::path::PathBuf;

use russet_protocol::admin::{Job, JobItem, StepState};
use russet_protocol::outcome::{Outcome, Phase};

use super::OutputArgs;
use super::confirm::YesArgs;
use super::fetch;
use super::job_ssh::{JobSshArgs, SshArgs, rerun_with_ssh, run_ssh};
use super::lists::{ListArgs, print_list};
use super::people::PersonArgs;
use super::rerun::{RerunArgs, show_run};
use crate::client::{Client, ConnectionArgs};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, numbers, output, plain, table::Table};

/// Look at jobs
#[derive(clap::Subcommand, Debug)]
pub(crate) enum JobCommand {
    /// List jobs, by the time at which their pipelines were submitted
    #[command(
        after_help = "Examples:\n  russet job list --state running\n  russet job list --project acme/app --since 1d --sort duration"
    )]
    List(ListArgs),
    /// Show a job and its steps
    Show {
        /// Its id, or `PROJECT#NUMBER/JOB`
        id: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Print the output of a job's steps
    ///
    /// To a pipe or a file byte for byte; to a terminal without escape codes other than colours.
    #[command(
        after_help = "Examples:\n  russet job logs 0199… --step 3\n  russet job logs 0199… --follow --timestamps"
    )]
    Logs {
        /// Its id, or `PROJECT#NUMBER/JOB`
        id: String,
        /// Only this step
        #[arg(long, value_name = "NUMBER")]
        step: Option<u32>,
        /// Only this task of the job, as `russet job show` numbers them
        #[arg(long, value_name = "NUMBER")]
        task: Option<u32>,
        /// Go on until the job ends
        #[arg(short, long)]
        follow: bool,
        /// Print before each line the time at which the control plane received its first byte, in
        /// UTC: within 20 ms of when it was printed, while the runner reached the control plane
        #[arg(short, long)]
        timestamps: bool,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List a job's artifacts, or fetch them
    #[command(
        after_help = "Examples:\n  russet job artifacts 0199…\n  russet job artifacts 0199… --download out/"
    )]
    Artifacts {
        /// Its id, or `PROJECT#NUMBER/JOB`
        id: String,
        /// Fetch them into this directory; a bundle such as Demo.app is restored from its archive
        #[arg(long, value_name = "DIR")]
        download: Option<PathBuf>,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Delete an artifact of a job that has ended
    DeleteArtifact {
        /// Id of the job
        id: String,
        /// Path of the artifact, as `russet job artifacts` lists it
        path: String,
        #[command(flatten)]
        yes: YesArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List a job's test results
    Tests {
        /// Its id, or `PROJECT#NUMBER/JOB`
        id: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Run a job again, and what requires it, in a further run of its workflow
    ///
    /// All other jobs of the workflow are kept as they ended.
    #[command(
        after_help = "Examples:\n  russet job rerun acme/app#7/test\n  russet job rerun latest/test --failed-tests --watch\n  russet job rerun --ssh acme/app#7/test"
    )]
    Rerun {
        /// Its id, or `PROJECT#NUMBER/JOB`
        id: String,
        /// `circleci tests run` runs only the tests that failed
        #[arg(long)]
        failed_tests: bool,
        #[command(flatten)]
        ssh: SshArgs,
        #[command(flatten)]
        args: RerunArgs,
    },
    /// Get into a task of a job that was rerun with SSH, on its machine
    ///
    /// Runs `ssh` with the task's host key pinned, through the control plane or straight to the machine
    /// where its owner opened a port. Waits until the task can be reached. Dials again where the connection
    /// is lost, if a terminal is there and no command was given. What you type and see is yours: secrets are
    /// masked in the output of steps, not in your terminal.
    #[command(
        after_help = "Examples:\n  russet job ssh 0199…\n  russet job ssh 0199… -- uname -a\n  russet job ssh 0199… -- -L 8000:localhost:8000\n  russet job ssh 0199… --extend 30m\n\nIn ~/.ssh/config, for scp, rsync and editors:\n  Host my-task\n    ProxyCommand russet job ssh --proxy 0199…"
    )]
    Ssh(JobSshArgs),
    /// Approve a job that waits for it
    Approve {
        /// Its id, or `PROJECT#NUMBER/JOB`
        id: String,
        #[command(flatten)]
        person: PersonArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Deny a job that waits for an approval: what requires it does not run
    Deny {
        /// Its id, or `PROJECT#NUMBER/JOB`
        id: String,
        #[command(flatten)]
        person: PersonArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Cancel a job
    Cancel {
        /// Its id, or `PROJECT#NUMBER/JOB`
        id: String,
        #[command(flatten)]
        person: PersonArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Runs the command.
pub(crate) async fn main(command: JobCommand) -> Result<Exit> {
    match command {
        JobCommand::List(args) => return print_list::<JobItem>(args).await,
        JobCommand::Show { id, output, connection } => {
            let job = connection.connect()?.job(&id).await?;
            match output.output {
                Format::Json => render::print_json(&job)?,
                Format::Text => render::print_text(&job_text(&job, numbers::now_ms()))?,
            }
        }
        JobCommand::Logs { id, step, task, follow, timestamps, connection } => {
            let which = Which { step, task, follow, timestamps };
            print_logs(&connection.connect()?, &id, which).await?;
        }
        JobCommand::Artifacts { id, download, output, connection } => {
            let client = connection.connect()?;
            let items = client.artifacts(&id).await?;
            if let Some(dir) = download {
                for item in &items {
                    let placed = fetch::fetch_artifact(&client, &id, item, &dir, |_| {}).await?;
                    if let Some(note) = placed.note {
                        render::print_note(format_args!("warning: {note}"));
                    }
                    render::print_line(plain(&placed.path.to_string_lossy()))?;
                }
                return Ok(Exit::Success);
            }
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => {
                    let mut table = Table::new(&["PATH", "SIZE"]);
                    for item in items {
                        table.row([item.path, russet_text::format_size(item.size)]);
                    }
                    render::print_text(&table.render("No artifacts."))?;
                }
            }
        }
        JobCommand::DeleteArtifact { id, path, yes, connection } => {
            let client = connection.connect()?;
            yes.confirm(&format!("Delete the artifact {}", render::plain(&path)))?;
            client.delete_artifact(&id, &path).await?;
            render::print_line(format_args!("Deleted {}.", render::plain(&path)))?;
        }
        JobCommand::Tests { id, output, connection } => {
            let items = connection.connect()?.tests(&id).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => {
                    let mut table = Table::new(&["RESULT", "TIME", "CLASS", "TEST"]);
                    for item in items {
                        let mut result = format!("{:?}", item.result).to_lowercase();
                        if item.attempts > 1 {
                            result.push_str(&format!(" ({} attempts)", item.attempts));
                        }
                        let time = format!("{:.3} s", item.run_time_s);
                        table.row([result, time, item.classname, item.name]);
                    }
                    render::print_text(&table.render("No test results."))?;
                }
            }
        }
        JobCommand::Ssh(args) => return run_ssh(args).await,
        JobCommand::Rerun { id, failed_tests, ssh, args } => {
            let client = args.connection.connect()?;
            if ssh.is_wanted() {
                return rerun_with_ssh(&client, &id, failed_tests, &ssh, &args).await;
            }
            let run = client.rerun_job(&id, failed_tests, &args.person.name()).await?;
            return show_run(&client, &run, &args).await;
        }
        JobCommand::Approve { id, person, connection } => {
            connection.connect()?.decide_job(&id, true, &person.name()).await?;
            render::print_line(format_args!("Approved {}.", plain(&id)))?;
        }
        JobCommand::Deny { id, person, connection } => {
            connection.connect()?.decide_job(&id, false, &person.name()).await?;
            render::print_line(format_args!("Denied {}.", plain(&id)))?;
        }
        JobCommand::Cancel { id, person, connection } => {
            connection.connect()?.cancel_job(&id, &person.name()).await?;
            render::print_line(format_args!("Canceled {}.", plain(&id)))?;
        }
    }
    Ok(Exit::Success)
}

fn job_text(job: &Job, now_ms: u64) -> String {
    let state = job.phase.with_outcome(job.outcome);
    let class = job.resource_class.as_ref().map(|class| format!(" ({class})")).unwrap_or_default();
    let mut text = format!("{}{class}: {state}\n", plain(&job.name));
    if let Some(message) = &job.message {
        text.push_str(&format!("{}\n", plain(message)));
    }
    let waiting = job.waiting.as_ref().map(|waiting| &waiting.text);
    if let Some(text_of) = waiting.filter(|text| Some(*text) != job.message.as_ref()) {
        text.push_str(&format!("It waits: {}\n", plain(text_of)));
    }
    if let Some(runner) = &job.runner {
        text.push_str(&format!("on {}\n", plain(runner)));
    }
    if let Some(kept) = &job.kept_from {
        text.push_str(&format!("kept from the job {kept} of an earlier run\n"));
    }
    if let Some(of) = &job.failed_tests_of {
        text.push_str(&format!("runs the failed tests of the job {of} alone\n"));
    }
    // Most jobs have one task, which needs no number.
    let has_tasks = job.steps.iter().any(|step| step.task > 0);
    let columns = ["TASK", "STEP", "NAME", "STATE", "TIME", "OUTPUT"];
    let skipped = usize::from(!has_tasks);
    let mut table = Table::new(&columns[skipped..]);
    let mut steps: Vec<&StepState> = job.steps.iter().collect();
    steps.sort_by_key(|step| step.task);
    for step in steps {
        let ended_ms = step.ended_ms.or(job.ended_ms);
        let took = numbers::duration_between(step.started_ms, ended_ms.unwrap_or(now_ms));
        let took = if ended_ms.is_none() { format!("{took} so far") } else { took };
        let (task, number) = (step.task.to_string(), step.number.to_string());
        let state = step.outcome.map_or("running", Outcome::as_str).to_owned();
        let size = russet_text::format_size(step.output_bytes);
        let name = step.name.clone();
        if has_tasks {
            table.row([task, number, name, state, took, size]);
        } else {
            table.row([number, name, state, took, size]);
        }
    }
    if job.steps.is_empty() && !matches!(job.phase, Phase::Running) {
        // It waits, was decided by a person, or never ran: none will be missed.
        return text;
    }
    text.push('\n');
    text.push_str(&table.render("No steps yet."));
    text
}

/// Part of a job's output that is printed.
#[derive(Clone, Copy, Debug)]
struct Which {
    step: Option<u32>,
    task: Option<u32>,
    /// Until the job ends.
    follow: bool,
    /// With the time of each line.
    timestamps: bool,
}

impl Which {
    fn has(self, step: &StepState) -> bool {
        self.step.is_none_or(|number| number == step.number)
            && self.task.is_none_or(|task| task == step.task)
    }
}

/// Prints output: as it is to pipes and files, and to a terminal without what could drive it.
async fn print_logs(client: &Client, id: &str, which: Which) -> Result<()> {
    let mut done = Vec::new();
    loop {
        let job = client.job(id).await?;
        let mut steps: Vec<(u32, u32)> = job
            .steps
            .iter()
            .filter(|step| which.has(step))
            .map(|step| (step.task, step.number))
            .collect();
        if !which.follow {
            // One task after the other, each in its own order.
            steps.sort_by_key(|(task, _)| *task);
        }
        let is_over = !which.follow || job.outcome.is_some();
        if let Some(number) = which.step.filter(|_| steps.is_empty() && is_over) {
            return Err(no_such_step(&job, number));
        }
        let mut is_new = false;
        for (task, number) in steps {
            if done.contains(&(task, number)) {
                continue;
            }
            is_new = true;
            if !copy_output(client, id, task, number, which).await? {
                return Ok(());
            }
            done.push((task, number));
        }
        let has_it = which.step.is_some() && !done.is_empty() && job.parallelism == 1;
        if !which.follow || has_it || (!is_new && job.outcome.is_some()) {
            return Ok(());
        }
        if !is_new {
            // The next step is not announced yet.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
}

fn no_such_step(job: &Job, step: u32) -> CliError {
    let message = format!("the job `{}` has no step {step}", plain(&job.name));
    CliError::new(Exit::ControlPlane, message)
        .hint(format!("`russet job show {}` lists its steps", job.id))
}

/// Copies a step's output; `false` where the reader has gone.
async fn copy_output(
    client: &Client,
    id: &str,
    task: u32,
    step: u32,
    which: Which,
) -> Result<bool> {
    let Which { follow, timestamps, .. } = which;
    let mut output = client.output(id, task, step, follow, timestamps).await?;
    output::copy_output(async || output.next().await).await
}
