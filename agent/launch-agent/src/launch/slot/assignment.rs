//! The assignment of a task agent, and the journal that is written about it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use russet_protocol::ids::AllocationId;
use russet_protocol::local::Task;
use russet_protocol::runner::ClaimResponse;
use russet_protocol::secret::Secret;
use russet_protocol::supervise::{
    Assignment, Gui, Hooks, KeptSet, Limits, Mode, SlotDirs, Tidy, VERSION, WarmUp,
};

use super::external::AgentRunner;
use super::info::SlotInfo;
use super::simulators::simulators_ready;
use crate::config::Class;
use crate::launch::kept::{Lending, Scope, scope_of};
use crate::launch::process::own_path;
use crate::launch::slot_dir::{JOURNAL_VERSION, Journal, copies_scope};
use russet_platform::clock::whole_millis;

impl SlotInfo {
    /// Makes the journal of a task that was just claimed, with the assignment of its agent.
    pub(super) fn make_journal(&self, class: &Class, claimed: ClaimResponse) -> Journal {
        let config = &self.shared.config;
        let named = Some(claimed.resource_class.clone()).filter(|class| !class.is_empty());
        let resource_class = named.unwrap_or_else(|| class.name());
        let caches = self.copies_for(&resource_class, &claimed);
        let kept = self.kept_scope(class, &resource_class, &claimed);
        let job = claimed.task_name();
        let assignment = Assignment {
            version: VERSION,
            mode: if class.task_agent.is_some() { Mode::External } else { Mode::Run },
            token: claimed.task_token,
            allocation: claimed.allocation.clone(),
            api_url: config.api_url.clone(),
            user: Some(self.lease.user.clone()),
            dirs: self.task_dirs(&claimed.allocation),
            supervisor: Some(self.dir.socket()),
            runner: config.name.clone(),
            max_run_time_ms: whole_millis(config.max_run_time),
            deadline: None,
            path: config.path.clone(),
            helpers: Some(self.shared.staged.helpers.clone()),
            environment: config.environment.clone(),
            home_skeleton: config.home_skeleton.clone(),
            hooks: class.hooks.clone(),
            limits: class.limits.clone(),
            ca_file: config.ca_file.clone(),
            failure: None,
            tidy: self.tidy(),
            is_swept: self.is_swept.load(Ordering::Relaxed),
            external: class.task_agent.as_deref().map(|program| {
                let contract = AgentRunner {
                    program,
                    api_url: &config.api_url,
                    allocation: &claimed.allocation,
                    max_run_time: config.max_run_time,
                    ssh_advertise_addr: config.ssh_advertise_addr.as_deref(),
                    work: Some(&self.task_dirs(&claimed.allocation).work),
                    path: &own_path(),
                };
                contract.command()
            }),
            credentials: Vec::new(),
            withheld: Vec::new(),
            xcode: class.xcode.clone(),
            xcode_directories: config.knows_xcodes().then(|| config.xcode_directories.clone()),
            matches_xcode: config.knows_xcodes() && config.matches_xcode,
            relay: self.shared.uses_relay.then(|| self.dir.relay()),
            caches,
            aside: Vec::new(),
            // Lent when it begins: until then the task before may still leave something.
            kept: Vec::new(),
            slot: Some(self.number),
            ssh: config.ssh.as_ref().map(|ssh| ssh.policy(self.dir.ssh())),
            trim: None,
            warm_up: self.warm_up(),
            gui: self.is_gui().then(Gui::default),
        };
        let shown = Task {
            id: Some(claimed.task_id.clone().unwrap_or_else(|| claimed.allocation.as_str().into())),
            class: Some(resource_class),
            project: claimed.project,
            job,
            since_ms: self.shared.clock.wall_ms(),
            url: claimed.url,
            ..Task::default()
        };
        Journal {
            version: JOURNAL_VERSION,
            shown,
            boot_id: self.shared.boot_id.clone(),
            allocation: claimed.allocation,
            task_id: claimed.task_id,
            heartbeat_ms: claimed.heartbeat_ms,
            assignment,
            process: None,
            kept,
        }
    }

    /// The command that is run before the first step, on Macs.
    fn warm_up(&self) -> Option<WarmUp> {
        (self.shared.config.warm_simulators && cfg!(target_os = "macos")).then(simulators_ready)
    }

    /// Makes the directory of copies for the claimed task. A task can do without.
    fn copies_for(&self, class: &str, claimed: &ClaimResponse) -> Option<PathBuf> {
        // A prefix may make somebody else of the task agent, who could not open it.
        if !self.shared.config.command_prefix.is_empty() {
            return None;
        }
        let scope = copies_scope(class, claimed)?;
        match self.dir.make_copies(&self.lease.user, &scope) {
            Ok(path) => Some(path),
            Err(error) => {
                tracing::warn!(slot = self.number, %error, "no copies of caches can be kept");
                None
            }
        }
    }

    /// Returns the tasks with which the claimed one shares directories that outlive it.
    fn kept_scope(&self, class: &Class, name: &str, claimed: &ClaimResponse) -> Option<Scope> {
        let is_possible = self.shared.kept.is_some() && self.lease.user.dedicated && !self.is_gui();
        if !is_possible || class.keep.paths.is_empty() {
            return None;
        }
        scope_of(name, claimed, &class.keep.branches)
    }

    /// Returns the directories that outlive tasks, for one that begins. A task can do without.
    pub(super) fn lend_kept(&self, journal: &Journal) -> Vec<KeptSet> {
        let (Some(store), Some(class), Some(scope)) =
            (&self.shared.kept, &self.class, &journal.kept)
        else {
            return Vec::new();
        };
        let lending = Lending {
            slot: self.number,
            user: &self.lease.user,
            allocation: &journal.allocation,
            scope,
            paths: &class.keep.paths,
            max_bytes: class.keep.max_bytes,
        };
        store.lend(&lending).unwrap_or_else(|error| {
            tracing::warn!(slot = self.number, %error, "a task has no kept directories");
            Vec::new()
        })
    }

    fn task_dirs(&self, allocation: &AllocationId) -> SlotDirs {
        let mut dirs = self.dir.paths.clone();
        if let Some(text) = &self.shared.config.working_directory {
            // The allocation comes from the server: nothing of it may lead elsewhere.
            let unique: String = allocation
                .as_str()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
                .take(80)
                .collect();
            dirs.work = PathBuf::from(text.replace("%s", &unique));
        }
        dirs
    }

    /// Makes an assignment for a slot of which nothing is known: enough to clean it.
    pub(in crate::launch) fn blank_assignment(&self) -> Assignment {
        let config = &self.shared.config;
        Assignment {
            version: VERSION,
            mode: Mode::Clean,
            token: Secret::new(""),
            allocation: "none".into(),
            api_url: config.api_url.clone(),
            user: Some(self.lease.user.clone()),
            dirs: self.dir.paths.clone(),
            supervisor: None,
            runner: config.name.clone(),
            max_run_time_ms: whole_millis(config.max_run_time),
            deadline: None,
            path: Vec::new(),
            helpers: None,
            environment: std::collections::BTreeMap::new(),
            home_skeleton: None,
            hooks: Hooks::default(),
            limits: Limits::default(),
            ca_file: None,
            failure: None,
            external: None,
            credentials: Vec::new(),
            withheld: Vec::new(),
            xcode: None,
            xcode_directories: None,
            matches_xcode: false,
            relay: self.shared.uses_relay.then(|| self.dir.relay()),
            caches: None,
            aside: Vec::new(),
            kept: Vec::new(),
            slot: Some(self.number),
            ssh: None,
            trim: None,
            warm_up: None,
            gui: self.is_gui().then(Gui::default),
            tidy: Tidy::Nothing,
            is_swept: false,
        }
    }
}
