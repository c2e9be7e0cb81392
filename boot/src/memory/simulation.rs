//! Machines that go through everything that can happen, by the same steps as `service.rs`.

use std::time::Duration;

use proptest::prelude::*;

use super::{Memory, Next, Places, RunTimes};
use crate::ended::{End, Ended};
use crate::files::{self, Fault, Health, Probation};
use crate::trial::Trial;

const LIMIT: u64 = 300;
const NEW: &str = "7.1.1";
const OLD: &str = "5.1.1";

/// Behavior of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Proves itself and runs until something else ends it.
    Good,
    /// Ends with this code after so many seconds, without having proved itself.
    Ends(i32, u64),
    /// Proves itself, and ends with this code after so many seconds.
    Relapses(i32, u64),
    Hangs,
    Unexecutable,
    /// Takes russet-boot, or the machine, with it.
    TakesDown,
}

/// Events around one start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    /// The note of the update is removed while the version runs.
    LoseNote,
    /// All files are.
    LoseFiles,
    /// The bundle's directory is written to.
    Touch,
    /// The service is restarted after so many seconds.
    Restart(u64),
    /// The machine loses its power after so many seconds.
    PowerLoss(u64),
    /// Others than root can change /opt.
    Untrusted,
    NoRoom,
    ControlPlaneAway,
}

fn kind() -> impl Strategy<Value = Kind> {
    let code = prop::sample::select(vec![0, 1, 2, 3, 5, 10, 11, 12, 101]);
    prop_oneof![
        (code.clone(), 0_u64..700).prop_map(|(code, after)| Kind::Ends(code, after)),
        (code, 1_u64..=120).prop_map(|(code, after)| Kind::Relapses(code, after)),
        Just(Kind::Hangs),
        Just(Kind::Unexecutable),
        Just(Kind::TakesDown),
    ]
}

/// What a version can do to its own probation, and what a person or the mains may add.
fn hostile() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Nothing),
        1 => Just(Event::LoseNote),
        1 => Just(Event::LoseFiles),
        1 => Just(Event::Touch),
        1 => (0_u64..30).prop_map(Event::Restart),
        1 => (0_u64..30).prop_map(Event::PowerLoss),
    ]
}

fn surroundings() -> impl Strategy<Value = Event> {
    prop_oneof![
        hostile(),
        Just(Event::Untrusted),
        Just(Event::NoRoom),
        Just(Event::ControlPlaneAway)
    ]
}

/// Files of the state directory.
#[derive(Clone, Debug, Default)]
struct Disk {
    note: Option<Probation>,
    strikes: String,
    bad: String,
    ran: String,
}

impl Disk {
    fn save(&mut self, memory: &Memory) {
        self.strikes = memory.trial.as_ref().map(Trial::text).unwrap_or_default();
        (self.bad, self.ran) = (files::bad_text(&memory.bad), memory.ran.text());
    }

    fn load(&self, current: &str) -> Memory {
        let trial = Trial::parse(&self.strikes, self.note.as_ref());
        Memory::new(
            trial.filter(|trial| trial.bundle == current),
            files::parse_bad(&self.bad),
            RunTimes::parse(&self.ran),
        )
    }
}

/// A machine with two versions.
#[derive(Debug)]
struct World {
    current: (String, Kind),
    previous: (String, Kind),
    memory: Memory,
    disk: Disk,
    /// Time of runs of the new version, and of the pauses that followed their ends.
    time: Duration,
    /// Versions that were really started.
    started: Vec<String>,
    /// Kinds that proved themselves in their last run.
    proved: Option<Kind>,
}

impl World {
    /// An update has just put this in the place of that.
    fn updated(new: Kind, old: Kind) -> Self {
        let (version, bundle) = ("2.0.0".to_owned(), NEW.to_owned());
        let note = Some(Probation { version, bundle, limit: LIMIT });
        Self {
            current: (NEW.to_owned(), new),
            previous: (OLD.to_owned(), old),
            memory: Memory::default(),
            disk: Disk { note, ..Disk::default() },
            time: Duration::ZERO,
            started: Vec::new(),
            proved: None,
        }
    }

    fn places(&self, event: Event) -> Places {
        let is_trusted = event != Event::Untrusted;
        Places {
            current: self.current.0.clone(),
            previous: self.previous.0.clone(),
            is_current_trusted: is_trusted,
            is_previous_trusted: is_trusted,
        }
    }

    fn settle(&mut self, event: Event) {
        let places = self.places(event);
        self.memory.take_note(self.disk.note.take(), &places.current);
        self.memory.judge_unseen();
        if self.memory.prefers_previous(&places) {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.memory.exchanged(&places);
        }
        self.disk.note = self.memory.note();
        self.disk.save(&self.memory);
    }

    /// One start, and what follows it.
    fn step(&mut self, event: Event) {
        self.settle(event);
        self.memory.count_start();
        self.disk.save(&self.memory);
        let bundle = self.current.0.clone();
        let end = self.run(event);
        let is_new = self.current.0.starts_with(NEW);
        if is_new {
            self.time += end.ran;
        }
        match event {
            Event::LoseNote => self.disk.note = None,
            Event::LoseFiles => self.disk = Disk::default(),
            Event::Touch => self.current.0.push('9'),
            Event::PowerLoss(_) => return self.memory = self.disk.load(&self.current.0),
            Event::Restart(_) => {
                self.memory.count_stop(&bundle, end.ran);
                self.disk.save(&self.memory);
                return self.memory = self.disk.load(&self.current.0);
            }
            _ if self.current.1 == Kind::TakesDown => {
                return self.memory = self.disk.load(&self.current.0);
            }
            _ => {}
        }
        let next = self.memory.decide(&bundle, &self.places(event), &end);
        self.disk.save(&self.memory);
        match next {
            Next::Start(pause) if is_new => self.time += pause,
            Next::Start(_) => {}
            Next::GoBack => self.settle(event),
            Next::Stay => panic!("nobody asked it to end"),
        }
    }

    fn run(&mut self, event: Event) -> End {
        let kind = self.current.1;
        match event {
            Event::Untrusted => return End::new(Ended::Untrusted(String::new())),
            Event::NoRoom => return End::new(Ended::NoRoom(String::new())),
            _ if kind == Kind::Unexecutable => {
                return End::new(Ended::Unexecutable(String::new()));
            }
            _ => self.started.push(self.current.0.clone()),
        }
        let proves = matches!(kind, Kind::Good | Kind::Relapses(..));
        let health = match event {
            _ if !proves => None,
            Event::ControlPlaneAway => Some(Health::Ready),
            _ => Some(Health::Proved),
        };
        let (ended, after) = match kind {
            Kind::Ends(code, after) | Kind::Relapses(code, after) => (Ended::Exit(code), after),
            _ => (Ended::Signal(9), 3600),
        };
        let cut = match event {
            Event::Restart(after) | Event::PowerLoss(after) => after,
            _ => u64::MAX,
        };
        let mut end = End { health, ran: Duration::from_secs(after.min(cut)), ..End::new(ended) };
        if end.ran < Duration::from_secs(1) {
            end.health = None;
        }
        self.proved = end.is_proved().then_some(kind);
        self.memory.advance(&self.current.0, end.health, end.ran);
        let left = self.memory.trial.as_ref().and_then(Trial::time_left);
        if let Some(left) = left.filter(|left| *left <= end.ran) {
            (end.ended, end.ran) = (Ended::TooLate, left);
        }
        end
    }

    fn faults_of(&self, bundle: &str) -> Vec<Fault> {
        let of_it =
            self.memory.bad.iter().filter(|bad| files::is_same_directory(&bad.bundle, bundle));
        of_it.map(|bad| bad.fault).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bad_new_version_is_taken_back_within_its_bounds_whatever_it_does(
        kind in kind(), events in prop::collection::vec(hostile(), 60),
    ) {
        let mut world = World::updated(kind, Kind::Good);
        let mut counted = 0;
        for event in events {
            if world.current.1 == Kind::Good {
                break;
            }
            // A person may restart one that has proved itself as often as they like.
            counted += u32::from(!matches!(event, Event::Restart(_)));
            world.step(event);
            prop_assert!(counted <= 10, "{world:?}");
        }
        // The one that follows finds what the last one noted.
        world.settle(Event::Nothing);
        prop_assume!(counted >= 10 || world.current.1 == Kind::Good);
        prop_assert_eq!(world.current.1, Kind::Good);
        prop_assert_eq!(world.faults_of(OLD), []);
        if matches!(kind, Kind::Ends(..) | Kind::Hangs) {
            // Its time, and the pause that was decided before it was over.
            prop_assert!(world.time <= Duration::from_secs(LIMIT + 60), "{:?}", world.time);
        }
        for _ in 0..5 {
            world.step(Event::Nothing);
            prop_assert_eq!(world.proved, Some(Kind::Good));
        }
    }

    #[test]
    fn a_good_version_is_never_bad_for_good_whatever_happens_around_it(
        events in prop::collection::vec(surroundings(), 0..60),
    ) {
        let mut world = World::updated(Kind::Good, Kind::Good);
        for event in events {
            world.step(event);
            prop_assert!(world.faults_of(NEW).iter().all(|fault| *fault == Fault::Unreached));
            prop_assert_eq!(world.faults_of(OLD), []);
        }
        world.step(Event::Nothing);
        prop_assert_eq!(world.proved, Some(Kind::Good));
        prop_assert_eq!(world.faults_of(&world.current.0), []);
    }

    #[test]
    fn there_is_always_a_version_to_start(
        new in prop_oneof![Just(Kind::Good), kind()], old in prop_oneof![Just(Kind::Good), kind()],
        events in prop::collection::vec(surroundings(), 0..40),
    ) {
        let mut world = World::updated(new, old);
        for event in events {
            world.step(event);
        }
        for _ in 0..10 {
            world.started.clear();
            for _ in 0..3 {
                world.step(Event::Nothing);
            }
            let none = new == Kind::Unexecutable && old == Kind::Unexecutable;
            prop_assert_eq!(world.started.is_empty(), none, "{:?}", world);
        }
    }
}
