//! Making the slots: the configured ones, and those in which an earlier agent left a task.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russet_protocol::supervise::SlotUser;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::task_user::TaskUsers;
use crate::config::{Class, Session, Ssh};
use crate::launch::exit_reason::ExitReason;
use crate::launch::server::LogOnce;
use crate::launch::shared::Shared;
use crate::launch::slot::{SlotDriver, SlotInfo};
use crate::launch::slot_dir::{Journal, SlotDir, find_obstacle};
use crate::launch::sockets::{
    IsTaskAgent, PortRange, RelayTarget, TaskAgentChannel, start_direct_port, start_relay,
};
use crate::state;
use russet_platform::users::{self, Lease};

/// The directory of slots, and their users and inbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotMaker<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) data: &'a OwnedFd,
    /// The path of `data`.
    pub(super) path: &'a Path,
    pub(super) users: &'a TaskUsers,
    pub(super) inputs: &'a mpsc::UnboundedSender<state::Input>,
    /// Holds slots whose user has no record.
    pub(super) needs_user_records: bool,
}

/// The slots of the launch agent.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) drivers: Vec<Arc<SlotDriver>>,
    /// The class of each slot.
    pub(super) classes: Vec<Option<usize>>,
    /// Journals that were found, for each slot.
    pub(super) journals: Vec<Option<Journal>>,
    /// Listeners, which end with the launch agent.
    pub(super) listening: Vec<JoinHandle<()>>,
}

impl SlotMaker<'_> {
    /// Makes the slots that are configured, and those in which an earlier agent left a task.
    pub(super) fn make_all(&self) -> Result<Slots, ExitReason> {
        let classes: Vec<Arc<Class>> =
            self.shared.config.classes.iter().cloned().map(Arc::new).collect();
        let tokens: Vec<Arc<LogOnce>> = classes.iter().map(|_| Arc::default()).collect();
        let mut wanted: Vec<(u32, Option<usize>)> = Vec::new();
        for (index, class) in classes.iter().enumerate() {
            for _ in 0..class.slots {
                let number = u32::try_from(wanted.len() + 1).unwrap_or(u32::MAX);
                wanted.push((number, Some(index)));
            }
        }
        let configured = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        let abandoned = find_abandoned(self.path, configured);
        wanted.extend(abandoned.into_iter().map(|number| (number, None)));
        let mut slots = Slots::default();
        for (number, index) in wanted {
            let class = index.and_then(|index| classes.get(index).cloned());
            let token = index.and_then(|index| tokens.get(index).cloned()).unwrap_or_default();
            self.make_slot(&mut slots, number, class, token)?;
            slots.classes.push(index);
        }
        let users: Vec<SlotUser> =
            slots.drivers.iter().map(|slot| slot.info.lease.user.clone()).collect();
        let prefix = &self.shared.config.user_prefix;
        if !self.needs_user_records
            && let Some(warning) = users::warning_of_nameless(prefix, &users)
        {
            self.shared.sink.warn(warning);
        }
        Ok(slots)
    }

    fn make_slot(
        &self,
        slots: &mut Slots,
        number: u32,
        class: Option<Arc<Class>>,
        token: Arc<LogOnce>,
    ) -> Result<(), ExitReason> {
        let failed = |what: &str, error: &dyn std::fmt::Display| failed(number, what, error);
        let dir = SlotDir::make(self.data, self.path, number)
            .map_err(|error| failed("could not make the directory", &error))?;
        let journal = Journal::read(&dir.fd).unwrap_or_else(|error| {
            // Half a journal is one of before a loss of power.
            tracing::warn!(slot = number, %error, "could not read the journal");
            None
        });
        let before = journal.as_ref().and_then(|journal| journal.assignment.user.as_ref());
        let before_uid = before.map(|user| user.uid);
        let lease = self.lease_user(number, class.as_ref().and_then(gui_user), before_uid)?;
        if let Some(obstacle) = find_obstacle(&dir.paths.root, &lease.user) {
            return Err(ExitReason::Failed(out_of_reach(&obstacle, &lease.user)));
        }
        let missing_user = self.find_missing_user(number, &lease.user);
        if let Some(reason) = &missing_user {
            self.shared.sink.error(format!("slot {number} takes no tasks: {reason}"));
        } else if let Err(error) = dir.complete(before.unwrap_or(&lease.user)) {
            // Cleaning meets it again, and holds the slot.
            tracing::warn!(slot = number, %error, "could not complete a slot's directory");
        }
        let shared = self.shared;
        let (channel, listening) = TaskAgentChannel::listen(
            &dir.socket(),
            number,
            &lease.user,
            &shared.clock,
            &shared.sink,
        )
        .map_err(|error| failed("could not make the socket", &error))?;
        if shared.uses_relay {
            let target = RelayTarget::of(&shared.config.api_url)
                .ok_or_else(|| failed("no control plane to relay to", &"`api.url` has no host"))?;
            let listening = start_relay(&dir.relay(), number, &lease.user, target, &shared.clock)
                .map_err(|error| failed("could not make the relay", &error))?;
            slots.listening.push(listening);
        }
        if let Some(range) = shared.config.ssh.as_ref().and_then(port_range) {
            let agent = task_agent_of(&dir).map_err(|error| failed("no port for SSH", &error))?;
            let (path, user) = (dir.ssh(), &lease.user);
            let listening = start_direct_port(&path, number, user, range, agent, &shared.clock)
                .map_err(|error| failed("could not make the socket for SSH", &error))?;
            slots.listening.push(listening);
        }
        if let Some(kept) = &shared.kept {
            kept.know_user(lease.user.uid);
        }
        let info = SlotInfo {
            shared: Arc::clone(shared),
            index: slots.drivers.len(),
            number,
            class,
            dir,
            lease,
            missing_user,
            inputs: self.inputs.clone(),
            is_swept: false.into(),
        };
        slots.drivers.push(SlotDriver::new(info, channel, token));
        slots.journals.push(journal);
        slots.listening.push(listening);
        Ok(())
    }

    /// Returns the reason for which a slot without its user is held.
    fn find_missing_user(&self, number: u32, user: &SlotUser) -> Option<String> {
        let prefix = &self.shared.config.user_prefix;
        users::find_missing_user(prefix, number, user, self.needs_user_records)
    }

    /// Leases the user of a slot. `before` is the user that its journal names.
    fn lease_user(
        &self,
        number: u32,
        gui: Option<&str>,
        before: Option<u32>,
    ) -> Result<Lease, ExitReason> {
        match (self.users, gui) {
            (TaskUsers::One(_), Some(_)) => Err(ExitReason::Failed(
                "`session: gui` needs an agent that is root\n  hint: start it with `sudo russet \
                 agent start`, or use `session: background`"
                    .to_owned(),
            )),
            (TaskUsers::One(user), None) => Ok(Lease::unlocked(user.clone())),
            (TaskUsers::OfSlots, Some(account)) => users::at_the_screen(account)
                .map_err(|error| failed(number, "there is no account for tasks", &error)),
            (TaskUsers::OfSlots, None) => {
                users::lease_user(&self.shared.config.user_prefix, number, before)
                    .map_err(|error| failed(number, "there is no user for tasks", &error))
            }
        }
    }
}

/// Returns the ports that the owner opens for SSH.
fn port_range(ssh: &Ssh) -> Option<PortRange> {
    let direct = ssh.direct.as_ref()?;
    Some(PortRange { address: direct.bind, ports: direct.ports.clone() })
}

/// Answers if a process is the task agent that the journal of a slot names.
fn task_agent_of(dir: &SlotDir) -> std::io::Result<IsTaskAgent> {
    let fd = dir.fd.try_clone()?;
    Ok(Arc::new(move |pid| {
        let journal = Journal::read(&fd).ok().flatten();
        journal.and_then(|journal| journal.process).is_some_and(|known| known.is_process(pid))
    }))
}

fn failed(number: u32, what: &str, error: &dyn std::fmt::Display) -> ExitReason {
    ExitReason::Failed(format!("{what} of slot {number}: {error}"))
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
        "the user of tasks ({name}) cannot pass through {path}\n  hint: `chmod o+x {path}`, or set \
         `runner.state_directory` to a directory that everybody can reach",
        path = obstacle.display()
    )
}

/// Finds the slots beyond those that are configured now, in which an earlier launch agent left a
/// task.
fn find_abandoned(data: &Path, configured: u32) -> Vec<u32> {
    let numbers = |entry: std::io::Result<std::fs::DirEntry>| {
        let path: PathBuf = entry.ok()?.path();
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        (number > configured && path.join("journal.json").exists()).then_some(number)
    };
    let Ok(entries) = std::fs::read_dir(data.join("slots")) else { return Vec::new() };
    let mut found: Vec<u32> = entries.filter_map(numbers).collect();
    found.sort_unstable();
    found
}
