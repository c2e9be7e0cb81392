//! Numbers of the farm, which any server of the database tells the same.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use russet_protocol::alerts::AlertKind;

use super::of_server::add_gauge;
use crate::meters::ByClass;
use crate::runner_items::list_runners;
use crate::state::App;
use crate::store::loads::WaitingLine;
use crate::store::outbox::Undelivered;
use crate::store::{StoreError, alerts, loads, outbox};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    class: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMessageState {
    state: &'static str,
}

/// Numbers of the farm.
#[derive(Debug, Default)]
pub(super) struct Farm {
    pub(super) now_ms: i64,
    /// Number of machines by class and state.
    pub(super) machines: BTreeMap<(String, &'static str), i64>,
    pub(super) lines: Vec<WaitingLine>,
    /// Number of open alerts by kind.
    pub(super) alerts: BTreeMap<&'static str, i64>,
    pub(super) undelivered: Undelivered,
}

impl Farm {
    /// Looks at the farm.
    pub(super) async fn look(app: &App) -> Result<Self, StoreError> {
        let mut conn = app.store.read().await?;
        let mut farm = Self { now_ms: app.clock.wall_ms(), ..Self::default() };
        for item in list_runners(app, &mut conn).await? {
            let key = (item.resource_class.to_string(), item.state.as_str());
            *farm.machines.entry(key).or_default() += 1;
        }
        farm.lines = loads::waiting_lines(&mut conn).await?;
        // A kind without one is told as well: a rule must not take nothing for a metric that is gone.
        farm.alerts = AlertKind::ALL.iter().map(|kind| (kind.as_str(), 0)).collect();
        for (kind, _) in alerts::open_keys(&mut conn).await? {
            *farm.alerts.entry(kind.as_str()).or_default() += 1;
        }
        farm.undelivered = outbox::undelivered(&mut conn).await?;
        Ok(farm)
    }

    /// Returns the seconds since a moment, never less than none: clocks of servers differ a little.
    fn seconds_since(&self, at_ms: i64) -> i64 {
        (self.now_ms - at_ms).max(0) / 1000
    }

    /// Adds the numbers to what is told.
    pub(super) fn register(&self, registry: &mut Registry) {
        let machines = Family::<ByState, Gauge>::default();
        for ((class, state), number) in &self.machines {
            machines.get_or_create(&ByState { class: class.clone(), state }).set(*number);
        }
        registry.register("machines", "Machines, by resource class and state", machines);
        let (queued, oldest) =
            (Family::<ByClass, Gauge>::default(), Family::<ByClass, Gauge>::default());
        for line in &self.lines {
            let class = ByClass { class: line.class.clone() };
            queued.get_or_create(&class).set(i64::try_from(line.tasks).unwrap_or(i64::MAX));
            oldest.get_or_create(&class).set(self.seconds_since(line.oldest_ms));
        }
        let help = "Tasks that wait for a machine, by resource class";
        registry.register("tasks_queued", help, queued);
        let help = "Time that the first task of the line has waited, by resource class";
        registry.register_with_unit("queue_oldest_wait", help, Unit::Seconds, oldest);
        let open = Family::<ByKind, Gauge>::default();
        for (kind, number) in &self.alerts {
            open.get_or_create(&ByKind { kind }).set(*number);
        }
        registry.register("alerts_open", "Alerts that are open, by kind", open);
        self.register_messages(registry);
    }

    fn register_messages(&self, registry: &mut Registry) {
        let Undelivered { pending, oldest_ms, failed } = self.undelivered;
        let messages = Family::<ByMessageState, Gauge>::default();
        for (state, number) in [("pending", pending), ("failed", failed)] {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            messages.get_or_create(&ByMessageState { state }).set(number);
        }
        let help = "Messages about alerts that are not delivered: `pending` ones are tried again, \
                    `failed` ones were given up of late";
        registry.register("outbox_messages", help, messages);
        let waits = oldest_ms.map_or(0, |at_ms| self.seconds_since(at_ms));
        let help = "Time that the first message about an alert has waited for its delivery";
        let unit = Some(Unit::Seconds);
        add_gauge(registry, "outbox_oldest_wait", help, unit, u64::try_from(waits).unwrap_or(0));
    }
}
