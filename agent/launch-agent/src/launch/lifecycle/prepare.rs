//! From a configuration to slots that are ready to work: the state directory and its lock, the
//! executable, the users, and what an earlier launch agent left.

use std::path::Path;
use std::sync::Arc;

use russet_protocol::ids::InstanceId;
use russet_protocol::runner::ClaimRequest;
use tokio::sync::mpsc;

use super::data::{Choice, check_directory, check_volumes, choose_data, place_slots};
use super::slots::{SlotMaker, Slots};
use super::starts::count_start;
use super::survey::keep_list;
use super::task_user::{TaskUsers, find_task_users};
use crate::config::{Class, Config, Mode, Ssh};
use crate::crash_points;
use crate::health::xcodes::Xcodes;
use crate::launch::caches::SharedCaches;
use crate::launch::events::EventSink;
use crate::launch::exit_reason::ExitReason;
use crate::launch::kept::KeptStore;
use crate::launch::options::Options;
use crate::launch::process::stage_executable;
use crate::launch::server::{Api, LogOnce, MachineFacts, TokenSource};
use crate::launch::shared::Shared;
use crate::launch::slot::SlotDriver;
use crate::launch::slot_dir::{Journal, make_state};
use crate::launch::sockets::{Circumstances, is_relay_wanted};
use crate::metrics::{LeftBehindCounters, MetricSources, Metrics};
use crate::state;
use russet_platform::Groups;
use russet_platform::users::{self, StateLock};

/// Everything that is ready.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) shared: Arc<Shared>,
    pub(super) slots: Vec<Arc<SlotDriver>>,
    /// The class of each slot.
    pub(super) classes: Vec<Option<usize>>,
    /// Journals that were found, for each slot.
    pub(super) journals: Vec<Option<Journal>>,
    /// Ends with the launch agent.
    pub(super) listening: Vec<tokio::task::JoinHandle<()>>,
    pub(super) _lock: StateLock,
}

/// Refuses to run under Rosetta.
///
/// A translated process has a second thread, of Rosetta's exception server, from its start. A task
/// agent that is not alone in its process refuses to drop its privileges, so every task would fail.
fn refuse_translation(is_translated: bool) -> Result<(), ExitReason> {
    if !is_translated {
        return Ok(());
    }
    Err(ExitReason::Failed(
        "this is the Intel binary on Apple silicon: Rosetta translates it, and no task can drop its \
         privileges there\n  hint: install the universal binary, and start it without `arch -x86_64`"
            .to_owned(),
    ))
}

/// Makes everything ready.
pub(super) async fn prepare(
    mut config: Config,
    options: &Options,
    inputs: &mpsc::UnboundedSender<state::Input>,
) -> Result<Ready, ExitReason> {
    let failed = |text: String| ExitReason::Failed(text);
    let sink = EventSink {
        events: options.on_event.clone(),
        clock: options.clock.clone(),
        ..EventSink::default()
    };
    let boot_state = options.boot_state.as_deref();
    let version = crate::update::installed_version(boot_state, &config.state_directory);
    sink.board.introduce(&config.name, &config.api_url, &version, options.clock.wall_ms());
    let machine = russet_platform::machine();
    let (os, chip) = (machine.system.clone(), machine.chip.clone());
    tracing::info!(%machine, "this machine");
    refuse_translation(machine.is_translated)?;
    let state_path = config.state_directory.clone();
    let state = make_state(&state_path)
        .map_err(|error| failed(describe_failure("could not make", &state_path, &error)))?;
    let lock = users::lock_state(&state)
        .map_err(|error| failed(describe_failure("could not lock", &state_path, &error)))?
        .ok_or_else(|| in_use(&state_path))?;
    crash_points::arm(&state_path);
    let is_root = nix::unistd::geteuid().is_root();
    check_volumes(&config).map_err(failed)?;
    // A version that is taken back finds slots where it had them.
    let is_proving = boot_state.is_some_and(crate::update::is_in_probation);
    let choice = choose_data(&state_path, &config.data_directory, is_proving);
    if choice != Choice::Wait {
        // Before it is made: whatever is there because of us is in the receipt.
        note_data(&state_path, &config.data_directory, &sink);
    }
    config.data_directory = place_slots(choice, &state_path, &config.data_directory, &sink);
    let data_path = config.data_directory.clone();
    let data = make_state(&data_path)
        .map_err(|error| failed(describe_failure("could not make", &data_path, &error)))?;
    check_directory(&data_path).map_err(failed)?;
    sink.outputs.keep_in(&state_path, &data_path);
    sink.board.remember(&state_path, options.clock.wall_ms());
    let staged = stage_executable(&options.exe, &state_path).map_err(|error| {
        failed(describe_failure("could not make the executable ready in", &state_path, &error))
    })?;
    let client =
        russet_platform::http::api_client(&config.api_url, config.ca_file.as_deref(), None)
            .map_err(|error| failed(error.to_string()))?;
    for class in &config.classes {
        // Before anything is made for tasks: a token that this process may not have, or not for
        // this control plane, is the first thing to say.
        TokenSource::new(&config, class)
            .current()
            .map_err(|error| failed(format!("`{}`: {error}", class.label)))?;
    }
    if config.classes.iter().any(|class| !class.credentials.is_empty()) {
        crate::vault::Vault::open(&config.state_directory)
            .and_then(|vault| vault.read())
            .map_err(|error| failed(format!("`credentials` cannot be granted: {error}")))?;
    }
    let users = find_task_users(&config, &sink).await?;
    let hostname = russet_platform::hostname();
    let left = Arc::new(LeftBehindCounters::default());
    let slots = config.classes.iter().flat_map(|class| {
        std::iter::repeat_n(class.name(), usize::try_from(class.slots).unwrap_or(0))
    });
    let metrics = Arc::new(Metrics::new(MetricSources {
        board: Arc::clone(&sink.board),
        slots: slots.collect(),
        left: Arc::clone(&left),
        machine,
        state: data_path.clone(),
        starts: count_start(&state_path),
    }));
    let boot_id = options.clock.boot_id();
    let kept = is_root.then(|| KeptStore::open(&data, &data_path, &boot_id)).transpose();
    let kept = kept.map_err(|error| {
        failed(describe_failure("could not make a directory in", &data_path, &error))
    })?;
    let api = Api::new(client, &config.api_url);
    let shared = Arc::new(Shared {
        machine: MachineFacts {
            os,
            chip,
            boot_id: boot_id.clone(),
            data: data_path.clone(),
            skew: api.skew(),
        },
        orders_wanted: tokio::sync::Notify::new(),
        api,
        clock: options.clock.clone(),
        tools: options.tools.clone(),
        sink,
        staged,
        server: LogOnce::default(),
        request: ClaimRequest {
            name: config.name.clone(),
            hostname,
            version,
            // Said anew with each claim.
            ip: String::new(),
            update: None,
            held_slots: Vec::new(),
            holds: Vec::new(),
            xcodes: None,
            runtimes: Vec::new(),
            machine: None,
            allocation: None,
            ssh: config.ssh.as_ref().map(Ssh::offer),
            single_task: config.mode == Mode::SingleTask,
            instance: Some(InstanceId::generate()),
        },
        xcodes: Arc::new(Xcodes::of(&config)),
        left,
        metrics,
        caches: SharedCaches::default(),
        kept,
        boot_id,
        groups: find_groups(),
        uses_relay: is_relay_wanted(config.relay, Circumstances::of(&config.api_url)),
        config,
    });
    if matches!(users, TaskUsers::OfSlots) {
        follow_slots(&shared);
        look_at_users(&shared);
    }
    let maker = SlotMaker {
        shared: &shared,
        data: &data,
        path: &data_path,
        users: &users,
        inputs,
        needs_user_records: options.needs_user_records,
    };
    let Slots { drivers, classes, journals, mut listening } = maker.make_all()?;
    if matches!(users, TaskUsers::OfSlots)
        && let Some(slot) = drivers.first()
    {
        listening.push(tokio::spawn(keep_list(Arc::clone(&slot.info), state)));
    }
    let names = shared.config.classes.iter().map(Class::name).collect();
    shared.sink.board.slots(names, classes.clone(), options.clock.wall_ms());
    Ok(Ready { shared, slots: drivers, classes, journals, listening, _lock: lock })
}

/// The users of an installation are looked at before they are used: upgrades of macOS have removed
/// such users, or given their ids away. What the agent may not repair, it says.
fn look_at_users(shared: &Shared) {
    const HINT: &str =
        "hint: `sudo russet agent repair` puts the users right, and says what it needs";
    let config = &shared.config;
    let may_repair = russet_platform::MAY_REPAIR_USERS;
    let looked =
        crate::install::look_at_users(&config.state_directory, &config.user_prefix, may_repair);
    match looked {
        Ok(found) => {
            found.done.into_iter().for_each(|what| shared.sink.warn(what));
            found.wrong.into_iter().for_each(|what| shared.sink.warn(format!("{what}\n  {HINT}")));
        }
        // A slot whose user is gone is held or runs as an id of its own; one that is unfit says so
        // itself.
        Err(error) => {
            let hint = error.hint().map_or_else(String::new, |hint| format!("\n  hint: {hint}"));
            shared.sink.error(format!("the users of slots could not be checked: {error}{hint}"));
        }
    }
}

/// Lets the homes of an installation's users follow its slots. Where only a person may change users,
/// a link leads from the homes of before to those of now until then.
fn follow_slots(shared: &Shared) {
    let (state, data) = (&shared.config.state_directory, &shared.config.data_directory);
    match crate::install::follow_slots(state, data, russet_platform::MAY_REPAIR_USERS) {
        Ok(left) if left.is_empty() => {}
        Ok(left) => shared.sink.warn(format!(
            "the homes of {} are still named below {}, from where a link leads to their slots: Xcode \
             does not like links\n  hint: `sudo russet agent repair` names the new ones",
            left.join(", "),
            state.display()
        )),
        Err(error) => {
            shared.sink.error(format!("the homes of slots' users do not follow them: {error}"));
        }
    }
}

/// Notes the directory of slots in the receipt of an installation, to be removed with the rest.
fn note_data(state: &Path, data: &Path, sink: &EventSink) {
    if let Err(error) = crate::install::note_directory(state, data) {
        sink.error(format!("{} could not be noted in the receipt: {error}", data.display()));
    }
}

/// The control group that is divided among the slots, where there is one.
fn find_groups() -> Option<Groups> {
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

fn describe_failure(what: &str, path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{what} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::{ExitReason, refuse_translation};

    #[test]
    fn the_intel_binary_on_apple_silicon_is_refused_with_what_to_do() {
        assert!(refuse_translation(false).is_ok());
        let Err(ExitReason::Failed(text)) = refuse_translation(true) else { panic!("it runs") };
        assert!(text.contains("hint: install the universal binary"), "{text}");
    }
}
