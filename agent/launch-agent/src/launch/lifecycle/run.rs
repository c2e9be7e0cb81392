//! The loop: inputs into the state machine, actions out of it.

use std::sync::Arc;
use std::time::Duration;

use russet_protocol::exit_reason::AgentExit;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::awake::{keep_awake, wakefulness_wanted};
use super::boot::BootState;
use super::prepare::{Ready, prepare};
use super::reports::{report_state, say_goodbye};
use super::shutdown_hook::run_shutdown_hook;
use super::stop_requests::StopRequests;
use crate::board::Event;
use crate::config::{Config, Mode};
use crate::health;
use crate::install::SealedMachine;
use crate::launch::exit_reason::ExitReason;
use crate::launch::options::Options;
use crate::launch::slot::SlotDriver;
use crate::local_api;
use crate::requests::{Command, HoldSource, Stop, UpdateRequests};
use crate::state::slot::{Action as SlotAction, Input as SlotInput};
use crate::state::{Action, End, Input, Machine, Settings, View};
use crate::update;
use russet_platform::Wakefulness;
use russet_platform::clock::{BootTime, Clock};
use russet_platform::layout::Layout;

/// Time of a canceled task agent beyond its grace for steps: to end what is left, send the rest and
/// report.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(30);

/// The grace of steps where the owner says nothing.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Time after which what only a start needs was used for the last time.
const START_UP_TIME: Duration = Duration::from_secs(1);

/// launchd is told that we need less than a minute.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the launch agent until it has a reason to end.
///
/// It never ends because of the control plane: that may be away, refuse the token, or answer
/// nonsense, and is asked again.
pub async fn run(config: Config, options: Options) -> ExitReason {
    let is_service = options.host.is_service();
    if is_service {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
    }
    // Threat: a core file would hold the tokens of classes and tasks, wherever it falls.
    if let Err(error) = russet_platform::os::make_undumpable() {
        tracing::warn!(%error, "a crash of this agent may leave its memory in a core file");
    }
    let reason = run_to_end(config, options).await;
    if let (true, ExitReason::Failed(text) | ExitReason::StateInUse(text)) = (is_service, &reason) {
        // Whoever reads the log of a service sees nothing else of it.
        tracing::error!("{text}");
    }
    reason
}

async fn run_to_end(config: Config, mut options: Options) -> ExitReason {
    let hook = config.shutdown_hook.clone();
    let parent = options.parent.take();
    let stops = StopRequests::listen(options.host, options.signals, parent, options.stop.take());
    let stops = match stops {
        Ok(stops) => stops,
        Err(error) => return ExitReason::Failed(format!("could not listen for signals: {error}")),
    };
    let (sender, inputs) = mpsc::unbounded_channel();
    let settings = machine_settings(&config);
    let sealed = sealed_machine(&options);
    let config = match &sealed {
        Some(machine) => machine.named(config),
        None => config,
    };
    let ready = match prepare(config, &options, &sender).await {
        Ok(ready) => ready,
        Err(reason) => return reason,
    };
    let settings = Settings { classes: ready.classes.clone(), ..settings };
    let machine = Machine::new(settings, options.clock.now());
    let view = View::default();
    let (jobs, awake) = (JoinSet::new(), tokio::sync::watch::Sender::new(None));
    let clock = options.clock.clone();
    let mut agent =
        Agent { machine, ready, jobs, clock: clock.clone(), leave_by: None, view, awake };
    let boot = options.boot_state.as_deref().map(BootState::new);
    if let Some(boot) = &boot {
        // Whoever asks this agent is told of an update from the first answer on.
        boot.show_state(&agent.ready.shared.sink);
    }
    let (mut commands, ready) = agent.listen(&options, sealed);
    // A pause of before the restart holds before the first claim.
    while let Ok(command) = commands.try_recv() {
        agent.machine.handle(agent.clock.now(), agent.input_of(command), &mut Vec::new());
    }
    agent.adopt();
    agent.publish();
    if let Some(boot) = boot.clone() {
        agent.tell_boot(boot);
    }
    let exe = agent.ready.shared.staged.exe.clone();
    let shared = Arc::clone(&agent.ready.shared);
    let reason = agent.work(inputs, commands, stops).await;
    say_goodbye(&shared, reason == ExitReason::Updated).await;
    drop(shared);
    if reason == ExitReason::Updated {
        return install_update(&ready, &clock);
    }
    if let (ExitReason::SingleTask, Some(hook)) = (&reason, hook) {
        run_shutdown_hook(hook, exe).await;
    }
    if let (AgentExit::Ended, Some(boot)) = (reason.exit(), boot) {
        boot.note_end(&clock).await;
    }
    reason
}

/// Returns the machine that an installed agent is for, to be compared with this one.
fn sealed_machine(options: &Options) -> Option<SealedMachine> {
    let layout = options.boot_state.as_deref().and_then(Layout::of_boot_state);
    layout.filter(|_| options.host.is_service()).map(|layout| SealedMachine::of(&layout))
}

fn machine_settings(config: &Config) -> Settings {
    let grace = config
        .classes
        .iter()
        .map(|class| Duration::from_millis(class.limits.kill_grace_ms))
        .max()
        .filter(|grace| !grace.is_zero())
        .unwrap_or(DEFAULT_GRACE);
    Settings {
        single_task: config.mode == Mode::SingleTask,
        idle_timeout: config.idle_timeout,
        drain_limit: config.max_run_time,
        cancel_patience: grace + CANCEL_TIMEOUT,
        unsafe_retries: config.enable_unsafe_retries,
        holds_failing: config.holds_failing,
        classes: Vec::new(),
    }
}

/// Puts a new version in place, now that the state machine has ended and nothing runs. Where that
/// fails, this version is started again and takes tasks as before.
fn install_update(ready: &update::Ready, clock: &Clock) -> ExitReason {
    let install = |staged: &update::Staged| install_version(staged, clock);
    ready.use_version(install).unwrap_or(ExitReason::Left)
}

fn install_version(staged: &update::Staged, clock: &Clock) -> ExitReason {
    match update::put_in_place(staged, clock.wall_ms() / 1000) {
        Ok(()) => {
            tracing::info!(version = staged.version, "a new version is in place and is started");
            ExitReason::Updated
        }
        Err(error) => {
            tracing::error!(
                version = staged.version,
                %error,
                "the new version could not be put in place; this one goes on"
            );
            ExitReason::Left
        }
    }
}

struct Agent {
    machine: Machine,
    ready: Ready,
    /// Running work. It ends with this agent; processes that it started do not.
    jobs: JoinSet<()>,
    clock: Clock,
    leave_by: Option<BootTime>,
    /// View that people were shown last.
    view: View,
    /// Part of this machine that should stay awake.
    awake: tokio::sync::watch::Sender<Option<Wakefulness>>,
}

impl Agent {
    /// Opens the local API. What comes from it arrives here.
    fn listen(
        &mut self,
        options: &Options,
        machine: Option<SealedMachine>,
    ) -> (mpsc::UnboundedReceiver<Command>, update::Ready) {
        let (sender, commands) = mpsc::unbounded_channel();
        // Before the first claim, as what is asked for over the local API.
        if let Some(reason) = machine.as_ref().and_then(SealedMachine::obstacle) {
            drop(sender.send(Command::Hold(HoldSource::Machine, Some(reason))));
        }
        let (ready, updates) = self.look_for_updates(options, &sender);
        let shared = &self.ready.shared;
        let config = &shared.config;
        let policy = local_api::Policy {
            owner: nix::unistd::geteuid().as_raw(),
            slot_users: self.ready.slots.iter().map(|slot| slot.info.lease.user.uid).collect(),
            operators: config.local_api.operators.clone(),
            is_open: config.local_api.open,
        };
        let (listening, keeper) = local_api::start_api(local_api::Parts {
            classes: config.classes.iter().map(|class| class.label.clone()).collect(),
            socket: &config.local_api.socket,
            state: &config.state_directory,
            data: &config.data_directory,
            policy,
            board: Arc::clone(&shared.sink.board),
            clock: self.clock.clone(),
            metrics: Arc::clone(&shared.metrics),
            log: config.logging.file.clone(),
            updates,
            machine,
            commands: sender.clone(),
        });
        let state = config.state_directory.clone();
        let keeping = tokio::spawn(Arc::clone(&shared.sink.board).keep_history(state));
        let board = Arc::clone(&shared.sink.board);
        let watching = health::watch::start_watch(
            health::watch::Watched {
                state: config.data_directory.clone(),
                reserve: config.disk_reserve,
                skew: shared.api.skew(),
                open_files: health::open_files_of(&config.classes),
            },
            sender.clone(),
            Arc::clone(&board),
        );
        let looking = health::xcodes::start_watch(Arc::clone(&shared.xcodes), sender, board);
        let measuring = config
            .metrics
            .map(|at| crate::metrics::start_listening(at, Arc::clone(&shared.metrics)));
        for slot in self.ready.slots.iter().filter(|slot| slot.info.is_gui()) {
            let watching = tokio::spawn(slot.watch_session());
            self.ready.listening.push(watching);
        }
        // Only root moves anything aside.
        if nix::unistd::geteuid().is_root() {
            for slot in &self.ready.slots {
                let emptying = tokio::spawn(slot.keep_emptying());
                self.ready.listening.push(emptying);
            }
        }
        let reporting = tokio::spawn(report_state(Arc::clone(&self.ready.shared), keeper));
        let tools = self.ready.shared.tools.clone();
        let awake = keep_awake(self.awake.subscribe(), self.clock.clone(), tools);
        let awake = tokio::spawn(awake);
        let started = listening
            .into_iter()
            .chain([watching, looking, keeping, awake, reporting])
            .chain(measuring);
        self.ready.listening.extend(started);
        (commands, ready)
    }

    /// Begins to look for what packages bring, where this agent is installed, and for updates, where
    /// its owner wants that.
    fn look_for_updates(
        &mut self,
        options: &Options,
        commands: &mpsc::UnboundedSender<Command>,
    ) -> (update::Ready, Option<UpdateRequests>) {
        let ready = update::Ready::default();
        let installed = options.boot_state.as_deref().and_then(Layout::of_boot_state);
        let Some(layout) = installed.filter(|_| options.host.is_service()) else {
            return (ready, None);
        };
        let config = &self.ready.shared.config;
        let watching = update::package::start_watch(update::package::Parts {
            layout: layout.clone(),
            state: config.state_directory.clone(),
            probation: config.update.probation,
            clock: self.clock.clone(),
            board: Arc::clone(&self.ready.shared.sink.board),
            commands: commands.clone(),
            ready: ready.clone(),
        });
        let (sender, requests) = UpdateRequests::after(update::last_look(&config.state_directory));
        let looking = update::start_worker(update::Parts {
            settings: config.update.clone(),
            layout,
            state: config.state_directory.clone(),
            control_plane: config.api_url.clone(),
            runner: config.name.clone(),
            clock: self.clock.clone(),
            board: Arc::clone(&self.ready.shared.sink.board),
            commands: commands.clone(),
            requests,
            ready: ready.clone(),
        });
        let updates = looking.is_some().then_some(sender);
        self.ready.listening.extend(looking.into_iter().chain([watching]));
        (ready, updates)
    }

    fn input_of(&self, command: Command) -> Input {
        match command {
            Command::Hold(source, reason) => Input::Hold { source, class: None, reason },
            Command::HoldClass(source, class, reason) => {
                Input::Hold { source, class: Some(class), reason }
            }
            Command::Retry => Input::Retry,
            Command::CancelTasks(reason) => Input::CancelTasks(reason),
            Command::Update(mode) => Input::Update(mode),
            Command::CancelTask { id, reason } => {
                let has_it = |slot: &Arc<SlotDriver>| slot.task_id().as_ref() == Some(&id);
                match self.ready.slots.iter().position(has_it) {
                    Some(index) => Input::Slot(index, SlotInput::CancelWanted(reason)),
                    // It has ended meanwhile.
                    None => Input::Tick,
                }
            }
        }
    }

    /// Shows people what has changed, and logs what holds claims back.
    fn publish(&mut self) {
        let shared = &self.ready.shared;
        let classes = &shared.config.classes;
        let view = self
            .machine
            .view(|class| classes.get(class).map_or_else(String::new, |class| class.label.clone()));
        if view == self.view {
            return;
        }
        for (source, class, reason) in
            view.holds.iter().filter(|one| !self.view.holds.contains(one))
        {
            tracing::warn!(source = source.as_str(), class, reason, "claims are held back");
        }
        if view.holds.is_empty() && !self.view.holds.is_empty() {
            tracing::info!("claims are not held back any more");
        }
        shared.sink.board.view(view.clone(), self.clock.wall_ms());
        let slots = &self.ready.slots;
        let is_gui = |index: usize| slots.get(index).is_some_and(|slot| slot.info.is_gui());
        self.awake.send_replace(wakefulness_wanted(shared.config.keep_awake, &view, is_gui));
        self.view = view;
    }

    /// Goes on with what an earlier launch agent left, before anything new.
    fn adopt(&mut self) {
        let now = self.clock.now();
        let mut actions = Vec::new();
        let journals: Vec<_> = self.ready.journals.drain(..).collect();
        for (index, journal) in journals.into_iter().enumerate() {
            let (Some(journal), Some(slot)) = (journal, self.ready.slots.get(index)) else {
                continue;
            };
            let input = slot.adopt(journal);
            self.machine.handle(now, Input::Slot(index, input), &mut actions);
        }
        self.machine.start(now, &mut actions);
        for action in actions {
            // Nothing ends before it began.
            if let Action::Slot(index, action) = action {
                self.act(index, action);
            }
        }
    }

    /// Tells `russet-boot` that everything is ready, and of the control plane when it answers.
    fn tell_boot(&mut self, boot: BootState) {
        let shared = &self.ready.shared;
        let proving =
            boot.prove(shared.api.clone(), Arc::clone(&shared.sink.board), self.clock.clone());
        self.spawn_job(proving);
    }

    async fn work(
        mut self,
        mut inputs: mpsc::UnboundedReceiver<Input>,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut stops: StopRequests,
    ) -> ExitReason {
        let slots = u32::try_from(self.ready.slots.len()).unwrap_or(u32::MAX);
        self.ready.shared.sink.send(Event::Claiming { slots });
        tracing::info!(
            name = self.ready.shared.config.name,
            url = self.ready.shared.config.api_url,
            slots,
            "claiming tasks"
        );
        // By the runtime's own clock: nothing depends on when.
        self.spawn_job(async {
            tokio::time::sleep(START_UP_TIME).await;
            russet_platform::forget_code();
        });
        loop {
            let wakeup = self.machine.next_wakeup().into_iter().chain(self.leave_by).min();
            let input = tokio::select! {
                Some(input) = inputs.recv() => input,
                Some(command) = commands.recv() => self.input_of(command),
                stop = stops.next() => self.begin_stop(stop),
                () = self.clock.sleep_until_some(wakeup) => Input::Tick,
            };
            let now = self.clock.now();
            let mut actions = Vec::new();
            self.machine.handle(now, input, &mut actions);
            for action in actions {
                match action {
                    Action::Slot(index, action) => self.act(index, action),
                    Action::Exit(end) => return self.end(end),
                }
            }
            self.publish();
            if self.leave_by.is_some_and(|at| at <= now) {
                return self.end(End::Left);
            }
            // What is done takes no memory.
            while self.jobs.try_join_next().is_some() {}
        }
    }

    fn begin_stop(&mut self, stop: Stop) -> Input {
        match stop {
            Stop::Drain => tracing::info!("draining: running tasks finish, no more are claimed"),
            Stop::Cancel => tracing::info!("canceling running tasks"),
            Stop::Leave => {
                tracing::info!("ending; running tasks go on and are adopted by the next agent");
                self.leave_by = Some(self.clock.now().after(LEAVE_TIMEOUT));
            }
        }
        Input::Stop(stop)
    }

    fn act(&mut self, index: usize, action: SlotAction) {
        let job = self.ready.slots.get(index).and_then(|slot| slot.act(action));
        if let Some(job) = job {
            self.spawn_job(job);
        }
    }

    fn spawn_job(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        self.jobs.spawn(job);
    }

    fn end(&self, end: End) -> ExitReason {
        match end {
            End::Stopped => ExitReason::Stopped,
            End::SingleTask => ExitReason::SingleTask,
            End::Idle => ExitReason::Idle,
            End::Left => ExitReason::Left,
            End::Updated => ExitReason::Updated,
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let shared = &self.ready.shared;
        shared.sink.board.write_history(&shared.config.state_directory);
        for listening in &self.ready.listening {
            listening.abort();
        }
        for slot in &self.ready.slots {
            slot.close();
        }
    }
}
