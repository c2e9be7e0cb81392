//! One run, from the first child to the last line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_control_plane::KeptCaches;
use russet_protocol::admin::{
    AddSshKey, ClassSsh, Job, NewResourceClass, NewToken, ParameterValue, Pipeline, SubmitRequest,
};
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::secret::Secret;
use serde_json::json;

use super::RunArgs;
use super::children::{Children, log_tail};
use super::interrupts::Interrupts;
use super::workspace::Workspace;
use crate::client::{Client, Owner};
use crate::commands::compile::LOCAL_TRIGGER;
use crate::commands::fetch;
use crate::commands::follow::{Followed, follow_pipeline, show_tests};
use crate::commands::orbs::{RegistryArgs, Sent};
use crate::commands::people::login_name;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::{self, Project, Snapshot};
use crate::render::screen::{Fetched, Screen, exit_of};
use crate::render::{numbers, plain};

/// Timeout of the answer to a cancel.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// Plan of a run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) project: Project,
    pub(super) class: ResourceClass,
    pub(super) slots: u32,
    /// Contexts that jobs name. They are empty here.
    pub(super) contexts: BTreeSet<String>,
    /// Variables of every job.
    pub(super) variables: Vec<(String, Secret)>,
    /// Private SSH keys of the project.
    pub(super) ssh_keys: Vec<Secret>,
    /// Orbs that the control plane is given.
    pub(super) sent: Sent,
    /// Classes that other names of machines stand for.
    pub(super) class_aliases: BTreeMap<String, ResourceClass>,
    /// Registry of the control plane, for orbs that only a continuation uses.
    pub(super) registry: RegistryArgs,
    /// Place of the caches of this run and earlier ones, unless they go with it.
    pub(super) caches: Option<KeptCaches>,
    pub(super) args: RunArgs,
}

/// Runs it, and leaves nothing behind whatever happens.
pub(super) async fn run_plan(plan: Plan) -> Result<Exit> {
    let mut interrupts = Interrupts::new()?;
    let workspace = Workspace::create()?;
    let mut children = Children::default();
    let mut screen = Screen::new(plan.args.output.output);
    let result =
        drive_pipeline(&plan, &workspace, &mut children, &mut interrupts, &mut screen).await;
    screen.clear();
    let is_orderly = result.is_ok();
    tokio::select! {
        () = async { if is_orderly { children.stop().await } else { children.kill().await } } => {}
        () = interrupts.next() => children.kill().await,
    }
    if plan.args.keep {
        crate::render::print_note(format_args!("Kept {}", workspace.keep().display()));
    } else if let Err(error) = workspace.remove() {
        // How the run ended matters more.
        crate::render::print_note(error.render(crate::color::Paint::stderr()).trim_end());
    }
    result
}

async fn drive_pipeline(
    plan: &Plan,
    workspace: &Workspace,
    children: &mut Children,
    interrupts: &mut Interrupts,
    screen: &mut Screen,
) -> Result<Exit> {
    let prepared = tokio::select! {
        prepared = prepare_server(plan, workspace, children, screen) => prepared?,
        () = interrupts.next() => return Err(canceled_error()),
    };
    let (client, pipeline) = prepared;
    let pipeline =
        watch_jobs(&client, &pipeline, plan, workspace, children, interrupts, screen).await?;
    let exit = exit_of(&pipeline);
    if exit == Exit::Infrastructure {
        for tail in log_tail(workspace, "agent.log") {
            screen.say(&format!("\n{tail}"))?;
        }
    }
    let collected = tokio::select! {
        fetched = collect_results(plan, &client, &pipeline, screen) => fetched,
        () = interrupts.next() => Err(canceled_error()),
    };
    // How the jobs ended is said also where what they left cannot be fetched.
    screen.end(&pipeline, collected.as_ref().map_or_else(|error| error.exit, |()| exit))?;
    collected.map(|()| exit)
}

fn canceled_error() -> CliError {
    CliError::new(Exit::Canceled, "canceled")
}

/// Starts everything and submits. Packing, which takes as long as the project is large, goes on
/// while the control plane and the launch agent start.
async fn prepare_server(
    plan: &Plan,
    workspace: &Workspace,
    children: &mut Children,
    screen: &mut Screen,
) -> Result<(Client, Pipeline)> {
    if !nix::unistd::geteuid().is_root() {
        let note = "Not root: tasks run as you, and are not isolated from each other or from you.";
        let note = screen.paint().warn(note);
        screen.say(&note)?;
    }
    screen.doing("packing the project");
    let (dir, archive) = (plan.project.dir.clone(), workspace.path("source.tar.zst"));
    let packing = tokio::task::spawn_blocking(move || project::pack_project(&dir, &archive));
    let ready = children.start_server(workspace, &plan.registry, plan.caches.as_ref()).await?;
    let client = Client::new(&ready.url, &ready.admin_token)?;
    let new = NewResourceClass {
        resource_class: plan.class.clone(),
        description: "This run".to_owned(),
        allow_forks: false,
        ssh: ClassSsh::default(),
    };
    client.create_class(&new).await?;
    set_variables(plan, &client, screen).await?;
    let new = NewToken {
        resource_class: plan.class.clone(),
        nickname: "run".to_owned(),
        expires_in_s: None,
    };
    let token = client.create_token(&new).await?.token.ok_or_else(|| {
        CliError::new(Exit::Infrastructure, "the embedded control plane made no token")
    })?;
    let config = agent_config(plan, workspace, &ready.url, &token);
    let config = workspace.write_private("agent.yaml", &config)?;
    children.start_agent(&config, workspace)?;
    let snapshot =
        packing.await.map_err(|error| CliError::local("could not pack the project", error))??;
    for note in &snapshot.notes {
        screen.say(note)?;
    }
    screen.doing("handing the project over");
    let progress = screen.progress("uploading the project".to_owned(), snapshot.size);
    client.put_source(&snapshot.id, &snapshot.file, progress).await?;
    let pipeline = client.submit(&submit_request(plan, &snapshot)).await?;
    screen.pipeline(&pipeline, &packed_text(plan, &snapshot))?;
    Ok((client, pipeline))
}

/// Gives the embedded control plane the variables of the run.
async fn set_variables(plan: &Plan, client: &Client, screen: &mut Screen) -> Result<()> {
    if !plan.contexts.is_empty() && plan.variables.is_empty() {
        let names: Vec<String> = plan.contexts.iter().map(|name| plain(name)).collect();
        let text = format!(
            "Without a value here: the variables of {}. `--env-file` gives some.",
            names.join(", ")
        );
        screen.say(&screen.paint().warn(&text))?;
    }
    let owner = Owner::Project(plan.project.name.clone());
    for (name, value) in &plan.variables {
        client.set_variable(&owner, name, value.clone()).await?;
    }
    for private_key in plan.ssh_keys.iter().cloned() {
        let key = AddSshKey { private_key, host: None };
        client.add_ssh_key(&plan.project.name, &key).await?;
    }
    Ok(())
}

fn packed_text(plan: &Plan, snapshot: &Snapshot) -> String {
    let files = numbers::counted(snapshot.files, "file");
    format!("{} ({files}, {} packed)", plan.project.name, russet_text::format_size(snapshot.size))
}

fn submit_request(plan: &Plan, snapshot: &Snapshot) -> SubmitRequest {
    let Project { name, config, config_file, revision, .. } = &plan.project;
    SubmitRequest {
        project: name.clone(),
        config: config.clone(),
        config_path: config_file.display().to_string(),
        branch: revision.branch.clone(),
        tag: None,
        revision: revision.commit.clone(),
        repository_url: revision.remote.clone(),
        from_fork: false,
        author: Some(login_name()),
        source: Some(snapshot.id.clone()),
        on_host: plan.args.on_host,
        resource_class: Some(plan.class.clone()),
        workflow: plan.args.workflow.clone(),
        job: plan.args.job.clone(),
        parameters: plan.args.compile.parameters(),
        pipeline_values: {
            let trigger = ParameterValue::Text(LOCAL_TRIGGER.to_owned());
            let mut values = plan.args.compile.pipeline_values(revision);
            values.entry("pipeline.trigger_source".to_owned()).or_insert(trigger);
            values
        },
        orbs: plan.sent.orbs.clone(),
        orb_pins: plan.sent.pins.clone(),
        class_aliases: plan.class_aliases.clone(),
        make_contexts: true,
    }
}

/// The launch agent's configuration. JSON is YAML, and quotes whatever a path may hold.
fn agent_config(plan: &Plan, workspace: &Workspace, url: &str, token: &Secret) -> String {
    json!({
        "api": { "url": url },
        "runner": {
            "name": runner_name(),
            "state_directory": workspace.path("agent"),
            "classes": [{ "token": token.expose(), "slots": plan.slots }],
            // There is no other machine that a job could wait for.
            "xcode": { "match": false },
            "health": { "failures": false },
        },
        "logging": { "format": "text" },
    })
    .to_string()
}

/// The host's name, in the characters that a runner's name may have.
fn runner_name() -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host.to_string_lossy();
    let short = host.split('.').next().unwrap_or_default();
    let clean: String =
        short.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').collect();
    if clean.is_empty() { "local".to_owned() } else { clean }
}

/// Follows the pipeline to its end. The first Ctrl-C cancels it, the second one leaves.
async fn watch_jobs(
    client: &Client,
    pipeline: &Pipeline,
    plan: &Plan,
    workspace: &Workspace,
    children: &mut Children,
    interrupts: &mut Interrupts,
    screen: &mut Screen,
) -> Result<Pipeline> {
    let approvals = &plan.args.approve;
    let id = pipeline.id.as_str();
    let mut stream = client.stream(id);
    let mut is_canceling = false;
    loop {
        tokio::select! {
            news = follow_pipeline(&mut stream, screen) => match news? {
                Followed::Ended(pipeline) => return Ok(pipeline),
                Followed::Continued => screen.continued(&client.pipeline(id).await?)?,
                Followed::OnHold(job) => decide_approvals(approvals, client, &job, screen).await?,
            },
            who = children.one_ended() => {
                let message = format!("the embedded {who} ended while jobs ran");
                let log = log_tail(workspace, &format!("{who}.log"));
                return Err(CliError::new(Exit::Infrastructure, message).details(log));
            }
            () = interrupts.next() => {
                if is_canceling {
                    return Err(CliError::new(Exit::Canceled, "killed"));
                }
                is_canceling = true;
                screen.say("Canceling. Ctrl-C again kills.")?;
                // Without an answer there is still the second Ctrl-C.
                let _unanswered =
                    tokio::time::timeout(CANCEL_LIMIT, client.cancel_pipeline(id, &login_name())).await;
            }
        }
    }
}

/// Approves a job that was named for that; any other is denied, since nobody would ever approve it.
async fn decide_approvals(
    approvals: &[String],
    client: &Client,
    job: &Job,
    screen: &mut Screen,
) -> Result<()> {
    let approved = approvals.contains(&job.name);
    if !approved {
        let name = plain(&job.name);
        let text = format!("{name} is not approved; `--approve {name}` approves it");
        screen.say(&screen.paint().warn(&text))?;
    }
    client.decide_job(job.id.as_str(), approved, &login_name()).await
}

/// Fetches what the jobs left, and shows it.
async fn collect_results(
    plan: &Plan,
    client: &Client,
    pipeline: &Pipeline,
    screen: &mut Screen,
) -> Result<()> {
    show_tests(client, pipeline, screen).await?;
    let jobs = pipeline.workflows.iter().flat_map(|workflow| &workflow.jobs);
    let jobs: Vec<_> = jobs.filter(|job| job.artifacts > 0).collect();
    if jobs.is_empty() {
        return Ok(());
    }
    let dir = match &plan.args.artifacts {
        Some(dir) => dir.clone(),
        None => state_home()?.join("russet/runs").join(pipeline.id.as_str()),
    };
    let mut fetched = Vec::new();
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let names = fetch::directory_names(&names);
    for (job, name) in jobs.into_iter().zip(names) {
        let below = dir.join(name);
        for item in client.artifacts(job.id.as_str()).await? {
            let label = format!("fetching {}", plain(&item.path));
            screen.doing(label.clone());
            let progress = screen.progress(label, item.size);
            let placed =
                fetch::fetch_artifact(client, job.id.as_str(), &item, &below, progress).await?;
            if let Some(note) = placed.note {
                screen.say(&screen.paint().warn(&format!("warning: {note}")))?;
            }
            let file = placed.path;
            fetched.push(Fetched { job: job.name.clone(), path: item.path, size: item.size, file });
        }
    }
    screen.artifacts(&fetched, &dir)
}

/// Returns the directory for data of programs that is neither configuration nor to be lost with a
/// cache.
fn state_home() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    set("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/state")))
        // Services have no HOME, and their users have one all the same.
        .or_else(|| {
            let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??;
            Some(user.dir.join(".local/state"))
        })
        .ok_or_else(|| {
            CliError::new(Exit::Usage, "there is no home directory to put artifacts into")
                .hint("name a directory with --artifacts")
        })
}
