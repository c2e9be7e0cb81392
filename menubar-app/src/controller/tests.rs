use jiff::tz::TimeZone;
use russet_protocol::local::{
    Aside, HealthCheck, HealthLevel, Hold, HoldOwner, Recent, Slot, SlotState, State, Status, Step,
    Task, Update,
};
use russet_protocol::outcome::Outcome;

use super::{Choice, Controller, Effect, Event, Item, Log, Lost, Notice, Settings, Verb, View};

/// Noon of a day, and times of it.
const NOON: u64 = 1_800_014_400_000;
const MINUTE: u64 = 60_000;

fn status(state: State) -> Status {
    Status {
        state,
        since_ms: NOON - 25 * MINUTE,
        name: "mini-1".to_owned(),
        agent_version: "1.2.0".to_owned(),
        control_plane: "https://ci.example.com".to_owned(),
        slots: vec![Slot { number: 1, ..Slot::default() }, Slot { number: 2, ..Slot::default() }],
        may_change: Some(true),
        ..Status::default()
    }
}

fn task(id: &str, job: &str, minutes: u64) -> Task {
    Task {
        id: Some(id.into()),
        class: Some("acme/mini".to_owned()),
        project: Some("gh/acme/app".to_owned()),
        job: Some(job.to_owned()),
        step: Some(Step { number: 3, name: "xcodebuild test".to_owned() }),
        since_ms: NOON - minutes * MINUTE,
        deadline_ms: Some(NOON + 48 * MINUTE),
        ..Task::default()
    }
}

fn ended(id: &str, job: &str, outcome: Option<Outcome>, minutes_ago: u64) -> Recent {
    Recent {
        id: Some(id.into()),
        slot: 1,
        project: Some("gh/acme/app".to_owned()),
        job: Some(job.to_owned()),
        outcome,
        started_ms: NOON - (minutes_ago + 3) * MINUTE,
        ended_ms: NOON - minutes_ago * MINUTE,
        url: Some(format!("https://ci.example.com/jobs/{id}")),
        ..Recent::default()
    }
}

fn running() -> Status {
    let mut status = status(State::Running);
    status.slots[0].task = Some(Task { usual_ms: Some(10 * MINUTE), ..task("0193-a", "build", 4) });
    status.slots[1].task = Some(task("0193-b", "test", 12));
    status.recent = vec![
        ended("0193-c", "lint", Some(Outcome::Success), 20),
        ended("0193-d", "test", Some(Outcome::Failed), 1_500),
        ended("0193-e", "deploy", None, 1_600),
    ];
    status
}

fn held(state: State, source: &str, reason: &str) -> Status {
    let (source, why) = (source.to_owned(), reason.to_owned());
    let hold = Hold { source, reason: why, ..Hold::default() };
    Status { reason: Some(reason.to_owned()), holds: vec![hold], ..status(state) }
}

fn controller() -> Controller {
    Controller::new(Settings::default(), TimeZone::UTC)
}

fn after(event: Event) -> View {
    let mut controller = controller();
    assert_eq!(controller.handle(event, NOON), []);
    controller.model().view(NOON)
}

fn heard(status: Status) -> View {
    after(Event::Status(Box::new(status)))
}

/// A view as a person sees it.
fn drawn(view: &View) -> String {
    fn lines(items: &[Item], depth: usize, text: &mut String) {
        for item in items {
            let line = match item {
                Item::Separator => "────".to_owned(),
                Item::Text(text) => format!("  {text}"),
                Item::Choice { label, is_enabled, is_ticked, .. } => {
                    let tick = if *is_ticked == Some(true) { "✓" } else { ">" };
                    let gray = if *is_enabled { "" } else { " (not now)" };
                    format!("{tick} {label}{gray}")
                }
                Item::Menu(label, _) => format!("» {label}"),
            };
            text.push_str(&format!("{}{line}\n", "    ".repeat(depth)));
            if let Item::Menu(_, items) = item {
                lines(items, depth + 1, text);
            }
        }
    }
    let mut text = format!("[{:?}] {}\n", view.shape, view.summary);
    lines(&view.menu, 0, &mut text);
    text
}

#[test]
fn a_class_that_is_held_alone_is_named_with_the_reason_and_what_failed_can_be_tried_again() {
    let hold = Hold {
        source: "failures".to_owned(),
        class: Some("acme/ios".to_owned()),
        reason: "3 tasks in a row failed".to_owned(),
        ..Hold::default()
    };
    let one = Status { holds: vec![hold.clone()], ..status(State::Idle) };
    let text = drawn(&heard(one));
    assert!(text.contains("! acme/ios: 3 tasks in a row failed"), "{text}");
    assert!(text.contains("> Try Again Now") && text.contains("> Pause"), "{text}");
    let all =
        Status { reason: Some(hold.reason.clone()), holds: vec![hold], ..status(State::Unhealthy) };
    assert_eq!(drawn(&heard(all)).matches("3 tasks in a row failed").count(), 1);
}

macro_rules! shows {
    ($name:ident, $view:expr) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), drawn(&$view));
        }
    };
}

shows!(before_the_agent_was_heard, controller().model().view(NOON));
shows!(starting, heard(status(State::Starting)));
shows!(idle, heard(status(State::Idle)));
shows!(running_two_tasks, heard(running()));
shows!(paused, heard(held(State::Paused, "pause", "lunch")));
shows!(
    paused_while_a_task_runs,
    heard(Status { slots: running().slots, ..held(State::Paused, "pause", "lunch") })
);
shows!(
    draining,
    heard(Status { slots: running().slots, ..held(State::Draining, "drain", "a new disk") })
);
shows!(unhealthy, {
    let mut status = held(State::Unhealthy, "health", "3.2 GB are free, less than 20 GB");
    let check = |name: &str, level, found: &str, hint: Option<&str>| HealthCheck {
        name: name.to_owned(),
        level,
        found: found.to_owned(),
        hint: hint.map(str::to_owned),
    };
    status.health = vec![
        check("memory", HealthLevel::Ok, "plenty", None),
        check(
            "disk",
            HealthLevel::Bad,
            "3.2 GB are free, less than 20 GB",
            Some("`russet agent doctor` says what takes the room"),
        ),
        check("clock", HealthLevel::Warning, "it is 4 s off", None),
    ];
    heard(status)
});
shows!(a_slot_that_is_held, {
    let found = "slot 2 could not be cleaned and takes no task".to_owned();
    let check = HealthCheck {
        name: "slots".to_owned(),
        level: HealthLevel::Warning,
        found,
        hint: Some("`russet agent status` names the reason".to_owned()),
    };
    let mut status = Status { health: vec![check], ..status(State::Idle) };
    status.slots[1].state = SlotState::Held;
    status.slots[1].reason = Some("could not empty /s/2/spool".to_owned());
    heard(status)
});
shows!(a_slot_that_keeps_something_aside, {
    let check = HealthCheck {
        name: "kept aside".to_owned(),
        level: HealthLevel::Warning,
        found: "slot 2: the system refuses to delete a directory of earlier tasks (12 MB)"
            .to_owned(),
        hint: Some("it is tried again".to_owned()),
    };
    let mut status = Status { health: vec![check], ..status(State::Idle) };
    let path = Some("/opt/state/slots/2/aside".to_owned());
    status.slots[1].aside = Some(Aside { directories: 1, path, ..Aside::default() });
    heard(status)
});
shows!(
    offline,
    heard(Status { reason: Some("connection refused".to_owned()), ..status(State::Offline) })
);
shows!(updating, heard(status(State::Updating)));
shows!(in_a_state_of_a_newer_agent, heard(status(State::Unknown)));
shows!(
    an_update_that_is_fetched,
    heard(with_update(Update::Downloading { version: "1.3.0".into(), percent: 42 }))
);
shows!(up_to_date, heard(with_update(Update::UpToDate)));
shows!(an_update_that_is_ready, heard(with_update(Update::Ready { version: "1.3.0".into() })));
shows!(
    an_update_that_waits,
    heard(with_update(Update::WaitingForIdle { version: "1.3.0".into() }))
);
shows!(an_update_that_was_taken_back, heard(with_update(taken_back())));
shows!(
    a_version_that_is_pinned,
    heard(with_update(Update::Pinned { to: "version 1.2.0".into(), offers: None }))
);
shows!(
    an_update_that_was_refused,
    heard(with_update(Update::Failed { why: "the manifest is not believed".into() }))
);
shows!(
    a_source_that_offers_no_release,
    heard(with_update(Update::NotOffered {
        why: "no release of acme/russet has a manifest".into()
    }))
);
shows!(
    a_version_that_is_not_rolled_out_here,
    heard(with_update(Update::RolloutPending { version: "1.3.0".into() }))
);
shows!(
    for_somebody_who_may_only_look,
    heard({
        let mut status = Status { may_change: Some(false), ..running() };
        let plain = |task: Task| Task {
            class: task.class,
            since_ms: task.since_ms,
            deadline_ms: task.deadline_ms,
            ..Task::default()
        };
        for slot in &mut status.slots {
            slot.task = slot.task.take().map(plain);
        }
        for task in &mut status.recent {
            (task.id, task.url, task.project, task.job) = (None, None, None, None);
        }
        status
    })
);
shows!(no_agent_is_installed, after(Event::Lost(Lost::NotInstalled)));
shows!(
    the_agent_is_gone,
    after(Event::Lost(Lost::NotRunning("/var/run/russet/agent.sock: connection refused".into())))
);
shows!(
    the_agent_answers_nonsense,
    after(Event::Lost(Lost::Refused("the agent answered 500".into())))
);

fn with_update(update: Update) -> Status {
    Status { update: Some(update), ..status(State::Idle) }
}

fn taken_back() -> Update {
    Update::RolledBack { version: "1.3.0".into(), why: "did not claim within 60 s".into() }
}

fn status_event(status: Status) -> Event {
    Event::Status(Box::new(status))
}

fn told(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Notify(Notice { text, .. }) => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn what_was_so_before_it_began_is_no_news() {
    let mut controller = Controller::new(Settings { notify_failures: true }, TimeZone::UTC);
    let status = Status {
        recent: running().recent,
        update: Some(taken_back()),
        ..held(State::Unhealthy, "health", "disk")
    };
    assert_eq!(controller.handle(status_event(status.clone()), NOON), []);
    assert_eq!(controller.handle(status_event(status), NOON), []);
}

#[test]
fn who_holds_claims_back_is_said_where_the_agent_says_it() {
    let mut status = held(State::Paused, "pause", "lunch");
    assert!(!drawn(&heard(status.clone())).contains("Held back"));
    status.holds[0].owner = HoldOwner::Person;
    let installer = Hold { owner: HoldOwner::Installer, ..Hold::default() };
    status.holds.push(installer);
    let menu = drawn(&heard(status));
    assert!(menu.contains("Held back by a person, an installer package"), "{menu}");
}

#[test]
fn an_illness_is_told_once_also_of_a_machine_that_is_well_by_turns() {
    let mut controller = controller();
    let ill = || status_event(held(State::Unhealthy, "health", "the disk is full"));
    let well = || status_event(status(State::Idle));
    controller.handle(well(), NOON);
    assert_eq!(
        told(&controller.handle(ill(), NOON)),
        ["The machine is unhealthy and takes no tasks: the disk is full"]
    );
    controller.handle(well(), NOON);
    assert_eq!(controller.handle(ill(), NOON + MINUTE), []);
    controller.handle(well(), NOON);
    assert_eq!(controller.handle(ill(), NOON + 20 * MINUTE).len(), 1);
}

#[test]
fn failures_are_told_to_who_wants_to_know() {
    let failed = || Status {
        recent: vec![ended("0193-f", "build", Some(Outcome::Failed), 0)],
        ..status(State::Idle)
    };
    let mut controller = controller();
    controller.handle(status_event(running()), NOON);
    assert_eq!(controller.handle(status_event(failed()), NOON), []);
    let on = Settings { notify_failures: true };
    assert_eq!(controller.handle(Event::Chosen(Choice::ToggleFailures), NOON), [Effect::Save(on)]);
    controller.handle(status_event(running()), NOON);
    let effects = controller.handle(status_event(failed()), NOON);
    assert_eq!(told(&effects), ["acme/app · build: failed"]);
    assert_eq!(controller.handle(status_event(failed()), NOON), []);
}

#[test]
fn another_version_after_the_agent_was_away_is_news() {
    let mut controller = controller();
    controller.handle(status_event(status(State::Updating)), NOON);
    controller.handle(Event::Lost(Lost::NotRunning("gone".into())), NOON);
    let newer = Status { agent_version: "1.3.0".to_owned(), ..status(State::Idle) };
    let effects = controller.handle(status_event(newer), NOON);
    assert_eq!(told(&effects), ["Version 1.3.0 of the agent is installed"]);
    let effects = controller.handle(status_event(with_update(taken_back())), NOON);
    assert_eq!(
        told(&effects),
        ["The update to 1.3.0 was taken back: it did not claim within 60 s"]
    );
}

#[test]
fn what_the_agent_refuses_is_told_and_stands_in_the_menu_until_it_does_something() {
    let mut controller = controller();
    controller.handle(status_event(status(State::Idle)), NOON);
    let ask = controller.handle(Event::Chosen(Choice::Ask(Verb::Pause)), NOON);
    assert_eq!(ask, [Effect::Ask(Verb::Pause)]);
    let answer = Event::Answered(Verb::Pause, Err("only root may do that".to_owned()));
    assert_eq!(told(&controller.handle(answer, NOON)), ["Could not pause: only root may do that"]);
    let menu = drawn(&controller.model().view(NOON));
    assert!(menu.contains("  Could not pause: only root may do that\n"), "{menu}");
    controller.handle(Event::Answered(Verb::Pause, Ok(())), NOON);
    assert!(!drawn(&controller.model().view(NOON)).contains("Could not"));
}

#[test]
fn the_time_since_the_agent_is_gone_does_not_begin_anew_with_each_attempt() {
    let mut controller = controller();
    controller.handle(Event::Lost(Lost::NotRunning("gone".into())), NOON);
    controller.handle(Event::Lost(Lost::NotRunning("refused".into())), NOON + 30 * MINUTE);
    let menu = drawn(&controller.model().view(NOON + 30 * MINUTE));
    assert!(menu.contains("since 12:00") && menu.contains("refused"), "{menu}");
}

#[test]
fn only_pages_of_web_servers_are_opened() {
    for (url, opens) in
        [("https://ci.example.com", true), ("file:///etc/passwd", false), ("https://a b", false)]
    {
        let mut controller = controller();
        let status = Status { control_plane: url.to_owned(), ..status(State::Idle) };
        controller.handle(status_event(status), NOON);
        let effects = controller.handle(Event::Chosen(Choice::Dashboard), NOON);
        assert_eq!(effects.len(), usize::from(opens), "{url}");
    }
    assert_eq!(controller().handle(Event::Chosen(Choice::Dashboard), NOON), []);
}

#[test]
fn a_task_opens_its_log_and_one_of_which_none_was_kept_its_page() {
    let mut status = running();
    status.recent[0].has_log = true;
    let view = heard(status);
    let choices = |items: &[Item]| -> Vec<Choice> {
        let choice = |item: &Item| match item {
            Item::Choice {
                choice: choice @ (Choice::Log(Log::Task { .. }) | Choice::Page(_)),
                ..
            } => Some(choice.clone()),
            _ => None,
        };
        items.iter().filter_map(choice).collect()
    };
    let ids = |choices: &[Choice]| -> Vec<String> {
        let id = |choice: &Choice| match choice {
            Choice::Log(Log::Task { id, .. }) => id.to_string(),
            other => format!("{other:?}"),
        };
        choices.iter().map(id).collect()
    };
    assert_eq!(ids(&choices(&view.menu)), ["0193-a", "0193-b"]);
    let recent = view.menu.iter().find_map(|item| match item {
        Item::Menu(_, items) => Some(choices(items)),
        _ => None,
    });
    let recent = recent.unwrap();
    assert_eq!(ids(&recent[..1]), ["0193-c"]);
    let effects = controller().handle(Event::Chosen(recent[1].clone()), NOON);
    assert_eq!(effects, [Effect::OpenUrl("https://ci.example.com/jobs/0193-d".to_owned())]);
}
