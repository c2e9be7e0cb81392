//! Numbers of this server alone.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use russet_protocol::health::CheckState;

use crate::contention::retry_count;
use crate::health::{Part, States};
use crate::lacks::Lack;
use crate::listen::Gate;
use crate::meters::{ByClass, HttpMeters, ObjectMeters, Process, SignInMeters, StoreMeters};
use crate::readiness::examine;
use crate::state::App;
use crate::store::statement_count;
use crate::tls::ServerTls;
use crate::trace_events::SpanCounts;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLimit {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCheck {
    check: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    database: &'static str,
    objects: &'static str,
}

/// Numbers of the certificate in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct CertificateNumbers {
    /// Its end, in seconds since 1970.
    pub(super) expires_s: i64,
    /// Its files cannot be used.
    pub(super) has_fault: bool,
    pub(super) renewals: u64,
    pub(super) failures: u64,
}

impl CertificateNumbers {
    fn of(tls: &ServerTls) -> Self {
        let standing = tls.standing();
        Self {
            expires_s: standing.pair.not_after_s,
            has_fault: standing.fault.is_some(),
            renewals: standing.exchanges,
            failures: standing.failures,
        }
    }

    fn register(self, registry: &mut Registry) {
        let expires = u64::try_from(self.expires_s).unwrap_or_default();
        let help = "End of the certificate in use, in seconds since 1970; with TLS of its own";
        add_gauge(registry, "certificate_expires_timestamp_seconds", help, None, expires);
        let help = "1 where the files of the certificate cannot be used, and the one before is";
        add_gauge(registry, "certificate_not_renewed", help, None, self.has_fault.into());
        let help = "Certificates that were exchanged for renewed ones since the start";
        add_counter(registry, "certificate_renewals", help, self.renewals);
        let help = "Looks at the files of the certificate that found them of no use";
        add_counter(registry, "certificate_failures", help, self.failures);
    }
}

/// Numbers of this server.
#[derive(Debug)]
pub(super) struct OfServer<'a> {
    pub(super) gate: &'a Gate,
    pub(super) store: &'a StoreMeters,
    pub(super) objects: &'a ObjectMeters,
    pub(super) calls: &'a HttpMeters,
    pub(super) sign_ins: &'a SignInMeters,
    pub(super) spans: &'a SpanCounts,
    /// State of each part of readiness.
    pub(super) checks: States,
    pub(super) waiting_claims: Vec<(String, usize)>,
    pub(super) disk_free_bytes: Option<u64>,
    /// Certificate of the server's own TLS, if it has any.
    pub(super) certificate: Option<CertificateNumbers>,
    pub(super) is_postgres: bool,
    pub(super) is_bucket: bool,
    pub(super) process: Process,
}

impl<'a> OfServer<'a> {
    /// Looks at this server.
    pub(super) async fn look(app: &'a App) -> Self {
        Self {
            gate: &app.gate,
            store: app.store.meters(),
            objects: app.objects.meters(),
            calls: &app.calls,
            sign_ins: &app.sign_ins,
            spans: &app.spans,
            checks: examine(app).await,
            waiting_claims: app.bus().lines.counts(),
            disk_free_bytes: app.space.free_bytes(),
            certificate: app.tls.as_deref().map(CertificateNumbers::of),
            is_postgres: app.store.is_shared(),
            is_bucket: app.objects.is_shared(),
            process: Process::look(),
        }
    }

    /// Adds the numbers of the process, which have names of their own.
    pub(super) fn register_process(&self, registry: &mut Registry) {
        let Process { cpu_seconds, start_seconds, resident_bytes, open_files, max_open_files } =
            self.process;
        if let Some(seconds) = cpu_seconds {
            let counter = Counter::<f64, AtomicU64>::default();
            counter.inc_by(seconds);
            let help = "Processor time that the server took";
            registry.register_with_unit("process_cpu", help, Unit::Seconds, counter);
        }
        if let Some(seconds) = start_seconds {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(seconds);
            let help = "When the server started, since 1970";
            registry.register_with_unit("process_start_time", help, Unit::Seconds, gauge);
        }
        let help = "Memory that the server takes (Linux)";
        add_known(registry, "process_resident_memory", help, Some(Unit::Bytes), resident_bytes);
        let help = "Files and sockets that the server has open";
        add_known(registry, "process_open_fds", help, None, open_files);
        add_known(registry, "process_max_fds", "How many it may have open", None, max_open_files);
    }

    /// Adds the other numbers.
    pub(super) fn register(&self, registry: &mut Registry) {
        let build = Build {
            version: env!("CARGO_PKG_VERSION"),
            database: if self.is_postgres { "postgresql" } else { "sqlite" },
            objects: if self.is_bucket { "bucket" } else { "directory" },
        };
        registry.register("build", "Version and stores of this server", Info::new(build));
        self.register_checks(registry);
        self.register_limits(registry);
        self.register_claims(registry);
        if let Some(certificate) = self.certificate {
            certificate.register(registry);
        }
        self.store.register(registry);
        let help = "Statements that were made to the database";
        add_counter(registry, "statements", help, statement_count());
        let help = "Transactions that were done again, since the database took them back for \
                    another's sake";
        add_counter(registry, "database_retries", help, retry_count());
        self.objects.register(registry);
        self.calls.register(registry);
        self.sign_ins.register(registry);
        self.register_spans(registry);
    }

    fn register_checks(&self, registry: &mut Registry) {
        let checks = Family::<ByCheck, Gauge>::default();
        for (part, state) in Part::ALL.into_iter().zip(self.checks) {
            let value = i64::from(state == CheckState::Ok);
            checks.get_or_create(&ByCheck { check: part.as_str() }).set(value);
        }
        let help = "1 for a part that lets this server take work, 0 for one that does not, or that \
                    could not be looked at; the same as /readyz";
        registry.register("ready", help, checks);
    }

    fn register_limits(&self, registry: &mut Registry) {
        let put_off = Family::<ByLimit, Counter>::default();
        for lack in Lack::ALL {
            let label = ByLimit { limit: lack.as_str() };
            put_off.get_or_create(&label).inc_by(self.gate.lacks.count(lack));
        }
        let help = "Calls that were put off with 429, 503 or 507, by what there was too little of: \
                    `connections`, `descriptors`, `calls`, `bodies`, `database_writer`, \
                    `database_connections`, `database` (a connection broke), `contention`, \
                    `object_store`, `uploads`, `disk`";
        registry.register("put_off", help, put_off);
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let open = number(self.gate.connections());
        add_gauge(registry, "connections", "Connections that are open", None, open);
        let most = number(self.gate.limits.connections);
        add_gauge(registry, "connections_limit", "Connections that may be open", None, most);
        let help = "Files and connections that the process may have open";
        add_gauge(registry, "open_files_limit", help, None, self.gate.open_files);
        let help = "Free space on the disk of the data directory";
        add_known(registry, "disk_free", help, Some(Unit::Bytes), self.disk_free_bytes);
    }

    fn register_claims(&self, registry: &mut Registry) {
        let help = "Looks of claims at the queue of their class: about one for each claim and one for \
                    each task";
        add_counter(registry, "queue_looks", help, self.gate.looks.load(Ordering::Relaxed));
        let waiting = Family::<ByClass, Gauge>::default();
        for (class, number) in &self.waiting_claims {
            let number = i64::try_from(*number).unwrap_or(i64::MAX);
            waiting.get_or_create(&ByClass { class: class.clone() }).set(number);
        }
        let help = "Claims that wait at this server for a task: free slots, by resource class";
        registry.register("claims_waiting", help, waiting);
    }

    fn register_spans(&self, registry: &mut Registry) {
        let SpanCounts { exported, failed, dropped } = self.spans;
        let results = Family::<ByResult, Counter>::default();
        for (result, number) in [("exported", exported), ("failed", failed), ("dropped", dropped)] {
            let number = number.load(Ordering::Relaxed);
            results.get_or_create(&ByResult { result }).inc_by(number);
        }
        let help = "Spans of traces: `failed` ones were not taken by the collector, `dropped` ones not \
                    made, since too many waited";
        registry.register("trace_spans", help, results);
    }
}

/// Adds a number that goes up and down.
pub(super) fn add_gauge(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    value: u64,
) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, gauge),
        None => registry.register(name, help, gauge),
    }
}

/// Adds a number that goes up and down, where it is known.
fn add_known(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    value: Option<u64>,
) {
    if let Some(value) = value {
        add_gauge(registry, name, help, unit, value);
    }
}

/// Adds a number that goes up.
fn add_counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}
