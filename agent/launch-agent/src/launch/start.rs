//! From a configuration to slots that are ready to work: the state directory and its lock, the
//! executable, the users, and what an earlier launch agent left.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russet_protocol::ids::InstanceId;
use russet_protocol::runner::ClaimRequest;
use russet_protocol::supervise::SlotUser;
use tokio::sync::mpsc;

use super::claim::Presence;
use super::dirs::{self, SlotDir};
use super::journal::Journal;
use super::slot_io::{Parts, SlotIo};
use super::state;
use super::supervise::Link;
use super::{ExitReason, Options, Shared, Sink, api, prefix, relay, stage};
use crate::config::{Class, Config, Mode, Session};
use crate::metrics::{Looked, Metrics};
use russet_platform::Groups;
use russet_platform::users::{self, Lease, StateLock};

/// Everything that is ready.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) shared: Arc<Shared>,
    pub(super) slots: Vec<Arc<SlotIo>>,
    /// The class of each slot.
    pub(super) classes: Vec<Option<usize>>,
    /// Journals that were found, for each slot.
    pub(super) journals: Vec<Option<Journal>>,
    /// Ends with the launch agent.
    pub(super) listening: Vec<tokio::task::JoinHandle<()>>,
    pub(super) _lock: StateLock,
}

/// As whom tasks run.
#[derive(Clone, Debug)]
enum Who {
    /// Each slot as a user of its own.
    SlotUsers,
    /// All as this one.
    One(SlotUser),
}

/// Makes everything ready.
pub(super) async fn start(
    config: Config,
    options: &Options,
    inputs: &mpsc::UnboundedSender<state::Input>,
) -> Result<Ready, ExitReason> {
    let failed = |text: String| ExitReason::Failed(text);
    let sink =
        Sink { events: options.on_event.clone(), clock: options.clock.clone(), ..Sink::default() };
    let boot_state = options.boot_state.as_deref();
    let version = crate::update::installed_version(boot_state, &config.state_directory);
    sink.board.introduce(&config.name, &config.api_url, &version, options.clock.wall_ms());
    let machine = russet_platform::machine();
    tracing::info!(%machine, "this machine");
    if machine.is_translated {
        sink.warn(
            "this is the Intel binary on Apple silicon: Rosetta translates it and whatever tasks \
             start; install the universal binary"
                .to_owned(),
        );
    }
    let state_path = config.state_directory.clone();
    let state = dirs::make_state(&state_path)
        .map_err(|error| failed(describe("could not make", &state_path, &error)))?;
    let lock = users::lock_state(&state)
        .map_err(|error| failed(describe("could not lock", &state_path, &error)))?
        .ok_or_else(|| in_use(&state_path))?;
    sink.outputs.keep_in(&state_path);
    sink.board.remember(&state_path, options.clock.wall_ms());
    let staged = stage::stage(&options.exe, &state_path).map_err(|error| {
        failed(describe("could not make the executable ready in", &state_path, &error))
    })?;
    dirs::make_lock_file(&state, super::assignment::WARM_UP_LOCK)
        .map_err(|error| failed(describe("could not make a lock in", &state_path, &error)))?;
    let client = russet_platform::http::client(&config.api_url, config.ca_file.as_deref(), None)
        .map_err(|error| failed(error.to_string()))?;
    for class in &config.classes {
        // Before anything is made for tasks: a token that this process may not have, or not for
        // this control plane, is the first thing to say.
        super::token::Keeper::new(&config, class)
            .current()
            .map_err(|error| failed(format!("`{}`: {error}", class.label)))?;
    }
    if config.classes.iter().any(|class| !class.credentials.is_empty()) {
        crate::vault::Vault::open(&config.state_directory)
            .and_then(|vault| vault.read())
            .map_err(|error| failed(format!("`credentials` can not be granted: {error}")))?;
    }
    let who = who(&config, &sink).await?;
    let hostname = russet_platform::hostname();
    let left = Arc::new(super::Counters::default());
    let slots = config.classes.iter().flat_map(|class| {
        std::iter::repeat_n(class.name(), usize::try_from(class.slots).unwrap_or(0))
    });
    let metrics = Arc::new(Metrics::new(Looked {
        board: Arc::clone(&sink.board),
        slots: slots.collect(),
        left: Arc::clone(&left),
        machine,
        state: state_path.clone(),
        starts: super::starts::count(&state_path),
    }));
    let shared = Arc::new(Shared {
        api: api::Api::new(client, &config.api_url),
        clock: options.clock.clone(),
        sink,
        staged,
        server: Presence::default(),
        request: ClaimRequest {
            name: config.name.clone(),
            hostname,
            ip: String::new(),
            version,
            // Said anew with each claim.
            update: None,
            single_task: config.mode == Mode::SingleTask,
            instance: Some(InstanceId::generate()),
        },
        left,
        metrics,
        tasks: Arc::default(),
        trimmed: super::trim::Trimmed::default(),
        boot_id: options.clock.boot_id(),
        groups: groups(),
        uses_relay: relay::wanted(config.relay, relay::Circumstances::of(&config.api_url)),
        config,
    });
    if matches!(who, Who::SlotUsers) {
        repair_users(&shared);
    }
    let mut ready = Ready {
        shared,
        slots: Vec::new(),
        classes: Vec::new(),
        journals: Vec::new(),
        listening: Vec::new(),
        _lock: lock,
    };
    make_slots(&mut ready, &state, &state_path, &who, inputs)?;
    let classes = ready.shared.config.classes.iter().map(Class::name).collect();
    let now_ms = options.clock.wall_ms();
    ready.shared.sink.board.slots(classes, ready.classes.clone(), now_ms);
    Ok(ready)
}

/// The users of an installation are looked at before they are used: upgrades of macOS have removed
/// such users, or given their ids away.
fn repair_users(shared: &Shared) {
    let config = &shared.config;
    match crate::install::repair_users(&config.state_directory, &config.user_prefix) {
        Ok(done) => done.into_iter().for_each(|what| shared.sink.warn(what)),
        // A slot whose user is gone runs as an id of its own; one that is unfit says so itself.
        Err(error) => {
            shared.sink.error(format!("the users of slots could not be checked: {error}"))
        }
    }
}

/// The control group that is divided among the slots, where there is one.
fn groups() -> Option<Groups> {
    let groups = Groups::delegated()?;
    tracing::info!(path = %groups.path().display(), "each slot has a control group of its own");
    Some(groups)
}

fn in_use(state: &Path) -> ExitReason {
    ExitReason::StateInUse(format!(
        "another launch agent uses {}\n  hint: stop it, or set `runner.state_directory` to \
         another directory",
        state.display()
    ))
}

fn describe(what: &str, path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{what} {}: {error}", path.display())
}

/// As whom tasks run, which a command prefix may change.
async fn who(config: &Config, sink: &Sink) -> Result<Who, ExitReason> {
    let me = nix::unistd::geteuid().as_raw();
    let landed = if config.command_prefix.is_empty() {
        None
    } else {
        let ids = prefix::probe(&config.command_prefix).await.map_err(|reason| {
            ExitReason::Failed(format!(
                "`runner.command_prefix` {reason}\n  hint: it must run what follows it and forward \
                 the exit code"
            ))
        })?;
        (ids.0 != me).then_some(ids)
    };
    match (me, landed) {
        (0, None) => Ok(Who::SlotUsers),
        (0, Some((uid, gid))) => {
            let user = users::by_id(uid, gid);
            let name = user.name.clone().unwrap_or_else(|| uid.to_string());
            sink.warn(format!(
                "`runner.command_prefix` runs tasks as {name}, which is not a slot's own user: \
                 what a task leaves running or outside of its directories is not removed"
            ));
            Ok(Who::One(user))
        }
        (_, Some((uid, _))) => Err(ExitReason::Failed(format!(
            "`runner.command_prefix` runs tasks as user {uid}, whose directories this agent can \
             not make\n  hint: start the agent as root; it gives tasks a user of their own"
        ))),
        (_, None) => {
            sink.warn(
                "tasks are not isolated: they run as the user of this agent, and can read its \
                 files"
                    .to_owned(),
            );
            Ok(Who::One(users::caller()))
        }
    }
}

fn make_slots(
    ready: &mut Ready,
    state: &OwnedFd,
    path: &Path,
    who: &Who,
    inputs: &mpsc::UnboundedSender<state::Input>,
) -> Result<(), ExitReason> {
    let classes: Vec<Arc<Class>> =
        ready.shared.config.classes.iter().cloned().map(Arc::new).collect();
    let tokens: Vec<Arc<Presence>> = classes.iter().map(|_| Arc::default()).collect();
    let mut wanted: Vec<(u32, Option<usize>)> = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        for _ in 0..class.slots {
            let number = u32::try_from(wanted.len() + 1).unwrap_or(u32::MAX);
            wanted.push((number, Some(index)));
        }
    }
    let configured = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    wanted.extend(abandoned(path, configured).into_iter().map(|number| (number, None)));
    for (number, class_index) in wanted {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            ExitReason::Failed(format!("{what} of slot {number}: {error}"))
        };
        let dir = SlotDir::make(state, path, number)
            .map_err(|error| failed("could not make the directory", &error))?;
        let journal = Journal::read(&dir.fd).unwrap_or_else(|error| {
            // Half a journal is one of before a loss of power.
            tracing::warn!(slot = number, %error, "could not read the journal");
            None
        });
        let before = journal.as_ref().and_then(|journal| journal.assignment.user.as_ref());
        let gui = class_index.and_then(|index| classes.get(index)).and_then(gui_user);
        let lease = match who {
            Who::One(_) if gui.is_some() => {
                return Err(ExitReason::Failed(
                    "`session: gui` needs an agent that is root\n  hint: start it with `sudo \
                     russet agent start`, or use `session: background`"
                        .to_owned(),
                ));
            }
            Who::One(user) => Lease::unlocked(user.clone()),
            Who::SlotUsers if gui.is_some() => users::at_the_screen(gui.unwrap_or_default())
                .map_err(|error| failed("there is no account for tasks", &error))?,
            Who::SlotUsers => {
                let prefix = &ready.shared.config.user_prefix;
                users::lease(prefix, number, before.map(|user| user.uid))
                    .map_err(|error| failed("there is no user for tasks", &error))?
            }
        };
        if let Some(obstacle) = SlotIo::obstacle(&dir.paths.root, &lease.user) {
            return Err(ExitReason::Failed(out_of_reach(&obstacle, &lease.user)));
        }
        let (link, listening) = Link::listen(
            &dir.socket(),
            number,
            &lease.user,
            &ready.shared.clock,
            &ready.shared.sink,
        )
        .map_err(|error| failed("could not make the socket", &error))?;
        if ready.shared.uses_relay {
            let target = relay::Target::of(&ready.shared.config.api_url)
                .ok_or_else(|| failed("no control plane to relay to", &"`api.url` has no host"))?;
            let clock = &ready.shared.clock;
            let listening = relay::listen(&dir.relay(), number, &lease.user, target, clock)
                .map_err(|error| failed("could not make the relay", &error))?;
            ready.listening.push(listening);
        }
        let class = class_index.and_then(|index| classes.get(index).cloned());
        let token = class_index.and_then(|index| tokens.get(index).cloned()).unwrap_or_default();
        let parts = Parts {
            shared: Arc::clone(&ready.shared),
            index: ready.slots.len(),
            number,
            class,
            token,
            dir,
            lease,
            link,
            inputs: inputs.clone(),
        };
        ready.slots.push(Arc::new(SlotIo::new(parts)));
        ready.classes.push(class_index);
        ready.journals.push(journal);
        ready.listening.push(listening);
    }
    Ok(())
}

/// The account of a class whose tasks run at the screen.
fn gui_user(class: &Arc<Class>) -> Option<&str> {
    match &class.session {
        Session::Gui { user } => Some(user),
        Session::Background => None,
    }
}

fn out_of_reach(obstacle: &Path, user: &SlotUser) -> String {
    let name = user.name.clone().unwrap_or_else(|| user.uid.to_string());
    format!(
        "the user of tasks ({name}) can not pass through {path}\n  hint: `chmod o+x {path}`, or set \
         `runner.state_directory` to a directory that everybody can reach",
        path = obstacle.display()
    )
}

/// Slots beyond those that are configured now, in which an earlier launch agent left a task.
fn abandoned(state: &Path, configured: u32) -> Vec<u32> {
    let numbers = |entry: std::io::Result<std::fs::DirEntry>| {
        let path: PathBuf = entry.ok()?.path();
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        (number > configured && path.join("journal.json").exists()).then_some(number)
    };
    let Ok(entries) = std::fs::read_dir(state.join("slots")) else { return Vec::new() };
    let mut found: Vec<u32> = entries.filter_map(numbers).collect();
    found.sort_unstable();
    found
}
