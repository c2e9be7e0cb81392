//! Event loop that is the same on every platform: events to the controller, its effects to where
//! they belong.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;

use crate::client::{self, Agent};
use crate::controller::{Controller, Effect, Event, Log, Notice, Verb};
use crate::front::{Front, Pane, now_ms};
use crate::places::Places;

/// Runs until the person quits, or the menu bar is gone.
pub(crate) async fn run(
    mut front: impl Front,
    agent: Agent,
    places: Places,
    sender: UnboundedSender<Event>,
    mut events: UnboundedReceiver<Event>,
) {
    let mut controller = Controller::new(places.settings(), TimeZone::system());
    let mut logs = HashMap::new();
    let watching = tokio::spawn(client::watch(agent.clone(), sender.clone()));
    while front.show(controller.model()).await {
        let Some(mut event) = events.recv().await else { break };
        loop {
            for effect in controller.handle(event, now_ms()) {
                match effect {
                    Effect::Quit => return watching.abort(),
                    Effect::Ask(verb) => ask(agent.clone(), verb, sender.clone()),
                    Effect::OpenLog(log) => open_log(&mut front, &agent, log, &mut logs),
                    Effect::OpenUrl(url) => front.open_url(&url),
                    Effect::Notify(notice) => front.notify(&notice),
                    Effect::About(title, text) => front.about(&title, &text),
                    Effect::Save(settings) => {
                        if let Err(error) = places.save(settings) {
                            notify_problem(&mut front, &format!("{error:#}"));
                        }
                    }
                }
            }
            // What has happened meanwhile is shown together.
            match events.try_recv() {
                Ok(next) => event = next,
                Err(_) => break,
            }
        }
    }
    watching.abort();
}

/// Asks the agent without keeping the menu waiting.
fn ask(agent: Agent, verb: Verb, sender: UnboundedSender<Event>) {
    tokio::spawn(async move {
        let answer = agent.ask(verb).await.map_err(|error| error.to_string());
        // Nobody listens any more when this ends.
        drop(sender.send(Event::Answered(verb, answer)));
    });
}

/// Shows a log and what is added to it. One that is open begins anew.
fn open_log(front: &mut impl Front, agent: &Agent, log: Log, logs: &mut HashMap<Log, AbortHandle>) {
    if let Some(reading) = logs.remove(&log) {
        reading.abort();
    }
    logs.retain(|_, reading| !reading.is_finished());
    match front.open_log(&log) {
        Ok(pane) => {
            let reading = tokio::spawn(follow(agent.clone(), log.clone(), pane));
            logs.insert(log, reading.abort_handle());
        }
        Err(error) => notify_problem(front, &format!("{error:#}")),
    }
}

async fn follow(agent: Agent, log: Log, mut pane: impl Pane) {
    let mut chunks = match client::open_log(&agent, &log, TimeZone::system()).await {
        Ok(chunks) => chunks,
        Err(error) => {
            pane.add(&format!("{error}\n"));
            return;
        }
    };
    loop {
        match chunks.next().await {
            Ok(Some(text)) => {
                if !pane.add(&text) {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                pane.add(&format!("\n{error}\n"));
                return;
            }
        }
    }
}

fn notify_problem(front: &mut impl Front, text: &str) {
    front.notify(&Notice { title: "Russet".to_owned(), text: text.to_owned() });
}
