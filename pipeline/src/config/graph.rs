//! Jobs that wait for each other in a circle.

use std::collections::HashMap;

use super::invocation::Invocation;
use crate::problem::Problem;
use crate::source::quoted;

/// Jobs of a circle that are named in its message.
const MOST_NAMED: usize = 8;

/// Progress of the search with a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the path from where the search started; its place there.
    Open(usize),
    Done,
}

/// One problem for each circle that a search from the first to the last job meets. Without
/// recursion: a circle may have as many jobs as a file has lines.
pub(super) fn find_cycles(jobs: &[Invocation]) -> Vec<Problem> {
    let index: HashMap<&str, usize> =
        jobs.iter().enumerate().map(|(at, job)| (&*job.name, at)).collect();
    let mut states = vec![State::New; jobs.len()];
    let mut problems = Vec::new();
    for start in 0..jobs.len() {
        if states.get(start) != Some(&State::New) {
            continue;
        }
        // Jobs on the path, each with the next of its requirements to look at.
        let mut path = vec![(start, 0)];
        set_state(&mut states, start, State::Open(0));
        while let Some((at, next)) = path.last_mut() {
            let required = jobs.get(*at).and_then(|job| job.requires.get(*next));
            let Some((name, span)) = required else {
                set_state(&mut states, *at, State::Done);
                path.pop();
                continue;
            };
            *next += 1;
            let Some(&to) = index.get(&**name) else { continue };
            match states.get(to).copied().unwrap_or(State::Done) {
                State::New => {
                    set_state(&mut states, to, State::Open(path.len()));
                    path.push((to, 0));
                }
                State::Open(from) => {
                    let circle = path.get(from..).unwrap_or_default();
                    let names = circle.iter().filter_map(|(at, _)| jobs.get(*at));
                    let names: Vec<&str> = names.map(|job| &*job.name).collect();
                    problems.push(Problem::error(*span, describe_circle(&names)));
                }
                State::Done => {}
            }
        }
    }
    problems
}

fn set_state(states: &mut [State], at: usize, state: State) {
    if let Some(entry) = states.get_mut(at) {
        *entry = state;
    }
}

/// Says which jobs wait for each other. Each of the names requires the next, the last the first.
fn describe_circle(names: &[&str]) -> String {
    let first = names.first().copied().unwrap_or_default();
    if names.len() == 1 {
        return format!("the job `{}` requires itself", quoted(first));
    }
    let mut text = String::from("jobs require each other in a circle: ");
    for name in names.iter().take(MOST_NAMED) {
        text.push_str(&format!("`{}` → ", quoted(name)));
    }
    if names.len() > MOST_NAMED {
        text.push_str("… → ");
    }
    text.push_str(&format!("`{}`", quoted(first)));
    text
}
