//! State of the companion, and its reaction to events. Pure: events in, effects and a
//! view out; no clock, no I/O, so every state's menu is a test.

mod menu;
mod notices;
mod settings;
mod view;
mod words;

use std::sync::Arc;

use jiff::tz::TimeZone;
use russet_protocol::ids::TaskId;
use russet_protocol::local::Status;

pub(crate) use notices::Notice;
pub(crate) use settings::Settings;
pub(crate) use view::{Item, View};

/// Something happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The agent said how it is.
    Status(Box<Status>),
    /// There is no agent to hear from.
    Lost(Lost),
    /// The person chose something in the menu.
    Chosen(Choice),
    /// The agent did what it was asked for, or why it did not.
    Answered(Verb, Result<(), String>),
}

/// Reason why no agent is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// None is installed here.
    NotInstalled,
    /// It does not answer.
    NotRunning(String),
    /// It answered, and not with what we can read.
    Refused(String),
}

/// Choices of a person in the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Something for the agent.
    Ask(Verb),
    /// Show a log.
    Log(Log),
    /// Show the control plane.
    Dashboard,
    /// Show a page of the control plane about a task.
    Page(String),
    /// Say when a task failed, or stop saying it.
    ToggleFailures,
    /// Say what this is.
    About,
    /// End the companion. The agent goes on.
    Quit,
}

/// Requests to the agent, as the person who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Take no tasks; what runs goes on.
    Pause,
    /// Take no tasks, and be paused when those that run have ended.
    Drain,
    /// Take tasks again.
    Resume,
    /// Look for another version.
    CheckUpdate,
    /// Install the version that is ready, as soon as nothing runs.
    InstallUpdate,
}

impl Verb {
    /// For "could not …".
    fn words(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Drain => "drain",
            Self::Resume => "resume",
            Self::CheckUpdate => "check for an update",
            Self::InstallUpdate => "install the update",
        }
    }
}

/// A log that can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Log {
    /// The agent's own.
    Agent,
    /// Log of a task.
    Task {
        /// Which.
        id: TaskId,
        /// Name for people.
        name: String,
    },
}

impl Log {
    /// For the title of a window.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Agent => "Russet agent".to_owned(),
            Self::Task { name, .. } => name.clone(),
        }
    }
}

/// Reaction to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Ask the agent for something.
    Ask(Verb),
    /// Show a log.
    OpenLog(Log),
    /// Show a page.
    OpenUrl(String),
    /// Tell the person.
    Notify(Notice),
    /// Keep what the person wants.
    Save(Settings),
    /// Say what this is: a title and a text.
    About(String, String),
    /// End.
    Quit,
}

/// State from which a menu is made when somebody looks.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    link: Link,
    /// Last refusal of the agent, until it does something.
    refusal: Option<String>,
    settings: Settings,
    zone: TimeZone,
}

/// State of the connection to the agent.
#[derive(Clone, Debug)]
enum Link {
    /// Nothing yet.
    Opening,
    /// This.
    Heard(Box<Status>),
    /// Nothing, since then.
    Lost { why: Lost, since_ms: u64 },
}

/// Takes events.
#[derive(Debug)]
pub(crate) struct Controller {
    model: Arc<Model>,
    notices: notices::Notices,
}

impl Controller {
    pub(crate) fn new(settings: Settings, zone: TimeZone) -> Self {
        let model = Model { link: Link::Opening, refusal: None, settings, zone };
        Self { model: Arc::new(model), notices: notices::Notices::default() }
    }

    /// Returns the state.
    pub(crate) fn model(&self) -> Arc<Model> {
        Arc::clone(&self.model)
    }

    /// Takes note of an event, and says what follows.
    pub(crate) fn handle(&mut self, event: Event, now_ms: u64) -> Vec<Effect> {
        let model = Arc::make_mut(&mut self.model);
        match event {
            Event::Status(status) => {
                let notices = self.notices.status(&status, model.settings, now_ms);
                model.link = Link::Heard(status);
                notices.into_iter().map(Effect::Notify).collect()
            }
            Event::Lost(why) => {
                let since_ms = match &model.link {
                    Link::Lost { since_ms, .. } => *since_ms,
                    Link::Opening | Link::Heard(_) => now_ms,
                };
                model.link = Link::Lost { why, since_ms };
                Vec::new()
            }
            Event::Chosen(choice) => model.chosen(choice).into_iter().collect(),
            Event::Answered(_, Ok(())) => {
                model.refusal = None;
                Vec::new()
            }
            Event::Answered(verb, Err(why)) => {
                let text = format!("Could not {}: {}", verb.words(), words::plain_text(&why));
                model.refusal = Some(text.clone());
                // Whoever clicked looks away from the menu by now.
                vec![Effect::Notify(Notice { title: "Russet".to_owned(), text })]
            }
        }
    }
}

impl Model {
    fn chosen(&mut self, choice: Choice) -> Option<Effect> {
        match choice {
            Choice::Ask(verb) => Some(Effect::Ask(verb)),
            Choice::Log(log) => Some(Effect::OpenLog(log)),
            Choice::Dashboard => self.dashboard().map(Effect::OpenUrl),
            Choice::Page(url) => is_page(&url).then_some(Effect::OpenUrl(url)),
            Choice::ToggleFailures => {
                self.settings.notify_failures = !self.settings.notify_failures;
                Some(Effect::Save(self.settings))
            }
            Choice::About => {
                let (title, text) = self.about();
                Some(Effect::About(title, text))
            }
            Choice::Quit => Some(Effect::Quit),
        }
    }

    /// The control plane's page.
    fn dashboard(&self) -> Option<String> {
        let Link::Heard(status) = &self.link else { return None };
        Some(status.control_plane.clone()).filter(|url| is_page(url))
    }

    fn about(&self) -> (String, String) {
        let own = env!("CARGO_PKG_VERSION");
        let agent = match &self.link {
            Link::Heard(status) => format!(
                "Agent {} on {}, for {}.",
                words::plain_text(&status.agent_version),
                words::plain_text(&status.name),
                words::plain_text(&status.control_plane)
            ),
            Link::Opening | Link::Lost { .. } => "No agent to be heard.".to_owned(),
        };
        (format!("Russet {own}"), format!("{agent}\nA self-hosted CI runner for Macs."))
    }
}

/// Threat: addresses come from elsewhere and are opened with one click. What is no page of a web
/// server (a file, a program's own scheme) is none.
fn is_page(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
