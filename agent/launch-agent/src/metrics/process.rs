//! Resources of this process itself, under the names that Prometheus' own clients use.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::gauges::Out;

/// This process.
#[derive(Debug)]
pub(super) struct Own;

impl Collector for Own {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(seconds) = cpu_seconds() {
            let help = "Processor time that the launch agent itself took.";
            let metric = encoder.encode_descriptor(
                "process_cpu",
                help,
                Some(&Unit::Seconds),
                MetricType::Counter,
            )?;
            ConstCounter::new(seconds).encode(metric)?;
        }
        if let Some(seconds) = start_seconds() {
            let help = "When the launch agent started, since 1970.";
            let metric = encoder.encode_descriptor(
                "process_start_time",
                help,
                Some(&Unit::Seconds),
                MetricType::Gauge,
            )?;
            ConstGauge::new(seconds).encode(metric)?;
        }
        let mut out = Out(&mut encoder);
        if let Some(bytes) = russet_platform::resident_memory() {
            let help = "Memory that the launch agent itself takes";
            out.gauge("process_resident_memory", help, Some(&Unit::Bytes), &[(&[], bytes)])?;
        }
        if let Some(count) = open_files() {
            let help = "Files and sockets that the launch agent has open";
            out.gauge("process_open_fds", help, None, &[(&[], count)])?;
        }
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        if let Ok((soft, _)) = limit {
            let help = "How many it may have open";
            out.gauge("process_max_fds", help, None, &[(&[], soft)])?;
        }
        Ok(())
    }
}

fn cpu_seconds() -> Option<f64> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike as _;
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let micros = u64::try_from(micros).ok()?;
    Some(std::time::Duration::from_micros(micros).as_secs_f64())
}

/// Returns the time at which this process asked first, which is when it started: a clock that is
/// set later moves nothing.
fn start_seconds() -> Option<f64> {
    use std::sync::OnceLock;
    use std::time::{SystemTime, UNIX_EPOCH};
    static STARTED: OnceLock<Option<f64>> = OnceLock::new();
    *STARTED.get_or_init(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
    })
}

/// The directory itself is open while it is counted.
fn open_files() -> Option<u64> {
    let count = std::fs::read_dir("/dev/fd").ok()?.count();
    u64::try_from(count).ok()?.checked_sub(1)
}

/// Notes when this process started.
pub(super) fn note_start() {
    start_seconds();
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_takes_something_of_everything() {
        assert!(super::cpu_seconds().unwrap() >= 0.0);
        let before = super::open_files().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(super::open_files().unwrap() > 0 && before > 0);
        drop(file);
        let bytes = russet_platform::resident_memory().unwrap();
        assert!((100_000..100_000_000_000).contains(&bytes), "{bytes}");
        assert_eq!(super::start_seconds(), super::start_seconds());
    }
}
