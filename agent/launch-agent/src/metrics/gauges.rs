//! Gauges, read when somebody asks: the board, remains of jobs, the machine.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use russet_protocol::local::{HoldOwner, SlotState, State, Status};

use super::left::LeftBehindCounters;
use crate::board::Board;
use crate::health::facts;
use russet_platform::machine::Machine;

/// Every state, so that each is there with a zero or a one.
const STATES: [State; 8] = [
    State::Starting,
    State::Idle,
    State::Running,
    State::Draining,
    State::Paused,
    State::Unhealthy,
    State::Offline,
    State::Updating,
];

/// Every state of a slot, likewise.
const SLOT_STATES: [SlotState; 5] =
    [SlotState::Free, SlotState::Busy, SlotState::Settling, SlotState::Cleaning, SlotState::Held];

/// Sources of holds, so that each is there with a zero before it holds anything.
const HOLDS: [(&str, HoldOwner); 10] = [
    ("drain", HoldOwner::Person),
    ("pause", HoldOwner::Person),
    ("server", HoldOwner::Server),
    ("machine", HoldOwner::Health),
    ("health", HoldOwner::Health),
    ("session", HoldOwner::Health),
    ("xcode", HoldOwner::Health),
    ("failures", HoldOwner::Health),
    ("installer", HoldOwner::Installer),
    ("update", HoldOwner::Update),
];

/// The class of a slot that is not configured any more and has a task to end.
const NO_CLASS: &str = "none";

/// Sources of gauges.
#[derive(Debug)]
pub(crate) struct MetricSources {
    /// State that people are shown.
    pub(crate) board: Arc<Board>,
    /// The class of each slot.
    pub(crate) slots: Vec<String>,
    /// Facts about the machine.
    pub(crate) machine: Machine,
    /// Counts of jobs' remains.
    pub(crate) left: Arc<LeftBehindCounters>,
    /// The state directory, on the disk that tasks work on.
    pub(crate) state: PathBuf,
    /// Number of starts of an agent on this state directory.
    pub(crate) starts: u64,
}

impl MetricSources {
    /// The classes, each once.
    pub(super) fn classes(&self) -> std::collections::BTreeSet<&str> {
        self.slots.iter().map(String::as_str).collect()
    }

    #[cfg(test)]
    pub(super) fn for_tests(slots: &[&str]) -> Self {
        let board = Arc::new(Board::default());
        let free = vec![crate::state::slot::SlotView::Free; slots.len()];
        board.view(crate::state::View { slots: free, ..Default::default() }, 0);
        let aside =
            russet_protocol::local::Aside { directories: 2, bytes: 10, ..Default::default() };
        board.aside(1, Some(aside), 0);
        let left = Arc::new(LeftBehindCounters::default());
        left.add(&[russet_protocol::supervise::LeftBehind {
            kind: "processes".to_owned(),
            removed: 2,
            kept: 1,
            bytes: 10,
        }]);
        Self {
            board,
            slots: slots.iter().map(|&class| class.to_owned()).collect(),
            machine: Machine::default(),
            left,
            state: PathBuf::from("/"),
            starts: 1,
        }
    }
}

impl Collector for MetricSources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(&mut encoder);
        self.slots(&mut out)?;
        self.left(&mut out)?;
        self.machine(&mut out)?;
        out.counter(
            "starts",
            "Starts of a launch agent on this state directory, over its whole life",
            None,
            &[(&[], self.starts)],
        )
    }
}

impl MetricSources {
    fn slots(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let status = self.board.status();
        let states =
            STATES.map(|state| ([("state", state.as_str())], u64::from(state == status.state)));
        out.gauge(
            "state",
            "1 for the state that the agent is in (operating.md), 0 for the others",
            None,
            &labelled_rows(&states),
        )?;
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for class in self.classes() {
            counts.extend(SLOT_STATES.map(|state| ((class, state.as_str()), 0)));
        }
        for (index, slot) in status.slots.iter().enumerate() {
            let class = self.slots.get(index).map_or(NO_CLASS, String::as_str);
            *counts.entry((class, slot.state.as_str())).or_default() += 1;
        }
        let slots: Vec<_> = counts
            .into_iter()
            .map(|((class, state), count)| ([("class", class), ("state", state)], count))
            .collect();
        out.gauge(
            "slots",
            "Slots by class and state: `busy` ones have a task, `settling` ones tell the control \
             plane how theirs ended, `held` ones could not be cleaned; their sum is what is \
             configured",
            None,
            &labelled_rows(&slots),
        )?;
        self.aside(&status, out)?;
        let known = HOLDS.map(|(source, owner)| ((source, owner.as_str()), 0));
        let mut sources: BTreeMap<(&str, &str), u64> = known.into();
        for hold in &status.holds {
            *sources.entry((&hold.source, hold.owner.as_str())).or_default() += 1;
        }
        let holds: Vec<_> = sources
            .into_iter()
            .map(|((source, owner), count)| ([("source", source), ("owner", owner)], count))
            .collect();
        out.gauge(
            "holds",
            "What holds claims back: a person (`drain`, `pause`), other hardware than the agent was \
             installed on (`machine`), the machine's fitness (`health`), an account that is not logged \
             in at the screen (`session`), an Xcode that cannot be used (`xcode`), tasks that failed \
             one after the other for a reason of this machine (`failures`), a version that an \
             installer package brought (`installer`), or an update in its window (`update`); its \
             owner, `person`, `installer`, `health` or `update`, alone lifts it; more than 1 where \
             several classes are held",
            None,
            &labelled_rows(&holds),
        )
    }

    fn aside(&self, status: &Status, out: &mut Out<'_, '_>) -> fmt::Result {
        let mut by_class: BTreeMap<&str, (u64, u64)> =
            self.classes().into_iter().map(|class| (class, (0, 0))).collect();
        for (index, slot) in status.slots.iter().enumerate() {
            let Some(aside) = &slot.aside else { continue };
            let class = self.slots.get(index).map_or(NO_CLASS, String::as_str);
            let sum = by_class.entry(class).or_default();
            sum.0 = sum.0.saturating_add(u64::from(aside.directories));
            sum.1 = sum.1.saturating_add(aside.bytes);
        }
        let rows = |of: fn(&(u64, u64)) -> u64| -> Vec<_> {
            by_class.iter().map(|(class, sum)| ([("class", *class)], of(sum))).collect()
        };
        out.gauge(
            "aside_directories",
            "Directories of earlier tasks that the system refuses to delete and that were moved \
             aside (operating.md), by class",
            None,
            &labelled_rows(&rows(|sum| sum.0)),
        )?;
        out.gauge(
            "aside",
            "Space that they take, as far as it can be measured, by class",
            Some(&Unit::Bytes),
            &labelled_rows(&rows(|sum| sum.1)),
        )
    }

    /// Kinds are words that a job could choose: no more than a few, each of letters.
    fn left(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let counts = self.left.snapshot();
        let removed: Vec<_> =
            counts.iter().map(|(kind, count)| ([("kind", kind.as_str())], count.removed)).collect();
        let kept: Vec<_> =
            counts.iter().map(|(kind, count)| ([("kind", kind.as_str())], count.kept)).collect();
        let bytes: Vec<_> =
            counts.iter().map(|(kind, count)| ([("kind", kind.as_str())], count.bytes)).collect();
        out.counter(
            "left_removed",
            "What jobs left behind and housekeeping ended or removed, by kind (housekeeping.md)",
            None,
            &labelled_rows(&removed),
        )?;
        out.counter(
            "left_kept",
            "What jobs left behind and could not be removed at the end of the task, by kind",
            None,
            &labelled_rows(&kept),
        )?;
        out.counter(
            "left",
            "Room on the disk that housekeeping got back from what jobs left behind, by kind",
            Some(&Unit::Bytes),
            &labelled_rows(&bytes),
        )
    }

    fn machine(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let facts = facts::gather_facts(&self.state);
        if let Some(disk) = facts.disk {
            let (free, size) = (disk.free, disk.size);
            let help = "Room on the disk that tasks work on, for users other than root";
            out.gauge("disk_free", help, Some(&Unit::Bytes), &[(&[], free)])?;
            let help = "Size of the disk that tasks work on";
            out.gauge("disk_size", help, Some(&Unit::Bytes), &[(&[], size)])?;
        }
        if let Some(memory) = facts.memory {
            let (available, total) = (memory.available, memory.total);
            let help = "Memory that a new program can have";
            out.gauge("memory_available", help, Some(&Unit::Bytes), &[(&[], available)])?;
            let help = "Memory of the machine";
            out.gauge("memory_total", help, Some(&Unit::Bytes), &[(&[], total)])?;
        }
        Ok(())
    }
}

/// Labels and a value.
type Row<'a> = (&'a [(&'a str, &'a str)], u64);

fn labelled_rows<'a, const N: usize>(rows: &'a [([(&'a str, &'a str); N], u64)]) -> Vec<Row<'a>> {
    rows.iter().map(|(labels, value)| (labels.as_slice(), *value)).collect()
}

/// Writes whole metrics.
pub(super) struct Out<'a, 'b>(pub(super) &'a mut DescriptorEncoder<'b>);

impl Out<'_, '_> {
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        rows: &[Row<'_>],
    ) -> fmt::Result {
        self.write(name, help, unit, MetricType::Gauge, rows)
    }

    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        rows: &[Row<'_>],
    ) -> fmt::Result {
        self.write(name, help, unit, MetricType::Counter, rows)
    }

    fn write(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        rows: &[Row<'_>],
    ) -> fmt::Result {
        let help = format!("{help}.");
        let mut metric = self.0.encode_descriptor(name, &help, unit, kind)?;
        for (labels, value) in rows {
            let is_counter = matches!(kind, MetricType::Counter);
            match (labels.is_empty(), is_counter) {
                (true, true) => ConstCounter::new(*value).encode(metric)?,
                (true, false) => ConstGauge::new(*value).encode(metric)?,
                (false, true) => {
                    ConstCounter::new(*value).encode(metric.encode_family(labels)?)?;
                    continue;
                }
                (false, false) => {
                    ConstGauge::new(*value).encode(metric.encode_family(labels)?)?;
                    continue;
                }
            }
            // Without labels there is one value.
            break;
        }
        Ok(())
    }
}
